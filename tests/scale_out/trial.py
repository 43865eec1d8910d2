"""The service twice, nginx with `deploy/nginx.conf` in front, PostgreSQL behind; one service is killed and comes back.

Every process is on the loopback, at a free port, and ends with the trial.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import psycopg
import requests

from tests.support import postgres
from tests.support.ports import free_port

ROOT: Final = Path(__file__).resolve().parent.parent.parent
CERTIFICATE: Final = str(ROOT / "tests" / "reading" / "localhost.pem")
SIGN: Final = "/cds-services/tarlatamab-order-sign"
EXAMPLE: Final[dict[str, Any]] = json.loads(
    (ROOT / "examples" / "order-sign-late-second-dose.json").read_text(encoding="utf-8")
)
SECONDS_TO_START: Final = 120
SECONDS_DOWN: Final = 5
"""`fail_timeout` of deploy/nginx.conf: after that a machine that is back is asked again."""


def nginx_program() -> str | None:
    """nginx, or None where it is not installed (Debian: nginx-light)."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def missing() -> str:
    """What has to be installed before the trial can be run; "" if nothing."""
    wanted = {"nginx-light": nginx_program(), "postgresql": postgres.programs()}
    absent = [package for package, program in wanted.items() if program is None]
    return f"apt install {' '.join(absent)}" if absent else ""


# --- the processes --------------------------------------------------------------------------------------------


class Machine:
    """A gunicorn with its workers, as one machine runs it."""

    def __init__(self, database: str, log: Path) -> None:
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self._database = database
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("CDS_")}
        settings = {"CDS_DATABASE_URL": self._database, "CDS_NOW": "2026-01-20T09:00:00Z"}
        command = ["-m", "gunicorn", "app:create_app()", "--bind", f"127.0.0.1:{self.port}", "--workers", "2"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, *command], cwd=ROOT, env=inherited | settings, stderr=log, start_new_session=True
            )
        wait_for(f"{self.base}/health/ready", self._process)

    def kill(self) -> tuple[float, float]:
        """What a loss of power is: gunicorn and all its workers end, whatever they do.

        From when until when: the last worker takes connections for as long as it has not ended.
        """
        began = time.monotonic()
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(timeout=60)
            while self._listens():
                time.sleep(0.001)
        return began, time.monotonic()

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    """Until it answers 200. Raises: RuntimeError where the process ends before, or takes too long."""
    deadline = time.monotonic() + SECONDS_TO_START
    while True:
        try:
            if requests.get(url, timeout=5, verify=CERTIFICATE).status_code == 200:
                return
        except requests.RequestException:
            pass
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{url} does not answer")
        time.sleep(0.05)


def configuration(machines: Sequence[Machine], folder: Path, port: int) -> str:
    """`deploy/nginx.conf` with what is this trial's own. Raises: RuntimeError if it does not say what is changed."""
    text = (ROOT / "deploy" / "nginx.conf").read_text(encoding="utf-8")
    changes = {
        "10.0.0.11:8080": f"127.0.0.1:{machines[0].port}",
        "10.0.0.12:8080": f"127.0.0.1:{machines[1].port}",
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "/etc/ssl/tarlatamab-cds/fullchain.pem": CERTIFICATE,
        "/etc/ssl/tarlatamab-cds/privkey.pem": CERTIFICATE,
        "/var/log/nginx/": f"{folder}/",
    }
    for old, new in changes.items():
        if old not in text:
            raise RuntimeError(f"deploy/nginx.conf does not say {old}")
        text = text.replace(old, new)
    temporary = "".join(
        f"    {kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return (
        f"daemon off;\nworker_processes 2;\npid {folder}/pid;\nerror_log {folder}/error.log;\n"
        f"events {{}}\nhttp {{\n{temporary}{text}\n}}\n"
    )


@contextmanager
def nginx(machines: Sequence[Machine], folder: Path) -> Iterator[str]:
    """nginx in front of the machines; its base address."""
    port = free_port()
    folder.mkdir(mode=0o755)
    file = folder / "nginx.conf"
    file.write_text(configuration(machines, folder, port), encoding="utf-8")
    command = [nginx_program() or "nginx", "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(file)]
    process = subprocess.Popen(command)
    try:
        wait_for(f"https://127.0.0.1:{port}/health/live", process)
        yield f"https://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=60)


# --- the load -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Request:
    """What one request came to; moments of a monotonic clock, in seconds. `status` 0: no answer at all."""

    what: str
    began: float
    ended: float
    status: int


@dataclass(kw_only=True)
class Load:
    """What all callers have asked, and each card whose feedback was acknowledged."""

    asked: list[Request] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)
    is_over: threading.Event = field(default_factory=threading.Event)

    def drive(self, base: str, seed: int) -> None:
        """One caller: an order is signed, the card is answered with feedback, and so on until it is over."""
        chance = random.Random(seed)
        with requests.Session() as session:
            while not self.is_over.is_set():
                call = EXAMPLE | {"hookInstance": str(UUID(int=chance.getrandbits(128), version=4))}
                answer = self._post(session, "call", base + SIGN, call)
                if answer is None:
                    continue
                card = answer.json()["cards"][0]["uuid"]
                outcome = chance.choice(["accepted", "overridden"])
                entry = {"card": card, "outcome": outcome, "outcomeTimestamp": "2026-01-20T09:05:00Z"}
                if self._post(session, "feedback", f"{base}{SIGN}/feedback", {"feedback": [entry]}) is not None:
                    self.acknowledged.append(card)

    def _post(self, session: requests.Session, what: str, url: str, body: Any) -> requests.Response | None:
        """The answer, if it is one."""
        began, status, answer = time.monotonic(), 0, None
        try:
            answer = session.post(url, json=body, timeout=40, verify=CERTIFICATE)
            status = answer.status_code
        except requests.RequestException:
            pass
        self.asked.append(Request(what=what, began=began, ended=time.monotonic(), status=status))
        return answer if status == 200 else None


