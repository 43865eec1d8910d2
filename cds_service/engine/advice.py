"""What the engine says: findings of single rows, and the advice made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from cds_service.knowledge.regimen import Dose, Regimen, Row
from fhir_mappings.facts import When


@dataclass(frozen=True, kw_only=True)
class Because:
    """One resource that an advice rests on, and what it shows. `shows` may hold text of the record: escape it."""

    reference: str
    shows: str


@dataclass(frozen=True, kw_only=True)
class Line:
    """A further authored sentence in a card: the row's `line` (or another of its sentences), with its slots."""

    row: Row
    slots: Mapping[str, str] = field(default_factory=dict)
    sentence: str = "line"


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What is due instead, or as ordered: one entry per dose of an order."""

    order: str
    dose: Dose
    position: str
    due_on: date


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A row that holds. `confirmed` is False when it rests on an unconfirmed record only.

    `rows` are further rows that were applied, for example the one that grades a result.
    `expected`: what is due instead, where that is not the position of the case; empty: nothing.
    `hours`: the observation that it asks for, from and to. `in_part`: what it asks for is there, but not as it should.
    """

    row: Row
    slots: Mapping[str, str] = field(default_factory=dict)
    because: tuple[Because, ...] = ()
    lines: tuple[Line, ...] = ()
    confirmed: bool = True
    rows: tuple[Row, ...] = ()
    expected: tuple[Expected, ...] | None = None
    hours: tuple[int, int] | None = None
    in_part: bool = False


@dataclass(frozen=True, kw_only=True)
class Advice:
    """One topic, action and indicator for one ordered dose (`order` is "" where it concerns the whole call).

    `sentence` names which of the row's sentences is the summary. `rows` are further rows that were applied.
    `part` is the dose of the order, 0 for the first; `ordered` its amount in mg, None where it cannot be read; `on` its
    planned day, `day_assumed` where the order names none. `hours` and `in_part` as in the finding.
    """

    topic: str
    action: str
    indicator: str
    row: Row
    order: str
    part: int = 0
    slots: Mapping[str, str]
    because: tuple[Because, ...] = ()
    lines: tuple[Line, ...] = ()
    rows: tuple[Row, ...] = ()
    expected: Expected | None = None
    sentence: str = "summary"
    ordered: Decimal | None = None
    on: When | None = None
    day_assumed: bool = False
    hours: tuple[int, int] | None = None
    in_part: bool = False


@dataclass(frozen=True, kw_only=True)
class Assessment:
    """The whole answer to one call: advice in the order of the cards, rows fired, rows assessed and silent.

    `orders` are the drafts of the drug that were assessed, `Type/id`.
    """

    advice: tuple[Advice, ...]
    fired: tuple[str, ...]
    silent: tuple[str, ...]
    as_of: date
    regimen: Regimen
    orders: tuple[str, ...] = ()
