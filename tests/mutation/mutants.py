"""Mutants of the knowledge: every value of it moved by one step, one at a time, on the parsed regimen.

A step is one for whole numbers, ends of ranges and days; one of the last digit for decimals and doses; the other value
of a flag; the next indicator; the next word that the same column has elsewhere; one name less in a list, or its next
one; one citation less. In a table whose rows exclude each other a border is also moved on both its sides, so that no
gap and no overlap gives the mutant away at the start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property
from typing import Any, Final

from cds_service.knowledge.regimen import Cite, Dose, Hit, Range, Regimen, Row, Table, Value
from tests.mutation.reads import OF_THE_FILE, Read

NEXT_INDICATOR: Final = {"critical": "warning", "warning": "info", "info": "warning"}
Step = tuple[str, Value]
"""A moved value, and how it is named: `+1`, `→ warning`, `without S3`."""


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One changed knowledge. `rows` are the changed ones; none where a number or dose of the whole file is changed.

    `value` is the column, number or dose that is moved; "" for a citation.
    """

    name: str
    rows: tuple[str, ...] = ()
    table: str = ""
    value: str = ""
    regimen: Regimen

    @property
    def is_citation(self) -> bool:
        return not self.value

    @property
    def moved(self) -> frozenset[Read]:
        """What an answer must read to show the change."""
        return frozenset((row, self.value) for row in self.rows or (OF_THE_FILE,))


def mutants(regimen: Regimen) -> tuple[Mutant, ...]:
    """All of them, in the order of the file. `regimen` has every row, whatever its source."""
    words = Words(regimen)
    found = list(_of_the_file(regimen))
    for table in regimen.tables.values():
        for row in table.rows:
            found += _of_columns(regimen, table, row, words)
            found += _of_citations(regimen, table, row)
        if table.hit is Hit.UNIQUE:
            found += _of_borders(regimen, table)
    return tuple(found)


# --- what is changed ----------------------------------------------------------------------------------------------


def _with_rows(regimen: Regimen, table: Table, changed: Mapping[str, Row]) -> Regimen:
    rows = tuple(changed.get(row.id, row) for row in table.rows)
    return replace(regimen, tables={**regimen.tables, table.name: replace(table, rows=rows)})


def _with_column(row: Row, name: str, value: Value) -> Row:
    return replace(row, columns={**row.columns, name: value})


def _of_the_file(regimen: Regimen) -> Iterator[Mutant]:
    for name, number in regimen.numbers.items():
        for said, moved in _decimals(number):
            numbers = {**regimen.numbers, name: moved}
            yield Mutant(name=f"numbers {name} {said}", value=name, regimen=replace(regimen, numbers=numbers))
    for name, dose in regimen.doses.items():
        for said, moved in _decimals(dose.mg):
            doses = {**regimen.doses, name: Dose(mg=moved)}
            yield Mutant(name=f"doses {name} {said}", value=name, regimen=replace(regimen, doses=doses))


def _of_columns(regimen: Regimen, table: Table, row: Row, words: Words) -> Iterator[Mutant]:
    for name, value in row.columns.items():
        for said, moved in _steps(table, name, value, words):
            changed = _with_column(row, name, moved)
            yield Mutant(
                name=f"{row.id} {name} {said}",
                rows=(row.id,),
                table=table.name,
                value=name,
                regimen=_with_rows(regimen, table, {row.id: changed}),
            )


def _of_citations(regimen: Regimen, table: Table, row: Row) -> Iterator[Mutant]:
    for said, cite in _without_one(row.cite):
        yield Mutant(
            name=f"{row.id} cite without {said}",
            rows=(row.id,),
            table=table.name,
            regimen=_with_rows(regimen, table, {row.id: replace(row, cite=cite)}),
        )


def _without_one(cite: Cite) -> Iterator[tuple[str, Cite]]:
    for statement in cite.statements:
        yield statement, replace(cite, statements=tuple(one for one in cite.statements if one != statement))
    topics = [topic for topic in cite.label.split(", ") if topic]
    for topic in topics:
        yield topic, replace(cite, label=", ".join(one for one in topics if one != topic))
    for difference in cite.differences:
        yield difference, replace(cite, differences=tuple(one for one in cite.differences if one != difference))


