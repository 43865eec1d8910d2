"""Vasopressors being given, breathing support, and other T-cell engagers on record."""

from __future__ import annotations

from typing import Any, Final

from fhir_mappings.administrations import status_of
from fhir_mappings.chart import Resource
from fhir_mappings.conditions import NOT_PERFORMED
from fhir_mappings.dates import first_when, is_over, when
from fhir_mappings.dosage import route_of
from fhir_mappings.drugs import Medication, known_as
from fhir_mappings.elements import Clinic, all_texts, code_of, objects, part, reference_of, texts_of_notes
from fhir_mappings.facts import MaybeWhen, OtherEngager, Route, Support, SupportKind
from fhir_mappings.observations import day_of, holders, value_of
from fhir_mappings.terminology import normalised, value_set
from fhir_mappings.wording import affirmed

_KINDS: Final = {
    "vasopressor": SupportKind.VASOPRESSOR,
    "vasopressin": SupportKind.VASOPRESSIN,
    "high-flow-oxygen": SupportKind.HIGH_FLOW_OXYGEN,
    "positive-pressure": SupportKind.POSITIVE_PRESSURE,
}
_STARTS: Final = ("effectiveDateTime", "effectivePeriod", "effectiveTimeDateTime", "effectiveTimePeriod")
_PERFORMED: Final = ("performedDateTime", "performedPeriod", "occurrenceDateTime", "occurrencePeriod")
_NEVER_GIVEN: Final = ("not-done", "entered-in-error", "cancelled", "draft")


_NOT_RUNNING: Final = frozenset({"completed", "stopped", "on-hold", "not-done", "entered-in-error"})
"""Without one of these, also with a status that is none, what was started may be running."""


def pressor_given(administration: Resource, medication: Medication, clinic: Clinic) -> Support | None:
    """A vasopressor that is being given now: an administration in progress whose end has not come."""
    end = when(part(administration.get("effectivePeriod"), "end"), clinic.zone)
    if status_of(administration) in _NOT_RUNNING or is_over(end, clinic):
        return None
    return _pressor(
        administration, medication, administration.get("dosage"), first_when(administration, clinic.zone, *_STARTS)
    )


def pressor_ordered(order: Resource, medication: Medication, clinic: Clinic) -> Support | None:
    """A vasopressor on an active order that is not "as needed" and not past its bounds."""
    dosage = order.get("dosageInstruction")
    end = when(part(dosage, "timing", "repeat", "boundsPeriod", "end"), clinic.zone)
    as_needed = part(dosage, "asNeededBoolean") is True or objects(part(dosage, "asNeededCodeableConcept"))
    if code_of(order.get("status")) != "active" or as_needed or is_over(end, clinic):
        return None
    return _pressor(order, medication, dosage, first_when(order, clinic.zone, "authoredOn", "dateWritten"))


def _pressor(resource: Resource, medication: Medication, dosage: Any, at: MaybeWhen) -> Support | None:
    found = known_as(medication, value_set("other-drugs", "vasopressor", "vasopressin"))
    if found is None or route_of(dosage)[0] is Route.OTHER:  # a pressor into muscle treats an allergy
        return None
    return Support(reference=reference_of(resource), kind=_KINDS[found.meaning], name=found.code, at=at)


def breathing_support(procedure: Resource, clinic: Clinic) -> tuple[Support, ...]:
    """Mask, high flow, CPAP, BiPAP or ventilation by a Procedure that has not ended before now."""
    if code_of(procedure.get("status")) in NOT_PERFORMED:
        return ()
    at = first_when(procedure, clinic.zone, *_PERFORMED)
    end = when(part(procedure.get("performedPeriod"), "end"), clinic.zone)
    if is_over(end, clinic):
        return ()
    texts = (
        *all_texts(procedure.get("code")),
        *(t for used in objects(procedure.get("usedCode")) for t in all_texts(used)),
    )
    return _supports(procedure, texts, at)


def breathing_support_observed(observation: Resource, clinic: Clinic) -> tuple[Support, ...]:
    """The same by the text of an Observation about oxygen or breathing, or of the device that made it."""
    texts = [*all_texts(part(observation, "device", "display")), *texts_of_notes(observation)]
    context = value_set("supports", "context")
    for holder in holders(observation):
        value = value_of(holder)
        if isinstance(value, str | dict) and any(
            context.mentions(normalised(t)) for t in all_texts(holder.get("code"))
        ):
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
    day = first_when(resource, clinic.zone, *_STARTS, "authoredOn", "dateWritten")
    return OtherEngager(reference=reference_of(resource), name=found.code, day=day)


def engager_procedure(procedure: Resource, clinic: Clinic) -> OtherEngager | None:
    """CAR-T or another engager by a Procedure that was performed."""
    if code_of(procedure.get("status")) in NOT_PERFORMED:
        return None
    found = affirmed(
        (*all_texts(procedure.get("code")), *texts_of_notes(procedure)), value_set("other-drugs", "engager")
    )
    if not found:
        return None
    day = first_when(procedure, clinic.zone, *_PERFORMED)
    return OtherEngager(reference=reference_of(procedure), name=found[0].concept.code, day=day)
