"""Vasopressors being given, breathing support, and other T-cell engagers on record."""

from __future__ import annotations

from typing import Any, Final

from fhir_mappings.chart import Resource
from fhir_mappings.conditions import NOT_PERFORMED
from fhir_mappings.dates import end_of, first_when, is_over, when
from fhir_mappings.dosage import route_of
from fhir_mappings.drugs import Medication, known_as
from fhir_mappings.elements import (
    Clinic,
    all_texts,
    code_of,
    concepts,
    is_mentioned,
    objects,
    part,
    read_concept,
    reference_of,
    status_of,
    texts_of_notes,
)
from fhir_mappings.facts import MaybeWhen, OtherEngager, Route, Support, SupportKind
from fhir_mappings.observations import day_of, holders, value_of
from fhir_mappings.terminology import value_set
from fhir_mappings.versions import GIVEN, PERFORMED, WRITTEN
from fhir_mappings.wording import affirmed

_KINDS: Final = {
    "vasopressor": SupportKind.VASOPRESSOR,
    "vasopressin": SupportKind.VASOPRESSIN,
    "high-flow-oxygen": SupportKind.HIGH_FLOW_OXYGEN,
    "positive-pressure": SupportKind.POSITIVE_PRESSURE,
}
_NEVER_GIVEN: Final = ("not-done", "entered-in-error", "cancelled", "draft")


_NOT_RUNNING: Final = frozenset({"completed", "stopped", "on-hold", "not-done", "entered-in-error"})
"""Without one of these, also with a status that is none, what was started may be running."""


def pressor_given(administration: Resource, medication: Medication, clinic: Clinic) -> Support | None:
    """A vasopressor that is being given now: an administration in progress whose end has not come."""
    end = end_of(administration, clinic, GIVEN)
    if status_of(administration) in _NOT_RUNNING or is_over(end, clinic):
        return None
    return _pressor(
        administration, medication, administration.get("dosage"), first_when(administration, clinic.zone, *GIVEN)
    )


def pressor_ordered(order: Resource, medication: Medication, clinic: Clinic) -> Support | None:
    """A vasopressor on an active order that is not "as needed" and not past its bounds."""
    dosage = order.get("dosageInstruction")
    end = when(part(dosage, "timing", "repeat", "boundsPeriod", "end"), clinic.zone)
    as_needed = any(part(dosage, name) is True for name in ("asNeededBoolean", "asNeeded"))
    as_needed = as_needed or any(objects(part(dosage, name)) for name in ("asNeededCodeableConcept", "asNeededFor"))
    if code_of(order.get("status")) != "active" or as_needed or is_over(end, clinic):
        return None
    return _pressor(order, medication, dosage, first_when(order, clinic.zone, *WRITTEN))


def _pressor(resource: Resource, medication: Medication, dosage: Any, at: MaybeWhen) -> Support | None:
    found = known_as(medication, value_set("other-drugs", "vasopressor", "vasopressin"))
    if found is None or route_of(dosage)[0] is Route.OTHER:  # a pressor into muscle treats an allergy
        return None
    return Support(reference=reference_of(resource), kind=_KINDS[found.meaning], name=found.code, at=at)


def breathing_support(procedure: Resource, clinic: Clinic) -> tuple[Support, ...]:
    """Mask, high flow, CPAP, BiPAP or ventilation by a Procedure that has not ended before now."""
    if status_of(procedure) in NOT_PERFORMED:
        return ()
    at = first_when(procedure, clinic.zone, *PERFORMED)
    if is_over(end_of(procedure, clinic, PERFORMED), clinic):
        return ()
    texts = (
        *all_texts(procedure.get("code")),
        *(t for used in concepts(procedure, "usedCode", "used") for t in all_texts(used)),
    )
    return _supports(procedure, texts, at)


def breathing_support_observed(observation: Resource, clinic: Clinic) -> tuple[Support, ...]:
    """The same by the text of an Observation about oxygen or breathing, or of the device that made it."""
    texts = [*all_texts(part(observation.get("device"), "display")), *texts_of_notes(observation)]
    context = value_set("supports", "context")
    for holder in holders(observation):
        value = value_of(holder)
        if isinstance(value, (str, dict)) and read_concept(holder.get("code")).answer(is_mentioned, context):
            texts += all_texts(value)
    return _supports(observation, tuple(texts), day_of(observation, clinic)) if texts else ()


def _supports(resource: Resource, texts: tuple[str, ...], at: MaybeWhen) -> tuple[Support, ...]:
    named = {s.concept.meaning: s.concept.code for s in affirmed(texts, value_set("supports", *_KINDS, "none"))}
    return tuple(
        Support(reference=reference_of(resource), kind=kind, name=named[meaning], at=at)
        for meaning, kind in _KINDS.items()
        if meaning in named
    )


def engager_medication(resource: Resource, medication: Medication, clinic: Clinic) -> OtherEngager | None:
    """Another T-cell engager or a CAR-T product by an order or administration that was not withdrawn."""
    found = known_as(medication, value_set("other-drugs", "engager"))
    if found is None or status_of(resource) in _NEVER_GIVEN:
        return None
    day = first_when(resource, clinic.zone, *GIVEN, *WRITTEN)
    return OtherEngager(reference=reference_of(resource), name=found.code, day=day)


def engager_procedure(procedure: Resource, clinic: Clinic) -> OtherEngager | None:
    """CAR-T or another engager by a Procedure that was performed."""
    if status_of(procedure) in NOT_PERFORMED:
        return None
    found = affirmed(
        (*all_texts(procedure.get("code")), *texts_of_notes(procedure)), value_set("other-drugs", "engager")
    )
    if not found:
        return None
    day = first_when(procedure, clinic.zone, *PERFORMED)
    return OtherEngager(reference=reference_of(procedure), name=found[0].concept.code, day=day)
