"""Invented patients of several sizes as order-sign calls: the README's example inside longer and longer records.

The same seed gives the same bytes. Each resource carries what EHRs add to it, and none of its rules ask for: versions,
identifiers, the encounter, a narrative. Bodies are compact JSON, as most EHRs send it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from itertools import count, cycle, islice
from pathlib import Path
from random import Random
from typing import Any, Final

Resource = dict[str, Any]

ROOT: Final = Path(__file__).resolve().parent.parent
EXAMPLE: Final = ROOT / "examples" / "order-sign-late-second-dose.json"
NOW: Final = "2026-01-20T09:00:00Z"
"""When the example is told: the clock of a service that answers these calls (`CDS_NOW`)."""
SEED: Final = 20_260_120
PATIENT: Final = {"reference": "Patient/example"}

TO_READ: Final = frozenset(
    {"patient", "conditions", "medicationRequests", "medicationAdministrations", "laboratory", "vitalSigns"}
)

TERMINOLOGY: Final = "http://terminology.hl7.org/CodeSystem"
LOINC: Final = "http://loinc.org"
UCUM: Final = "http://unitsofmeasure.org"
RXNORM: Final = "http://www.nlm.nih.gov/research/umls/rxnorm"
ICD: Final = "http://hl7.org/fhir/sid/icd-10-cm"

LABORATORY: Final = (
    ("751-8", "Neutrophils", "10*9/L", 1.8, 7.7),
    ("777-3", "Platelets", "10*9/L", 150, 400),
    ("718-7", "Hemoglobin", "g/dL", 12.0, 17.5),
    ("1742-6", "ALT", "U/L", 7, 55),
    ("1920-8", "AST", "U/L", 8, 48),
    ("1975-2", "Bilirubin, total", "mg/dL", 0.1, 1.2),
    ("2160-0", "Creatinine", "mg/dL", 0.6, 1.3),
    ("2951-2", "Sodium", "mmol/L", 135, 145),
    ("2823-3", "Potassium", "mmol/L", 3.5, 5.1),
)
"""LOINC, name, unit and limits of normal; no rule asks for the last two."""
VITAL_SIGNS: Final = (
    ("8867-4", "Heart rate", "/min", 60, 110),
    ("9279-1", "Respiratory rate", "/min", 12, 24),
    ("59408-5", "Oxygen saturation", "%", 93, 99),
    ("8310-5", "Body temperature", "Cel", 36.1, 37.4),
    ("8480-6", "Systolic blood pressure", "mm[Hg]", 98, 145),
    ("8478-0", "Mean blood pressure", "mm[Hg]", 65, 95),
)
"""Three of the six are asked for by a rule."""
DRUGS: Final = ("ramipril", "metformin", "pantoprazole", "ondansetron", "amlodipine", "apixaban", "allopurinol")
DIAGNOSES: Final = (
    ("I10", "Hypertension"),
    ("E11.9", "Type 2 diabetes"),
    ("M54.5", "Low back pain"),
    ("K21.9", "Reflux"),
    ("J44.9", "Chronic obstructive pulmonary disease"),
)
PROCEDURES: Final = ("Bronchoscopy", "CT of thorax", "Port implantation", "Colonoscopy")
FINDINGS: Final = ("Penicillin", "Latex", "Pollen", "Iodine contrast")


# --- patients ---------------------------------------------------------------------------------------------------------


def small() -> bytes:
    """The example as it is: about 10 KB."""
    return in_bytes(_example())


def typical(seed: int = SEED) -> bytes:
    """A year of treatment: 160 further resources, about 200 KB."""
    return a_call(seed, draws=11, rounds=3, orders=20, conditions=20)


def intensive_care(seed: int = SEED) -> bytes:
    """A month of intensive care: 3,000 vital signs, about 2 MB."""
    return a_call(seed, draws=12, rounds=500, orders=20, conditions=10)


def ten_years(seed: int = SEED) -> bytes:
    """Ten years of illness: 1,080 results, 400 orders, 120 diagnoses, 80 procedures, about 2.3 MB."""
    return a_call(seed, draws=120, rounds=20, orders=400, conditions=120, procedures=80, administrations=100)


def of_size(size: int, seed: int = SEED) -> bytes:
    """A record of about so many bytes (from 100,000): draws and vital signs in the proportion of `typical`."""
    visits = max(1, (size - 17_000) // 15_100)
    return a_call(seed, draws=visits, rounds=visits // 4, orders=visits, conditions=visits)


PATIENTS: Final[Mapping[str, Callable[[], bytes]]] = {
    "small": small,
    "typical": typical,
    "intensive care": intensive_care,
    "ten years": ten_years,
}


def a_call(
    seed: int,
    *,
    draws: int,
    rounds: int,
    orders: int,
    conditions: int,
    procedures: int = 0,
    administrations: int = 0,
) -> bytes:
    """An order-sign call with so many further draws of blood, rounds of vital signs, orders, diagnoses and so on."""
    random, call = Random(seed), _example()
    further = {
        "laboratory": _results(random, draws),
        "vitalSigns": _vital_signs(random, rounds),
        "medicationRequests": _orders(random, orders),
        "medicationAdministrations": _administrations(random, administrations),
        "conditions": _conditions(random, conditions),
        "procedures": _procedures(random, procedures),
        "allergies": _allergies(random, procedures // 20),
    }
    for key, resources in further.items():
        call["prefetch"][key] = _bundle(call["prefetch"].get(key), resources)
    return in_bytes(call)


def in_bytes(call: Mapping[str, Any]) -> bytes:
    return json.dumps(call, ensure_ascii=False, separators=(",", ":")).encode()


def with_six_keys_to_read(fhir_server: str) -> bytes:
    """The example with six of its ten keys absent, so that they are read from a FHIR server."""
    call = _example()
    prefetch = {key: value for key, value in call["prefetch"].items() if key not in TO_READ}
    authorization = {
        "access_token": "a",
        "token_type": "Bearer",
        "expires_in": 300,
        "scope": "patient/*.rs",
        "subject": "tarlatamab-cds",
    }
    return in_bytes(call | {"prefetch": prefetch, "fhirServer": fhir_server, "fhirAuthorization": authorization})


def prefetched() -> Mapping[str, Any]:
    """The prefetch of the example, for a FHIR server to answer with."""
    found: Mapping[str, Any] = _example()["prefetch"]
    return found


def _example() -> dict[str, Any]:
    call: dict[str, Any] = json.loads(EXAMPLE.read_text(encoding="utf-8"))
    return call


def _bundle(received: Mapping[str, Any] | None, further: Iterable[Resource]) -> Mapping[str, Any]:
    own = [entry["resource"] for entry in (received or {}).get("entry", ())]
    resources = [resource if "meta" in resource else as_an_ehr_sends_it(resource) for resource in (*own, *further)]
    entries = [
        {
            "fullUrl": f"https://ehr.example/fhir/{resource['resourceType']}/{resource['id']}",
            "resource": resource,
            "search": {"mode": "match"},
        }
        for resource in resources
    ]
    return {"resourceType": "Bundle", "type": "searchset", "total": len(entries), "entry": entries}


def as_an_ehr_sends_it(resource: Resource) -> Resource:
    """The resource with what EHRs add to each: versions, identifiers, encounter, narrative."""
    profile = f"http://hl7.org/fhir/us/core/StructureDefinition/us-core-{resource['resourceType'].lower()}"
    added = {
        "meta": {"versionId": "3", "lastUpdated": "2026-01-19T09:12:44.137Z", "profile": [profile]},
        "text": {
            "status": "generated",
            "div": f'<div xmlns="http://www.w3.org/1999/xhtml"><p>{resource["resourceType"]} {resource["id"]}</p>'
            "<table><tr><td>Recorded by the ward; verified by the information system.</td></tr></table></div>",
        },
        "identifier": [{"use": "official", "system": "urn:oid:1.2.246.10.1.2", "value": f"{resource['id']}-2026"}],
        "encounter": {"reference": "Encounter/e4711", "display": "Oncology day clinic"},
    }
    return added | resource


# --- resources --------------------------------------------------------------------------------------------------------


def _moments(number: int, hours: float) -> Iterator[datetime]:
    """So many moments, each so many hours before the next, the last one a week before the example."""
    last = datetime.fromisoformat(NOW) - timedelta(days=7)
    return (last - timedelta(hours=hours * back) for back in range(number, 0, -1))


def _observation(number: int, name: str, code: str, category: str, moment: datetime) -> Resource:
    return {
        "resourceType": "Observation",
        "id": f"{code}-{number}",
        "status": "final",
        "category": [{"coding": [{"system": f"{TERMINOLOGY}/observation-category", "code": category}]}],
        "code": {"coding": [{"system": LOINC, "code": code, "display": name}], "text": name},
        "subject": PATIENT,
        "effectiveDateTime": moment.isoformat(),
        "issued": (moment + timedelta(minutes=110)).isoformat(),
    }


def _quantity(value: float, unit: str) -> dict[str, Any]:
    return {"value": value, "unit": unit, "system": UCUM, "code": unit}


def _results(random: Random, draws: int) -> Iterator[Resource]:
    for number, moment in enumerate(_moments(draws, hours=9_000 / max(draws, 13))):
        for code, name, unit, low, high in LABORATORY:
            limits = {"low": _quantity(low, unit), "high": _quantity(high, unit)}
            yield _observation(number, name, code, "laboratory", moment) | {
                "valueQuantity": _quantity(round(random.uniform(low, high), 1), unit),
                "referenceRange": [limits],
            }


def _vital_signs(random: Random, rounds: int) -> Iterator[Resource]:
    for number, moment in enumerate(_moments(rounds, hours=1.5)):
        for code, name, unit, low, high in VITAL_SIGNS:
            yield _observation(number, name, code, "vital-signs", moment) | {
                "meta": {"versionId": "1"},  # a monitor's values come without further matter
                "valueQuantity": _quantity(round(random.uniform(low, high), 1), unit),
            }


def _medication(random: Random) -> dict[str, Any]:
    place = random.randrange(len(DRUGS))
    coding = [{"system": RXNORM, "code": str(9_000 + place), "display": DRUGS[place]}]
    return {"coding": coding, "text": f"{DRUGS[place]} {random.choice((5, 10, 20))} mg tablet"}


def _orders(random: Random, number: int) -> Iterator[Resource]:
    for place, moment in enumerate(_moments(number, hours=200)):
        yield {
            "resourceType": "MedicationRequest",
            "id": f"other-{place}",
            "status": random.choice(("completed", "active")),
            "intent": "order",
            "medicationCodeableConcept": _medication(random),
            "subject": PATIENT,
            "authoredOn": moment.date().isoformat(),
            "requester": {"reference": "Practitioner/p1", "display": "Oncology ward"},
            "dosageInstruction": [{"text": "1 tablet in the morning", "timing": {"repeat": {"frequency": 1}}}],
        }


def _administrations(random: Random, number: int) -> Iterator[Resource]:
    for place, moment in enumerate(_moments(number, hours=24)):
        yield {
            "resourceType": "MedicationAdministration",
            "id": f"given-{place}",
            "status": "completed",
            "medicationCodeableConcept": _medication(random),
            "subject": PATIENT,
            "effectiveDateTime": moment.isoformat(),
            "dosage": {"text": "1 tablet", "dose": _quantity(10, "mg")},
        }


def _conditions(random: Random, number: int) -> Iterator[Resource]:
    for place, (code, name), moment in zip(count(), cycle(DIAGNOSES), _moments(number, hours=700), strict=False):
        status = random.choice(("active", "resolved"))
        yield {
            "resourceType": "Condition",
            "id": f"condition-{place}",
            "clinicalStatus": {"coding": [{"system": f"{TERMINOLOGY}/condition-clinical", "code": status}]},
            "code": {"coding": [{"system": ICD, "code": code, "display": name}], "text": name},
            "subject": PATIENT,
            "onsetDateTime": moment.date().isoformat(),
        }


def _procedures(random: Random, number: int) -> Iterator[Resource]:
    for place, moment in enumerate(_moments(number, hours=1_000)):
        yield {
            "resourceType": "Procedure",
            "id": f"procedure-{place}",
            "status": "completed",
            "code": {"text": random.choice(PROCEDURES)},
            "subject": PATIENT,
            "performedDateTime": moment.date().isoformat(),
        }


def _allergies(random: Random, number: int) -> Iterator[Resource]:
    for place, name in enumerate(islice(cycle(FINDINGS), number)):
        yield {
            "resourceType": "AllergyIntolerance",
            "id": f"allergy-{place}",
            "criticality": random.choice(("low", "high")),
            "code": {"text": name},
            "patient": PATIENT,
        }
