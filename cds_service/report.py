"""How each row of the knowledge is received, as a table that a committee reads or a spreadsheet takes."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

COLUMNS: Final = (
    "row",
    "topic",
    "action",
    "shown",
    "accepted",
    "overridden",
    "ignored",
    "accepted %",
    "overridden %",
    "ignored %",
    "most frequent override reasons",
)
REASONS_SHOWN: Final = 3
LONGEST_REASON: Final = 60
NOTES: Final = (
    "shown: cards sent, each counted once; whether the client displayed them is not known (some run silently).",
    "accepted, overridden: the last thing the clinician did with the card. ignored: no feedback, at least until now.",
)


@dataclass(frozen=True, kw_only=True)
class Reception:
    """What became of the cards of one row. `reasons`: override reasons with their numbers, most frequent first."""

    row: str
    topic: str
    action: str
    shown: int
    accepted: int
    overridden: int
    reasons: tuple[tuple[str, int], ...] = ()

    @property
    def ignored(self) -> int:
        return self.shown - self.accepted - self.overridden

    def cells(self) -> tuple[str, ...]:
        """One line of the table, in the order of `COLUMNS`."""
        counts = (self.accepted, self.overridden, self.ignored)
        return (
            *(self.row, self.topic, self.action, str(self.shown)),
            *map(str, counts),
            *(rate(count, self.shown) for count in counts),
            "; ".join(f"{printable(reason)} ({number})" for reason, number in self.reasons[:REASONS_SHOWN]),
        )


@dataclass(frozen=True, kw_only=True)
class Report:
    """The rows, the most overridden first, and what belongs to none of them."""

    rows: tuple[Reception, ...]
    unknown_cards: int = 0
    rejected: int = 0


def rate(part: int, whole: int) -> str:
    """A percentage with one decimal; nothing where there is nothing to count."""
    return f"{100 * part / whole:.1f}" if whole else ""


def printable(reason: str) -> str:
    """A reason as one short line without characters that a terminal would obey."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in reason).split())
    return line if len(line) <= LONGEST_REASON else line[: LONGEST_REASON - 1] + "…"


def as_table(report: Report) -> str:
    """Aligned columns with the notes that the numbers need."""
    lines = [COLUMNS, *(row.cells() for row in report.rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(COLUMNS))]
    table = [_aligned(line, widths) for line in lines]
    table.insert(1, "  ".join("-" * width for width in widths))
    beside = f"Feedback on cards not on record: {report.unknown_cards}. Entries not readable: {report.rejected}."
    return "\n".join([*table, "", *NOTES, beside]) + "\n"


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Names to the left, numbers to the right."""
    numbers = range(3, 10)
    padded = (
        cell.rjust(width) if column in numbers else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "  ".join(padded).rstrip()


def as_csv(report: Report) -> str:
    """The rows as CSV; no cell begins like a formula."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([_harmless(cell) for cell in row.cells()] for row in report.rows)
    return text.getvalue()


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@")) else cell
