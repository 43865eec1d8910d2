"""HTTP as conformance C6-C18, C43, C47-C53, C111 have it, with a service that answers by rote."""

import json
import logging
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from cds_service import wire
from cds_service.errors import NothingReadable
from cds_service.services import Answer, Knowledge, Offer
from cds_service.web import create_web

SIGN = "/cds-services/tarlatamab-order-sign"
PATIENT = "marker-patient-7"


KNOWLEDGE: Final = Knowledge(markdown="# The rules", data={"version": "v1", "sources": "seed", "unreviewed": 3})


def entry(hook: str) -> wire.Service:
    return wire.Service(hook=hook, id=f"tarlatamab-{hook}", title="A title", description="What it does")


def no_cards(call: wire.HookRequest) -> Answer:
    return Answer(response=wire.CdsResponse(cards=()), rows=("DOSE-1",), unknowns={"Observation": 2})


def web_that(answer: Callable[[wire.HookRequest], Answer]) -> Flask:
    offers = (Offer(entry=entry("order-sign"), answer=answer), Offer(entry=entry("order-select"), answer=answer))
    return create_web(offers, knowledge=KNOWLEDGE, max_body_bytes=20_000)


@pytest.fixture
def client() -> FlaskClient:
    return web_that(no_cards).test_client()


def order_sign(**changes: Any) -> dict[str, Any]:
    """A valid order-sign call; a change to `...` leaves the member out."""
    call: dict[str, Any] = {
        "hook": "order-sign",
        "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
        "context": {"userId": "Practitioner/1", "patientId": PATIENT, "draftOrders": {"resourceType": "Bundle"}},
    }
    return {name: value for name, value in (call | changes).items() if value is not ...}


def context(**changes: Any) -> dict[str, Any]:
    return {name: value for name, value in (order_sign()["context"] | changes).items() if value is not ...}


def findings(response: TestResponse) -> list[str]:
    """The diagnostics of an OperationOutcome, after checking that it is one and quotes nothing of the patient."""
    assert response.mimetype == "application/json"
    assert response.json is not None
    assert response.json["resourceType"] == "OperationOutcome"
    assert PATIENT not in response.text
    return [issue["diagnostics"] for issue in response.json["issue"]]


# --- discovery ----------------------------------------------------------------------------------------------


@pytest.mark.conforms("C7", "C18")
@pytest.mark.parametrize("address", ["/cds-services", "/cds-services/"])
def test_discovery_answers_with_and_without_a_trailing_slash_and_without_redirect(
    client: FlaskClient, address: str
) -> None:
    response = client.get(address)
    assert response.status_code == 200
    assert response.mimetype == "application/json"
    assert response.json is not None
    assert [service["id"] for service in response.json["services"]] == [
        "tarlatamab-order-sign",
        "tarlatamab-order-select",
    ]


@pytest.mark.conforms("C11")
def test_every_service_of_the_discovery_can_be_called(client: FlaskClient) -> None:
    discovery = client.get("/cds-services").json
    assert discovery is not None
    for service in discovery["services"]:
        assert client.post(f"/cds-services/{service['id']}", json={}).status_code == 400


@pytest.mark.parametrize("address", ["/health/live", "/health/ready"])
def test_health_is_open(client: FlaskClient, address: str) -> None:
    assert client.get(address).status_code == 200


# --- a call -------------------------------------------------------------------------------------------------


@pytest.mark.conforms("C1", "C47", "C59")
def test_a_valid_call_is_answered_with_cards(client: FlaskClient) -> None:
    response = client.post(SIGN, json=order_sign())
    assert response.status_code == 200
    assert response.mimetype == "application/json"
    assert response.data == b'{"cards":[]}'
    assert response.headers["Cache-Control"] == "no-store"


def test_a_doubled_slash_before_the_id_is_the_same_service(client: FlaskClient) -> None:
    assert client.post("/cds-services//tarlatamab-order-sign", json=order_sign()).status_code == 200


@pytest.mark.conforms("C51", "C115", "C118")
def test_members_that_nobody_knows_change_nothing(client: FlaskClient) -> None:
    call = order_sign(
        extension={"com.example": 1},
        other=[1],
        context=context(extension={"x": 1}, encounterId="e1", selections=["not for this hook"]),
        prefetch={"unknown": {"a": 1}},
    )
    assert client.post(SIGN, json=call).status_code == 200


