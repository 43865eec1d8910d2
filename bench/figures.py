"""Percentiles, medians and tables: what figures become before anybody reads them."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from statistics import median
from typing import Final

MET: Final = "met"


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest of the values that so many percent of them do not exceed (nearest rank). Raises: ValueError."""
    if not values or not 0 < percent <= 100:
        raise ValueError("a percentile is of some values, above 0 and up to 100")
    return sorted(values)[ceil(len(values) * percent / 100) - 1]


def middle(values: Sequence[float]) -> float:
    """The median of several runs."""
    return float(median(values))


def shown(value: float) -> str:
    """Three digits that count, thousands with a comma: `0.62`, `9.3`, `118`, `1,240`."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2g}" if value < 1 else f"{value:.2f}"


def at_most(value: float, limit: float) -> str:
    """Whether a target that is an upper limit is met, or by how much it is not."""
    return MET if value <= limit else f"not met: {value / limit:.2f} times as much"


def at_least(value: float, limit: float) -> str:
    """Whether a target that is a lower limit is met, or by how much it is not."""
    return MET if value >= limit else f"not met: {value / limit:.2f} of it"


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table. Raises: ValueError where a row has another number of cells than there are headings."""
    if any(len(row) != len(headings) for row in rows):
        raise ValueError("each row has a cell for each heading")
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
