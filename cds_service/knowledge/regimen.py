"""The frozen types of the knowledge file: tables of rows, each row a condition, an advice, its words and its source.

A row's columns are declared by its table, so a wrong or missing one is refused at the start (loader.py) and not at
three in the morning. Read a column with the accessor of its kind: `row.integer("within_days")`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import Enum
from functools import cached_property
from typing import TypeAlias, TypeVar

from cds_service.errors import KnowledgeError


@dataclass(frozen=True, kw_only=True)
class Dose:
    """An amount of drug with its unit; only mg is known here."""

    mg: Decimal

    def __str__(self) -> str:
        return f"{self.mg.normalize():f} mg"


@dataclass(frozen=True, kw_only=True)
class Range:
    """Whole numbers from `at_least` to `at_most`, both included; None is open."""

    at_least: int | None = None
    at_most: int | None = None

    def __contains__(self, number: int) -> bool:
        return (self.at_least is None or number >= self.at_least) and (self.at_most is None or number <= self.at_most)


Value: TypeAlias = int | bool | Decimal | str | Dose | Range | tuple[str, ...]
_Kind = TypeVar("_Kind", int, bool, Decimal, str, Dose, Range, tuple[str, ...])


class Sources(Enum):
    """Which sources' rows are in force (`CDS_SOURCES`)."""

    SEED_AND_LABEL = "seed+label"
    SEED = "seed"


class Origin(Enum):
    """Where a row comes from, and so when it is in force."""

    SEED = "seed"
    LABEL = "label"
    BOTH = "seed+label"
    LOCAL = "local"
    SEED_ALONE = "seed-alone"  # what the seed says where the label's row replaces it

    def in_force(self, sources: Sources) -> bool:
        """Whether rows of this origin speak under these sources."""
        if sources is Sources.SEED:
            return self is not Origin.LABEL
        return self is not Origin.SEED_ALONE


@dataclass(frozen=True, kw_only=True)
class Cite:
    """Why a row may speak: seed statements, label sections, resolved differences."""

    statements: tuple[str, ...] = ()
    label: str = ""
    differences: tuple[str, ...] = ()
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class Review:
    """Who answered for the row's present text, when; None in `Row.reviewed` means nobody yet."""

    who: str
    when: str
    digest: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Row:
    """One line of a table: when it holds, what follows, in which words, from which source.

    `digest` changes with every word of the row but `reviewed`: it is what a review answers for.
    """

    id: str
    table: str
    line: int
    origin: Origin
    columns: Mapping[str, Value]
    say: Mapping[str, str]
    detail: tuple[str, ...]
    cite: Cite
    reviewed: Review | None
    digest: str = ""

    def _column(self, name: str, kind: type[_Kind]) -> _Kind:
        value = self.columns.get(name)
        if not isinstance(value, kind):
            raise KnowledgeError(f"row {self.id} has no {kind.__name__} column {name!r}")
        return value

    def has(self, name: str) -> bool:
        return name in self.columns

    def integer(self, name: str) -> int:
        return self._column(name, int)

    def flag(self, name: str) -> bool:
        """False where the row does not have the column."""
        return self._column(name, bool) if name in self.columns else False

    def number(self, name: str) -> Decimal:
        return self._column(name, Decimal)

    def text(self, name: str) -> str:
        value = self.columns.get(name)  # asked for most often
        return value if isinstance(value, str) else self._column(name, str)

    def texts(self, name: str) -> tuple[str, ...]:
        return self._column(name, tuple)

    def dose(self, name: str) -> Dose:
        return self._column(name, Dose)

    def range(self, name: str) -> Range:
        return self._column(name, Range)


class Hit(Enum):
    """How many rows of a table may hold at once."""

    UNIQUE = "unique"
    FIRST = "first"
    COLLECT = "collect"


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows that answer one question. `covers`: the whole numbers for which a unique table must have an answer."""

    name: str
    question: str
    hit: Hit
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    slots: frozenset[str]
    rows: tuple[Row, ...]
    line: int = 0
    covers: Mapping[str, Range] = field(default_factory=dict)

    @cached_property
    def _selected(self) -> dict[tuple[str, str], tuple[Row, ...]]:
        return {}

    def rows_where(self, column: str, text: str) -> tuple[Row, ...]:
        """The rows whose column says this. Every row has it."""
        if (column, text) not in self._selected:
            self._selected[column, text] = tuple(row for row in self.rows if row.text(column) == text)
        return self._selected[column, text]

    def row(self, row_id: str) -> Row:
        """The row of this id. Raises KnowledgeError where it is not in the file or not in force."""
        for row in self.rows:
            if row.id == row_id:
                return row
        raise KnowledgeError(f"table {self.name} has no row {row_id} in force")


@dataclass(frozen=True, kw_only=True)
class Regimen:
    """The whole knowledge file for one drug, with only the rows of its sources in force.

    `file` and `places` (the line of `numbers`, of `numbers.lab_age_days`) are for whoever refuses it.
    """

    drug: str
    name: str
    version: str
    label: str
    label_url: str
    last_checked_against_label_on: str
    sources: Sources
    doses: Mapping[str, Dose]
    numbers: Mapping[str, Decimal]
    tables: Mapping[str, Table] = field(default_factory=dict)
    file: str = ""
    places: Mapping[str, int] = field(default_factory=dict)

    def table(self, name: str) -> Table:
        return self.tables[name]

    def rows(self) -> tuple[Row, ...]:
        return tuple(row for table in self.tables.values() for row in table.rows)

    def under(self, sources: Sources) -> Regimen:
        """This regimen with only the rows that speak under `sources`."""
        tables = {
            name: replace(table, rows=tuple(row for row in table.rows if row.origin.in_force(sources)))
            for name, table in self.tables.items()
        }
        return replace(self, sources=sources, tables=tables)
