"""Cards on their way into the store: an answer never waits for them, and what is lost is counted and said."""

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cds_service.recorder import Recorder
from cds_service.store import Store
from tests.feedback.bodies import accepted
from tests.feedback.test_store import AT, SIGN, decided, entry, shown

NO_DATABASE = "no database " * 100


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "cds.sqlite3"


@pytest.fixture
def lost() -> list[int]:
    return []


@pytest.fixture
def recorder(file: Path, lost: list[int]) -> Iterator[Recorder]:
    made = Recorder(Store(f"sqlite:///{file}"), on_loss=lost.append, longest_queue=4)
    yield made
    made.close()


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def cards_in(file: Path) -> set[str]:
    with closing(sqlite3.connect(file, timeout=10)) as connection:
        try:
            return {card for (card,) in connection.execute("SELECT card FROM card_shown")}
        except sqlite3.Error:
            return set()


def test_no_thread_and_no_file_before_the_first_call(file: Path, lost: list[int]) -> None:
    before = threading.active_count()
    Recorder(Store(f"sqlite:///{file}"), on_loss=lost.append)
    assert (threading.active_count(), file.exists()) == (before, False)


def test_cards_are_in_the_store_a_moment_later(recorder: Recorder, file: Path, lost: list[int]) -> None:
    recorder.decided(decided(shown("c1"), shown("c2")))
    until(lambda: cards_in(file) == {"c1", "c2"})
    assert lost == []


def test_closing_writes_what_is_waiting(recorder: Recorder, file: Path, lost: list[int]) -> None:
    recorder.decided(decided(shown("c1"), shown("c2")))
    recorder.close()
    assert (cards_in(file), lost) == ({"c1", "c2"}, [])


def test_feedback_right_after_the_answer_finds_its_card(
    recorder: Recorder, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cds_service.recorder.SECONDS_FOR_A_CARD_ON_ITS_WAY", 20)  # a busy machine
    Store(f"sqlite:///{file}").open()
    recorder.decided(decided(shown("c1")))
    kept = recorder.feedback([entry(accepted(card="c1"))], service=SIGN, at=AT)
    assert kept.recorded == {("R2", "accepted"): 1}


def test_a_store_that_is_down_holds_nobody_up_and_gets_its_cards_when_it_is_back(
    recorder: Recorder, file: Path, lost: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    file.write_text(NO_DATABASE, encoding="utf-8")
    with caplog.at_level("INFO", "cds_service"):
        started = time.monotonic()
        recorder.decided(decided(shown("c1"), shown("c2")))
        assert time.monotonic() - started < 0.5
        until(lambda: len(caplog.messages) == 1)
        file.unlink()
        until(lambda: cards_in(file) == {"c1", "c2"})
        until(lambda: len(caplog.messages) == 2)
    down, up = map(json.loads, caplog.messages)
    assert down == {"event": "store", "state": "unavailable", "error": "DatabaseError"}
    assert up == {"event": "store", "state": "available"}
    assert lost == []


def test_as_many_records_wait_as_there_is_room_for_and_one_more_is_lost_counted_and_logged(
    recorder: Recorder, file: Path, lost: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    file.write_text(NO_DATABASE, encoding="utf-8")
    with caplog.at_level("INFO", "cds_service"):
        recorder.decided(decided(shown("c1"), shown("c2"), shown("c3")))
        assert lost == []
        recorder.decided(decided(shown("c4")))
        assert lost == [1]
        recorder.decided(decided(shown("c5"), shown("c6")))
        assert lost == [1, 1]
        file.unlink()
        until(lambda: cards_in(file) == {"c1", "c2", "c3"})
    assert {"event": "records lost", "calls": 1, "cards": 2} in map(json.loads, caplog.messages)


def test_what_cannot_be_written_before_the_end_is_counted_as_lost(file: Path, lost: list[int]) -> None:
    file.write_text(NO_DATABASE, encoding="utf-8")
    recorder = Recorder(Store(f"sqlite:///{file}"), on_loss=lost.append)
    recorder.decided(decided(shown("c1"), shown("c2")))
    recorder.decided(decided())
    recorder.close()
    assert lost == [2]
    recorder.close()
    assert lost == [2]
