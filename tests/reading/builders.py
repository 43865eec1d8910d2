"""Small resources of the patient p1, and a call's reading with as little said as possible."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from cds_service.fhir_client import FhirReader
from cds_service.patient_record import gather
from cds_service.prefetch import PREFETCH
from fhir_mappings.chart import Chart
from fhir_mappings.facts import Reading

P1: Final = "Patient/p1"
KEYS: Final = tuple(template.key for template in PREFETCH)
EMPTY: Final = {"resourceType": "Bundle", "type": "searchset", "total": 0}


def resource(kind: str, identity: str, subject: str | None = P1, **more: Any) -> dict[str, Any]:
    member = "patient" if kind == "AllergyIntolerance" else "subject"
    named = {member: {"reference": subject}} if subject is not None else {}
    return {"resourceType": kind, "id": identity, **named, **more}


def bundle(*resources: Any, **more: Any) -> dict[str, Any]:
    entries = [{"resource": entry} for entry in resources]
    return {"resourceType": "Bundle", "type": "searchset", "entry": entries, **more}


def outcome(*severities: str) -> dict[str, Any]:
    issues = [{"severity": severity, "code": "processing"} for severity in severities]
    return {"resourceType": "OperationOutcome", "issue": issues}


def whole_prefetch(**values: Any) -> dict[str, Any]:
    """Every key of the contract: the patient, and nothing else on record but what is named."""
    patient = {"resourceType": "Patient", "id": "p1"}
    return {**{key: patient if key == "patient" else EMPTY for key in KEYS}, **values}


def read(
    prefetch: Mapping[str, Any] | None = None,
    *,
    drafts: Mapping[str, Any] | None = None,
    reader: FhirReader | None = None,
    patient_id: str = "p1",
    search_texts: bool = False,
) -> Chart:
    return gather(
        patient_id=patient_id,
        draft_orders=drafts,
        selections=None,
        prefetch=prefetch,
        reader=reader,
        search_texts=search_texts,
    )


def ids(chart: Chart) -> list[str]:
    return [f"{found['resourceType']}/{found.get('id')}" for found in chart.resources]


def reading(chart: Chart, key: str) -> tuple[Reading, str]:
    return chart.needs[key].reading, chart.needs[key].why


def readings(chart: Chart, reading: Reading) -> list[str]:
    return [key for key, need in chart.needs.items() if need.reading is reading]


def unknowns(chart: Chart) -> list[tuple[str, str, str, bool]]:
    return [(found.what, found.reference, found.why, found.foreign) for found in chart.unknowns]
