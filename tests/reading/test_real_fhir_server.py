"""The same reading from a real FHIR R4 server: pages, scopes, unknown parameters, expired tokens."""

from typing import Any

import pytest

from cds_service.fhir_client import FhirClient
from fhir_mappings.facts import Reading
from tests.reading.builders import KEYS, ids, read, reading, readings, resource
from tests.support.fhir_server import READS_NO_OBSERVATIONS, RealFhirServer

pytestmark = pytest.mark.fhir_server

LABORATORY: Any = [
    {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory"}]}
]
VITALS: Any = [
    {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs"}]}
]
ICE = {"coding": [{"system": "http://loinc.org", "code": "82810-3"}]}


def given(identity: str, patient: str) -> dict[str, Any]:
    return resource(
        "MedicationAdministration",
        identity,
        f"Patient/{patient}",
        status="completed",
        medicationReference={"reference": "Medication/real-vial"},
        effectiveDateTime="2026-01-05T10:00:00Z",
    )


def observation(identity: str, patient: str, category: Any = None, code: Any = None) -> dict[str, Any]:
    more = {"category": category} if category else {}
    return resource(
        "Observation", identity, f"Patient/{patient}", status="final", code=code or {"text": "something"}, **more
    )


@pytest.fixture(scope="module")
def loaded(fhir_server: RealFhirServer) -> RealFhirServer:
    def record(patient: str) -> list[dict[str, Any]]:
        subject = f"Patient/{patient}"
        return [
            {"resourceType": "Patient", "id": patient, "gender": "female"},
            resource("Condition", f"{patient}-condition", subject, code={"text": "CRS grade 1"}),
            resource("MedicationRequest", f"{patient}-order", subject, status="active", intent="order"),
            *(given(f"{patient}-given-{number:02}", patient) for number in range(45)),
            observation(f"{patient}-lab", patient, LABORATORY),
            observation(f"{patient}-vital", patient, VITALS),
            observation(f"{patient}-ice", patient, code=ICE),
            observation(f"{patient}-survey", patient),
            resource("Procedure", f"{patient}-procedure", subject, status="completed"),
            resource("AdverseEvent", f"{patient}-event", subject, actuality="actual"),
            {"resourceType": "AllergyIntolerance", "id": f"{patient}-allergy", "patient": {"reference": subject}},
        ]

    vial = {"resourceType": "Medication", "id": "real-vial", "code": {"text": "tarlatamab"}}
    fhir_server.load([vial, *record("real-1"), *record("real-2")])
    return fhir_server


def test_everything_of_this_patient_is_read_over_all_pages_and_nothing_of_another(loaded: RealFhirServer) -> None:
    with FhirClient(budget_ms=20_000) as client:
        chart = read(reader=client.reader(loaded.url, loaded.token()), patient_id="real-1")
    assert readings(chart, Reading.COMPLETE) == list(KEYS)
    kinds = ("condition", "order", "procedure", "event", "allergy", "lab", "vital", "ice")
    expected = {f"real-1-{name}" for name in kinds} | {f"real-1-given-{number:02}" for number in range(45)} | {"real-1"}
    assert {found.split("/")[1] for found in ids(chart)} - {"real-1-survey"} == expected
    assert chart.unknowns == ()
    assert list(chart.medications) == ["Medication/real-vial"]


def test_a_token_that_may_not_read_observations_reads_the_rest(loaded: RealFhirServer) -> None:
    with FhirClient(budget_ms=20_000) as client:
        token = loaded.token(READS_NO_OBSERVATIONS)
        chart = read(reader=client.reader(loaded.url, token), patient_id="real-1")
    for key in ("laboratory", "vitalSigns", "observations"):
        assert reading(chart, key) == (
            Reading.UNAVAILABLE,
            "the FHIR server does not allow this to be read (403)",
        )
    assert len(readings(chart, Reading.COMPLETE)) == 7


@pytest.mark.parametrize("token", ["not-a-token", None])
def test_a_wrong_or_missing_token_is_not_authorised(loaded: RealFhirServer, token: str | None) -> None:
    with FhirClient(budget_ms=20_000) as client:
        chart = read({"conditions": None}, reader=client.reader(loaded.url, token), patient_id="real-1")
    assert reading(chart, "laboratory") == (
        Reading.UNAVAILABLE,
        "the FHIR server did not accept the access token (401)",
    )


def test_a_patient_whom_the_server_does_not_know_is_not_found_and_has_nothing(loaded: RealFhirServer) -> None:
    with FhirClient(budget_ms=20_000) as client:
        chart = read(reader=client.reader(loaded.url, loaded.token()), patient_id="nobody")
    assert reading(chart, "patient") == (Reading.UNAVAILABLE, "the FHIR server does not have it (404)")
    assert ids(chart) == []
    assert len(readings(chart, Reading.COMPLETE)) == 9
