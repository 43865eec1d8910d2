"""A service under gunicorn as `gunicorn.conf.py` and `deploy/` say, on a free port, and what it costs (Linux)."""

from __future__ import annotations

import http.client
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from bench.patients import NOW, ROOT

SERVICE: Final = "app:create_app()"
LISTENING: Final = re.compile(r"Listening at: http://127\.0\.0\.1:(\d+)")
SECONDS_TO_START: Final = 60
AS_DEPLOYED: Final = {"MALLOC_ARENA_MAX": "1"}
TICK: Final = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, kw_only=True)
class Served:
    """A running service: gunicorn's own process, its port, and how many seconds it took until it answered."""

    pid: int
    port: int
    started_in: float

    @property
    def workers(self) -> tuple[int, ...]:
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text(encoding="ascii")
        return tuple(map(int, children.split()))

    def cpu_ms(self) -> float:
        """The CPU time that all workers have taken so far, in milliseconds."""
        return sum(map(_cpu_seconds, self.workers)) * 1000

    def resident_mb(self) -> float:
        """The resident memory of the largest worker, in MB (10⁶ bytes)."""
        return max(map(_resident_bytes, self.workers)) / 1e6


def _cpu_seconds(pid: int) -> float:
    after_name = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) * TICK


def _resident_bytes(pid: int) -> float:
    found = re.search(r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(encoding="utf-8"), re.M)
    return float(found[1]) * 1024 if found else 0.0


@contextmanager
def served(folder: Path, application: str = SERVICE, *, workers: int = 1) -> Iterator[Served]:
    """The application, with its database in the folder; ended in the end."""
    with tempfile.TemporaryFile("w+", encoding="utf-8") as log:
        command = [*("-m", "gunicorn", application), *("--bind", "127.0.0.1:0", "--workers", str(workers))]
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("CDS_")}
        settings = {"CDS_NOW": NOW, "CDS_DATABASE_URL": f"sqlite:///{folder}/cds.sqlite3", "PYTHONHASHSEED": "0"}
        settings |= AS_DEPLOYED
        started = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, *command], cwd=ROOT, env=inherited | settings, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            port = _port(process, log)
            _await_answer(port)
            yield Served(pid=process.pid, port=port, started_in=time.perf_counter() - started)
        finally:
            process.terminate()
            process.wait(timeout=SECONDS_TO_START)


def _port(process: subprocess.Popen[bytes], log: IO[str]) -> int:
    until = time.monotonic() + SECONDS_TO_START
    while process.poll() is None and time.monotonic() < until:
        log.seek(0)
        if found := LISTENING.search(log.read()):
            return int(found[1])
        time.sleep(0.005)
    log.seek(0)
    raise RuntimeError(f"the service did not start: {log.read()[-2000:]}")


def _await_answer(port: int) -> None:
    until = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < until:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/health/ready")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.005)
        finally:
            connection.close()
    raise RuntimeError("the service listens and does not answer")
