"""Can this process reach its store? For the probes of a load balancer, which ask often and do not wait.

The store is asked at most once in `SECONDS_KEPT`, by one thread at a time, and nobody waits for it longer than
`SECONDS_TO_WAIT`: a store that hangs is one that cannot be reached.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from cds_service.errors import StoreUnavailable

SECONDS_KEPT: Final = 2.0
SECONDS_TO_WAIT: Final = 0.8


class Readiness:
    """Whether `check` returns; it raises StoreUnavailable where the store cannot be reached.

    `clock` is monotonic, in milliseconds. Threads come into being with the first question, so a server may fork before.
    """

    def __init__(
        self, check: Callable[[], None], *, clock: Callable[[], float], seconds_to_wait: float = SECONDS_TO_WAIT
    ) -> None:
        self._check = check
        self._clock = clock
        self._seconds_to_wait = seconds_to_wait
        self._lock = threading.Lock()
        self._asked_at: float | None = None
        self._is_ready = False
        self._asking: threading.Thread | None = None

    def __call__(self) -> bool:
        """The last answer if it is fresh or another caller is just asking; else a new one."""
        with self._lock:
            if self._is_fresh() or self._is_being_asked():
                return self._is_ready
            self._asked_at = self._clock()
            asking = self._asking = threading.Thread(target=self._ask, name="cds-readiness", daemon=True)
            asking.start()
        asking.join(self._seconds_to_wait)
        if asking.is_alive():
            self._is_ready = False
        return self._is_ready

    def _is_fresh(self) -> bool:
        return self._asked_at is not None and self._clock() - self._asked_at < SECONDS_KEPT * 1000

    def _is_being_asked(self) -> bool:
        return self._asking is not None and self._asking.is_alive()

    def _ask(self) -> None:
        try:
            self._check()
        except StoreUnavailable:
            self._is_ready = False
        else:
            self._is_ready = True
