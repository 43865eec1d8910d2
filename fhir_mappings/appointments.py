"""Appointment → proposed visits for an infusion of the drug: by what it names, or by the order that it is based on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from typing import Any, Final
from zoneinfo import ZoneInfo

from fhir_mappings.chart import Resource
from fhir_mappings.dates import first_when, when
from fhir_mappings.drugs import Medication, Recognition, is_the_drug, kind_of, medication_of
from fhir_mappings.elements import (
    Clinic,
    all_texts,
    code_of,
    codings,
    contained,
    objects,
    part,
    reference,
    reference_of,
    texts_of_notes,
    unreadable,
    words,
)
from fhir_mappings.facts import VISIT, MaybeWhen, ProposedVisit, Unknown, When

Recogniser = Callable[[str], Recognition | None]
_TEXTS: Final = ("description", "comment", "patientInstruction")
_CONCEPTS: Final = ("serviceCategory", "serviceType", "reasonCode", "reason")
_LINKS: Final = ("basedOn", "reasonReference", "reason", "supportingInformation")
_ORDERS: Final = ("MedicationRequest", "MedicationOrder")
_NOT_TO_COME: Final = frozenset({"cancelled", "noshow", "entered-in-error"})


def may_be_an_infusion(appointment: Resource) -> bool:
    """Whether an appointment names the drug or leads to an order that may be of it: then the record is worth reading.

    Source: clinical-rules "The other hooks".
    """
    return _is_to_come(appointment) and (_names_the_drug(appointment) or any(_orders(appointment)))


def visit_of(appointment: Resource, recognised: Recogniser, clinic: Clinic) -> ProposedVisit | Unknown | None:
    """The proposed visit for an infusion of the drug; None where the appointment is none, or cannot be told to be one.

    Units/shape: the day of `start`, else all days of the first `requestedPeriod`, in the clinic's zone.
    Unknown: without a readable day, of another patient, or based on an order that is not on record.
    Source: clinical-rules "The other hooks".
    """
    if not _is_to_come(appointment):
        return None
    kinds = [Recognition.DRUG] if _names_the_drug(appointment) else []
    kinds += [_kind_of_order(pointer, appointment, recognised) for pointer in _orders(appointment)]
    if Recognition.DRUG not in kinds:
        is_open = Recognition.UNREADABLE in kinds
        return _unknown(appointment, "the order that it is based on could not be read") if is_open else None
    if _is_another_patients(appointment, clinic):
        return _unknown(appointment, "it belongs to another patient and was not used")
    day = _day(appointment, clinic.zone)
    if not isinstance(day, When):
        return _unknown(appointment, "it states no day that can be read")
    return ProposedVisit(reference=reference_of(appointment), day=day)


def _unknown(appointment: Resource, why: str) -> Unknown:
    return replace(unreadable(appointment, why), what=VISIT)


def _is_to_come(appointment: Resource) -> bool:
    is_one = words(appointment.get("resourceType")) == "Appointment"
    return is_one and code_of(appointment.get("status")) not in _NOT_TO_COME


# --- what it is for -------------------------------------------------------------------------------------------------


def _names_the_drug(appointment: Resource) -> bool:
    """By any code of the drug, or by its name in any of the appointment's own words."""
    concepts = [value for name in _CONCEPTS for value in _concepts(appointment.get(name))]
    named = [text for concept in concepts for text in all_texts(concept)]
    named += [words(appointment.get(name)) for name in _TEXTS]
    named += [*texts_of_notes(appointment), *(words(link.get("display")) for link in _links(appointment))]
    coded = tuple(coding for concept in concepts for coding in codings(concept))
    return is_the_drug(Medication(codings=coded, names=tuple(text for text in named if text)))


def _concepts(value: Any) -> Iterator[Any]:
    """A CodeableConcept, or the one of a CodeableReference (R5)."""
    for holder in objects(value):
        inner = part(holder, "concept")
        yield holder if inner is None else inner


def _links(appointment: Resource) -> Iterator[Resource]:
    """What the appointment refers to; in R5 the reference stands one level deeper."""
    for name in _LINKS:
        for holder in objects(appointment.get(name)):
            inner = holder.get("reference")
            yield inner if isinstance(inner, dict) else holder


def _orders(appointment: Resource) -> Iterator[str]:
    """The medication orders that it refers to; a contained resource is looked into."""
    for link in _links(appointment):
        pointer = reference(link)
        if pointer.startswith(("#", *(f"{kind}/" for kind in _ORDERS))):
            yield pointer


def _kind_of_order(pointer: str, appointment: Resource, recognised: Recogniser) -> Recognition:
    """Whether the order is of the drug; an order that is not on record may be of any."""
    if not pointer.startswith("#"):
        return recognised(pointer) or Recognition.UNREADABLE
    inner = contained(appointment, pointer)
    if inner is None or words(inner.get("resourceType")) not in _ORDERS:
        return Recognition.OTHER
    return kind_of(medication_of(inner, {}))


# --- whose and when -------------------------------------------------------------------------------------------------


def _is_another_patients(appointment: Resource, clinic: Clinic) -> bool:
    """Whether it names patients, and not this one."""
    named = {reference(part(entry, "actor")) for entry in objects(appointment.get("participant"))}
    named.add(reference(appointment.get("subject")))
    patients = {pointer for pointer in named if pointer.startswith("Patient/")}
    return bool(patients) and clinic.patient not in patients


def _day(appointment: Resource, zone: ZoneInfo) -> MaybeWhen:
    if appointment.get("start") is not None:
        return first_when(appointment, zone, "start")
    period = part(appointment, "requestedPeriod")
    first, last = when(part(period, "start"), zone), when(part(period, "end"), zone)
    if not isinstance(first, When) or not isinstance(last, When):
        return first
    return When(earliest=first.earliest, latest=_later(first, last))


def _later(first: When, last: When) -> date:
    """An end before the start is none."""
    return max(first.latest, last.latest)
