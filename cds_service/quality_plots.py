"""Where the marks of a plot stand: bars and lines over time, for a template that writes them as SVG.

Series differ by pattern and by the form of their marks, not by colour alone. Units: those of the drawing's viewBox.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

LEFT: Final = 46
RIGHT: Final = 10
TOP: Final = 10
BOTTOM: Final = 22
LARGEST_GAP: Final = 4
MARK: Final = 2.6
"""Half the width of a line's mark."""


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A rectangle; `kind` is the series it belongs to."""

    kind: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, kw_only=True)
class Line:
    """One series: its unbroken stretches (the points of polylines) and a mark at each of its values."""

    kind: str
    stretches: tuple[str, ...]
    marks: tuple[tuple[float, float], ...]


@dataclass(frozen=True, kw_only=True)
class Tick:
    """A word beside an axis. `anchor` is SVG's text-anchor."""

    at: float
    text: str
    anchor: str = "end"


@dataclass(frozen=True, kw_only=True)
class Plot:
    """A drawing: its marks, the values written at the left, and the names of steps below."""

    width: int
    height: int
    across: tuple[Tick, ...]
    below: tuple[Tick, ...]
    bars: tuple[Bar, ...] = ()
    lines: tuple[Line, ...] = ()

    @property
    def left(self) -> int:
        return LEFT

    @property
    def right(self) -> int:
        return self.width - RIGHT

    @property
    def bottom(self) -> int:
        return self.height - BOTTOM


def stacked(series: Sequence[tuple[str, Sequence[int]]], names: Sequence[str], *, width: int, height: int) -> Plot:
    """Bars of whole numbers, the first series at the bottom; a value of 0 has no bar."""
    top = top_of(max((sum(values) for values in zip(*(values for _, values in series), strict=True)), default=0))
    step = (width - LEFT - RIGHT) / max(1, len(names))
    gap = min(LARGEST_GAP, step / 4)
    bars, stood = [], [0] * len(names)
    for kind, values in series:
        for place, value in enumerate(values):
            stood[place] += value
            if value:
                bars.append(
                    Bar(
                        kind=kind,
                        x=round(LEFT + place * step + gap / 2, 2),
                        y=_y(stood[place], top, height),
                        width=round(step - gap, 2),
                        height=round(value / top * (height - TOP - BOTTOM), 2),
                    )
                )
    return Plot(width=width, height=height, bars=tuple(bars), across=_across(top, height), below=_below(names, width))


def lines(
    series: Sequence[tuple[str, Sequence[float | None]]], names: Sequence[str], *, width: int, height: int
) -> Plot:
    """A line for each series; where there is no value it is broken, never drawn through."""
    top = top_of(max((value for _, values in series for value in values if value is not None), default=0))
    step = (width - LEFT - RIGHT) / max(1, len(names))
    drawn = []
    for kind, values in series:
        points = [
            None if value is None else (round(LEFT + (place + 0.5) * step, 2), _y(value, top, height))
            for place, value in enumerate(values)
        ]
        marks = tuple(point for point in points if point is not None)
        drawn.append(Line(kind=kind, stretches=_stretches(points), marks=marks))
    return Plot(width=width, height=height, lines=tuple(drawn), across=_across(top, height), below=_below(names, width))


def _stretches(points: Sequence[tuple[float, float] | None]) -> tuple[str, ...]:
    found: list[list[str]] = [[]]
    for point in points:
        if point is None:
            found.append([])
        else:
            found[-1].append(f"{point[0]},{point[1]}")
    return tuple(" ".join(stretch) for stretch in found if len(stretch) > 1)


def top_of(highest: float) -> int:
    """The end of an axis: the next of 2, 4, 6, 10, 20, 40, 60, 100…, so that its half is a whole number, too."""
    unit = 1
    while unit * 10 < highest:
        unit *= 10
    return next(top for top in (2 * unit, 4 * unit, 6 * unit, 10 * unit) if top >= highest)


def _y(value: float, top: int, height: int) -> float:
    return round(height - BOTTOM - value / top * (height - TOP - BOTTOM), 2)


def _across(top: int, height: int) -> tuple[Tick, ...]:
    return tuple(Tick(at=_y(value, top, height), text=f"{value:,}") for value in (0, top // 2, top))


def _below(names: Sequence[str], width: int) -> tuple[Tick, ...]:
    """The first and the last step, and one between where there is room."""
    step = (width - LEFT - RIGHT) / max(1, len(names))
    if not names:
        return ()
    if len(names) == 1:
        return (Tick(at=round(LEFT + step / 2, 2), text=names[0], anchor="middle"),)
    ends = [Tick(at=LEFT, text=names[0], anchor="start"), Tick(at=width - RIGHT, text=names[-1], anchor="end")]
    middle = len(names) // 2
    if width >= 480 and len(names) > 4:
        ends.insert(1, Tick(at=round(LEFT + (middle + 0.5) * step, 2), text=names[middle], anchor="middle"))
    return tuple(ends)
