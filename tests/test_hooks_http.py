"""The contexts of all five hooks over HTTP (J1 to J13), and what a call about nobody of ours costs."""

from __future__ import annotations

from typing import Any, Final

import jsonschema
import pytest
from flask.testing import FlaskClient

from app import build
from cds_service.fhir_client import Answer
from cds_service.fhir_failure import Failure
from cds_service.services import may_have_had_the_drug
from cds_service.settings import read_settings
from fhir_mappings import treatment_state
from fhir_mappings.chart import Chart
from fhir_mappings.facts import Need, Reading, Unknown
from tests.reading.builders import resource
from tests.test_web_service import SCHEMA, nothing_empty

BUNDLE: Final = {"resourceType": "Bundle", "entry": []}
CONTEXTS: Final[dict[str, dict[str, Any]]] = {
    "order-sign": {"draftOrders": BUNDLE},
    "order-select": {"draftOrders": BUNDLE, "selections": []},
    "patient-view": {},
    "encounter-discharge": {"encounterId": "e1"},
    "appointment-book": {"appointments": BUNDLE},
}
WHO: Final = {"userId": "Practitioner/1", "patientId": "p1"}
NOTHING: Final = {"resourceType": "Bundle", "total": 0}
PREFETCH: Final = {"medicationRequests": NOTHING, "medicationAdministrations": None, "procedures": None}


@pytest.fixture(scope="module")
def client() -> FlaskClient:
    return build(read_settings({"CDS_NOW": "2026-01-20T09:00:00Z"})).test_client()


def call(hook: str, **changes: Any) -> dict[str, Any]:
    return {"hook": hook, "hookInstance": "1", "context": WHO | CONTEXTS[hook], "prefetch": PREFETCH} | changes


def post(client: FlaskClient, body: dict[str, Any]) -> Any:
    return client.post(f"/cds-services/tarlatamab-{body['hook']}", json=body)


@pytest.mark.parametrize("hook", CONTEXTS)
def test_a_full_context_gets_200(client: FlaskClient, hook: str) -> None:
    response = post(client, call(hook, context=WHO | {"encounterId": "e1"} | CONTEXTS[hook]))
    assert (response.status_code, response.json) == (200, {"cards": []})


@pytest.mark.parametrize(("hook", "name"), [(hook, name) for hook in CONTEXTS for name in (*WHO, *CONTEXTS[hook])])
def test_a_required_field_of_the_context_that_is_missing_gets_400_and_is_named(
    client: FlaskClient, hook: str, name: str
) -> None:
    context = {field: value for field, value in (WHO | CONTEXTS[hook]).items() if field != name}
    response = post(client, call(hook, context=context))
    assert response.status_code == 400
    assert [issue["diagnostics"] for issue in response.json["issue"]] == [f"context.{name}: required, and missing"]


@pytest.mark.parametrize("hook", CONTEXTS)
def test_optional_fields_may_be_absent_or_unknown_to_us(client: FlaskClient, hook: str) -> None:
    assert post(client, call(hook)).status_code == 200
    assert post(client, call(hook, context=WHO | CONTEXTS[hook] | {"later": {"a": 1}})).status_code == 200


@pytest.mark.parametrize(
    ("value", "status"), [({"entry": None}, 200), ({"entry": {}}, 200), ({}, 200), ([], 400), ("x", 400)]
)
def test_the_appointments_are_read_as_tolerantly_as_draft_orders(client: FlaskClient, value: Any, status: int) -> None:
    prefetch = {**PREFETCH, "conditions": None}
    appointments = call("appointment-book", context=WHO | {"appointments": value}, prefetch=prefetch)
    drafts = call("order-sign", context=WHO | {"draftOrders": value}, prefetch=prefetch)
    assert post(client, appointments).status_code == status
    assert post(client, drafts).status_code == status


