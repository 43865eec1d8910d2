"""Does every case of a table have exactly one row? Gaps and overlaps end the start, by file and line.

Only tables whose rows exclude each other (`hit: unique`) are asked. `covers` of the table says for which whole numbers
they must answer; a yes-or-no column must be answered for both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Final, TypeAlias

from cds_service.errors import KnowledgeError
from cds_service.knowledge.regimen import Hit, Regimen, Row, Sources, Table

Cell: TypeAlias = Mapping[str, int | bool]
FLAG: Final = "flag"
RANGE: Final = "range"


def refuse_gaps_and_overlaps(regimen: Regimen, file: str) -> None:
    """Raises: KnowledgeError naming file, line and the case that has no row, or more than one, in either mode."""
    for sources in Sources:
        for table in regimen.under(sources).tables.values():
            if table.hit is Hit.UNIQUE and table.rows:
                _refuse(table, sources, file)


def _refuse(table: Table, sources: Sources, file: str) -> None:
    open_ended = [name for name, kind in table.inputs.items() if kind == RANGE and name not in table.covers]
    if open_ended:
        named = ", ".join(open_ended)
        raise KnowledgeError(f"{file}:{table.line} {table.name}: `covers` must say which numbers {named} can be")
    for cell, rows in cells(table):
        where = f"{table.name} with {', '.join(f'{name} {_said(value)}' for name, value in cell.items())}"
        if not rows:
            raise KnowledgeError(f"{file}:{table.line} {where}: no row in force with {sources.value}")
        if len(rows) > 1:
            named = " and ".join(row.id for row in rows)
            raise KnowledgeError(f"{file}:{rows[1].line} {where}: {named} both hold with {sources.value}")


def _said(value: int | bool) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def cells(table: Table) -> Iterator[tuple[Cell, tuple[Row, ...]]]:
    """One case for each stretch in which the same rows hold, with these rows."""
    axes = {name: _points(table, name) for name, kind in table.inputs.items() if kind == FLAG or name in table.covers}
    for values in product(*axes.values()):
        cell = dict(zip(axes, values, strict=True))
        yield cell, tuple(row for row in table.rows if _holds(row, cell))


def _points(table: Table, name: str) -> Sequence[int | bool]:
    """The first number of each stretch between the borders that the rows draw."""
    domain = table.covers.get(name)
    if domain is None:
        return (True, False)
    borders = {domain.at_least or 0}
    for row in table.rows:
        if row.has(name):
            drawn = row.range(name)
            borders.add(drawn.at_least or 0)
            borders |= {drawn.at_most + 1} if drawn.at_most is not None else set()
    return sorted(border for border in borders if border in domain)


def _holds(row: Row, cell: Cell) -> bool:
    return all(_answers(row, name, value) for name, value in cell.items() if row.has(name))


def _answers(row: Row, name: str, value: int | bool) -> bool:
    return row.flag(name) is value if isinstance(value, bool) else value in row.range(name)
