"""Short stories of one patient as an export holds them; moments are written as in FHIR."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from cds_service.replay.moment import Moment, moment_of

Resource = dict[str, Any]
BERLIN = ZoneInfo("Europe/Berlin")
SIGNED = "2026-03-10T14:00:00+01:00"
A_SECOND_LATER = "2026-03-10T14:00:01+01:00"
TARLATAMAB: Resource = {"text": "tarlatamab-dlle (IMDELLTRA) IV infusion"}
STEROID: Resource = {"text": "dexamethasone sodium phosphate injection"}


def moment(authored: str = SIGNED) -> Moment:
    found = moment_of({"resourceType": "MedicationRequest", "authoredOn": authored}, BERLIN)
    assert isinstance(found, Moment)
    return found


def resource(kind: str, identity: str = "x", **elements: Any) -> Resource:
    whose = "patient" if kind == "AllergyIntolerance" else "subject"
    return {"resourceType": kind, "id": identity, whose: {"reference": "Patient/p"}, **elements}


def order(identity: str = "o", mg: int = 10, authored: str | None = SIGNED, **elements: Any) -> Resource:
    """An order of the drug, carried out since."""
    made = resource(
        "MedicationRequest",
        identity,
        status="completed",
        intent="order",
        medicationCodeableConcept=TARLATAMAB,
        dosageInstruction=[
            {
                "route": {"coding": [{"system": "http://snomed.info/sct", "code": "47625008"}]},
                "timing": {"repeat": {"duration": 60, "durationUnit": "min"}},
                "doseAndRate": [{"doseQuantity": quantity(mg)}],
            }
        ],
    )
    return made | ({"authoredOn": authored} if authored else {}) | elements


def dose(identity: str, at: str, mg: int = 10, **elements: Any) -> Resource:
    """A dose of the drug, given."""
    return resource(
        "MedicationAdministration",
        identity,
        status="completed",
        medicationCodeableConcept=TARLATAMAB,
        effectiveDateTime=at,
        dosage={"dose": quantity(mg)},
        **elements,
    )


def quantity(mg: int) -> Resource:
    return {"value": mg, "unit": "mg", "system": "http://unitsofmeasure.org", "code": "mg"}


def updated(at: str, version: str = "1") -> Resource:
    return {"meta": {"lastUpdated": at, "versionId": version}}


def status(code: str) -> Resource:
    return {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": code}]}