def test_the_call_of_another_hook_gets_400(client: FlaskClient) -> None:
    response = client.post("/cds-services/tarlatamab-encounter-discharge", json=call("patient-view"))
    assert response.status_code == 400


def infusion(**more: Any) -> dict[str, Any]:
    return {"resourceType": "Appointment", "id": "v1", "description": "tarlatamab", "start": "2026-01-21", **more}


GIVEN: Final = resource(
    "MedicationAdministration",
    "a1",
    status="completed",
    medicationCodeableConcept={"text": "tarlatamab"},
    effectiveDateTime="2026-01-19T12:00:00Z",
    dosage={"dose": {"value": 1, "unit": "mg"}},
)


@pytest.mark.parametrize("hook", ["patient-view", "encounter-discharge", "appointment-book"])
def test_an_answer_of_each_new_hook_keeps_the_specification(client: FlaskClient, hook: str) -> None:
    context = WHO | CONTEXTS[hook]
    if hook == "appointment-book":
        context |= {"appointments": {"entry": [{"resource": infusion()}]}}
    prefetch = {**PREFETCH, "medicationAdministrations": {"resourceType": "Bundle", "entry": [{"resource": GIVEN}]}}
    response = post(client, call(hook, context=context, prefetch=prefetch))
    assert response.status_code == 200
    jsonschema.validate(response.json, SCHEMA | {"$ref": "#/$defs/response"})
    assert len(response.json["cards"]) == 2
    assert nothing_empty(response.json)
    assert post(client, call(hook, context=context, prefetch=prefetch)).data == response.data


# --- what it costs -------------------------------------------------------------------------------------------------


