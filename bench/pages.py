"""What a run of the bench found, as docs/performance.md."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from bench.figures import MET, at_least, at_most, middle, shown, table
from bench.measure import SIZES, Against, Options, Results, Run
from bench.replayed import Scaling, section

INTRODUCTION: Final = """\
# What a call costs

Written by `python -m bench` (options: `--help`), which builds invented patients from a seed (`bench/patients.py`),
starts the service as `gunicorn.conf.py` and `deploy/` say (one worker, threads), calls `tarlatamab-order-sign` from 8
connections (wrk, or threads where it is not there) and measures two floors in turns with it: a static card on Flask
under the same gunicorn, which reads the body and decides nothing, and `msgspec.json.decode` of the same bytes, which
takes as long as `orjson.loads`. The callers share the processors with the service. Absolute times are of one machine
at one time; **the ratios to the floors are what counts**. What one call may hold at most is in
[evidence.md](evidence.md).
"""
LEFT_BEHIND: Final = (
    "calls leave no object behind for good (tests/test_call_budget.py), but each a circle of small ones of werkzeug's "
    "address matcher, which the collector finds some thousand calls later, and gaps between what lives on"
)
INSIDE: Final = """\
## Where the time goes

Of a call of 200 KB in process, about a fifth is decoding and checking the JSON (twice what decoding alone takes:
numbers keep their digits; a key that stands twice and a nesting that is too deep are refused), two fifths are sorting
and reading the resources, and the rest is about the same for each call whatever its size: a hundred rows asked, cards
rendered and checked, a changed order validated as FHIR, one log line, and HTTP. Beside it a thread writes the record of
the call: 0.9 ms of CPU if one is written at a time, 0.07 ms if a hundred are, and so it gathers them for a twentieth
of a second.

