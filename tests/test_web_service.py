"""The whole service over HTTP: its discovery, real requests of the reference client, and calls that need no reading."""

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from flask.testing import FlaskClient

from app import build
from cds_service.settings import read_settings
from fhir_mappings.characteristics import observation_codes

HERE = Path(__file__).resolve().parent
SCHEMA = json.loads((HERE / "cds_hooks" / "response.schema.json").read_text(encoding="utf-8"))
SANDBOX = json.loads((HERE / "cds_hooks" / "sandbox_requests.json").read_text(encoding="utf-8"))
EXAMPLE = json.loads((HERE.parent / "examples" / "order-sign-late-second-dose.json").read_text(encoding="utf-8"))
SIGN = "/cds-services/tarlatamab-order-sign"
SELECT = "/cds-services/tarlatamab-order-select"
NEEDED = ("conditions", "medicationRequests", "medicationAdministrations")


@pytest.fixture(scope="module")
def client() -> FlaskClient:
    return build(read_settings({"CDS_NOW": "2026-01-20T09:00:00Z"})).test_client()


def example() -> dict[str, Any]:
    call: dict[str, Any] = copy.deepcopy(EXAMPLE)
    return call


def advice_of(cards: list[dict[str, Any]]) -> list[str]:
    """`dose/restart-step-up critical` for each card."""
    said = [(card["extension"]["org.tarlatamab-cds.advice"], card["indicator"]) for card in cards]
    return [f"{advice['topic']}/{advice['action']} {indicator}" for advice, indicator in said]


def nothing_empty(value: Any) -> bool:
    """Whether a reply holds no null, "", [] or {} (C2), FHIR resources aside."""
    if isinstance(value, dict):
        return bool(value) and all(nothing_empty(part) for name, part in value.items() if name != "resource")
    if isinstance(value, list):
        return bool(value) and all(nothing_empty(part) for part in value)
    return value is not None and value != ""


# --- discovery ----------------------------------------------------------------------------------------------


def test_discovery_lists_five_services_with_the_prefetch_of_the_contract_in_its_order(client: FlaskClient) -> None:
    discovery = client.get("/cds-services").json
    assert discovery is not None
    jsonschema.validate(discovery, SCHEMA | {"$ref": "#/$defs/discovery"})
    assert nothing_empty(discovery)
    assert [(service["id"], service["hook"]) for service in discovery["services"]] == [
        ("tarlatamab-order-sign", "order-sign"),
        ("tarlatamab-order-select", "order-select"),
        ("tarlatamab-patient-view", "patient-view"),
        ("tarlatamab-encounter-discharge", "encounter-discharge"),
        ("tarlatamab-appointment-book", "appointment-book"),
    ]
    for service in discovery["services"]:
        assert list(service["prefetch"].items()) == [
            ("patient", "Patient/{{context.patientId}}"),
            ("conditions", "Condition?patient={{context.patientId}}"),
            ("medicationRequests", "MedicationRequest?patient={{context.patientId}}"),
            ("medicationAdministrations", "MedicationAdministration?patient={{context.patientId}}"),
            ("laboratory", "Observation?patient={{context.patientId}}&category=laboratory&_sort=-date&_count=200"),
            ("vitalSigns", "Observation?patient={{context.patientId}}&category=vital-signs&_sort=-date&_count=200"),
            ("observations", f"Observation?patient={{{{context.patientId}}}}&code={','.join(observation_codes())}"),
            ("procedures", "Procedure?patient={{context.patientId}}"),
            ("adverseEvents", "AdverseEvent?subject=Patient/{{context.patientId}}"),
            ("allergies", "AllergyIntolerance?patient={{context.patientId}}"),
        ]


def test_the_observations_asked_for_are_named_by_system_and_code_and_fit_into_a_url() -> None:
    codes = observation_codes()
    assert "http://loinc.org|82810-3" in codes
    assert all(code.count("|") == 1 and not set(code) & set(" &#?{},") for code in codes)
    assert len(",".join(codes)) < 2_000


# --- answers ------------------------------------------------------------------------------------------------


@pytest.mark.conforms("C2", "C59", "C65")
@pytest.mark.parametrize(("address", "hook"), [(SIGN, "order-sign"), (SELECT, "order-select")])
def test_an_answer_keeps_the_specification_and_holds_nothing_empty(
    client: FlaskClient, address: str, hook: str
) -> None:
    call = example() | {"hook": hook}
    call["context"]["selections"] = ["MedicationRequest/draft-tarlatamab"]
    response = client.post(address, json=call)
    assert response.status_code == 200
    assert response.json is not None
    jsonschema.validate(response.json, SCHEMA | {"$ref": "#/$defs/response"})
    assert response.json["cards"]
    assert nothing_empty(response.json)
    uuids = [card["uuid"] for card in response.json["cards"]]
    assert len(set(uuids)) == len(uuids)