@pytest.mark.conforms("C53")
@pytest.mark.parametrize("changes", [{"prefetch": None}, {"fhirServer": None}, {"fhirAuthorization": None}])
def test_null_for_an_optional_member_is_the_same_as_none(client: FlaskClient, changes: dict[str, Any]) -> None:
    assert client.post(SIGN, json=order_sign(**changes)).status_code == 200


@pytest.mark.conforms("C49")
def test_a_hook_instance_need_not_be_a_uuid(client: FlaskClient) -> None:
    assert client.post(SIGN, json=order_sign(hookInstance="call 1")).status_code == 200


def test_a_byte_order_mark_is_no_mistake(client: FlaskClient) -> None:
    body = b"\xef\xbb\xbf" + json.dumps(order_sign()).encode()
    assert client.post(SIGN, data=body, content_type="application/json").status_code == 200


# --- 400: what cannot be read -------------------------------------------------------------------------------


@pytest.mark.conforms("C48", "C50", "J3")
@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (order_sign(hook=...), "hook: required, and missing"),
        (order_sign(hook=7), "hook: must be a text"),
        (order_sign(hook="patient-view"), "hook: this service answers order-sign"),
        (order_sign(hookInstance=...), "hookInstance: required, and missing"),
        (order_sign(hookInstance=""), "hookInstance: must not be empty"),
        (order_sign(hookInstance="x" * 257), "hookInstance: is too long"),
        (order_sign(context=...), "context: required, and missing"),
        (order_sign(context=[]), "context: must be an object"),
        (order_sign(context=context(userId=...)), "context.userId: required, and missing"),
        (order_sign(context=context(patientId=...)), "context.patientId: required, and missing"),
        (order_sign(context=context(patientId=f"{PATIENT}?x=1")), "context.patientId: does not have the required form"),
        (order_sign(context=context(draftOrders=...)), "context.draftOrders: required, and missing"),
        (order_sign(context=context(draftOrders=[])), "context.draftOrders: must be an object"),
        (order_sign(context=context(draftOrders={"entry": "x"})), "context.draftOrders.entry: must be a list"),
        (
            order_sign(context=context(draftOrders={"resourceType": "MedicationRequest"})),
            "context.draftOrders.resourceType: does not have the required form",
        ),
        (order_sign(prefetch=[]), "prefetch: must be an object"),
        (order_sign(fhirServer=7), "fhirServer: must be a text"),
    ],
)
def test_a_call_that_cannot_be_read_names_the_json_path(client: FlaskClient, call: Any, expected: str) -> None:
    response = client.post(SIGN, json=call)
    assert response.status_code == 400
    assert findings(response) == [expected]


@pytest.mark.conforms("C48", "J2")
def test_order_select_needs_its_selections(client: FlaskClient) -> None:
    response = client.post("/cds-services/tarlatamab-order-select", json=order_sign(hook="order-select"))
    assert response.status_code == 400
    assert findings(response) == ["context.selections: required, and missing"]


def test_a_selection_that_is_no_text_is_named_by_its_place(client: FlaskClient) -> None:
    call = order_sign(hook="order-select", context=context(selections=["MedicationRequest/1", 2]))
    response = client.post("/cds-services/tarlatamab-order-select", json=call)
    assert findings(response) == ["context.selections[1]: must be a text"]


@pytest.mark.conforms("C48")
def test_all_mistakes_are_named_at_once(client: FlaskClient) -> None:
    response = client.post(SIGN, json={"hook": "order-sign", "context": {}})
    assert findings(response) == [
        "hookInstance: required, and missing",
        "context.userId: required, and missing",
        "context.patientId: required, and missing",
        "context.draftOrders: required, and missing",
    ]
    assert response.json is not None
    assert response.json["issue"][1]["expression"] == ["context.userId"]