@pytest.fixture
def questions(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The queries that would go to a FHIR server which never answers."""
    asked: list[str] = []

    def answers(_self: Any, wanted: Any) -> dict[str, Any]:
        asked.extend(question.query for question in wanted.values())
        return {}

    monkeypatch.setattr("cds_service.fhir_client.FhirReader.answers", answers)
    return asked


FHIR: Final = {"fhirServer": "http://127.0.0.1:9/fhir"}


@pytest.mark.parametrize("hook", ["patient-view", "encounter-discharge"])
def test_of_a_patient_without_the_drug_nothing_is_asked_and_nothing_else_is_read(
    client: FlaskClient, hook: str, questions: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(treatment_state, "read", None)
    carboplatin = resource("MedicationRequest", "m1", medicationCodeableConcept={"text": "Carboplatin"})
    prefetch = {**PREFETCH, "medicationRequests": {"resourceType": "Bundle", "entry": [{"resource": carboplatin}]}}
    assert post(client, call(hook, prefetch=prefetch, **FHIR)).json == {"cards": []}
    assert questions == []


@pytest.mark.parametrize("hook", ["patient-view", "encounter-discharge"])
def test_what_is_not_prefetched_is_asked_for_where_it_shows_the_drug_before_anything_else(
    client: FlaskClient, hook: str, questions: list[str]
) -> None:
    post(client, call(hook, prefetch={"medicationRequests": None, "procedures": None}, **FHIR))
    assert questions[0] == "MedicationAdministration?patient=p1"
    assert questions[1] != "MedicationAdministration?patient=p1"


@pytest.mark.parametrize("hook", ["patient-view", "encounter-discharge"])
def test_of_a_patient_on_the_drug_nothing_is_asked_twice_and_one_that_failed_not_again(
    client: FlaskClient, hook: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def answers(_self: Any, wanted: Any) -> dict[str, Answer]:
        asked.extend(question.query for question in wanted.values())
        given = Answer(pages=[{"resourceType": "Bundle", "entry": [{"resource": GIVEN}]}], failure=None)
        found = {"MedicationAdministration?patient=p1": given, "Condition?patient=p1": Answer(pages=[], failure=None)}
        return {key: found.get(q.query, Answer(failure=Failure.SERVER_ERROR)) for key, q in wanted.items()}

    monkeypatch.setattr("cds_service.fhir_client.FhirReader.answers", answers)
    cards = post(client, call(hook, prefetch={}, **FHIR)).json["cards"]
    assert len(set(asked)) == len(asked) == 11
    assert set(asked[:3]) == {
        f"{kind}?patient=p1" for kind in ("MedicationRequest", "MedicationAdministration", "Procedure")
    }
    displays = {card["source"]["topic"]["display"] for card in cards}
    assert "record: cannot-assess" in displays
    assert len(displays) == 2


def test_appointments_that_are_none_of_ours_are_answered_without_any_reading(
    client: FlaskClient, questions: list[str]
) -> None:
    entries = [{"resource": infusion(description="MRI")}]
    body = call("appointment-book", context=WHO | {"appointments": {"entry": entries}}, prefetch={}, **FHIR)
    assert post(client, body).json == {"cards": []}
    assert questions == []


@pytest.mark.parametrize(("depth", "expected"), [(1, "schedule: rebook"), (5, "record: cannot-assess")])
def test_appointments_in_a_bundle_among_the_proposed_ones_are_judged_or_visibly_not(
    client: FlaskClient, depth: int, expected: str
) -> None:
    appointments: dict[str, Any] = {"entry": [{"resource": infusion()}]}
    for _ in range(depth):
        appointments = {"entry": [{"resource": {"resourceType": "Bundle"} | appointments}]}
    prefetch = {**PREFETCH, "medicationAdministrations": {"resourceType": "Bundle", "entry": [{"resource": GIVEN}]}}
    body = call("appointment-book", context=WHO | {"appointments": appointments}, prefetch=prefetch)
    cards = post(client, body).json["cards"]
    assert expected in [card["source"]["topic"]["display"] for card in cards]


@pytest.mark.parametrize("key", ["conditions", "somethingNobodyAskedFor", "medicationRequests"])
def test_a_dose_counts_under_whatever_key_it_comes(client: FlaskClient, key: str) -> None:
    prefetch = {**PREFETCH, key: {"resourceType": "Bundle", "entry": [{"resource": GIVEN}]}}
    cards = post(client, call("patient-view", prefetch=prefetch)).json["cards"]
    assert "course: status" in [card["source"]["topic"]["display"] for card in cards]


def test_none_of_the_needed_data_gets_412(client: FlaskClient) -> None:
    assert post(client, call("patient-view", prefetch={})).status_code == 412


# --- may the patient have had the drug? ------------------------------------------------------------------------------


def showing(*resources: Any, **more: Any) -> Chart:
    return Chart(patient_id="p1", resources=resources, **more)


CLAIM: Final = {"coding": [{"system": "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "code": "J9026"}]}


def test_a_claim_an_order_without_a_medication_and_what_could_not_be_read_leave_it_open() -> None:
    assert may_have_had_the_drug(showing(resource("Procedure", "p", status="completed", code=CLAIM)))
    assert may_have_had_the_drug(showing(resource("Procedure", "p", status="completed")))
    assert may_have_had_the_drug(showing(resource("MedicationRequest", "m")))
    partial = {"medicationRequests": Need(key="medicationRequests", reading=Reading.PARTIAL)}
    assert may_have_had_the_drug(showing(needs=partial))
    assert may_have_had_the_drug(showing(unknowns=(Unknown(what="MedicationRequest", why="it names no patient"),)))


def test_other_procedures_other_gaps_and_another_patients_order_do_not() -> None:
    foreign = Unknown(what="MedicationRequest", why="it belongs to another patient", foreign=True)
    assert not may_have_had_the_drug(showing(unknowns=(foreign, Unknown(what="Condition", why="it names no patient"))))
    assert not may_have_had_the_drug(showing(resource("Procedure", "p", status="not-done", code=CLAIM)))
    other = {"text": "Appendectomy"}
    assert not may_have_had_the_drug(showing(resource("Procedure", "p", status="completed", code=other)))