@pytest.mark.conforms("C57", "C86")
def test_the_same_call_gets_the_same_bytes(client: FlaskClient) -> None:
    assert client.post(SIGN, json=example()).data == client.post(SIGN, json=example()).data


def test_the_second_dose_15_days_after_the_first_is_answered_with_a_restart(client: FlaskClient) -> None:
    response = client.post(SIGN, json=example())
    assert response.json is not None
    assert advice_of(response.json["cards"])[0] == "dose/restart-step-up critical"


def test_the_clinics_zone_decides_which_day_it_is() -> None:
    # 23:30 UTC on day 14 is already day 15 in Vienna
    call = example()
    del call["context"]["draftOrders"]["entry"][0]["resource"]["dosageInstruction"][0]["timing"]["event"]
    expected = {"UTC": "2026-01-19", "Europe/Vienna": "2026-01-20"}
    for zone, today in expected.items():
        settings = read_settings({"CDS_NOW": "2026-01-19T23:30:00Z", "CDS_TIMEZONE": zone})
        response = build(settings).test_client().post(SIGN, json=call)
        assert response.json is not None
        card = response.json["cards"][0]
        assert card["extension"]["org.tarlatamab-cds.advice"]["asOf"] == today
        restarts = "dose/restart-step-up critical" in advice_of(response.json["cards"])
        assert restarts == (zone == "Europe/Vienna")


# --- calls that need no reading -----------------------------------------------------------------------------


@pytest.mark.conforms("C60", "K1")
@pytest.mark.parametrize(("address", "hook"), [(SIGN, "order-sign"), (SELECT, "order-select")])
def test_orders_of_other_drugs_get_no_cards_even_where_nothing_could_be_read(
    client: FlaskClient, address: str, hook: str
) -> None:
    call = example() | {"hook": hook, "prefetch": {}}
    call["context"]["selections"] = ["MedicationRequest/draft-dexamethasone"]
    del call["context"]["draftOrders"]["entry"][0]
    response = client.post(address, json=call)
    assert (response.status_code, response.data) == (200, b'{"cards":[]}')


@pytest.mark.conforms("K6")
def test_a_draft_without_a_medication_yet_is_no_order_of_the_drug_while_it_is_filled_in(client: FlaskClient) -> None:
    call = example() | {"hook": "order-select", "prefetch": {}}
    call["context"]["selections"] = ["MedicationRequest/draft-tarlatamab"]
    entries = call["context"]["draftOrders"]["entry"]
    del entries[1:], entries[0]["resource"]["medicationCodeableConcept"]
    response = client.post(SELECT, json=call)
    assert (response.status_code, response.data) == (200, b'{"cards":[]}')


def test_a_draft_without_a_medication_about_to_be_signed_is_not_answered_with_silence(client: FlaskClient) -> None:
    call = example()
    del call["context"]["draftOrders"]["entry"][0]["resource"]["medicationCodeableConcept"]
    response = client.post(SIGN, json=call)
    assert response.status_code == 200
    assert response.json is not None
    assert any(said.startswith("record/cannot-assess") for said in advice_of(response.json["cards"]))


@pytest.mark.parametrize("entry", [None, 7, "x", {}, {"resource": None}, {"resource": []}, {"resource": {}}])
def test_an_entry_that_is_no_order_is_not_answered_with_silence(client: FlaskClient, entry: Any) -> None:
    call = example()
    call["context"]["draftOrders"]["entry"] = [entry]
    response = client.post(SIGN, json=call)
    assert response.status_code == 200
    assert response.json is not None
    assert any(said.startswith("record/cannot-assess") for said in advice_of(response.json["cards"]))


@pytest.mark.parametrize("depth", [1, 4])
def test_orders_in_a_bundle_among_the_drafts_are_judged_like_any_others(client: FlaskClient, depth: int) -> None:
    call = example()
    expected = client.post(SIGN, json=call).json
    for _ in range(depth):
        call["context"]["draftOrders"] = {
            "resourceType": "Bundle",
            "entry": [{"resource": call["context"]["draftOrders"]}],
        }
    assert expected is not None
    assert "dose/restart-step-up critical" in advice_of(expected["cards"])
    assert client.post(SIGN, json=call).json == expected


def test_orders_in_a_bundle_that_is_nested_too_deep_are_visibly_not_assessed(client: FlaskClient) -> None:
    call = example()
    for _ in range(5):
        call["context"]["draftOrders"] = {
            "resourceType": "Bundle",
            "entry": [{"resource": call["context"]["draftOrders"]}],
        }
    response = client.post(SIGN, json=call)
    assert response.json is not None
    (card,) = response.json["cards"]
    assert advice_of([card]) == ["record/cannot-assess critical"]
    assert card["summary"] == "Check by hand: an order of this call could not be read."
    assert "nested too deep" in card["detail"]


