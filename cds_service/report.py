"""How each row of the knowledge is received, and what was decided: tables for people and for spreadsheets."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
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
    table = _table(COLUMNS, [row.cells() for row in report.rows], numbers=range(3, 10))
    beside = f"Feedback on cards not on record: {report.unknown_cards}. Entries not readable: {report.rejected}."
    return "\n".join([*table, "", *NOTES, beside]) + "\n"


def as_csv(report: Report) -> str:
    """The rows as CSV; no cell begins like a formula."""
    return csv_of(COLUMNS, (row.cells() for row in report.rows))


# --- decisions --------------------------------------------------------------------------------------------------------

DECISION_COLUMNS: Final = (
    *("at", "client", "service", "hookInstance", "status", "knowledge", "rows", "unknowns", "milliseconds"),
    *("card", "leading row", "outcome", "outcome at", "reason"),
)


@dataclass(frozen=True, kw_only=True)
class Decided:
    """One card of a decision and the last thing done with it; a decision without cards has `card` "" once."""

    at: datetime
    client: str
    service: str
    hook_instance: str
    status: int
    knowledge: str
    rows: tuple[str, ...]
    unknowns: Mapping[str, int]
    milliseconds: float
    card: str
    leading_row: str
    outcome: str
    outcome_at: datetime | None
    reason: str

    def cells(self) -> tuple[str, ...]:
        """One line of the table, in the order of `DECISION_COLUMNS`. Times in UTC."""
        return (
            *(self.at.isoformat(timespec="milliseconds"), self.client, self.service, self.hook_instance),
            *(str(self.status), self.knowledge, " ".join(self.rows)),
            " ".join(f"{kind}:{number}" for kind, number in self.unknowns.items()),
            *(str(self.milliseconds), self.card, self.leading_row, self.outcome),
            self.outcome_at.isoformat(timespec="seconds") if self.outcome_at else "",
            printable(self.reason),
        )


def decisions_as_table(decisions: Iterable[Decided]) -> str:
    """Aligned columns, one line for each card, and one for a decision without cards."""
    return "\n".join(_table(DECISION_COLUMNS, [made.cells() for made in decisions], numbers={4, 8})) + "\n"


def decisions_as_csv(decisions: Iterable[Decided]) -> str:
    """The same as CSV; no cell begins like a formula."""
    return csv_of(DECISION_COLUMNS, (made.cells() for made in decisions))


# --- both -------------------------------------------------------------------------------------------------------------


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Collection[int]) -> list[str]:
    """Aligned lines under their heads: names to the left, `numbers` (columns) to the right."""
    lines = [columns, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(columns))]
    table = [
        "  ".join(
            cell.rjust(width) if column in numbers else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    table.insert(1, "  ".join("-" * width for width in widths))
    return table


def csv_of(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """These lines under their heads; no cell begins like a formula."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_harmless(cell) for cell in row] for row in rows)
    return text.getvalue()


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell
