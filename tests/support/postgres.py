"""A real PostgreSQL server that the tests start themselves: a cluster of their own, gone when they end.

It needs the programs of the server, no running one: on Debian and Ubuntu `apt install postgresql`. Without them the
tests that need it are skipped and the summary says so; with CI=true in the environment they fail.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import psycopg

from tests.support.ports import free_port
from tests.support.running import children_of

try:
    import pwd as _pwd
except ImportError:  # Windows: the tests are skipped there unless initdb is on the PATH
    pwd: ModuleType | None = None
else:
    pwd = _pwd

MISSING: Final = "PostgreSQL is not installed: apt install postgresql"
SECONDS_TO_START: Final = 120


def programs() -> Path | None:
    """The folder of initdb and postgres, or None where they are not installed."""
    found = shutil.which("initdb")
    beside = [Path(found).resolve().parent] if found else []
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in [*beside, *debian] if (folder / "postgres").exists()), None)


class Cluster:
    """A server on a free port of the loopback; it takes everybody there, and keeps all in a temporary folder."""

    def __init__(self, folder: Path) -> None:
        self._programs = folder
        self._user = _somebody_else()
        self._folder = Path(tempfile.mkdtemp(prefix="postgres-of-tests-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)
        self.port = free_port()
        if self._user:
            shutil.chown(self._folder, self._user["user"], self._user["group"])
        made = subprocess.run(
            [
                *(str(folder / "initdb"), "-D", str(self._folder / "data"), "-U", "postgres"),
                *("-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"),
            ],
            cwd=self._folder,
            capture_output=True,
            check=False,
            **self._user,
        )
        assert made.returncode == 0, made.stderr.decode()
        self.start()

    def start(self) -> None:
        """Start the server and wait until it answers. What a killed one left running may delay it."""
        deadline = time.monotonic() + SECONDS_TO_START
        while True:
            self._process = self._started()
            while self._process.poll() is None:
                try:
                    psycopg.connect(self._conninfo("postgres"), connect_timeout=2).close()
                except psycopg.OperationalError:
                    time.sleep(0.05)
                else:
                    return
            assert time.monotonic() < deadline, (self._folder / "log").read_text(encoding="utf-8")
            time.sleep(0.2)

    def _started(self) -> subprocess.Popen[bytes]:
        settings = {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(self._folder),
            "shared_buffers": "16MB",
            "max_connections": "100",
            "fsync": "off",  # what a killed server wrote, the system has; only a loss of power would tell
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (self._folder / "log").open("ab") as log:
            return subprocess.Popen(
                [str(self._programs / "postgres"), "-D", str(self._folder / "data"), *options],
                cwd=self._folder,
                stdout=log,
                stderr=log,
                **self._user,
            )

    def send(self, sent: signal.Signals) -> None:
        """A signal to the server's first process and, where it freezes or goes on, to all that serve connections.

        The first process is frozen first and seen to stand still: only then it starts no further one that the
        signal would miss, and a caller finds nobody who still answers.
        """
        assert self._process is not None
        first = self._process.pid
        self._process.send_signal(sent)
        if sent == signal.SIGSTOP:
            _stands_still(first)
        if sent in {signal.SIGSTOP, signal.SIGCONT}:
            children = children_of(first)
            for child in children:
                with suppress(ProcessLookupError):  # it served a connection that was closed this moment
                    os.kill(child, sent)
            if sent == signal.SIGSTOP:
                for child in children:
                    _stands_still(child)

    def kill(self) -> None:
        """End it as a crash does, in the middle of whatever it does."""
        self.send(signal.SIGKILL)
        assert self._process is not None
        self._process.wait(timeout=60)

    def start_if_down(self) -> None:
        """For whoever killed it, so that others find it."""
        if self._process is None or self._process.poll() is not None:
            self.start()

    def stop(self) -> None:
        """End it and remove everything."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(timeout=60)
        shutil.rmtree(self._folder, ignore_errors=True)

    def database(self) -> str:
        """The URL of a new, empty database."""
        name = f"cds{next(self._numbers)}"
        with psycopg.connect(self._conninfo("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{name}"

    def _conninfo(self, database: str) -> str:
        return f"host=127.0.0.1 port={self.port} user=postgres dbname={database}"


def _stands_still(pid: int) -> None:
    """Wait until this process is stopped, or gone: a signal is sent sooner than it is obeyed."""
    deadline = time.monotonic() + 60
    while True:
        try:
            status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return
        if status.rpartition(")")[2].split()[0] in {"T", "t", "Z", "X"}:
            return
        assert time.monotonic() < deadline, f"process {pid} does not stop"
        time.sleep(0.005)


def _somebody_else() -> dict[str, Any]:
    """Who runs the server where root runs the tests: PostgreSQL refuses root."""
    if pwd is None or os.geteuid() != 0:
        return {}
    names = {entry.pw_name for entry in pwd.getpwall()}
    entry = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
