"""Where the marks of a timeline are drawn: a scale of days, lanes from top to bottom, labels that keep off each other.

Pure geometry: units are those of the SVG's viewBox; y grows downwards. What finds no room is counted, never squeezed
in: the words beside the drawing hold every mark.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from itertools import pairwise
from math import ceil
from typing import Final

from cds_service.timeline_marks import Kind, Lane, Mark, Timeline

WIDTH: Final = 960
LEFT: Final = 132
RIGHT: Final = WIDTH - 16
LETTER: Final = 7.0
"""About as wide as a letter of 12.5 units in the widest of the fonts named."""
BOLD: Final = 8.4
FEW: Final = 12
"""Doses that have their labels in several rows; of more only as many as stand in one."""
ROOM_OF_A_POINT: Final = 17
ROW: Final = 21
BAR: Final = 13
TOP: Final = 66
PAD: Final = 9
MOST_ROWS: Final = 10
STEPS: Final = (1, 7, 14, 28, 56, 84, 168, 364)
"""Days between two dates on the axis: one day, or whole weeks, so that the first days of cycles fall on them."""
ROOM_OF_A_DATE: Final = 78
LEGEND_COLUMNS: Final = 3
LEAST_DAYS: Final = 10
LEAD_DAYS: Final = 21
"""Toxicities that began up to so many days before the first dose stretch the axis; earlier ones run in from its edge.
"""


@dataclass(frozen=True, kw_only=True)
class Scale:
    """The days of the axis, first and last included, over the width of the drawing."""

    first: date
    last: date

    @property
    def per_day(self) -> float:
        return (RIGHT - LEFT) / ((self.last - self.first).days + 1)

    def start_of(self, day: date) -> float:
        return LEFT + (day - self.first).days * self.per_day

    def end_of(self, day: date) -> float:
        return self.start_of(day) + self.per_day

    def middle_of(self, first: date, last: date) -> float:
        return (self.start_of(first) + self.end_of(last)) / 2

    def at(self, moment: datetime) -> float:
        return self.start_of(moment.date()) + self.per_day * (moment.hour * 60 + moment.minute) / 1440


@dataclass(frozen=True, kw_only=True)
class Tick:
    x: float
    date: str
    day: str


@dataclass(frozen=True, kw_only=True)
class Text:
    x: float
    y: float
    text: str
    anchor: str = "start"
    role: str = "words"


@dataclass(frozen=True, kw_only=True)
class Point:
    """A mark of one day. `low` and `high` are the edges of the days that it may be of, where that is not one.

    `is_small`: its neighbours stand so near that a large one would touch them.
    """

    x: float
    y: float
    mark: Mark
    low: float = 0
    high: float = 0
    is_small: bool = False


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A mark that lasts. `cut_left`, `cut_right`: it goes on beyond the axis."""

    x: float
    y: float
    width: float
    mark: Mark
    cut_left: bool = False
    cut_right: bool = False


@dataclass(frozen=True, kw_only=True)
class Row:
    """One lane: where it begins, its name and the line that the name stands on."""

    name: str
    y: float
    height: float
    baseline: float


@dataclass(frozen=True, kw_only=True)
class Swatch:
    """One entry of the legend."""

    x: float
    y: float
    kind: Kind


@dataclass(frozen=True, kw_only=True)
class Drawing:
    scale: Scale
    height: float
    bottom: float
    today: float
    ticks: tuple[Tick, ...]
    days: tuple[float, ...]
    rows: tuple[Row, ...]
    points: tuple[Point, ...]
    bars: tuple[Bar, ...]
    texts: tuple[Text, ...]
    legend: tuple[Swatch, ...]


def short_date(day: date) -> str:
    """`12 Jan`, which no country reads as another day."""
    return f"{day.day} {day:%b}"


def wide(text: str) -> float:
    return LETTER * len(text)


# --- the axis ----------------------------------------------------------------------------------------------------


