"""A timeline to look at: the SVG, and beside it the same in words. Everything of the record is escaped on its way in.

No scripts, no style attributes: presentation attributes carry the drawing in black and white, `static/timeline.css`
colours it in a page that links it.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Final
from zlib import crc32

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from cds_service.timeline_layout import BAR, LEFT, RIGHT, TOP, WIDTH, drawing, wide
from cds_service.timeline_marks import POINTS, Lane, Mark, Timeline

TEMPLATES: Final = Environment(
    loader=FileSystemLoader(Path(__file__).with_name("templates")), autoescape=True, undefined=StrictUndefined
)
MOST_REFERENCES: Final = 6


def svg(line: Timeline) -> Markup:
    """The drawing alone. Two of one page share no ids unless they are equal."""
    drawn = drawing(line)
    key = f"t{crc32(repr(line).encode('utf-8', 'backslashreplace')):08x}"
    said = f"{line.today.day} {line.today:%b}"
    half = wide(f"today, {said}") / 2
    text = TEMPLATES.get_template("timeline.svg").render(
        line=line,
        drawn=drawn,
        key=key,
        width=WIDTH,
        top=TOP,
        right=RIGHT,
        left=LEFT,
        bar_height=BAR,
        points=POINTS,
        today=said,
        today_x=min(max(drawn.today, LEFT + half), RIGHT - half),
    )
    return Markup(text.strip())  # noqa: S704 - the template escapes what it is given


def fragment(line: Timeline) -> Markup:
    """The drawing, and the list of everything in words: usable without the other."""
    text = TEMPLATES.get_template("timeline_fragment.html").render(
        line=line,
        svg=svg(line),
        placed=in_order(line),
        unplaced=[mark for mark in line.marks if not mark.is_placed],
        empty=empty_lanes(line),
        most=MOST_REFERENCES,
    )
    return Markup(text)  # noqa: S704 - the template escapes what it is given


def only_words(text: str) -> Markup:
    """A drawing that says why there is none."""
    return Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {0} 40" width="{0}" height="40" '
        'font-family="system-ui, sans-serif" font-size="14"><title>{1}</title><text x="16" y="25">{1}</text></svg>'
    ).format(WIDTH, text)


def empty_lanes(line: Timeline) -> list[tuple[Lane, str]]:
    """The lanes without a mark, each with the reason."""
    present = {mark.lane for mark in line.marks}
    return [(lane, why) for lane, why in line.silent.items() if lane not in present]


def in_order(line: Timeline) -> list[Mark]:
    """What has a day, in order of time; of one day as the lanes are."""
    lanes = list(Lane)
    placed = [mark for mark in line.marks if mark.is_placed]
    return sorted(placed, key=lambda mark: (mark.first or date.max, mark.last or date.max, lanes.index(mark.lane)))
