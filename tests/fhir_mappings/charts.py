"""FHIR resources in few words, and the reading of them at one fixed moment: Tuesday 2026-01-20, 12:00 in Berlin."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from fhir_mappings.chart import Chart
from fhir_mappings.elements import Clinic
from fhir_mappings.facts import TreatmentState, When
from fhir_mappings.treatment_state import read
from tests import fingerprints

BERLIN: Final = ZoneInfo("Europe/Berlin")
NOW: Final = datetime(2026, 1, 20, 11, tzinfo=UTC)
CLINIC: Final = Clinic(zone=BERLIN, at=NOW.astimezone(BERLIN), patient_id="p1")
US: Final = {"reference": "Patient/p1"}
UCUM: Final = "http://unitsofmeasure.org"
LOINC: Final = "http://loinc.org"
SNOMED: Final = "http://snomed.info/sct"
ICD: Final = "http://hl7.org/fhir/sid/icd-10-cm"
NDC: Final = "http://hl7.org/fhir/sid/ndc"
HCPCS: Final = "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"
RXNORM: Final = "http://www.nlm.nih.gov/research/umls/rxnorm"
NCIT: Final = "http://ncicb.nci.nih.gov/xml/owl/EVS/Thesaurus.owl"

Resource = dict[str, Any]


def code(system: str, value: str, display: str = "") -> Resource:
    coding = {"system": system, "code": value}
    return {"coding": [coding | ({"display": display} if display else {})]}


def mg(value: Any) -> Resource:
    return {"value": value, "unit": "mg", "system": UCUM, "code": "mg"}


def dose(quantity: Any) -> Resource:
    return {"doseAndRate": [{"doseQuantity": quantity}]}


def order(*dosages: Any, **more: Any) -> Resource:
    """A draft order for the drug."""
    return {
        "resourceType": "MedicationRequest",
        "id": "d1",
        "status": "draft",
        "intent": "order",
        "subject": US,
        "medicationCodeableConcept": {"text": "Tarlatamab-dlle"},
        "dosageInstruction": list(dosages),
    } | more


def given(quantity: Any = None, **more: Any) -> Resource:
    """An administration of the drug."""
    made = {
        "resourceType": "MedicationAdministration",
        "id": "a1",
        "status": "completed",
        "subject": US,
        "medicationCodeableConcept": {"text": "tarlatamab"},
        "effectiveDateTime": "2026-01-06T09:00:00+01:00",
    }
    return made | ({"dosage": {"dose": quantity}} if quantity is not None else {}) | more


def condition(concept: Any, **more: Any) -> Resource:
    concept = {"text": concept} if isinstance(concept, str) else concept
    return {"resourceType": "Condition", "id": "c1", "subject": US, "code": concept} | more


def event(concept: Any, **more: Any) -> Resource:
    concept = {"text": concept} if isinstance(concept, str) else concept
    return {"resourceType": "AdverseEvent", "id": "e1", "actuality": "actual", "subject": US, "event": concept} | more


def observation(concept: Any, **more: Any) -> Resource:
    concept = {"text": concept} if isinstance(concept, str) else concept
    made = {"resourceType": "Observation", "id": "o1", "status": "final", "subject": US, "code": concept}
    return made | {"effectiveDateTime": "2026-01-19"} | more


def procedure(concept: Any, **more: Any) -> Resource:
    concept = {"text": concept} if isinstance(concept, str) else concept
    made = {"resourceType": "Procedure", "id": "r1", "status": "completed", "subject": US, "code": concept}
    return made | {"performedDateTime": "2026-01-19"} | more


def state(*resources: Any, drafts: Any = (), medications: Any = None) -> TreatmentState:
    """What these resources say, read at NOW in Berlin."""
    chart = Chart(
        patient_id="p1", draft_orders=tuple(drafts), resources=tuple(resources), medications=medications or {}
    )
    found = read(chart, zone=BERLIN, at=NOW)
    fingerprints.note(found)
    return found


def day(text: str) -> When:
    """A certain day as recorded."""
    return When(earliest=date.fromisoformat(text), latest=date.fromisoformat(text), recorded=text)
