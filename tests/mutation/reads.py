"""Which values of the knowledge an answer reads: the answers that do not read one stay as they are when it is moved.

The rules are functions of the facts and of the knowledge. Until a moved value is read they run as they did before, so
an answer that never reads it cannot show that it was moved.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from typing import Any, Final, TypeAlias, TypeVar

from cds_service.knowledge.regimen import Regimen, Row, Table

Read: TypeAlias = tuple[str, str]
"""A row's id and its column; OF_THE_FILE and the name of a number or dose of the whole file."""
OF_THE_FILE: Final = ""
_Value = TypeVar("_Value")


class Noted(Mapping[str, _Value]):
    """A mapping that notes which of its values are read. That a name is there is none: no mutant adds or takes one."""

    def __init__(self, values: Mapping[str, _Value], owner: str, reads: set[Read]) -> None:
        self._values, self._owner, self._reads = values, owner, reads

    def __getitem__(self, name: str) -> _Value:
        self._reads.add((self._owner, name))
        return self._values[name]

    def get(self, name: str, default: Any = None) -> Any:  # as the one that it comes with, and quicker
        self._reads.add((self._owner, name))
        return self._values.get(name, default)

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def noting(regimen: Regimen, reads: set[Read]) -> Regimen:
    """The same knowledge, which adds to `reads` what is read of it: columns, numbers and doses, not what rows cite."""
    return replace(
        regimen,
        doses=Noted(regimen.doses, OF_THE_FILE, reads),
        numbers=Noted(regimen.numbers, OF_THE_FILE, reads),
        tables={name: _noting_table(table, reads) for name, table in regimen.tables.items()},
    )


class _ReadAnew(Table):
    """A table that looks its rows up whenever it is asked: what it remembered, nobody would read again."""

    def rows_where(self, column: str, text: str) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.text(column) == text)


def _noting_table(table: Table, reads: set[Read]) -> Table:
    as_it_is = {field.name: getattr(table, field.name) for field in fields(table)}
    return _ReadAnew(**as_it_is | {"rows": tuple(_noting_row(row, reads) for row in table.rows)})


def _noting_row(row: Row, reads: set[Read]) -> Row:
    return replace(row, columns=Noted(row.columns, row.id, reads))