# --- the trial ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The figures, and in words what must not be."""

    figures: tuple[str, ...]
    violations: tuple[str, ...]


def run(*, seconds: float = 3.0, callers: int = 8, seed: int = 1) -> Verdict:
    """Load for so long before the death of one machine, so long after it, and so long after its return."""
    programs = postgres.programs()
    if programs is None:
        raise RuntimeError(missing())
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="scale-out-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        folder.chmod(0o755)  # nginx leaves root
        cluster = postgres.Cluster(programs)
        stack.callback(cluster.stop)
        database = cluster.database()
        machines = [Machine(database, folder / f"machine-{number}.log") for number in (1, 2)]
        for machine in machines:
            stack.callback(machine.kill)
            machine.start()
        base = stack.enter_context(nginx(machines, folder / "nginx"))
        differing = answers_that_differ(machines, seed)
        load = Load()
        with ThreadPoolExecutor(callers) as threads:
            done = [threads.submit(load.drive, base, seed + number) for number in range(callers)]
            try:
                time.sleep(seconds)
                death = machines[0].kill()
                time.sleep(max(seconds, SECONDS_DOWN + 1))
                machines[0].start()
                back_at = time.monotonic()
                time.sleep(max(seconds, SECONDS_DOWN + 1))
            finally:
                load.is_over.set()
        for caller in done:
            caller.result()
        served = lines_by_machine(folder / "nginx" / "tarlatamab-cds.log", machines)
        return judged(load, death, back_at, kept(database), differing, served)


def answers_that_differ(machines: Sequence[Machine], seed: int) -> int:
    """How many of 20 calls are not answered by both machines in the same bytes."""
    chance = random.Random(seed)
    calls = [EXAMPLE | {"hookInstance": str(UUID(int=chance.getrandbits(128), version=4))} for _ in range(20)]
    return sum(
        len({requests.post(machine.base + SIGN, json=call, timeout=20).content for machine in machines}) > 1
        for call in calls
    )


def kept(database: str) -> Counter[str]:
    """How often the feedback on each card is in the store."""
    with psycopg.connect(database.replace("+psycopg", "", 1)) as connection:
        return Counter(dict(connection.execute("SELECT card, count(*) FROM feedback GROUP BY card").fetchall()))


def lines_by_machine(log: Path, machines: Sequence[Machine]) -> list[int]:
    """How many requests ended at each machine, by the log of nginx."""
    text = log.read_text(encoding="utf-8")
    return [len(re.findall(rf'"upstream":"[^"]*127\.0\.0\.1:{machine.port}"', text)) for machine in machines]


def judged(
    load: Load, death: tuple[float, float], back_at: float, stored: Counter[str], differing: int, served: Sequence[int]
) -> Verdict:
    """What the trial shows. `death`: from when until when a machine died, which takes some milliseconds."""
    failed = [request for request in load.asked if request.status != 200]
    in_flight = [request for request in load.asked if request.began <= death[1] and death[0] <= request.ended]
    beyond = [request for request in failed if request not in in_flight]
    lost = [card for card in load.acknowledged if stored[card] == 0]
    twice = [card for card, number in stored.items() if number > 1]
    after = sum(request.began > back_at for request in load.asked)
    return Verdict(
        figures=(
            f"requests: {len(load.asked)}, of them {after} after the return of the killed machine",
            f"answered by each machine: {served[0]} and {served[1]}",
            f"milliseconds that the death of one machine took: {1000 * (death[1] - death[0]):.0f}",
            f"in flight then: {len(in_flight)}, of them failed: {len(failed) - len(beyond)}",
            f"failed beyond those: {len(beyond)}",
            f"feedback acknowledged: {len(load.acknowledged)}, of it lost: {len(lost)}, stored twice: {len(twice)}",
            f"answers of both machines to 20 equal calls that differ: {differing}",
        ),
        violations=tuple(
            words
            for words, is_so in {
                f"{len(beyond)} requests failed that were not in flight: {sorted({r.status for r in beyond})}": beyond,
                f"{len(lost)} acknowledged entries of feedback are not in the store": lost,
                f"{len(twice)} entries of feedback are in the store more than once": twice,
                f"{differing} calls got other cards from the other machine": differing,
                "one machine served nothing": not all(served),
                "nothing was asked after the return of the killed machine": not after,
                "no feedback was acknowledged": not load.acknowledged,
            }.items()
            if is_so
        ),
    )
