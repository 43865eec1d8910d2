"""An order as received with another amount: wherever the amount stands, and nothing else.

Where it cannot be told with certainty what else would have to change, nothing is changed: an order that contradicts
itself is worse than one that is written anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from fhir_mappings.amounts import MG, rated, restated
from fhir_mappings.chart import Resource
from fhir_mappings.elements import items, part
from fhir_mappings.medications import dosages_of, positions_in
from fhir_mappings.quantities import measured, unit_in
from fhir_mappings.terminology import UCUM

LIMITS: Final = ("maxDosePerPeriod", "maxDosePerAdministration", "maxDosePerLifetime")
NO_WORDS: Final = frozenset({"id", "identifier", "reference", "system", "code", "url", "unit", "resourceType"})
"""Members whose texts nobody reads as a sentence."""
OF_THE_PRODUCT: Final = frozenset(
    {"medicationCodeableConcept", "medicationReference", "medication", "contained", "dosageInstruction"}
)
"""What names the product, whose strength is not the dose; and the dosages, which are looked at one by one."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """What one dose of an order is to become. Units: mg. `position` is its place in the schedule, `C1D1`."""

    mg: Decimal
    position: str


def redosed(order: Resource, changes: Mapping[int, Change]) -> dict[str, Any] | None:
    """A copy of the order with these amounts; `changes` by the place of the dose in the order, 0 for the first.

    None where it cannot be done with certainty: a dosage given on several days, an amount in vials, in text alone or
    beside limits, rates of the drug or a quantity to dispense that depend on it, and texts that would contradict it.
    Source: CDS Hooks C76; clinical rules, Given doses 8.
    """
    copy: dict[str, Any] = deepcopy(dict(order))
    dosages = [dosage for dosage, _ in dosages_of(copy)]
    if not _can_be_told_apart(copy, dosages) or not changes.keys() <= set(range(len(dosages))):
        return None
    for place, change in changes.items():
        old = _requantified(dosages[place], change.mg)
        if old is None or not _reworded(dosages[place], old, change):
            return None
        if not _rest_agrees(copy, old if len(dosages) == 1 else None, change):
            return None
    return copy


def _can_be_told_apart(order: Resource, dosages: list[Any]) -> bool:
    """Whether each dose has a dosage of its own, and nothing to dispense was counted for the amount."""
    once = all(isinstance(d, dict) and _is_given_once(d) for d in dosages)
    supply = part(order, "dispenseRequest")
    dispensed = (part(supply, "quantity"), part(supply, "initialFill", "quantity"))
    return once and not any(quantity is not None for quantity in dispensed)


def _is_given_once(dosage: Mapping[str, Any]) -> bool:
    """Whether a dosage is for one time: the due amount is that of one day, and repeated it would be the wrong one."""
    timing = dosage.get("timing")
    repeats = any(part(timing, "repeat", name) is not None for name in ("frequency", "period", "dayOfWeek"))
    is_coded = part(timing, "code") is not None
    return (
        len(items(part(timing, "event"))) <= 1
        and not is_coded
        and not (repeats and part(timing, "repeat", "count") != 1)
    )


# --- quantities -------------------------------------------------------------------------------------------------------


def _requantified(dosage: dict[str, Any], mg: Decimal) -> Decimal | None:
    """The amount in mg that stood in the quantities of the dosage, all of them now `mg`; None where not certain."""
    holders: list[dict[str, Any]] = [dosage, *(rate for rate in rated(dosage) if isinstance(rate, dict))]
    if any(part(dosage, limit) is not None for limit in LIMITS) or any(_runs_by_mass(holder) for holder in holders):
        return None
    old: set[Decimal] = set()
    for holder in holders:
        stated = _stated(holder)
        if stated is None:
            return None
        old |= stated
        if stated:
            _set_amount(holder, mg)
    return max(old) if old else None


def _stated(holder: Mapping[str, Any]) -> set[Decimal] | None:
    """The amounts in one place of a dosage, in mg; empty without one, None where one is not a plain mass."""
    quantities = [holder["doseQuantity"]] if holder.get("doseQuantity") is not None else []
    ends = part(holder, "doseRange")
    quantities += [] if ends is None else [part(ends, "low"), part(ends, "high")]
    found = [measured(quantity, MG) for quantity in quantities]
    if any(amount.value is None or amount.comparator for amount in found):
        return None
    return {amount.value for amount in found if amount.value is not None}


def _set_amount(holder: dict[str, Any], mg: Decimal) -> None:
    """One exact quantity: a range is no longer one, and another unit than mg gives way to mg."""
    was = holder.get("doseQuantity")
    kept = dict(was) if isinstance(was, dict) and measured({**was, "value": 1}, MG).value == 1 else {}
    unit = {} if kept else {"unit": "mg", "system": UCUM, "code": "mg"}
    quantity = {**kept, "value": mg, **unit}
    changed = [(name, quantity if name == "doseQuantity" else value) for name, value in holder.items()]
    changed = [("doseQuantity", quantity) if name == "doseRange" else (name, value) for name, value in changed]
    holder.clear()
    holder.update(changed)


def _runs_by_mass(holder: Mapping[str, Any]) -> bool:
    """Whether the rate is one of the drug: with another amount it would be another duration."""
    rates = [part(holder, "rateQuantity"), part(holder, "rateRange", "low"), part(holder, "rateRange", "high")]
    by_mass = any(rate is not None and not isinstance(unit_in("mass-rate", rate), str) for rate in rates)
    numerator = part(holder, "rateRatio", "numerator")
    return by_mass or (numerator is not None and not isinstance(unit_in(MG, numerator), str))


# --- texts ------------------------------------------------------------------------------------------------------------


def _reworded(dosage: dict[str, Any], old: Decimal, change: Change) -> bool:
    """Whether every text of the dosage agrees with the new amount and the position, once it is reworded."""
    for holder, key, text in list(_texts(dosage)):
        new = restated(text, old, change.mg)
        if new is None or not _names_no_other(text, change):
            return False
        holder[key] = new
    return True


def _rest_agrees(order: dict[str, Any], old: Decimal | None, change: Change) -> bool:
    """Whether the texts beside the dosages agree. `old` is None where the order has several doses: then no text may
    name an amount or a position, for it cannot be told of which.
    """
    for holder, key, text in list(_texts(order, without=OF_THE_PRODUCT)):
        new = restated(text, old if old is not None else change.mg, change.mg)
        agrees = new == text and not positions_in(text) if old is None else _names_no_other(text, change)
        if new is None or not agrees:
            return False
        holder[key] = new
    named = {name: order[name] for name in OF_THE_PRODUCT - {"dosageInstruction"} if name in order}
    return old is None or all(_names_no_other(text, change) for _, _, text in _texts(named))


def _names_no_other(text: str, change: Change) -> bool:
    return positions_in(text) <= {change.position}


def _texts(value: Any, without: frozenset[str] = frozenset()) -> Iterator[tuple[Any, Any, str]]:
    """Every text within, with what holds it and where."""
    if isinstance(value, dict):
        places: Iterator[tuple[Any, Any]] = iter([(k, v) for k, v in value.items() if k not in NO_WORDS | without])
    else:
        places = iter(list(enumerate(value)) if isinstance(value, list) else [])
    for key, inner in places:
        if isinstance(inner, str):
            yield value, key, inner
        else:
            yield from _texts(inner)
