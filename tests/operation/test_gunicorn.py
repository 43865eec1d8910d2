"""The service as gunicorn serves it with the configuration of this folder: how it starts, ends and keeps quiet."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
import requests

from tests.support.hostile_server import hostile_server, is_slow

pytestmark = pytest.mark.skipif(os.name == "nt", reason="gunicorn needs fork")

ROOT: Final = Path(__file__).resolve().parent.parent.parent
SIGN: Final = "/cds-services/tarlatamab-order-sign"
CALL: Final[dict[str, Any]] = json.loads(
    (ROOT / "examples" / "order-sign-late-second-dose.json").read_text(encoding="utf-8")
)


@dataclass(kw_only=True)
class Gunicorn:
    """A running gunicorn, and what it has written so far."""

    process: subprocess.Popen[str]
    base: str = ""
    lines: list[str] = field(default_factory=list)

    @property
    def log(self) -> str:
        return "".join(self.lines)

    def until(self, holds: Callable[[], Any]) -> Any:
        """What comes of it as soon as something does."""
        deadline = time.monotonic() + 120
        while not (found := holds()):
            assert self.process.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            time.sleep(0.02)
        return found

    def workers(self) -> list[int]:
        return [int(pid) for pid in re.findall(r"Booting worker with pid: (\d+)", self.log)]


@contextmanager
def gunicorn(folder: Path, *arguments: str, workers: int = 2, **environment: str) -> Iterator[Gunicorn]:
    """`gunicorn 'app:create_app()'` on a free port with its database in this folder; killed in the end."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("CDS_")}
    settings = {"CDS_DATABASE_URL": f"sqlite:///{folder}/cds.sqlite3", "CDS_NOW": "2026-01-20T09:00:00Z"}
    command = ["-m", "gunicorn", "app:create_app()", "--bind", "127.0.0.1:0", "--workers", str(workers), *arguments]
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        env=inherited | settings | environment,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    served = Gunicorn(process=process)
    assert process.stderr is not None
    reader = threading.Thread(target=lambda: served.lines.extend(iter(process.stderr.readline, "")))  # type: ignore[union-attr]
    reader.start()
    try:
        served.base = served.until(lambda: re.search(r"Listening at: (http://127\.0\.0\.1:\d+)", served.log))[1]
        served.until(lambda: len(served.workers()) >= workers)
        yield served
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=60)
        reader.join(timeout=60)
        process.stderr.close()


def test_a_call_in_flight_at_the_end_is_answered_and_its_cards_are_on_record(tmp_path: Path) -> None:
    call = CALL | {"prefetch": {key: value for key, value in CALL["prefetch"].items() if key != "conditions"}}
    with (
        hostile_server(Condition=is_slow(1.0)) as fhir,
        gunicorn(tmp_path) as served,
        ThreadPoolExecutor() as callers,
    ):
        answer = callers.submit(requests.post, served.base + SIGN, json=call | {"fhirServer": fhir.url}, timeout=20)
        served.until(lambda: fhir.paths("Condition"))
        served.process.send_signal(signal.SIGTERM)
        response = answer.result()
        assert response.status_code == 200
        cards = {card["uuid"] for card in response.json()["cards"]}
        assert cards
        assert served.process.wait(timeout=28) == 0
    report = subprocess.run(
        [sys.executable, "-m", "cds_service.store", "report", "--database", f"sqlite:///{tmp_path}/cds.sqlite3"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "R2" in report.stdout


def test_what_stands_after_the_start_is_frozen_before_the_workers_are_forked(tmp_path: Path) -> None:
    config = tmp_path / "watched.conf.py"
    hooks = """
import gc, sys
def when_ready(server):
    sys.stderr.write(f"frozen before the fork: {gc.get_freeze_count()}\\n")
def post_worker_init(worker):
    sys.stderr.write(f"frozen in a worker: {gc.get_freeze_count()}\\n")
"""
    config.write_text((ROOT / "gunicorn.conf.py").read_text(encoding="utf-8") + hooks, encoding="utf-8")
    with gunicorn(tmp_path, "--config", str(config), workers=1) as served:
        found = served.until(lambda: re.search(r"frozen in a worker: (\d+)", served.log))
        before = re.search(r"frozen before the fork: (\d+)", served.log)
    assert before is not None
    assert int(before[1]) > 10_000
    assert int(found[1]) > 10_000


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gunicorn]:
    with gunicorn(tmp_path_factory.mktemp("gunicorn"), workers=1) as started:
        yield started


def said_to(base: str, *sent: bytes) -> bytes:
    """All that comes back for these bytes."""
    host, _, port = base.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as line:
        for part in sent:
            line.sendall(part)
        line.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: line.recv(65_536), b""))


@pytest.mark.parametrize(
    "rest",
    [
        b'{"birthDate": "marker-patient-7"}\r\n\r\n',
        b"GET /health/live HTTP/1.1\r\nmarker-patient-7\r\n\r\n",
        b"GET /marker-patient-7" + b"x" * 9_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: marker-patient-7" + b"x" * 30_000 + b"\r\n\r\n",
    ],
    ids=["a body longer than it says", "a header without a colon", "a long address", "a long header"],
)
def test_a_request_that_gunicorn_cannot_read_is_quoted_nowhere(served: Gunicorn, rest: bytes) -> None:
    before = served.log.count('"no HTTP"')
    first = b"POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}"
    came = said_to(served.base, first, rest)
    assert came.count(b"HTTP/1.1 ") == 2
    assert b"HTTP/1.1 400 Bad Request" in came
    assert b"marker" not in came
    served.until(lambda: served.log.count('"no HTTP"') > before)
    assert requests.get(f"{served.base}/health/live", timeout=10).status_code == 200
    assert "marker" not in served.log


def test_an_address_as_long_as_the_code_of_an_ehr_makes_it_reaches_the_service(served: Gunicorn) -> None:
    address = f"{served.base}/smart/redirect?code={'x' * 8_000}"
    assert requests.get(address, timeout=10).status_code == 404  # no app is registered here


def test_a_token_as_long_as_one_may_be_reaches_the_service(served: Gunicorn) -> None:
    headers = {"Authorization": "Bearer " + "x" * 16_384}
    assert requests.post(served.base + SIGN, json=CALL, headers=headers, timeout=20).status_code == 200


def test_all_workers_count_together_and_a_killed_one_stays_counted(tmp_path: Path) -> None:
    numbers = tmp_path / "metrics"
    numbers.mkdir()
    with gunicorn(tmp_path, PROMETHEUS_MULTIPROC_DIR=str(numbers)) as served:

        def calls() -> float:
            text = requests.get(f"{served.base}/metrics", timeout=10).text
            assert 'version="0.1.0"' in text
            found = re.search(r"^cds_calls_total\{\S*\} (\S+)$", text, re.MULTILINE)
            return float(found[1]) if found else 0.0

        for _ in range(20):
            assert requests.post(served.base + SIGN, json=CALL, timeout=20).status_code == 200
        assert calls() == 20
        os.kill(served.workers()[0], signal.SIGKILL)
        served.until(lambda: len(served.workers()) == 3)
        assert calls() == 20
    assert "Traceback" not in served.log


def test_gunicorn_leaves_nothing_outside_the_folders_it_is_given(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with gunicorn(tmp_path, HOME=str(home), XDG_RUNTIME_DIR=str(home)) as served:
        assert requests.get(f"{served.base}/health/ready", timeout=10).status_code == 200
        assert list(home.iterdir()) == []
