"""All runs of one report. What is compared is measured in turns, so that a busy machine is busy for both."""

from __future__ import annotations

import http.client
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.figures import middle
from bench.floors import decoding_ms
from bench.load import Load, drive
from bench.patients import PATIENTS, of_size, typical, with_six_keys_to_read
from bench.serving import Served, served
from bench.slow_fhir import slow_server

FLOOR: Final = "bench.floors:static_card()"
SIZES: Final = (100_000, 1_000_000, 10_000_000)
SINGLE_READS: Final = 20
WARM_UP_SECONDS: Final = 2.0


@dataclass(frozen=True, kw_only=True)
class Options:
    """How long and how often: `rounds` of `seconds` for each load; so many calls for the growth of memory."""

    rounds: int = 3
    seconds: float = 3.0
    memory_calls: int = 5_000


@dataclass(frozen=True, kw_only=True)
class Run:
    """One load on a running service, and the CPU time of its workers for each call, in milliseconds."""

    load: Load
    cpu_ms: float


@dataclass(frozen=True, kw_only=True)
class Against:
    """A patient: the size of the call, the time to decode its bytes, our runs and those of the static card."""

    size: int
    decoding_ms: float
    ours: tuple[Run, ...]
    floor: tuple[Run, ...]


@dataclass(frozen=True, kw_only=True)
class Growth:
    """Resident MB of a worker after the first calls and after all of them."""

    calls: int
    before: float
    after: float


@dataclass(frozen=True, kw_only=True)
class Results:
    """Everything that one run of the bench found. Times in milliseconds, memory in MB."""

    patients: Mapping[str, Against]
    sizes: Mapping[int, Run]
    one_worker: float
    two_workers: float
    fallback_ms: float
    single_read_ms: float
    started_in_ms: float
    memory: Growth
    busy_before: float
    busy_after: float
    cores: int


def measure(options: Options, tell: Callable[[str], None]) -> Results:
    """Run everything; `tell` hears what is being measured."""
    with tempfile.TemporaryDirectory() as folder:
        with served(Path(folder)):  # the first start of a version makes its tables, which no other one does
            busy = os.getloadavg()[0]
        return _measure(Path(folder), busy, options, tell)


def _measure(folder: Path, busy: float, options: Options, tell: Callable[[str], None]) -> Results:
    tell("start")
    starts = [_started_in(folder) for _ in range(options.rounds)]
    with served(folder) as ours, served(folder, FLOOR) as floor:
        for one in (ours, floor):
            drive(one.port, typical(), seconds=WARM_UP_SECONDS)
        patients = {}
        for name, build in PATIENTS.items():
            tell(f"patient: {name}")
            patients[name] = _against(build(), ours, floor, options)
        tell("cost against size")
        sizes = {size: _of_one_caller(ours, of_size(size), options.seconds) for size in SIZES}
        tell("FHIR server of 30 ms")
        fallback, single = _fallback(ours, options)
    tell("two workers against one")
    one_worker, two_workers = _workers(folder, options)
    tell(f"memory over {options.memory_calls:,} calls")
    return Results(
        patients=patients,
        sizes=sizes,
        one_worker=one_worker,
        two_workers=two_workers,
        fallback_ms=fallback,
        single_read_ms=single,
        started_in_ms=middle(starts) * 1000,
        memory=_memory(folder, options.memory_calls),
        busy_before=busy,
        busy_after=os.getloadavg()[0],
        cores=os.cpu_count() or 1,
    )


def _run(service: Served, body: bytes, seconds: float, connections: int = 8) -> Run:
    before = service.cpu_ms()
    load = drive(service.port, body, seconds=seconds, connections=connections)
    return Run(load=load, cpu_ms=(service.cpu_ms() - before) / load.calls)


def _of_one_caller(service: Served, body: bytes, seconds: float) -> Run:
    """Once what is kept is there, and long enough for some of the largest calls."""
    longer = len(body) / 2e6
    drive(service.port, body, seconds=1 + longer, connections=1)
    return _run(service, body, seconds + longer, connections=1)


def _against(body: bytes, ours: Served, floor: Served, options: Options) -> Against:
    rounds = [
        (_run(ours, body, options.seconds), _run(floor, body, options.seconds), decoding_ms(body))
        for _ in range(options.rounds)
    ]
    return Against(
        size=len(body),
        decoding_ms=middle([decoding for _, _, decoding in rounds]),
        ours=tuple(run for run, _, _ in rounds),
        floor=tuple(run for _, run, _ in rounds),
    )


def _started_in(folder: Path) -> float:
    with served(folder) as service:
        return service.started_in


def _fallback(service: Served, options: Options) -> tuple[float, float]:
    """One caller whose call lacks six keys: the middle p50 of several runs; and single reads of that server, in ms."""
    with slow_server() as url:
        body = with_six_keys_to_read(url)
        runs = [drive(service.port, body, seconds=options.seconds, connections=1) for _ in range(options.rounds)]
        return middle([run.p50 for run in runs]), middle([_single_read(url) for _ in range(SINGLE_READS)])


def _single_read(url: str) -> float:
    host = url.removeprefix("http://").removesuffix("/fhir")
    connection = http.client.HTTPConnection(host, timeout=5)
    started = time.perf_counter()
    connection.request("GET", "/fhir/Condition?patient=example")
    connection.getresponse().read()
    connection.close()
    return (time.perf_counter() - started) * 1000


def _workers(folder: Path, options: Options) -> tuple[float, float]:
    """Calls a second of one worker and of two, in turns."""
    body = typical()
    rates: dict[int, list[float]] = {1: [], 2: []}
    with served(folder, workers=1) as one, served(folder, workers=2) as two:
        for service in (one, two):
            drive(service.port, body, seconds=WARM_UP_SECONDS)
        for _ in range(options.rounds):
            for number, service in ((1, one), (2, two)):
                rates[number].append(drive(service.port, body, seconds=options.seconds).calls_per_second)
    return middle(rates[1]), middle(rates[2])


def _memory(folder: Path, calls: int) -> Growth:
    """Of a fresh worker: a tenth of the calls first, so that what is kept on purpose is there."""
    with served(folder) as service:
        done = drive(service.port, typical(), seconds=WARM_UP_SECONDS).calls
        while done < calls / 10:
            done += drive(service.port, typical(), seconds=WARM_UP_SECONDS).calls
        before = service.resident_mb()
        while done < calls:
            done += drive(service.port, typical(), seconds=10 * WARM_UP_SECONDS).calls
        return Growth(calls=done, before=before, after=service.resident_mb())
