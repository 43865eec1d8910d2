"""Bulk exports made for tests: resources as NDJSON files by type, and vignettes as an EHR would export them later."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cds_service.knowledge import loader
from tests.vignettes.build import Case

Resource = dict[str, Any]
EXPORTED = (
    "Patient",
    "Condition",
    "MedicationRequest",
    "MedicationAdministration",
    "Observation",
    "Procedure",
    "AdverseEvent",
    "AllergyIntolerance",
)


def by_type(resources: Iterable[Resource]) -> dict[str, list[Resource]]:
    """The resources of each type that the service reads; none is an empty list, as an export of none."""
    found: dict[str, list[Resource]] = {kind: [] for kind in EXPORTED}
    for resource in resources:
        found.setdefault(resource["resourceType"], []).append(resource)
    return found


def write_export(folder: Path, resources: Iterable[Resource]) -> Path:
    """An export of one file for each type; the largest types are cut in two files, the second one compressed."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind, found in by_type(resources).items():
        half = len(found) // 2 if len(found) > 3 else len(found)
        (folder / f"{kind}.000.ndjson").write_text(lines(found[:half]), encoding="utf-8")
        if found[half:]:
            (folder / f"{kind}.001.ndjson.gz").write_bytes(gzip.compress(lines(found[half:]).encode()))
    return folder


def lines(resources: Iterable[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(resource, ensure_ascii=False) + "\n" for resource in resources)


def months_later(case: Case) -> list[Resource]:
    """The record of a vignette as it is exported later: its drafts were signed at its now, and have been carried out.

    Each dose was given an hour later, the patient has had CRS since, and the orders are completed.
    """
    signed = [
        draft | {"status": "completed", "authoredOn": case.now.isoformat(), "statusReason": {"text": "done"}}
        for draft in case.drafts()
    ]
    return [*case.resources(), *signed, *_what_came_later(case, signed)]


def _what_came_later(case: Case, signed: Iterable[Resource]) -> list[Resource]:
    subject = {"reference": f"Patient/{case.patient_id}"}
    given = [
        {
            "resourceType": "MedicationAdministration",
            "id": f"later-{order['id']}",
            "status": "completed",
            "medicationCodeableConcept": order["medicationCodeableConcept"],
            "subject": subject,
            "request": {"reference": f"MedicationRequest/{order['id']}"},
            "effectiveDateTime": _after(case.now, hours=1),
            "dosage": {"dose": {"value": 1, "unit": "mg", "system": "http://unitsofmeasure.org", "code": "mg"}},
        }
        for order in signed
    ]
    crs = {
        "resourceType": "Condition",
        "id": f"later-{case.patient_id}",
        "clinicalStatus": {"coding": [{"code": "active"}]},
        "code": {"text": "Cytokine release syndrome, grade 3"},
        "subject": subject,
        "recordedDate": _after(case.now, seconds=1),
    }
    return [*given, crs]


def _after(moment: datetime, **distance: int) -> str:
    return (moment + timedelta(**distance)).isoformat()


def knowledge_with_a_limit_of_13_days(folder: Path) -> str:
    """A knowledge file in which the second dose may come 13 days after the first, in place of 14 (R1, R2)."""
    text = (Path(loader.__file__).parent / loader.PACKAGED).read_text(encoding="utf-8")
    for row, border in (("R1", "at_most"), ("R2", "more_than")):
        stands = f"- id: {row}\n        when: {{treatment_doses: {{exactly: 0}}, days_since: {{{border}: 14}}}}"
        assert stands in text
        text = text.replace(stands, stands.replace("14", "13"))
    changed = folder / "old.yaml"
    changed.write_text(text, encoding="utf-8")
    return str(changed)
