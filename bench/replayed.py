"""How fast an export was replayed: kept beside the bench, for it takes long and is measured by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from bench.figures import middle, shown, table

RECORD: Final = Path(__file__).with_name("replay.json")


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """A whole replay with so many processes. `cpu` is of all processes; everything in seconds."""

    processes: int
    whole: float
    cpu: float
    reading: float
    asking: float


def middle_of(runs: Sequence[Replayed]) -> Replayed:
    """The median of each figure of several runs with as many processes."""
    return Replayed(
        processes=runs[0].processes,
        whole=middle([run.whole for run in runs]),
        cpu=middle([run.cpu for run in runs]),
        reading=middle([run.reading for run in runs]),
        asking=middle([run.asking for run in runs]),
    )


@dataclass(frozen=True, kw_only=True)
class Scaling:
    """One export, replayed with one process and with two in turns: the medians of so many `rounds`.

    `largest` is the peak of the largest process, in MB.
    """

    rounds: int
    patients: int
    megabytes: float
    treated: int
    orders: int
    one: Replayed
    two: Replayed
    largest: float


def keep(found: Scaling) -> None:
    """Write the record that docs/performance.md is made with."""
    RECORD.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")


def kept() -> Scaling:
    """The record. Raises: OSError, msgspec.MsgspecError: it is missing, or of another shape."""
    return msgspec.json.decode(RECORD.read_bytes(), type=Scaling)


def section(found: Scaling) -> str:
    """What docs/performance.md says of it."""
    return f"""\
## Replaying an export

Measured by `python -m bench.bulk measure`, apart from the rest, as medians of {found.rounds} runs: {found.patients:,}
made patients ({found.megabytes:,.0f} MB of NDJSON), {found.treated:,} of them treated, with {found.orders:,} orders of
the drug. What a replay is: [replay.md](replay.md). The process that sorts held {found.largest:,.0f} MB at most.
DuckDB reads with all processors, however many processes ask.

{_speeds(found)}
"""


def _speeds(found: Scaling) -> str:
    def row(what: str, figure: Callable[[Replayed], float], *, less_is_better: bool = False) -> tuple[str, ...]:
        one, two = figure(found.one), figure(found.two)
        return what, shown(one), shown(two), shown(one / two if less_is_better else two / one)

    rows = [
        row("the whole replay, s", lambda run: run.whole, less_is_better=True),
        row("CPU of all processes, s", lambda run: run.cpu, less_is_better=True),
        row("reading the export: patients/s", lambda run: found.patients / run.reading),
        row("asking about their orders: treated patients/s", lambda run: found.treated / run.asking),
        row("the same: orders/s", lambda run: found.orders / run.asking),
    ]
    return table(("", "1 process", "2 processes", "times as good"), rows)
