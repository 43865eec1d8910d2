"""MedicationAdministration → administrations of the drug; Procedure → claims of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fhir_mappings.amounts import NO_AMOUNT, amount_of, quantity_amount, said_amounts
from fhir_mappings.chart import Resource
from fhir_mappings.dates import first_when, when
from fhir_mappings.drugs import Medication
from fhir_mappings.elements import (
    Clinic,
    code_of,
    coded,
    identifiers,
    part,
    reference,
    reference_of,
    texts_of_notes,
    words,
)
from fhir_mappings.facts import Administration, Amount, Claim, MaybeWhen, NotRecorded, OrderedDose, When
from fhir_mappings.terminology import value_set

_STARTS = (
    "effectiveDateTime",
    "effectivePeriod",
    "effectiveTimeDateTime",
    "effectiveTimePeriod",
    "occurenceDateTime",
    "occurencePeriod",
    "occurrenceDateTime",
    "occurrencePeriod",
)
_PERIODS = ("effectivePeriod", "effectiveTimePeriod", "occurencePeriod", "occurrencePeriod")


def administration(
    resource: Resource, medication: Medication, orders: Mapping[str, tuple[OrderedDose, ...]], clinic: Clinic
) -> Administration:
    """One row of the drug, of whatever status.

    Its amount: `dosage.dose`, else that of the order it names, else what its text says.
    Source: clinical rules, Given doses 1.
    """
    start = first_when(resource, clinic.zone, *_STARTS)
    request = reference(resource.get("request")) or reference(resource.get("prescription"))
    return Administration(
        reference=reference_of(resource),
        status=status_of(resource),
        start=start,
        ended=_end(resource, clinic),
        amount=_amount(resource, medication, orders.get(request, ()), start),
        request=request,
        identifiers=identifiers(resource),
    )


def status_of(resource: Resource) -> str:
    """The status in lower case; DSTU2 and STU3 say "not given" in an element of its own."""
    if resource.get("wasNotGiven") is True or resource.get("notGiven") is True:
        return "not-done"
    return code_of(resource.get("status"))


def _end(resource: Resource, clinic: Clinic) -> MaybeWhen:
    for name in _PERIODS:
        if (end := part(resource.get(name), "end")) is not None:
            return when(end, clinic.zone, words(resource.get("resourceType")), reference_of(resource))
    return NotRecorded


def _amount(resource: Resource, medication: Medication, ordered: tuple[OrderedDose, ...], start: MaybeWhen) -> Amount:
    dosage = resource.get("dosage")
    dose = part(dosage, "dose") if part(dosage, "dose") is not None else part(dosage, "quantity")
    said = _said(dosage, texts_of_notes(resource))
    if dose is None:
        of_order = _ordered_amount(ordered, start)
        return said if of_order.mg is None and said.mg is not None else of_order
    given = quantity_amount(dose, medication.names)
    if given.mg is None and said.mg is not None:
        return Amount(mg=said.mg, recorded=f"{given.recorded}; {said.recorded}".strip("; "))
    return given


def _said(dosage: Any, notes: tuple[str, ...]) -> Amount:
    """An amount in the text counts as recorded; several, or vials, do not settle it."""
    found = amount_of({"text": part(dosage, "text")} if not isinstance(dosage, str) else dosage, notes, ())
    if found.mg is None or any(said.why for said in said_amounts((found.recorded,))):
        return found
    return Amount(mg=found.mg, recorded=found.recorded)


def _ordered_amount(ordered: tuple[OrderedDose, ...], start: MaybeWhen) -> Amount:
    """The amount of the order: of its only dose, of the one for this day, or the one that all its doses share."""
    amounts = {dose.amount.mg: dose.amount for dose in ordered}
    if len(amounts) > 1:
        on_day = {dose.amount.mg: dose.amount for dose in ordered if _same_day(dose.day, start)}
        amounts = on_day if len(on_day) == 1 else {}
        if not amounts:
            return Amount(mg=None, doubt="no amount is stated, and its order has doses of several amounts")
    return next(iter(amounts.values()), NO_AMOUNT)


def _same_day(day: MaybeWhen, other: MaybeWhen) -> bool:
    return (
        isinstance(day, When)
        and isinstance(other, When)
        and day.earliest <= other.latest
        and other.earliest <= day.latest
    )


def is_claimed(procedure: Resource) -> bool:
    """Whether a Procedure is coded as a billing claim of the drug, and was done."""
    if code_of(procedure.get("status")) in ("entered-in-error", "not-done"):
        return False
    return coded(procedure.get("code"), value_set("drug", "claim")) is not None


def claim(procedure: Resource, clinic: Clinic) -> Claim | None:
    """A Procedure coded as a billing claim of the drug; None if it is none."""
    if not is_claimed(procedure):
        return None
    names = ("performedDateTime", "performedPeriod", "occurrenceDateTime", "occurrencePeriod")
    return Claim(reference=reference_of(procedure), day=first_when(procedure, clinic.zone, *names))
