"""What one order-sign call costs: median and slowest CPU milliseconds, in process, with about 200 KB of prefetch.

    .venv/bin/python bench/order_sign.py [CALLS]

The target is a median under 10 ms. Absolute times depend on the machine; compare on one machine, before and after.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from app import build, spare_the_collector  # noqa: E402 - the checkout is not installed
from cds_service.settings import read_settings  # noqa: E402

EXAMPLE = ROOT / "examples" / "order-sign-late-second-dose.json"
TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
DRUGS = ("ramipril", "metformin", "pantoprazole", "ondansetron")
DIAGNOSES = (("I10", "Hypertension"), ("E11.9", "Type 2 diabetes"), ("M54.5", "Low back pain"), ("K21.9", "Reflux"))
PATIENT = {"reference": "Patient/example"}


def as_an_ehr_sends_it(resource: dict[str, Any]) -> dict[str, Any]:
    """The resource with what EHRs add to each: versions, identifiers, encounter, people, narrative."""
    added = {
        "meta": {
            "versionId": "3",
            "lastUpdated": "2026-01-19T09:12:44.137Z",
            "profile": [f"http://hl7.org/fhir/us/core/StructureDefinition/us-core-{resource['resourceType'].lower()}"],
        },
        "text": {
            "status": "generated",
            "div": f'<div xmlns="http://www.w3.org/1999/xhtml"><p>{resource["resourceType"]} {resource["id"]}</p>'
            "<table><tr><td>Recorded by the ward; verified by the information system.</td></tr></table></div>",
        },
        "identifier": [{"use": "official", "system": "urn:oid:1.2.246.10.1.2", "value": f"{resource['id']}-2026"}],
        "encounter": {"reference": "Encounter/e4711", "display": "Oncology day clinic"},
    }
    return added | resource


def a_large_call() -> bytes:
    """The README's example inside the record of a long illness: about 170 resources in about 200 KB.

    14 draws of 7 analytes, 16 vital signs, 20 further orders and 20 further conditions.
    """
    call: dict[str, Any] = json.loads(EXAMPLE.read_text(encoding="utf-8"))
    prefetch = call["prefetch"]
    days = [f"2025-{month:02}-{day:02}" for month in range(1, 13) for day in (3, 17)]
    newest = [entry["resource"] for entry in prefetch["laboratory"]["entry"]]
    results = [
        result
        | {"id": f"{result['id']}-{number}", "effectiveDateTime": f"{day}T08:10:00Z", "issued": f"{day}T10:02:11Z"}
        for number, day in enumerate(days[:13])
        for result in newest
    ]
    vital_signs = [
        {
            "resourceType": "Observation",
            "id": f"{name}-{number}",
            "status": "final",
            "category": [{"coding": [{"system": f"{TERMINOLOGY}/observation-category", "code": "vital-signs"}]}],
            "code": {"coding": [{"system": "http://loinc.org", "code": code}], "text": name},
            "subject": PATIENT,
            "effectiveDateTime": f"{day}T07:30:00Z",
            "valueQuantity": {"value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit},
        }
        for number, day in enumerate(days[:8])
        for name, code, value, unit in (("temperature", "8310-5", 36.8, "Cel"), ("systolic", "8480-6", 122, "mm[Hg]"))
    ]
    orders = [
        {
            "resourceType": "MedicationRequest",
            "id": f"other-{number}",
            "status": "completed",
            "intent": "order",
            "medicationCodeableConcept": {"coding": [{"system": RXNORM, "code": str(9000 + number)}], "text": name},
            "subject": PATIENT,
            "authoredOn": day,
            "requester": {"reference": "Practitioner/p1", "display": "Oncology ward"},
            "dosageInstruction": [{"text": "1 tablet in the morning", "timing": {"repeat": {"frequency": 1}}}],
        }
        for number, (day, name) in enumerate(zip(days[:20], DRUGS * 5, strict=True))
    ]
    conditions = [
        {
            "resourceType": "Condition",
            "id": f"condition-{number}",
            "clinicalStatus": {"coding": [{"system": f"{TERMINOLOGY}/condition-clinical", "code": "active"}]},
            "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": code}], "text": name},
            "subject": PATIENT,
            "onsetDateTime": day,
        }
        for number, (day, (code, name)) in enumerate(zip(days[:20], DIAGNOSES * 5, strict=True))
    ]
    prefetch["vitalSigns"] = {"resourceType": "Bundle", "type": "searchset", "entry": []}
    for key, more in {
        "laboratory": results,
        "vitalSigns": vital_signs,
        "medicationRequests": orders,
        "conditions": conditions,
    }.items():
        entries = prefetch[key]["entry"]
        entries += [{"resource": resource} for resource in more]
        for entry in entries:
            resource = entry["resource"] = as_an_ehr_sends_it(entry["resource"])
            entry["fullUrl"] = f"https://ehr.example/fhir/{resource['resourceType']}/{resource['id']}"
            entry["search"] = {"mode": "match"}
        prefetch[key]["total"] = len(entries)
    return json.dumps(call).encode()


def main(calls: int) -> None:
    client = build(read_settings({"CDS_NOW": "2026-01-20T09:00:00Z"})).test_client()
    body = a_large_call()

    def call() -> float:
        started = time.process_time()
        response = client.post("/cds-services/tarlatamab-order-sign", data=body, content_type="application/json")
        spent = (time.process_time() - started) * 1000
        if response.status_code != 200 or not response.json or not response.json["cards"]:
            raise SystemExit(f"the call was answered with {response.status_code} and no cards")
        return spent

    for _ in range(10):
        call()
    spare_the_collector()
    spent = sorted(call() for _ in range(calls))
    print(
        f"{len(body) / 1000:.0f} KB, {calls} calls: "
        f"median {statistics.median(spent):.1f} ms CPU, p99 {spent[int(calls * 0.99) - 1]:.1f} ms "
        "(target: median under 10 ms)"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
