"""Whose resource is it? Only what is certainly this patient's may be used."""

from __future__ import annotations

import re
from enum import Enum
from typing import Any, Final

from fhir_mappings.chart import Resource
from fhir_mappings.elements import objects, words


class Owner(Enum):
    """`NOBODY`: a kind of resource that has no patient. `UNNAMED`: one that should name its patient and does not."""

    THIS_PATIENT = "this patient"
    ANOTHER_PATIENT = "another patient"
    UNNAMED = "unnamed"
    NOBODY = "nobody"


NAMES_A_PATIENT: Final = frozenset(
    {
        "AdverseEvent",
        "AllergyIntolerance",
        "Condition",
        "DiagnosticReport",
        "Encounter",
        "Immunization",
        "MedicationAdministration",
        "MedicationDispense",
        "MedicationOrder",
        "MedicationRequest",
        "MedicationStatement",
        "Observation",
        "Patient",
        "Procedure",
        "ProcedureRequest",
        "ServiceRequest",
    }
)
"""Kinds that the record is read from, and that say nothing until they say of whom."""

_MEMBERS: Final = ("subject", "patient")
_PATIENT: Final = re.compile(r"(?:^|/)Patient/([A-Za-z0-9._-]+)(?:/_history/[^/]*)?/?$")


def owner(resource: Resource, patient_id: str) -> Owner:
    """Whose it is, by `Patient.id`, `subject` and `patient`; the reference may be relative or absolute (C40).

    One member that names another patient outweighs one that names this one. A group, a device or a reference that
    only some server could resolve names no patient.
    """
    kind = resource.get("resourceType")
    if kind == "Patient":
        named = words(resource.get("id"))
        return _by_id(named, patient_id) if named else Owner.UNNAMED
    subject = resource.get("subject")
    if isinstance(subject, dict) and subject.get("reference") == f"Patient/{patient_id}" and "patient" not in resource:
        return Owner.THIS_PATIENT  # nearly always
    named_by = [value for member in _MEMBERS if (value := resource.get(member))]
    if not named_by:
        return Owner.UNNAMED if kind in NAMES_A_PATIENT else Owner.NOBODY
    return _strictest([_by_reference(value, patient_id) for value in named_by])


def _strictest(owners: list[Owner]) -> Owner:
    return next((found for found in (Owner.ANOTHER_PATIENT, Owner.UNNAMED) if found in owners), Owner.THIS_PATIENT)


def _by_id(named: str, patient_id: str) -> Owner:
    return Owner.THIS_PATIENT if named == patient_id else Owner.ANOTHER_PATIENT


def _by_reference(value: Any, patient_id: str) -> Owner:
    if isinstance(value, str):
        return _by_text(value, patient_id)
    references = [_by_text(words(found.get("reference")), patient_id) for found in objects(value)]
    return _strictest(references or [Owner.UNNAMED])


def _by_text(text: str, patient_id: str) -> Owner:
    found = _PATIENT.search(text.strip())
    return _by_id(found[1], patient_id) if found else Owner.UNNAMED
