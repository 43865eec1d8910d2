"""Breastfeeding and delivery."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from fhir_mappings.answers import answer_of, said_in
from fhir_mappings.chart import Resource
from fhir_mappings.conditions import NOT_PERFORMED, holding, is_dropped, recorded_day
from fhir_mappings.dates import first_when
from fhir_mappings.elements import Clinic, concepts, reference_of, status_of
from fhir_mappings.facts import FeedingFinding, FeedingRecord, NotRecorded
from fhir_mappings.observations import day_of, is_said_absent, subject_of, value_of
from fhir_mappings.terminology import Concept, ValueSet, value_set
from fhir_mappings.versions import PERFORMED, REASONS

_FEEDING: Final = {
    "breastfeeding": FeedingFinding.BREASTFEEDING,
    "not-breastfeeding": FeedingFinding.NOT_BREASTFEEDING,
    "delivery": FeedingFinding.DELIVERY,
    "uncertain": FeedingFinding.UNCERTAIN,
}
_ANSWERS: Final = {
    "positive": FeedingFinding.BREASTFEEDING,
    "negative": FeedingFinding.NOT_BREASTFEEDING,
}


def feeding_observed(observation: Resource, clinic: Clinic) -> FeedingRecord | None:
    """A breastfeeding status; UNCERTAIN if its value cannot be read."""
    if subject_of(observation.get("code"), value_set("feeding", "status")) is None or is_said_absent(observation):
        return None
    value = value_of(observation)
    known = value_set("feeding", "breastfeeding", "not-breastfeeding", "uncertain", "none")
    found = _said(value, known)
    answer = ("positive" if value else "negative") if isinstance(value, bool) else answer_of(value)
    finding = (_FEEDING.get(found.meaning) if found else None) or _ANSWERS.get(answer, FeedingFinding.UNCERTAIN)
    return FeedingRecord(reference=reference_of(observation), finding=finding, day=day_of(observation, clinic))


def _said(concept: Any, known: ValueSet) -> Concept | None:
    """What a concept says of feeding or delivery; that there is no breastfeeding not by the display of any code."""
    found = said_in(concept, known, trust_displays=True)
    if found is None or found.meaning != "not-breastfeeding":
        return found
    return said_in(concept, known, trust_displays=False)


def feeding_condition(condition: Resource, clinic: Clinic) -> FeedingRecord | None:
    """Breastfeeding or a delivery by a Condition; breastfeeding that has ended is none any more."""
    found = _said(condition.get("code"), value_set("feeding", *_FEEDING, "none"))
    if found is None or found.meaning not in _FEEDING or is_dropped(condition):
        return None
    held = holding(condition, clinic)
    record = FeedingRecord(
        reference=reference_of(condition), finding=_FEEDING[found.meaning], day=recorded_day(condition, clinic)
    )
    if record.finding is FeedingFinding.BREASTFEEDING and not held.is_open:
        record = replace(
            record,
            finding=FeedingFinding.NOT_BREASTFEEDING,
            day=held.end if held.end is not NotRecorded else record.day,
        )
    return record


def delivery_event(resource: Resource, clinic: Clinic) -> FeedingRecord | None:
    """A delivery by a Procedure or an Encounter."""
    if status_of(resource) in (*NOT_PERFORMED, "cancelled", "planned"):
        return None
    known, named = value_set("feeding", "delivery", "none"), concepts(resource, "code", "type", *REASONS)
    found = next((c for concept in named if (c := said_in(concept, known, trust_displays=True)) is not None), None)
    if found is None or found.meaning != "delivery":
        return None
    day = first_when(resource, clinic.zone, *PERFORMED, "period", "actualPeriod")
    return FeedingRecord(reference=reference_of(resource), finding=FeedingFinding.DELIVERY, day=day)
