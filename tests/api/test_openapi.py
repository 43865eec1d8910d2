"""/openapi.json: valid by itself, and neither stricter nor wider than what the service reads and writes."""

from __future__ import annotations

import copy
import json
import tomllib
from pathlib import Path
from typing import Any, Final

import jsonschema
import pytest
from flask.testing import FlaskClient
from schemathesis.specs.openapi.definitions import OPENAPI_31

from app import build
from cds_service import openapi, wire
from cds_service.settings import read_settings

ROOT: Final = Path(__file__).resolve().parents[2]
SIGN: Final = "/cds-services/tarlatamab-order-sign"
SELECT: Final = "/cds-services/tarlatamab-order-select"


@pytest.fixture(scope="module")
def client() -> FlaskClient:
    return build(read_settings({"CDS_NOW": "2026-01-20T09:00:00Z"})).test_client()


@pytest.fixture(scope="module")
def document(client: FlaskClient) -> dict[str, Any]:
    response = client.get("/openapi.json")
    assert response.status_code == 200
    assert response.mimetype == "application/json"
    found: dict[str, Any] = json.loads(response.data)
    return found


def body_schema(document: dict[str, Any], path: str) -> jsonschema.Draft202012Validator:
    schema = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    return jsonschema.Draft202012Validator({**schema, "components": document["components"]})


def call(hook: Any = "order-sign", *, context: Any = None, **changes: Any) -> dict[str, Any]:
    """A call without drafts of the drug; a change to `...` leaves the member out, one of `context` adds to it."""
    usual: dict[str, Any] = {"userId": "Practitioner/1", "patientId": "p", "draftOrders": {"resourceType": "Bundle"}}
    if hook == "order-select":
        usual["selections"] = []
    whole = {"hook": hook, "hookInstance": "i", "context": without_dots(usual | (context or {}))}
    return without_dots(whole | changes)


def without_dots(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not ...}


# --- the document -----------------------------------------------------------------------------------------------


def test_it_is_valid_against_the_meta_schema_of_openapi_31(document: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator(OPENAPI_31).validate(document)
    assert document["openapi"] == "3.1.0"
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_the_meta_schema_refuses_what_is_no_openapi(document: dict[str, Any]) -> None:
    wrong = copy.deepcopy(document)
    wrong["paths"][SIGN]["post"]["responses"]["nine"] = {"description": "no status"}
    assert not jsonschema.Draft202012Validator(OPENAPI_31).is_valid(wrong)


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    for reference in openapi.references_in(document):
        found: Any = document
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]
        assert found


def test_every_address_of_the_service_is_described_and_answers(client: FlaskClient, document: dict[str, Any]) -> None:
    discovery = client.get("/cds-services").json
    assert discovery is not None
    ids = [service["id"] for service in discovery["services"]]
    rules = [rule for rule in client.application.url_map.iter_rules() if "//" not in str(rule)]
    routes = {str(rule) for rule in rules if "." not in rule.endpoint}  # the pages for people are blueprints
    assert {route.replace("<service_id>", service_id) for route in routes for service_id in ids} == set(
        document["paths"]
    )
    for path, operations in document["paths"].items():
        for method in operations:
            assert client.open(path, method=method.upper()).status_code in {200, 415}


def test_a_call_says_all_its_statuses(document: dict[str, Any]) -> None:
    for path in (SIGN, SELECT):
        assert set(document["paths"][path]["post"]["responses"]) == {
            "200", "400", "404", "405", "412", "413", "415", "429", "500",
        }  # fmt: skip
        assert set(document["paths"][f"{path}/feedback"]["post"]["responses"]) == {
            "200", "400", "404", "405", "413", "415", "429", "500", "503",
        }  # fmt: skip


def test_the_version_is_that_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == openapi.VERSION


def test_each_example_stands_with_its_hook_and_keeps_the_schema(document: dict[str, Any]) -> None:
    shown = {}
    for path, operations in document["paths"].items():
        content = operations.get("post", {}).get("requestBody", {}).get("content", {}).get("application/json", {})
        for name, example in content.get("examples", {}).items():
            body_schema(document, path).validate(example["value"])
            shown[name] = path
    calls = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in (ROOT / "examples").glob("*.json")}
    assert shown == {name: f"/cds-services/tarlatamab-{body['hook']}" for name, body in calls.items() if "hook" in body}
    assert shown["order-sign-late-second-dose"] == SIGN


