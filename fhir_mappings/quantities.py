"""FHIR quantities in the unit of their dimension, or why not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

from fhir_mappings.elements import number, objects, part, words
from fhir_mappings.terminology import UCUM, UnitOfMeasure, spelling, system_uri, units


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A quantity in its dimension's unit, or why it is none. `comparator` is FHIR's, "" for an exact value."""

    value: Decimal | None
    comparator: str = ""
    refused: str = ""
    recorded: str = ""


def quantity_text(quantity: Any) -> str:
    """A quantity as received, for a card."""
    value = part(quantity, "value")
    figure = number(value)
    shown = [
        words(part(quantity, "comparator")),
        words(value) if figure is None or isinstance(value, str) else f"{figure:f}",
        words(part(quantity, "unit")) or words(part(quantity, "code")),
    ]
    return " ".join(text for text in shown if text)[:80]


def unit_in(dimension: str, quantity: Any) -> UnitOfMeasure | str:
    """The unit of a quantity, or why there is none: code with its system first, then the unit's spelling."""
    code, spelled = words(part(quantity, "code")), words(part(quantity, "unit"))
    return _unit(dimension, words(part(quantity, "system")), code, spelled)


@lru_cache(maxsize=1024)
def _unit(dimension: str, system: str, code: str, spelled: str) -> UnitOfMeasure | str:
    if not code and not spelled:
        return "its unit is missing"
    known = units(dimension)
    coded = known.ucum.get(code) if system_uri(system) in (UCUM, "") else None
    found = [unit for unit in (coded, known.spellings.get(spelling(spelled))) if unit]
    if not found:
        found = [unit for unit in (known.spellings.get(spelling(code)), known.ucum.get(spelled)) if unit]
    if not found:
        return "its unit is not one of this measurement"
    if len({(unit.factor / unit.divisor, unit.offset) for unit in found}) > 1:
        return "its unit is given in two ways that contradict each other"
    return found[0]


_LONGEST_KEPT: Final = 200
"""Characters of all parts of a quantity; real ones have some fifty."""


def measured(quantity: Any, dimension: str) -> Measured:
    """A Quantity in the dimension's unit; refused without a number or a unit of that dimension."""
    said = quantity if isinstance(quantity, dict) else next(iter(objects(quantity)), {})
    value, comparator, unit = said.get("value"), said.get("comparator"), said.get("unit")
    shown = str(value) if isinstance(value, Decimal) else ""  # 5.0 and 5.00 are equal, but are shown as received
    parts = (value, shown, comparator, unit, said.get("code"), said.get("system"))
    if sum([len(part) for part in parts if isinstance(part, str)]) > _LONGEST_KEPT:
        return _measured.__wrapped__(dimension, *parts)  # thousands of long ones would fill the memory
    try:
        return _measured(dimension, *parts)
    except TypeError:  # an object or a list where a value belongs can be kept by no cache
        return _measured.__wrapped__(dimension, *parts)


@lru_cache(maxsize=4096, typed=True)
def _measured(dimension: str, value: Any, _shown: str, comparator: Any, unit: Any, code: Any, system: Any) -> Measured:
    """Kept, for units, limits of normal and most values come again all over a chart."""
    quantity = {"value": value, "comparator": comparator, "unit": unit, "code": code, "system": system}
    recorded = quantity_text(quantity)
    figure = number(value)
    if figure is None:
        return Measured(value=None, refused="it has no readable number", recorded=recorded)
    known = unit_in(dimension, quantity)
    if isinstance(known, str):
        return Measured(value=None, refused=known, recorded=recorded)
    return Measured(value=known.converted(figure), comparator=words(comparator), recorded=recorded)


# no two parts beside each other match the same character, and the text is stripped: the time is that of its length
_IN_TEXT: Final = re.compile(
    r"(?P<comparator>[<>]=?|≤|≥)?\s*(?P<value>\d+(?:[.,]\d+)?)\s*(?P<unit>(?:10[*^]|[^\d\s]).*)?\Z"
)
_SIGNS: Final = {"≤": "<=", "≥": ">="}


def quantity_in_text(text: str) -> Mapping[str, Any]:
    """A Quantity from a text that is nothing but one ("<15 mL/min"); empty otherwise."""
    found = _IN_TEXT.match(text.strip())
    if not found:
        return {}
    comparator = found["comparator"] or ""
    return {
        "value": Decimal(found["value"].replace(",", ".")),
        "comparator": _SIGNS.get(comparator, comparator),
        "unit": found["unit"] or "",
    }