`tests/test_call_budget.py` counts the calls of functions that one call of each size makes, and fails where they are a
quarter more than `bench/budget.json` says; `python -m bench.budget` writes that file anew after a change that is meant.
"""


def page(results: Results, options: Options, replayed: Scaling) -> str:
    """The whole document; `replayed` was measured apart."""
    parts = [
        INTRODUCTION,
        _conditions(results, options),
        f"## Targets\n\n{_targets(results)}",
        f"## Patients\n\n{_patients(results)}",
        f"## Cost against size\n\n{_sizes(results)}",
        INSIDE,
        section(replayed),
    ]
    return "\n".join(parts)


def _conditions(results: Results, options: Options) -> str:
    busy = f"{results.busy_before:.1f} before, {results.busy_after:.1f} after"
    runs = f"medians of {options.rounds} runs of {options.seconds:g} s"
    return f"This run: {results.cores} processors (load average {busy}); {runs}.\n"


def _middle(runs: Sequence[Run], figure: Callable[[Run], float]) -> float:
    return middle([figure(run) for run in runs])


Target = tuple[str, str, str, str, str]
"""What, its limit, what was found, whether it is met, and if not, why."""


def _upper(what: str, limit: float, unit: str, found: float, *, why: str, derived: str = "") -> Target:
    return _target(what, f"≤ {derived}{shown(limit)}{unit}", f"{shown(found)}{unit}", at_most(found, limit), why)


def _lower(what: str, limit: float, found: float, *, why: str) -> Target:
    return _target(what, f"≥ {shown(limit)}", shown(found), at_least(found, limit), why)


def _target(what: str, limit: str, found: str, verdict: str, why: str) -> Target:
    return what, limit, found, verdict, "" if verdict == MET else why


def _targets(results: Results) -> str:
    rows = [*_targets_of_calls(results), *_targets_of_processes(results)]
    return table(("what", "target", "found", "", "why not"), rows) + "\n"


def _targets_of_calls(results: Results) -> list[Target]:
    typical, intensive = results.patients["typical"], results.patients["intensive care"]
    cpu, rate = _middle(typical.ours, _cpu), _middle(typical.ours, _rate)
    fixed = f"even the smallest call takes {shown(_middle(results.patients['small'].ours, _cpu))} ms: see below"
    floor, p99 = 3 * typical.decoding_ms + 1.5, _middle(typical.ours, lambda run: run.load.p99)
    per_mb = {size: run.cpu_ms / size for size, run in results.sizes.items()}
    slowest, decoding = 1.5 * results.single_read_ms, shown(intensive.decoding_ms)
    return [
        _upper("200 KB: CPU of a call", 3, " ms", cpu, why=fixed),
        _upper("the same, against decoding", floor, " ms", cpu, why=fixed, derived="3 × decoding + 1.5 ms = "),
        _upper("200 KB: p99 at 8 connections", 50, " ms", p99, why="eight calls wait for one processor"),
        _lower("200 KB: calls/s", 300, rate, why="it is what the CPU of a call allows on one shared processor"),
        _lower(
            "the same, against a static card",
            0.7,
            rate / _middle(typical.floor, _rate),
            why="a static card reads none of the body's resources",
        ),
        _upper(
            "2 MB, 3,000 vital signs: CPU of a call",
            20,
            " ms",
            _middle(intensive.ours, _cpu),
            why=f"decoding takes {decoding} ms, and each of 3,100 resources is asked whose and what it is",
        ),
        _upper(
            "CPU of each MB, of 10 MB against 1 MB",
            1.2,
            "",
            per_mb[SIZES[2]] / per_mb[SIZES[1]],
            why="each MB makes as many calls of functions (tests/test_call_budget.py), but in memory beyond the caches",
        ),
        _upper(
            "six reads of 30 ms: p50",
            slowest,
            " ms",
            results.fallback_ms,
            why="six answers are received and read beside the waiting, on a processor shared with their server",
            derived="1.5 × a single read = ",
        ),
    ]


def _targets_of_processes(results: Results) -> list[Target]:
    memory = results.memory
    growth = max(0.0, memory.after - memory.before)
    return [
        _upper(
            "from the start to the first answer",
            1.5,
            " s",
            results.started_in_ms / 1000,
            why="imports, and reading the knowledge file",
        ),
        _upper("resident memory of a worker", 120, " MB", memory.after, why="four fifths are libraries and models"),
        _upper(f"its growth over {memory.calls:,} calls", 5, " MB", growth, why=LEFT_BEHIND),
        _lower(
            "calls/s of two workers against one",
            1.8,
            results.two_workers / results.one_worker,
            why=f"the callers and others share the {results.cores} processors",
        ),
    ]


def _cpu(run: Run) -> float:
    return run.cpu_ms


def _rate(run: Run) -> float:
    return run.load.calls_per_second


def _patients(results: Results) -> str:
    headings = (
        "patient",
        "KB",
        "decoding, ms",
        "CPU, ms",
        "calls/s",
        "p50",
        "p95",
        "p99",
        "static card: calls/s",
        "p99",
    )
    return table(headings, [_patient(name, found) for name, found in results.patients.items()]) + "\n"


def _patient(name: str, found: Against) -> tuple[str, ...]:
    ours = (_cpu, _rate, lambda run: run.load.p50, lambda run: run.load.p95, lambda run: run.load.p99)
    floor = (_rate, lambda run: run.load.p99)
    figures = [found.size / 1000, found.decoding_ms]
    figures += [_middle(found.ours, figure) for figure in ours] + [_middle(found.floor, figure) for figure in floor]
    return (name, *map(shown, figures))


def _sizes(results: Results) -> str:
    rows = [
        (f"{size / 1e6:g}", shown(run.cpu_ms), shown(run.cpu_ms / (size / 1e6)), shown(run.load.p50))
        for size, run in results.sizes.items()
    ]
    return table(("MB", "CPU of a call, ms", "CPU of each MB, ms", "p50 of one caller, ms"), rows) + "\n"
