"""MedicationAdministration → administrations of the drug; Procedure → claims of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fhir_mappings.amounts import NO_AMOUNT, amount_of, quantity_amount, said_amounts
from fhir_mappings.chart import Resource
from fhir_mappings.dates import end_of, first_when
from fhir_mappings.drugs import Medication
from fhir_mappings.elements import (
    Clinic,
    coded,
    identifiers,
    part,
    reference,
    reference_of,
    status_of,
    texts_of_notes,
)
from fhir_mappings.facts import Administration, Amount, Claim, MaybeWhen, OrderedDose, When
from fhir_mappings.terminology import value_set
from fhir_mappings.versions import DOSE_GIVEN, GIVEN, PERFORMED


def administration(
    resource: Resource, medication: Medication, orders: Mapping[str, tuple[OrderedDose, ...]], clinic: Clinic
) -> Administration:
    """One row of the drug, of whatever status.

    Its amount: `dosage.dose`, else that of the order it names, else what its text says.
    Source: clinical rules, Given doses 1.
    """
    start = first_when(resource, clinic.zone, *GIVEN)
    request = reference(resource.get("request")) or reference(resource.get("prescription"))
    return Administration(
        reference=reference_of(resource),
        status=status_of(resource),
        start=start,
        ended=end_of(resource, clinic, GIVEN),
        amount=_amount(resource, medication, orders.get(request, ()), start),
        request=request,
        identifiers=identifiers(resource),
    )


def _amount(resource: Resource, medication: Medication, ordered: tuple[OrderedDose, ...], start: MaybeWhen) -> Amount:
    dosage = resource.get("dosage")
    doses = (part(dosage, *path) for path in DOSE_GIVEN)
    dose = next((found for found in doses if found is not None), None)
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
    if status_of(procedure) in ("entered-in-error", "not-done"):
        return False
    return coded(procedure.get("code"), value_set("drug", "claim")) is not None


def claim(procedure: Resource, clinic: Clinic) -> Claim | None:
    """A Procedure coded as a billing claim of the drug; None if it is none."""
    if not is_claimed(procedure):
        return None
    return Claim(reference=reference_of(procedure), day=first_when(procedure, clinic.zone, *PERFORMED))