@pytest.mark.conforms("C5", "C48")
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", "the body is not valid JSON"),
        (b'{"a":1,}', "the body is not valid JSON"),
        (b"{'a':1}", "the body is not valid JSON"),
        (b'{"a":NaN}', "the body is not valid JSON"),
        (b'{"a":Infinity}', "the body is not valid JSON"),
        (b'{"a":1} // comment', "the body is not valid JSON"),
        (b'{"a":"\xff"}', "the body is not valid JSON"),
        (b'{"a":"\\ud800"}', "the body is not valid JSON"),
        (b"[]", "the body must be a JSON object"),
        (b"null", "the body must be a JSON object"),
        (b'{"a":1,"a":2}', "a key stands twice in one JSON object"),
        (b'{"x":[{"dose" :1,"dose": 10}]}', "a key stands twice in one JSON object"),
        (b"[" * 19_000, "the JSON is nested too deeply"),
        (b'{"a":' * 3_000, "the JSON is nested too deeply"),
    ],
)
def test_a_body_that_is_no_strict_json_object_gets_400(client: FlaskClient, body: bytes, expected: str) -> None:
    response = client.post(SIGN, data=body, content_type="application/json")
    assert response.status_code == 400
    assert findings(response) == [expected]


# --- the other statuses -------------------------------------------------------------------------------------


@pytest.mark.conforms("C47")
@pytest.mark.parametrize("address", ["/", "/cds-service", f"{SIGN}/feedback/other"])
def test_what_is_not_on_offer_gets_404(client: FlaskClient, address: str) -> None:
    response = client.post(address, json=order_sign())
    assert response.status_code == 404
    assert findings(response) == ["There is nothing at this address."]


@pytest.mark.conforms("C47")
@pytest.mark.parametrize(
    "address",
    [
        "/cds-services/unknown",
        "/cds-services/unknown/feedback",
        "/cds-services//unknown/feedback/",
        "/cds-services/tarlatamab-patient-view",
    ],
)
def test_an_id_that_no_service_has_gets_404_and_is_told_where_the_ids_stand(client: FlaskClient, address: str) -> None:
    response = client.post(address, json=order_sign())
    assert response.status_code == 404
    assert findings(response) == ["There is no service with this id: GET /cds-services lists those that there are."]


