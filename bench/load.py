"""Calls from several connections at once, each the next as soon as it is answered: by wrk, or without it by threads."""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from bench.figures import percentile
from bench.patients import ROOT

PATH: Final = "/cds-services/tarlatamab-order-sign"
HEADERS: Final = {"Content-Type": "application/json"}
SCRIPT: Final = ROOT / "bench" / "post.lua"


@dataclass(frozen=True, kw_only=True)
class Load:
    """What the callers saw: answers a second, percentiles in milliseconds, and calls without a 200."""

    calls: int
    calls_per_second: float
    p50: float
    p95: float
    p99: float
    failed: int


def drive(port: int, body: bytes, *, seconds: float, connections: int = 8, path: str = PATH) -> Load:
    """Post the body from so many connections for so many seconds. Raises: RuntimeError if a call failed."""
    url = f"http://127.0.0.1:{port}{path}"
    found = (
        _by_wrk(url, body, seconds, connections)
        if shutil.which("wrk")
        else by_threads(port, body, seconds, connections, path)
    )
    if found.failed or not found.calls:
        raise RuntimeError(f"{found.failed} of {found.calls} calls failed")
    return found


def _by_wrk(url: str, body: bytes, seconds: float, connections: int) -> Load:
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        file.write(body)
        file.flush()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "60s"]
        done = subprocess.run(
            [*command, "-s", str(SCRIPT), url, "--", file.name], capture_output=True, text=True, check=True
        )
    return of_wrk(json.loads(done.stdout.splitlines()[-1]))


def of_wrk(said: Mapping[str, Any]) -> Load:
    """The last line of post.lua: times in microseconds."""
    return Load(
        calls=said["requests"],
        calls_per_second=said["requests"] / (said["duration"] / 1e6),
        p50=said["p50"] / 1000,
        p95=said["p95"] / 1000,
        p99=said["p99"] / 1000,
        failed=said["failed"],
    )


def by_threads(port: int, body: bytes, seconds: float, connections: int, path: str = PATH) -> Load:
    """The same by threads of this process, which cost more than wrk: for machines without it."""
    times: list[float] = []
    failed: list[int] = []
    until = time.perf_counter() + seconds

    def call_on() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while (started := time.perf_counter()) < until:
            connection.request("POST", path, body, HEADERS)
            answer = connection.getresponse()
            answer.read()
            times.append((time.perf_counter() - started) * 1000)
            if answer.status != 200:
                failed.append(answer.status)
        connection.close()

    threads = [threading.Thread(target=call_on) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    p50, p95, p99 = (percentile(times, percent) for percent in (50, 95, 99))
    rate = len(times) / seconds
    return Load(calls=len(times), calls_per_second=rate, p50=p50, p95=p95, p99=p99, failed=len(failed))