def scale_of(line: Timeline) -> Scale:
    """From the first dose, or what came shortly before it, to the last mark but the end of contraception."""
    core = [line.today]
    for lane in (Lane.DOSES, Lane.DUE, Lane.OBSERVATION):
        for mark in line.of(lane):
            core += [day for day in (mark.first, mark.last) if day is not None]
    first, last = min(core), max(core)
    for lane in (Lane.TOXICITY, Lane.HOLD):
        for mark in line.of(lane):
            if mark.first is not None and mark.last is not None and mark.last >= _moved(first, -LEAD_DAYS):
                first = min(first, max(mark.first, _moved(min(core), -LEAD_DAYS)))
                last = max(last, mark.last)
    last = max(last, _moved(first, LEAST_DAYS))
    span = (last - first).days + 1
    return Scale(first=_moved(first, -1 - span // 60), last=_moved(last, 2 + span // 8))


def _moved(day: date, days: int) -> date:
    """The day so many days later, as far as there are days: a record may hold any."""
    return date.fromordinal(min(max(day.toordinal() + days, 1), date.max.toordinal()))


def ticks_of(line: Timeline, scale: Scale) -> tuple[Tick, ...]:
    """Dates at whole steps from the first day of the course, with the day of the course where it has begun."""
    least = ROOM_OF_A_DATE / scale.per_day
    step = next((step for step in STEPS if step >= least), STEPS[-1] * ceil(least / STEPS[-1]))
    anchor = line.day_one or scale.first
    begin = scale.first.toordinal() + (anchor - scale.first).days % step
    ticks: list[Tick] = []
    year = 0
    for day in map(date.fromordinal, range(begin, scale.last.toordinal() + 1, step)):
        named = short_date(day) if day.year == year else f"{short_date(day)} {day.year}"
        year = day.year
        number = f"day {(day - line.day_one).days + 1}" if line.day_one is not None and day >= line.day_one else ""
        ticks.append(Tick(x=scale.middle_of(day, day), date=named, day=number))
    return tuple(ticks)


# --- lanes -------------------------------------------------------------------------------------------------------


class _Rows:
    """Rows of one lane, filled from the first on: each box goes into the first row where it meets no other."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken: list[list[tuple[float, float]]] = []

    def place(self, low: float, high: float) -> int | None:
        for number, row in enumerate(self._taken):
            if all(high + 6 <= start or low >= end + 6 for start, end in row):
                row.append((low, high))
                return number
        if len(self._taken) == self._most:
            return None
        self._taken.append([(low, high)])
        return len(self._taken) - 1

    @property
    def number(self) -> int:
        return len(self._taken)


@dataclass(kw_only=True)
class _Lane:
    """What one lane draws, and how high it is."""

    height: float = 0
    points: list[Point]
    bars: list[Bar]
    texts: list[Text]


def _new() -> _Lane:
    return _Lane(points=[], bars=[], texts=[])


def _points_lane(marks: Sequence[Mark], scale: Scale, y: float, *, dated: bool) -> _Lane:
    """Points in one line, their places above it, their labels in rows below; a window runs behind them."""
    lane = _new()
    middle = y + PAD + 26
    lane.bars += [_bar(mark, scale, middle - BAR / 2) for mark in marks if not mark.is_point]
    lane.points += _apart([_point(mark, scale, middle) for mark in marks if mark.is_point])
    above, below = _Rows(1), _Rows(3 if len(lane.points) <= FEW else 1)
    for point in _most_telling_first(lane.points):
        text, place = _label(point.mark, dated=dated), point.mark.place
        x, row = _room_for(text, point.x, below)
        if row is not None:
            lane.texts.append(Text(x=x, y=middle + 23 + row * 15, text=text, anchor="middle"))
        x, row = _room_for(place, point.x, above, letter=BOLD)
        if row is not None:
            lane.texts.append(Text(x=x, y=middle - 14, text=place, anchor="middle", role="place"))
    lane.height = 2 * PAD + 26 + 12 + 15 * max(1, below.number)
    return lane


def _apart(points: list[Point]) -> list[Point]:
    """The points, small ones where large ones would touch."""
    places = sorted(point.x for point in points)
    nearest = min((b - a for a, b in pairwise(places) if b > a), default=WIDTH)
    return points if nearest > ROOM_OF_A_POINT else [replace(point, is_small=True) for point in points]


def _room_for(text: str, x: float, rows: _Rows, letter: float = LETTER) -> tuple[float, int | None]:
    """Where a label centred on x stands, and in which row; None where it has no room."""
    half = letter * len(text) / 2
    inside = min(max(x, LEFT + half), RIGHT - half)
    return inside, rows.place(inside - half, inside + half) if text else None


def _most_telling_first(points: Sequence[Point]) -> list[Point]:
    """Labels are placed in this order: the last point, what is not an ordinary dose, the first one, then the others."""
    if not points:
        return []
    unusual = [p for p in points if not (p.mark.is_certain and p.mark.kind is Kind.TREATMENT)]
    last, first = max(points, key=lambda p: p.x), min(points, key=lambda p: p.x)
    return list(dict.fromkeys([last, *unusual, first, *points]))


def _label(mark: Mark, *, dated: bool) -> str:
    day = short_date(mark.last) if dated and mark.last is not None else ""
    doubt = "day not known" if not mark.start_known else day
    return ", ".join(part for part in (mark.label, doubt) if part)


def _point(mark: Mark, scale: Scale, y: float) -> Point:
    first, last = mark.first or scale.first, mark.last or scale.last
    x = scale.end_of(last) if mark.kind is Kind.LIMIT else scale.middle_of(first, last)
    if mark.start_known or mark.kind is Kind.LIMIT:
        return Point(x=x, y=y, mark=mark)
    low, high = scale.start_of(first), scale.end_of(last)
    room = max(0.0, 24 - (high - low)) / 2
    return Point(x=x, y=y, mark=mark, low=low - room, high=high + room)


def _bar(mark: Mark, scale: Scale, y: float) -> Bar:
    first, last = mark.first or scale.first, mark.last or scale.last
    low = scale.at(mark.begins) if mark.begins is not None else scale.start_of(first)
    high = scale.at(mark.ends) if mark.ends is not None else scale.end_of(last)
    cut_left, cut_right = first < scale.first, last > scale.last
    low, high = max(low, LEFT), min(high, RIGHT)
    return Bar(x=low, y=y, width=max(high - low, 6), mark=mark, cut_left=cut_left, cut_right=cut_right)


def _bars_lane(marks: Sequence[Mark], scale: Scale, y: float) -> _Lane:
    """Bars with their labels beside them, each in the first row that has room; what finds none is counted."""
    lane, rows, left_out = _new(), _Rows(MOST_ROWS), 0
    for mark in marks:
        if mark.last is not None and mark.last < scale.first:
            left_out += 1
            continue
        bar = _bar(mark, scale, 0)
        low, high, text = _with_label(bar)
        row = rows.place(low, high)
        if row is None:
            left_out += 1
            continue
        top = y + PAD + row * ROW
        lane.bars.append(
            Bar(x=bar.x, y=top, width=bar.width, mark=mark, cut_left=bar.cut_left, cut_right=bar.cut_right)
        )
        lane.texts.append(Text(x=text.x, y=top + BAR - 2, text=text.text, anchor=text.anchor, role=text.role))
    lane.height = 2 * PAD + ROW * max(1, rows.number) - (ROW - BAR)
    if left_out:
        lane.height += 16
        said = f"{left_out} more in the words below"
        lane.texts.append(Text(x=LEFT + 6, y=y + lane.height - 8, text=said, role="silent"))
    return lane


TAIL: Final = 20
"""How far the end that nobody recorded is drawn on, dashed."""


def _with_label(bar: Bar) -> tuple[float, float, Text]:
    """The room that a bar takes with its label: at its right, else at its left, else upon it."""
    mark, text = bar.mark, bar.mark.label
    head = 0 if mark.start_known or mark.begins is not None else TAIL
    ends_open = not mark.end_known and mark.begins is None and not bar.cut_right
    tail = TAIL + 8 if ends_open else 12 if mark.goes_on or bar.cut_right else 4
    if mark.begins is not None and not mark.start_known:
        text = f"{text}, clock time not recorded"
    end = bar.x + bar.width + tail
    if end + 4 + wide(text) <= RIGHT:
        return bar.x - head, end + 4 + wide(text), Text(x=end + 4, y=0, text=text)
    start = bar.x - head - 6
    if start - wide(text) >= LEFT:
        return start - wide(text), end, Text(x=start, y=0, text=text, anchor="end")
    return bar.x - head, end, Text(x=bar.x + bar.width / 2, y=0, text=text, anchor="middle", role="upon")


# --- the whole -----------------------------------------------------------------------------------------------------


def drawing(line: Timeline) -> Drawing:
    """The timeline laid out."""
    scale = scale_of(line)
    y = float(TOP)
    rows: list[Row] = []
    lanes: list[_Lane] = []
    for name in Lane:
        marks = [mark for mark in line.of(name) if mark.is_placed]
        lane = _lane(name, marks, line, scale, y)
        rows.append(Row(name=name.value, y=y, height=lane.height, baseline=y + (39 if lane.points else PAD + BAR - 2)))
        lanes.append(lane)
        y += lane.height
    drawn = [mark.kind for lane in lanes for mark in (*_marks(lane.bars), *_marks(lane.points))]
    legend, height = _legend([kind for kind in Kind if kind in drawn], y + 30)
    per_day = scale.per_day
    span = range((scale.last - scale.first).days + 1) if per_day >= 6 else range(0)
    return Drawing(
        scale=scale,
        height=height,
        bottom=y,
        today=scale.middle_of(line.today, line.today),
        ticks=ticks_of(line, scale),
        days=tuple(LEFT + number * per_day for number in span),
        rows=tuple(rows),
        points=tuple(point for lane in lanes for point in lane.points),
        bars=tuple(bar for lane in lanes for bar in lane.bars),
        texts=tuple(text for lane in lanes for text in lane.texts),
        legend=legend,
    )


def _marks(drawn: Iterable[Bar | Point]) -> list[Mark]:
    return [one.mark for one in drawn]


def _lane(name: Lane, marks: Sequence[Mark], line: Timeline, scale: Scale, y: float) -> _Lane:
    if not marks:
        lane = _new()
        lane.height = 2 * PAD + BAR
        unplaced = any(not mark.is_placed for mark in line.of(name))
        said = "no place on the axis: see the words below" if unplaced else line.silent.get(name, "")
        lane.texts.append(Text(x=LEFT + 6, y=y + PAD + BAR - 2, text=said, role="silent"))
        return lane
    if name in {Lane.DOSES, Lane.DUE}:
        return _points_lane(marks, scale, y, dated=name is Lane.DUE)
    return _bars_lane(marks, scale, y)


def _legend(kinds: Sequence[Kind], y: float) -> tuple[tuple[Swatch, ...], float]:
    """The kinds that are drawn, in columns, and where the drawing ends."""
    column = (RIGHT - LEFT) / LEGEND_COLUMNS
    lines = -(-len(kinds) // LEGEND_COLUMNS)
    swatches = tuple(
        Swatch(x=LEFT + column * (number // lines), y=y + 21 * (number % lines), kind=kind)
        for number, kind in enumerate(kinds)
    )
    return swatches, y + 21 * lines
