"""The store fails under a service that is answering: cards keep coming, and nothing that was acknowledged is lost.

`python -m pytest tests/faults/test_store_faults.py -s` prints the figures of docs/evidence.md.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import requests

from cds_service.recorder import LONGEST_QUEUE, Recorder
from cds_service.store import Store
from tests.feedback.test_store import decided, rows, shown
from tests.support.postgres import Cluster
from tests.support.running import Running, children_of, kill, running, until

resource = pytest.importorskip("resource")
pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs signals")


@dataclass
class Load:
    """Calls and feedback, one after the other from several clients at once, and what each got."""

    service: Running
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    answered: set[str] = field(default_factory=set)
    acknowledged: set[str] = field(default_factory=set)
    cut_off: int = 0
    slowest_call: float = 0.0
    slowest_feedback: float = 0.0
    _stopped: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self, clients: int) -> None:
        for number in range(clients):
            self._threads.append(threading.Thread(target=self.client, args=(number,), daemon=True))
            self._threads[-1].start()

    def client(self, number: int) -> None:
        turn = 0
        while not self._stopped.is_set():
            turn += 1
            name = f"{number}-{turn}"
            try:
                started = time.monotonic()
                called = self.service.call(name)
                self.slowest_call = max(self.slowest_call, time.monotonic() - started)
                started = time.monotonic()
                told = self.service.feedback(name)
                self.slowest_feedback = max(self.slowest_feedback, time.monotonic() - started)
            except requests.RequestException:
                self.cut_off += 1
                continue
            assert called.json()["cards"]
            self.statuses["call", called.status_code] += 1
            self.statuses["feedback", told.status_code] += 1
            self.answered.add(name)
            if told.status_code == 200:
                self.acknowledged.add(name)

    def stop(self) -> None:
        """On return nothing is on its way any more: what is in the store can be compared with what was answered."""
        self._stopped.set()
        for thread in self._threads:
            thread.join(timeout=60)
            assert not thread.is_alive()


@contextlib.contextmanager
def load_on(service: Running, clients: int = 3) -> Iterator[Load]:
    load = Load(service)
    load.start(clients)
    try:
        yield load
    finally:
        load.stop()


def kept(url: str) -> tuple[set[str], set[str]]:
    """The calls and the cards with feedback that are in the store."""
    calls = {name for (name,) in rows(url, "SELECT hook_instance FROM decision")}
    return calls, {card for (card,) in rows(url, "SELECT card FROM feedback")}


def say(fault: str, load: Load, more: str = "") -> None:
    """The figures of one fault."""
    print(
        f"\n{fault}: {dict(load.statuses)}, cut off {load.cut_off}, slowest call {load.slowest_call:.2f} s, "
        f"slowest feedback {load.slowest_feedback:.2f} s. {more}"
    )


# --- PostgreSQL goes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 2], ids=["app.py", "gunicorn"])
def test_postgresql_killed_and_restarted_costs_no_card_no_record_and_no_acknowledged_feedback(
    cluster: Cluster, workers: int
) -> None:
    url = cluster.database()
    with running(url, workers=workers) as service, load_on(service) as load:
        until(lambda: len(load.acknowledged) > 20)
        cluster.kill()
        until(lambda: load.statuses["feedback", 503] > 5)
        cluster.start()
        before = len(load.acknowledged)
        until(lambda: len(load.acknowledged) > before + 20)
        load.stop()
        back = until(lambda: kept(url)[0] >= load.answered)
        assert kept(url)[1] >= load.acknowledged
        assert service.lost() == 0
        lines = list(service.lines)
        assert workers or [line[:1] for line in lines if "ready:" not in line] == ["{"] * (len(lines) - 1)
    say("PostgreSQL killed and restarted", load, f"All records there after {back:.1f} s.")
    assert load.cut_off == 0
    assert {status for kind, status in load.statuses if kind == "call"} == {200}
    assert {status for kind, status in load.statuses if kind == "feedback"} == {200, 503}
    assert load.slowest_call < 4


def test_postgresql_frozen_holds_up_no_card_and_feedback_for_seconds_only(cluster: Cluster) -> None:
    url = cluster.database()
    with running(url) as service, load_on(service) as load:
        until(lambda: len(load.acknowledged) > 5)
        cluster.send(signal.SIGSTOP)
        try:
            started = time.monotonic()
            assert service.feedback("while frozen").status_code == 503
            waited = time.monotonic() - started
            assert service.call("frozen").status_code == 200
        finally:
            cluster.send(signal.SIGCONT)
        until(lambda: service.feedback("while frozen").status_code == 200)
        load.stop()
        until(lambda: kept(url)[0] >= load.answered | {"frozen"})
        assert kept(url)[1] >= load.acknowledged
        assert service.lost() == 0
    say("PostgreSQL frozen", load, f"Feedback refused after {waited:.1f} s.")
    assert waited < 12
    assert load.slowest_call < 4


def test_a_service_started_without_its_postgresql_writes_what_it_did_once_that_is_there(cluster: Cluster) -> None:
    url = cluster.database()
    cluster.kill()
    try:
        with running(url) as service:
            assert service.call("early").status_code == 200
            assert service.feedback("early").status_code == 503
            assert service.event("store")["state"] == "unavailable"
            cluster.start()
            until(lambda: service.feedback("early").status_code == 200)
            until(lambda: kept(url)[0] == {"early"})
    finally:
        cluster.start_if_down()


# --- processes go -----------------------------------------------------------------------------------------------------


def test_a_worker_killed_under_load_loses_no_acknowledged_feedback(url: str) -> None:
    with running(url, workers=2) as service, load_on(service) as load:
        for _ in range(2):
            before = len(load.acknowledged)
            until(lambda before=before: len(load.acknowledged) > before + 20)  # type: ignore[misc]
            kill(children_of(service.process.pid)[0])
            until(lambda: len(children_of(service.process.pid)) == 2)
        before = len(load.acknowledged)
        until(lambda: len(load.acknowledged) > before + 20)
        load.stop()
        until(lambda: len(load.answered - kept(url)[0]) <= 2 * 6)  # what was answered and not written yet
        time.sleep(1)
        calls, told = kept(url)
        assert told >= load.acknowledged
        missing = len(load.answered - calls)
    say("A worker killed twice", load, f"{missing} calls without a record.")
    assert load.cut_off <= 2 * 3  # what it was answering


@pytest.mark.parametrize("workers", [0, 2], ids=["app.py", "gunicorn"])
def test_a_service_that_is_told_to_end_writes_its_records_first(url: str, workers: int) -> None:
    with running(url, workers=workers) as service:
        names = [f"call {number}".replace(" ", "-") for number in range(20)]
        for name in names:
            assert service.call(name).status_code == 200
        assert service.end() == 0
        assert kept(url)[0] == set(names)
        assert service.events("records lost") == []


# --- the disk is full -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Disk:
    folder: Path
    fill: Callable[[Running], None]
    make_room: Callable[[Running], None]


@pytest.fixture(params=["small disk", "limited files"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    """A disk of 1 MB, where one can be mounted, and a process whose files may not grow, which can be had anywhere."""
    if request.param == "limited files":

        def limit(service: Running, size: int) -> None:
            resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

        yield Disk(
            folder=tmp_path,
            fill=lambda service: limit(service, 1_024),
            make_room=lambda service: limit(service, resource.RLIM_INFINITY),
        )
        return
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("no disk can be mounted here; the same is tested with limited files")

    def fill(service: Running) -> None:
        with contextlib.suppress(OSError), (tmp_path / "rest").open("wb", buffering=0) as rest:
            while True:
                rest.write(bytes(512))

    yield Disk(folder=tmp_path, fill=fill, make_room=lambda service: (tmp_path / "rest").unlink())
    subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_full_disk_costs_no_card_refuses_feedback_and_all_is_written_once_there_is_room(disk: Disk) -> None:
    url = f"sqlite:///{disk.folder / 'cds.sqlite3'}"
    with running(url) as service, load_on(service, clients=2) as load:
        until(lambda: len(load.acknowledged) > 10)
        disk.fill(service)
        until(lambda: load.statuses["feedback", 503] > 10)
        full = len(load.answered)
        until(lambda: len(load.answered) > full + 10)
        disk.make_room(service)
        until(lambda: service.feedback("room").status_code == 200)
        load.stop()
        back = until(lambda: kept(url)[0] >= load.answered)
        assert kept(url)[1] >= load.acknowledged | {"room"}
        assert service.lost() == 0
        assert rows(url, "PRAGMA integrity_check") == [("ok",)]
    say("Disk full", load, f"All records there {back:.1f} s after there was room.")
    assert {status for kind, status in load.statuses if kind == "call"} == {200}


def test_what_a_full_disk_did_not_take_before_the_end_is_said_in_the_log(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'cds.sqlite3'}"
    with running(url) as service:
        assert service.call("before").status_code == 200
        until(lambda: kept(url)[0] == {"before"})
        resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, (1_024, resource.RLIM_INFINITY))
        cards = sum(len(service.call(f"full-{number}").json()["cards"]) for number in range(5))
        service.end()
        until(lambda: service.events("records lost") != [])
        (lost,) = service.events("records lost")
        assert (lost["calls"], lost["cards"]) == (5, cards)


# --- the queue --------------------------------------------------------------------------------------------------------


def test_the_queue_takes_so_many_records_in_bounded_memory_and_counts_the_rest() -> None:
    lost: list[int] = []
    recorder = Recorder(Store("postgresql+psycopg://nobody@127.0.0.1:1/none"), on_loss=lost.append)
    tracemalloc.start()
    started = time.monotonic()
    for number in range(LONGEST_QUEUE // 2 + 100):  # each is two rows: the decision and its card
        recorder.decided(decided(shown(f"c{number}"), id=f"d{number}"))
    seconds = time.monotonic() - started
    megabytes = tracemalloc.get_traced_memory()[0] / 1e6
    tracemalloc.stop()
    assert sum(lost) == 100
    recorder.close()
    assert sum(lost) == LONGEST_QUEUE // 2 + 100
    print(f"\nQueue filled: {LONGEST_QUEUE // 2} calls waiting, {megabytes:.0f} MB, {seconds:.1f} s")
    assert megabytes < 60