def test_a_bundle_of_other_orders_among_the_drafts_needs_no_reading(client: FlaskClient) -> None:
    call = example() | {"prefetch": {}}
    drafts = call["context"]["draftOrders"]
    del drafts["entry"][0]
    call["context"]["draftOrders"] = {"resourceType": "Bundle", "entry": [{"resource": drafts}]}
    assert client.post(SIGN, json=call).data == b'{"cards":[]}'


def test_a_selected_order_in_a_bundle_among_the_drafts_gets_its_cards(client: FlaskClient) -> None:
    call = example() | {"hook": "order-select"}
    call["context"]["selections"] = ["MedicationRequest/draft-tarlatamab"]
    expected = client.post(SELECT, json=call).json
    call["context"]["draftOrders"] = {"resourceType": "Bundle", "entry": [{"resource": call["context"]["draftOrders"]}]}
    assert expected is not None
    assert expected["cards"]
    assert client.post(SELECT, json=call).json == expected


@pytest.mark.conforms("C40")
def test_an_order_for_another_patient_is_never_judged_and_never_silent(client: FlaskClient) -> None:
    call = example()
    call["context"]["draftOrders"]["entry"][0]["resource"]["subject"] = {"reference": "Patient/somebody-else"}
    response = client.post(SIGN, json=call)
    assert response.status_code == 200
    assert response.json is not None
    said = advice_of(response.json["cards"])
    assert any(line.startswith("record/cannot-assess") for line in said)
    assert not any(line.startswith("dose/") for line in said)


@pytest.mark.conforms("C60")
def test_no_drafts_get_no_cards(client: FlaskClient) -> None:
    call = example()
    call["context"]["draftOrders"]["entry"] = []
    assert client.post(SIGN, json=call).data == b'{"cards":[]}'


# --- 412 ----------------------------------------------------------------------------------------------------


@pytest.mark.conforms("C33", "C43")
def test_412_only_where_orders_administrations_and_conditions_could_all_not_be_had(client: FlaskClient) -> None:
    call = example()
    for key in NEEDED:
        del call["prefetch"][key]
    response = client.post(SIGN, json=call)
    assert response.status_code == 412
    assert response.json is not None
    assert response.json["resourceType"] == "OperationOutcome"
    assert {issue["expression"][0] for issue in response.json["issue"]} == {f"prefetch.{key}" for key in NEEDED}


@pytest.mark.parametrize("key", NEEDED)
def test_one_needed_key_is_enough_to_answer_and_the_others_are_missed_visibly(client: FlaskClient, key: str) -> None:
    call = example()
    call["prefetch"] = {key: call["prefetch"][key]}
    response = client.post(SIGN, json=call)
    assert response.status_code == 200
    assert response.json is not None
    assert "record/cannot-assess critical" in advice_of(response.json["cards"])


# --- real requests ------------------------------------------------------------------------------------------


def sandbox_calls() -> list[Any]:
    return [
        pytest.param(call, id=f"{hook}-{number}")
        for hook, calls in SANDBOX.items()
        for number, call in enumerate(calls)
    ]


@pytest.mark.conforms("C46")
@pytest.mark.parametrize("call", sandbox_calls())
@pytest.mark.parametrize("address", [SIGN, SELECT])
def test_a_real_request_of_the_reference_client_is_answered_or_refused_but_never_fails(
    client: FlaskClient, call: dict[str, Any], address: str
) -> None:
    own = address.endswith(call["hook"])
    response = client.post(address, json={name: value for name, value in call.items() if name != "fhirServer"})
    assert response.status_code in ({200, 412} if own else {400})


@pytest.mark.parametrize("hook", ["order-select", "order-sign"])
def test_a_real_tarlatamab_order_counted_in_pills_is_asked_about(client: FlaskClient, hook: str) -> None:
    asked = []
    for call in SANDBOX[hook]:
        if "arlatamab" in json.dumps(call["context"]):
            known = dict.fromkeys(NEEDED) | call.get("prefetch", {})
            response = client.post(
                f"/cds-services/tarlatamab-{hook}", json=call | {"prefetch": known, "fhirServer": None}
            )
            assert response.status_code == 200
            assert response.json is not None
            asked.append(any(said.startswith("dose/clarify") for said in advice_of(response.json["cards"])))
    assert asked
    assert all(asked)


# --- what the log may say -----------------------------------------------------------------------------------


def test_the_log_names_rows_and_kinds_of_unknowns_but_no_word_of_the_record(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    call = example()
    prefetch = call["prefetch"]
    prefetch["procedures"] = {"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "Marker Name"}}]}
    prefetch["conditions"]["entry"].append({"resource": {"resourceType": "Condition", "id": "x", "subject": 7}})
    with caplog.at_level("INFO", "cds_service"):
        assert client.post(SIGN, json=call).status_code == 200
    told = json.loads(caplog.messages[-1])
    assert "R2" in told["rows"]
    assert told["unknowns"]
    assert "Marker" not in caplog.text
    assert "example" not in caplog.text
