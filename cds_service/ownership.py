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
    owners = {_by_reference(resource[member], patient_id) for member in _MEMBERS if resource.get(member)}
    for found in (Owner.ANOTHER_PATIENT, Owner.UNNAMED, Owner.THIS_PATIENT):
        if found in owners:
            return found
    return Owner.UNNAMED if kind in NAMES_A_PATIENT else Owner.NOBODY


def _by_id(named: str, patient_id: str) -> Owner:
    return Owner.THIS_PATIENT if named == patient_id else Owner.ANOTHER_PATIENT


def _by_reference(value: Any, patient_id: str) -> Owner:
    texts = [value] if isinstance(value, str) else [words(found.get("reference")) for found in objects(value)]
    owners = {_by_text(text.strip(), patient_id) for text in texts}
    for found in (Owner.ANOTHER_PATIENT, Owner.UNNAMED, Owner.THIS_PATIENT):
        if found in owners:
            return found
    return Owner.UNNAMED


def _by_text(text: str, patient_id: str) -> Owner:
    found = _PATIENT.search(text)
    return _by_id(found[1], patient_id) if found else Owner.UNNAMED