# --- steps --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Words:
    """The words that stand in the columns of the file, to find the next one of a word."""

    regimen: Regimen

    @cached_property
    def _by_column(self) -> Mapping[str, Sequence[str]]:
        found: dict[str, set[str]] = {}
        for row in self.regimen.rows():
            for name, value in row.columns.items():
                column = f"{row.table} {name}" if name == "question" else name  # only its own table answers a question
                for word in (value,) if isinstance(value, str) else value if isinstance(value, tuple) else ():
                    found.setdefault(column, set()).add(word)
        return {column: sorted(words) for column, words in found.items()}

    def after(self, table: str, name: str, word: str) -> str:
        """The next word of a column, the first one after the last; the word itself where it is the only one."""
        words = self._by_column[f"{table} {name}" if name == "question" else name]
        return words[(words.index(word) + 1) % len(words)]


def _steps(table: Table, name: str, value: Value, words: Words) -> Iterator[Step]:
    match value:
        case bool():
            yield f"→ {'no' if value else 'yes'}", not value
        case int():
            yield from _integers(value)
        case Decimal():
            yield from _decimals(value)
        case Dose():
            yield from ((said, Dose(mg=moved)) for said, moved in _decimals(value.mg))
        case Range():
            yield from _ends(value)
        case str():
            moved = NEXT_INDICATOR[value] if name == "indicator" else words.after(table.name, name, value)
            yield from [(f"→ {moved}", moved)] if moved != value else []
        case tuple():
            yield from _lists(value, lambda word: words.after(table.name, name, word))


def _integers(number: int) -> Iterator[tuple[str, int]]:
    """A number below zero cannot be written."""
    yield from ((f"{number} → {moved}", moved) for moved in (number + 1, number - 1) if moved >= 0)


def _decimals(number: Decimal) -> Iterator[tuple[str, Decimal]]:
    step = Decimal(1).scaleb(int(number.as_tuple().exponent))
    yield from ((f"{number} → {moved}", moved) for moved in (number + step, number - step) if moved >= 0)


def _ends(drawn: Range) -> Iterator[Step]:
    ends: dict[str, int | None] = {"at_least": drawn.at_least, "at_most": drawn.at_most}
    for end, number in ends.items():
        if number is not None:
            for said, moved in _integers(number):
                yield f"{end} {said}", replace(drawn, **{end: moved})


def _lists(names: tuple[str, ...], after: Callable[[str], str]) -> Iterator[Step]:
    for place, name in enumerate(names):
        yield f"without {name}", (*names[:place], *names[place + 1 :])
        moved = [text for _, text in _numbered(name)] if name.isdigit() else [after(name)]
        for other in moved:
            if other not in names:
                yield f"{name} → {other}", (*names[:place], other, *names[place + 1 :])


def _numbered(name: str) -> Iterator[tuple[str, str]]:
    yield from ((said, str(moved)) for said, moved in _integers(int(name)))


# --- borders ------------------------------------------------------------------------------------------------------


def _of_borders(regimen: Regimen, table: Table) -> Iterator[Mutant]:
    """Both sides of each border between rows, moved together."""
    for name in table.covers:
        for group, border in _borders(table, name):
            for by in (1, -1):
                changed = {row.id: _with_column(row, name, _moved(row.range(name), border, by)) for row in group}
                ids = tuple(row.id for row in group)
                yield Mutant(
                    name=f"{' '.join(ids)} {name} border {border} → {border + by}",
                    rows=ids,
                    table=table.name,
                    value=name,
                    regimen=_with_rows(regimen, table, changed),
                )


def _borders(table: Table, name: str) -> Iterator[tuple[list[Row], int]]:
    """The rows on both sides of a border, where they differ in nothing else; else all rows that have this border."""
    rows = [row for row in table.rows if row.has(name)]
    borders = sorted({end for row in rows if (end := row.range(name).at_most) is not None} - {_last(table, name)})
    for border in borders:
        sides = [row for row in rows if row.range(name).at_most == border or row.range(name).at_least == border + 1]
        alike: dict[Any, list[Row]] = {}
        for row in sides:
            alike.setdefault(_other_inputs(table, row, name), []).append(row)
        pairs = [group for group in alike.values() if _has_both_sides(group, name, border)]
        yield from ((group, border) for group in pairs or [sides])


def _last(table: Table, name: str) -> int | None:
    return table.covers[name].at_most


def _other_inputs(table: Table, row: Row, name: str) -> tuple[Any, ...]:
    return tuple(row.columns.get(other) for other in table.inputs if other != name)


def _has_both_sides(group: Sequence[Row], name: str, border: int) -> bool:
    ends = [row.range(name) for row in group]
    return any(end.at_most == border for end in ends) and any(end.at_least == border + 1 for end in ends)


def _moved(drawn: Range, border: int, by: int) -> Range:
    low = drawn.at_least + by if drawn.at_least == border + 1 else drawn.at_least
    high = drawn.at_most + by if drawn.at_most == border else drawn.at_most
    return Range(at_least=low, at_most=high)
