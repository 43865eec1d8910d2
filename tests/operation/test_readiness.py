"""The probes: live while the process answers, ready while the store can be reached, and neither holds anybody up."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app import build
from cds_service.errors import StoreUnavailable
from cds_service.readiness import Readiness
from cds_service.settings import read_settings
from cds_service.store import Store

NO_DATABASE = "no database " * 100


class Clock:
    """Milliseconds, as the test sets them."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Checked:
    """A check that counts how often it is asked, and fails while it is told to."""

    def __init__(self) -> None:
        self.asked = 0
        self.is_down = False

    def __call__(self) -> None:
        self.asked += 1
        if self.is_down:
            raise StoreUnavailable("OperationalError")


@pytest.mark.parametrize(("milliseconds", "asked"), [(1_999, 1), (2_000, 2)])
def test_an_answer_is_kept_for_two_seconds(milliseconds: float, asked: int) -> None:
    check, clock = Checked(), Clock()
    is_ready = Readiness(check, clock=clock)
    assert is_ready()
    check.is_down = True
    clock.now = milliseconds
    assert is_ready() is (asked == 1)
    assert check.asked == asked


def test_a_store_that_comes_back_is_ready_again() -> None:
    check, clock = Checked(), Clock()
    check.is_down = True
    is_ready = Readiness(check, clock=clock)
    assert not is_ready()
    check.is_down = False
    clock.now = 2_000
    assert is_ready()


def test_nobody_waits_long_for_a_store_that_hangs_and_it_is_asked_once() -> None:
    let_go, asked = threading.Event(), []

    def hang() -> None:
        asked.append(1)
        let_go.wait(20)

    clock = Clock()
    is_ready = Readiness(hang, clock=clock)
    started = time.monotonic()
    with ThreadPoolExecutor(20) as probes:
        answers = list(probes.map(lambda _: is_ready(), range(20)))
    assert time.monotonic() - started < 3
    assert not any(answers)
    clock.now = 10_000
    started = time.monotonic()
    assert not is_ready()
    assert time.monotonic() - started < 3
    assert len(asked) == 1
    let_go.set()


def test_a_store_that_was_there_and_hangs_now_is_no_longer_ready() -> None:
    let_go, clock = threading.Event(), Clock()
    hangs = False
    is_ready = Readiness(lambda: None if not hangs else (let_go.wait(20), None)[1], clock=clock, seconds_to_wait=2)
    assert is_ready()
    hangs, clock.now = True, 2_000
    assert not is_ready()
    clock.now = 9_000
    assert not is_ready()
    let_go.set()


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_without_its_store_the_service_is_live_and_not_ready_and_still_gives_advice(tmp_path: Path) -> None:
    file = tmp_path / "cds.sqlite3"
    file.write_text(NO_DATABASE, encoding="utf-8")
    client = build(read_settings({}), store=Store(f"sqlite:///{file}")).test_client()
    assert client.get("/health/live").json == {"status": "ok"}
    unready = client.get("/health/ready")
    assert (unready.status_code, unready.json) == (503, {"status": "unavailable", "store": "unavailable"})
    assert unready.headers["Cache-Control"] == "no-store"
    assert client.get("/cds-services").status_code == 200
    file.unlink()
    until(lambda: client.get("/health/ready").status_code == 200)
    assert client.get("/health/ready").json == {"status": "ok"}


def test_the_openapi_document_says_what_an_unready_service_answers() -> None:
    document = build(read_settings({})).test_client().get("/openapi.json").json
    assert document is not None
    answers = document["paths"]["/health/ready"]["get"]["responses"]
    schema = answers["503"]["content"]["application/json"]["schema"]
    assert schema["properties"] == {"status": {"const": "unavailable"}, "store": {"const": "unavailable"}}
    assert "503" not in document["paths"]["/health/live"]["get"]["responses"]
