"""The service as an operator runs it, on a free port, with its log read as it comes; for tests that hurt it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import requests

ROOT: Final = Path(__file__).resolve().parent.parent.parent
SIGN: Final = "/cds-services/tarlatamab-order-sign"
CALL: Final[dict[str, Any]] = json.loads(
    (ROOT / "examples" / "order-sign-late-second-dose.json").read_text(encoding="utf-8")
)
READY: Final = re.compile(r"(?:ready|Listening at): (http://127\.0\.0\.1:\d+)")
SECONDS_TO_START: Final = 120
"""No test is about how fast a service starts; a busy machine may take its time."""


@dataclass(kw_only=True)
class Running:
    """A process that serves, and what it has said so far."""

    process: subprocess.Popen[str]
    base: str = ""
    store: Path | None = None
    lines: list[str] = field(default_factory=list)

    def call(self, hook_instance: str) -> requests.Response:
        """An order-sign call that gets cards."""
        return requests.post(self.base + SIGN, json=CALL | {"hookInstance": hook_instance}, timeout=20)

    def feedback(self, card: str) -> requests.Response:
        """Says that this card was accepted."""
        entry = {"card": card, "outcome": "accepted", "outcomeTimestamp": "2026-01-20T09:05:00Z"}
        return requests.post(f"{self.base}{SIGN}/feedback", json={"feedback": [entry]}, timeout=20)

    def lost(self) -> float:
        """How many calls' records the service counts as lost."""
        found = re.search(
            r"^cds_records_lost_total (\S+)$", requests.get(f"{self.base}/metrics", timeout=10).text, re.M
        )
        assert found is not None
        return float(found[1])

    def event(self, name: str, within_seconds: float = 60) -> dict[str, Any]:
        """The first log line of this event; what the service has written may still be on its way to us."""
        until = time.monotonic() + within_seconds
        while not (found := self.events(name)):
            assert time.monotonic() < until, f"no line of the event {name!r}"
            time.sleep(0.05)
        return found[0]

    def events(self, name: str) -> list[dict[str, Any]]:
        """The log lines of this event that have come so far."""
        lines = [json.loads(line) for line in list(self.lines) if line.startswith("{")]
        return [line for line in lines if line["event"] == name]

    def end(self) -> int:
        """SIGTERM, and wait; the exit code. After 30 s gunicorn ends what hangs by force: that would be too late."""
        self.process.terminate()
        return self.process.wait(timeout=28)


@contextmanager
def running(url: str, *, workers: int = 0, **settings: str) -> Iterator[Running]:
    """`python app.py`, or gunicorn with so many workers, on this database; killed in the end."""
    served = ["-m", "gunicorn", "app:create_app()", "--bind", "127.0.0.1:0", "--workers", str(workers)]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("CDS_")}
    process = subprocess.Popen(
        [sys.executable, *(served if workers else ["app.py", "--port", "0"])],
        cwd=ROOT,
        env=inherited
        | {"CDS_NOW": "2026-01-20T09:00:00Z", "CDS_DATABASE_URL": url, "PYTHONUNBUFFERED": "1"}
        | settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    service = Running(process=process)
    reader = threading.Thread(target=_read, args=(service,), daemon=True)
    reader.start()
    try:
        until(lambda: any(map(READY.search, list(service.lines))) or process.poll() is not None, SECONDS_TO_START)
        service.base = next(found[1] for line in list(service.lines) if (found := READY.search(line)))
        yield service
    finally:
        for child in children_of(process.pid) if workers else []:
            kill(child)
        process.kill()
        process.wait(timeout=60)
        reader.join(timeout=60)
        assert process.stdout is not None
        process.stdout.close()


def _read(service: Running) -> None:
    assert service.process.stdout is not None
    service.lines.extend(iter(service.process.stdout.readline, ""))


def until(holds: Callable[[], object], seconds: float = 60) -> float:
    """Wait until it holds; how many seconds that took."""
    started = time.monotonic()
    while not holds():
        assert time.monotonic() - started < seconds
        time.sleep(0.02)
    return time.monotonic() - started


def kill(pid: int) -> None:
    """SIGKILL, if it is still there."""
    try:
        os.kill(pid, 9)
    except ProcessLookupError:
        return


def children_of(parent: int) -> list[int]:
    """The processes that this one has started, on Linux."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            found.append(int(status.parent.name))
    return found
