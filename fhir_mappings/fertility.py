"""Reproductive potential and contraception."""

from __future__ import annotations

from typing import Final

from fhir_mappings.answers import said_in
from fhir_mappings.chart import Resource
from fhir_mappings.conditions import NOT_PERFORMED, holding, recorded_day
from fhir_mappings.dates import first_when
from fhir_mappings.drugs import Medication, known_as
from fhir_mappings.elements import Clinic, all_texts, code_of, reference_of, status_of, words
from fhir_mappings.facts import FertilityFinding, FertilityRecord
from fhir_mappings.observations import day_of, subject_of, value_of
from fhir_mappings.terminology import value_set
from fhir_mappings.versions import PERFORMED, WRITTEN

_FERTILITY: Final = {
    "no-uterus": FertilityFinding.NO_UTERUS,
    "uterus": FertilityFinding.UTERUS_EVIDENCE,
    "sterilised": FertilityFinding.STERILISED,
    "menopause": FertilityFinding.MENOPAUSE,
    "effective": FertilityFinding.EFFECTIVE_CONTRACEPTION,
    "answer": FertilityFinding.EFFECTIVE_CONTRACEPTION,
    "other-method": FertilityFinding.OTHER_CONTRACEPTION,
}
_LASTING: Final = ("no-uterus", "sterilised", "menopause")
_FROM_CONDITION: Final = (*_LASTING, "uterus", "effective", "other-method", "none")


def fertility_record(resource: Resource, clinic: Clinic) -> FertilityRecord | None:
    """What a Condition or Procedure says of reproductive potential.

    Only confirmed, own words or known codes count; a method counts only while it is in use.
    """
    is_procedure = words(resource.get("resourceType")) == "Procedure"
    found = said_in(resource.get("code"), value_set("fertility", *_FROM_CONDITION), trust_displays=False)
    if found is None or found.meaning not in _FERTILITY:
        return None
    if is_procedure:
        if status_of(resource) in NOT_PERFORMED:
            return None
        day = first_when(resource, clinic.zone, *PERFORMED)
    else:
        held, day = holding(resource, clinic), recorded_day(resource, clinic)
        if not held.is_confirmed or (found.meaning not in _LASTING and not held.is_open):
            return None
    name = next(iter(all_texts(resource.get("code"))), found.code)[:80]
    return FertilityRecord(reference=reference_of(resource), finding=_FERTILITY[found.meaning], name=name, day=day)


def contraception_observed(observation: Resource, clinic: Clinic) -> FertilityRecord | None:
    """The contraceptive method that an Observation names; None without one."""
    if subject_of(observation.get("code"), value_set("fertility", "method")) is None:
        return None
    value = value_of(observation)
    known = value_set("fertility", "effective", "answer", "other-method", "sterilised", "no-uterus", "none")
    found = said_in(value, known, trust_displays=True)
    if found is None or found.meaning not in _FERTILITY:
        return None
    finding = _FERTILITY[found.meaning]
    if found.meaning in _LASTING and said_in(value, known, trust_displays=False) is None:
        finding = FertilityFinding.EFFECTIVE_CONTRACEPTION  # by a display: a method, no proof of infertility
    name = next(iter(all_texts(value)), found.code)[:80]
    return FertilityRecord(
        reference=reference_of(observation), finding=finding, name=name, day=day_of(observation, clinic)
    )


def contraceptive_order(order: Resource, medication: Medication, clinic: Clinic) -> FertilityRecord | None:
    """An effective contraceptive on an active order."""
    found = known_as(medication, value_set("other-drugs", "effective-contraceptive"))
    if found is None or code_of(order.get("status")) != "active":
        return None
    return FertilityRecord(
        reference=reference_of(order),
        finding=FertilityFinding.EFFECTIVE_CONTRACEPTION,
        name=found.code,
        day=first_when(order, clinic.zone, *WRITTEN),
    )