def test_a_file_that_is_no_call_is_no_example_and_no_folder_is_none(tmp_path: Path) -> None:
    service = wire.Service(hook="order-sign", id="a-service", title="A title", description="What it does")

    def shown(folder: Path) -> Any:
        operation = openapi.document((service,), examples=folder)["paths"]["/cds-services/a-service"]["post"]
        return operation["requestBody"]["content"]["application/json"].get("examples")

    for name, value in {"a-list": [1], "an-object": {"feedback": []}, "a-call": call()}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(value), encoding="utf-8")
    assert shown(tmp_path) == {"a-call": {"value": call()}}
    assert shown(tmp_path / "none") is None


def test_equal_services_give_equal_bytes(client: FlaskClient) -> None:
    again = build(read_settings({"CDS_NOW": "2026-01-20T09:00:00Z"})).test_client()
    assert again.get("/openapi.json").data == client.get("/openapi.json").data


# --- neither stricter nor wider ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        call(),
        call(other=[1], extension={"com.example": 1}, context={"other": 1}),
        call(context={"patientId": "Patient/p"}),
        call(context={"patientId": "x" * 128}),
        call(context={"encounterId": None}),
        call(context={"draftOrders": {}}),
        call(context={"draftOrders": {"entry": None}}),
        call(context={"draftOrders": {"entry": {"resource": {}}}}),
        call(context={"draftOrders": {"entry": [None, 7]}}),
        call(hookInstance="x" * 256),
        call(prefetch=None),
        call(prefetch={"patient": None, "conditions": "text"}),
        call(fhirServer=None),
        call(fhirServer="x" * 2048),
        call(fhirAuthorization=None),
        call(fhirAuthorization=7),
        call(fhirAuthorization={"access_token": 7}),
        call(fhirAuthorization={"access_token": "t", "token_type": "Bearer", "expires_in": "300"}),
    ],
)
def test_what_the_schema_allows_is_read(client: FlaskClient, document: dict[str, Any], body: dict[str, Any]) -> None:
    body_schema(document, SIGN).validate(body)
    assert client.post(SIGN, json=body).status_code in {200, 412}


@pytest.mark.parametrize(
    "body",
    [
        [],
        call("order-select"),
        call(hook=...),
        call(hook=7),
        call(hookInstance=...),
        call(hookInstance=" "),
        call(hookInstance="x" * 257),
        call(hookInstance=..., hook_instance="i"),
        call() | {"context": None},
        call(context={"userId": ...}),
        call(context={"userId": ""}),
        call(context={"patientId": ...}),
        call(context={"patientId": ..., "patient_id": "p"}),
        call(context={"patientId": "p?x=1"}),
        call(context={"patientId": "Patient/"}),
        call(context={"patientId": "Patient/Patient/p"}),
        call(context={"patientId": "x" * 129}),
        call(context={"encounterId": 7}),
        call(context={"draftOrders": ...}),
        call(context={"draftOrders": None}),
        call(context={"draftOrders": {"entry": "x"}}),
        call(context={"draftOrders": {"resourceType": "MedicationRequest"}}),
        call(context={"draftOrders": {"resourceType": None}}),
        call(prefetch=[]),
        call(fhirServer=7),
        call(fhirServer="x" * 2049),
    ],
)
def test_what_the_service_refuses_the_schema_refuses(client: FlaskClient, document: dict[str, Any], body: Any) -> None:
    assert not body_schema(document, SIGN).is_valid(body)
    assert client.post(SIGN, json=body).status_code == 400


@pytest.mark.parametrize(
    ("selections", "expected"), [([], True), (["MedicationRequest/1"], True), ([7], False), (..., False)]
)
def test_order_select_needs_its_selections(
    client: FlaskClient, document: dict[str, Any], selections: Any, expected: bool
) -> None:
    body = call("order-select", context={"selections": selections})
    assert body_schema(document, SELECT).is_valid(body) is expected
    assert (client.post(SELECT, json=body).status_code != 400) is expected


def test_what_goes_out_is_never_null_and_lists_only_what_may_be_empty(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    answer = jsonschema.Draft202012Validator(
        {"$ref": "#/components/schemas/CdsResponse", "components": document["components"]}
    )
    card = {"summary": "s", "indicator": "info", "source": {"label": "l"}}
    assert answer.is_valid({"cards": []})
    assert answer.is_valid({"cards": [card]})
    assert not answer.is_valid({"cards": [card | {"detail": None}]})
    assert not answer.is_valid({"cards": [card | {"links": []}]})
    assert not answer.is_valid({"cards": [card | {"unknown": 1}]})
    assert schemas["OperationOutcome"]["required"] == ["issue", "resourceType"]
