"""Hands the records of calls to the store without letting an answer wait for it.

A bounded queue, and one writer thread for each process, started by the first call. A store that is down is tried
again and again; what does not fit into the queue meanwhile is lost, counted and logged. Feedback does wait.
"""

from __future__ import annotations

import atexit
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Final

import msgspec

from cds_service.errors import StoreUnavailable
from cds_service.feedback import Feedback, Rejected
from cds_service.store import Decision, Kept, Store

LONGEST_QUEUE: Final = 20_000
"""Rows: one for each decision and one for each of its cards; some 20 MB when full."""

BATCH: Final = 200
"""Decisions a transaction."""

SECONDS_TO_GATHER: Final = 0.05
"""Before a transaction, for more to come: one for each call would take a tenth of what a small call costs."""

SECONDS_BETWEEN_TRIES: Final = 1.0
SECONDS_AT_THE_END: Final = 3.0
SECONDS_FOR_A_CARD_ON_ITS_WAY: Final = 0.5

log: Final = logging.getLogger("cds_service")


class Recorder:
    """The way into the store. `on_loss` is told how many calls' records were lost, each time some are."""

    def __init__(self, store: Store, *, on_loss: Callable[[int], None], longest_queue: int = LONGEST_QUEUE) -> None:
        self._store = store
        self._on_loss = on_loss
        self._longest_queue = longest_queue
        self._waiting: deque[Decision] = deque()
        self._rows_waiting = 0
        self._changed = threading.Condition()
        self._is_ending = False
        self._is_down = False
        self._writer: threading.Thread | None = None

    def decided(self, decision: Decision) -> None:
        """Take this record; never waits for the store and never fails with it."""
        with self._changed:
            has_room = self._rows_waiting + _rows(decision) <= self._longest_queue
            if has_room:
                self._waiting.append(decision)
                self._rows_waiting += _rows(decision)
            if self._writer is None or not self._writer.is_alive():
                self._start_writer()
            self._changed.notify_all()
        if not has_room:
            self._lose([decision])

    def feedback(self, entries: Sequence[Feedback | Rejected], *, service: str, at: datetime, client: str = "") -> Kept:
        """Store these entries; on return they are on disk. Raises: StoreUnavailable.

        A card that was sent a moment ago may still be waiting: it goes first, so that its row is known.
        """
        cards = {entry.card for entry in entries if isinstance(entry, Feedback)}
        with self._changed:
            self._changed.wait_for(
                lambda: not any(shown.card in cards for made in self._waiting for shown in made.cards),
                SECONDS_FOR_A_CARD_ON_ITS_WAY,
            )
        return self._store.add_feedback(entries, service=service, at=at, client=client)

    def close(self) -> None:
        """Write what is waiting, for a few seconds at most; what then still waits is lost, counted and logged."""
        with self._changed:
            self._is_ending = True
            writer = self._writer
            self._changed.notify_all()
        if writer is not None and writer.is_alive():
            writer.join(SECONDS_AT_THE_END)
        with self._changed:
            left = list(self._waiting)
            self._waiting.clear()
            self._rows_waiting = 0
        if left:
            self._lose(left)

    def _start_writer(self) -> None:
        if self._writer is None:
            atexit.register(self.close)
        self._writer = threading.Thread(target=self._write, name="cds-store-writer", daemon=True)
        with suppress(RuntimeError):  # no more threads now: the records wait, and the next call tries again
            self._writer.start()

    def _write(self) -> None:
        """Until the end: take what is waiting, write it, and only then let go of it."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._is_ending)
                self._changed.wait_for(self._is_batch_complete, SECONDS_TO_GATHER)
                batch = [self._waiting[place] for place in range(min(BATCH, len(self._waiting)))]
            if not batch:
                return
            if self._is_written(batch):
                with self._changed:
                    for _ in range(min(len(batch), len(self._waiting))):  # none are left where the end came meanwhile
                        self._rows_waiting -= _rows(self._waiting.popleft())
                    self._changed.notify_all()
            elif self._is_ending:
                return
            else:
                with self._changed:
                    self._changed.wait_for(lambda: self._is_ending, SECONDS_BETWEEN_TRIES)

    def _is_batch_complete(self) -> bool:
        return self._is_ending or len(self._waiting) >= BATCH

    def _is_written(self, batch: Sequence[Decision]) -> bool:
        try:
            self._store.add_decisions(batch)
        except StoreUnavailable as error:
            self._say(logging.ERROR, is_down=True, error=str(error))
            return False
        self._say(logging.INFO, is_down=False)
        return True

    def _say(self, level: int, *, is_down: bool, **more: str) -> None:
        """One line when the store goes down, and one when it is back."""
        if is_down is not self._is_down:
            self._is_down = is_down
            line = {"event": "store", "state": "unavailable" if is_down else "available", **more}
            log.log(level, msgspec.json.encode(line).decode())

    def _lose(self, decisions: Sequence[Decision]) -> None:
        self._on_loss(len(decisions))
        cards = sum(len(made.cards) for made in decisions)
        log.error(msgspec.json.encode({"event": "records lost", "calls": len(decisions), "cards": cards}).decode())


def _rows(decision: Decision) -> int:
    return 1 + len(decision.cards)