@pytest.mark.conforms("C18", "C47")
@pytest.mark.parametrize(
    ("method", "address", "allowed"),
    [
        ("GET", SIGN, {"POST", "OPTIONS"}),
        ("DELETE", SIGN, {"POST", "OPTIONS"}),
        ("GET", f"{SIGN}/feedback", {"POST", "OPTIONS"}),
        ("POST", "/metrics", {"GET", "HEAD", "OPTIONS"}),
        ("POST", "/cds-services", {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_another_method_gets_405_and_is_told_which_are_allowed(
    client: FlaskClient, method: str, address: str, allowed: set[str]
) -> None:
    response = client.open(address, method=method)
    assert response.status_code == 405
    assert set(response.headers["Allow"].split(", ")) == allowed
    assert findings(response) == ["This address does not take this method."]


@pytest.mark.conforms("C6")
def test_a_body_up_to_the_limit_is_read_and_one_byte_more_gets_413(client: FlaskClient) -> None:
    body = json.dumps(order_sign()).encode()
    at_limit = body + b" " * (20_000 - len(body))
    assert client.post(SIGN, data=at_limit, content_type="application/json").status_code == 200
    response = client.post(SIGN, data=at_limit + b" ", content_type="application/json")
    assert response.status_code == 413
    assert findings(response) == ["The body is larger than this service takes."]


@pytest.mark.conforms("C52")
@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "application/fhir+json", None]
)
def test_another_content_type_or_none_gets_415(client: FlaskClient, content_type: str | None) -> None:
    response = client.post(SIGN, data=json.dumps(order_sign()), content_type=content_type)
    assert response.status_code == 415
    assert findings(response) == ["Send the call as application/json, without a content encoding."]


@pytest.mark.conforms("C52")
@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON"])
def test_json_with_a_charset_or_in_capitals_is_json(client: FlaskClient, content_type: str) -> None:
    response = client.post(SIGN, data=json.dumps(order_sign()), content_type=content_type)
    assert response.status_code == 200


def test_a_compressed_body_gets_415_and_identity_does_not(client: FlaskClient) -> None:
    assert client.post(SIGN, json=order_sign(), headers={"Content-Encoding": "gzip"}).status_code == 415
    assert client.post(SIGN, json=order_sign(), headers={"Content-Encoding": "identity"}).status_code == 200


@pytest.mark.conforms("C33", "C43")
def test_412_names_the_keys_and_the_reasons() -> None:
    def unreadable(call: wire.HookRequest) -> Answer:
        raise NothingReadable(
            {"conditions": "not in the prefetch", "medicationRequests": "the FHIR server answered 403"}
        )

    response = web_that(unreadable).test_client().post(SIGN, json=order_sign())
    assert response.status_code == 412
    assert findings(response) == [
        "prefetch.conditions: not in the prefetch",
        "prefetch.medicationRequests: the FHIR server answered 403",
    ]


# --- a fault of ours ----------------------------------------------------------------------------------------


@pytest.fixture
def logged() -> Iterator[list[str]]:
    lines: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    log, keep = logging.getLogger("cds_service"), Keep()
    level = log.level
    log.addHandler(keep)
    log.setLevel(logging.INFO)
    yield lines
    log.removeHandler(keep)
    log.setLevel(level)


@pytest.mark.conforms("C43", "C56", "C109")
def test_a_fault_gets_500_and_neither_answer_nor_log_quotes_the_patient(logged: list[str]) -> None:
    def faulty(call: wire.HookRequest) -> Answer:
        raise ValueError(f"cannot read {call.context.patient_id}")

    response = web_that(faulty).test_client().post(SIGN, json=order_sign())
    assert response.status_code == 500
    assert findings(response) == ["The service failed; the call was not assessed."]
    (line,) = logged
    told = json.loads(line)
    assert told["error"] == "ValueError"
    assert told["at"][-1].startswith("test_web_http.py:")
    assert told["status"] == 500
    assert PATIENT not in line


def test_nesting_that_only_a_rule_stumbles_over_is_a_mistake_of_the_call() -> None:
    def recursive(call: wire.HookRequest) -> Answer:
        return recursive(call)

    response = web_that(recursive).test_client().post(SIGN, json=order_sign())
    assert response.status_code == 400
    assert findings(response) == ["the JSON is nested too deeply"]


@pytest.mark.conforms("C54", "C108", "C109")
def test_each_call_leaves_one_line_without_patient_or_token(client: FlaskClient, logged: list[str]) -> None:
    call = order_sign(
        fhirServer="https://ehr.example/fhir",
        fhirAuthorization={"access_token": "marker-token", "token_type": "Bearer"},
    )
    client.post(SIGN, json=call)
    (line,) = logged
    told = json.loads(line)
    assert told.pop("milliseconds") >= 0
    assert told == {
        "event": "call",
        "service": "tarlatamab-order-sign",
        "client": "",
        "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
        "status": 200,
        "rows": ["DOSE-1"],
        "unknowns": {"Observation": 2},
    }
    assert PATIENT not in line
    assert "marker-token" not in line


# --- CORS ---------------------------------------------------------------------------------------------------


@pytest.mark.conforms("C111")
@pytest.mark.parametrize("address", ["/cds-services", "/cds-services/", SIGN])
def test_a_browsers_preflight_is_allowed_authorization_by_name(client: FlaskClient, address: str) -> None:
    response = client.options(
        address,
        headers={
            "Origin": "https://sandbox.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization, content-type",
        },
    )
    assert response.status_code == 200
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert "POST" in response.headers["Access-Control-Allow-Methods"]
    assert response.headers["Access-Control-Allow-Headers"] == "Authorization, Content-Type"
    assert "Access-Control-Allow-Credentials" not in response.headers


@pytest.mark.conforms("C43", "C111")
def test_errors_carry_the_cors_headers_too(client: FlaskClient) -> None:
    answers = [
        client.get("/unknown"),
        client.get(SIGN),
        client.post(SIGN, json={}),
        client.post(SIGN, data=b"x", content_type="text/plain"),
        client.post(SIGN, data=b" " * 20_001, content_type="application/json"),
    ]
    assert [answer.status_code for answer in answers] == [404, 405, 400, 415, 413]
    assert {answer.headers["Access-Control-Allow-Origin"] for answer in answers} == {"*"}


# --- the knowledge --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("accept", ["text/markdown", "*/*", "text/html, */*;q=0.8", ""])
def test_the_rules_are_given_to_people_as_markdown(client: FlaskClient, accept: str) -> None:
    answer = client.get("/knowledge", headers={"Accept": accept})
    assert (answer.status_code, answer.mimetype, answer.get_data(as_text=True)) == (200, "text/markdown", "# The rules")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("accept", ["application/json", "application/json, text/markdown;q=0.5"])
def test_the_rules_are_given_to_programs_as_json(client: FlaskClient, accept: str) -> None:
    answer = client.get("/knowledge", headers={"Accept": accept})
    assert (answer.mimetype, answer.get_json()["version"]) == ("application/json", "v1")
