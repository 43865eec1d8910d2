"""What is more than can be assessed in good time is refused in words, never cut off and never answered with silence."""

from __future__ import annotations

import copy
import threading
from datetime import date, timedelta
from typing import Any, Final

import pytest
from flask.testing import FlaskClient

from app import build
from cds_service import cards, limits
from cds_service.errors import RequestError, TooManyCalls, TooMuch
from cds_service.limits import CallsAtOnce
from cds_service.settings import read_settings
from tests.support.hostile_server import answers, hostile_server, searchset
from tests.support.running import CALL, SIGN

DRAFT: Final[dict[str, Any]] = CALL["context"]["draftOrders"]["entry"][0]


@pytest.fixture(scope="module")
def client() -> FlaskClient:
    return build(read_settings({"CDS_NOW": "2026-01-20T09:00:00Z"})).test_client()


def call_with(**members: Any) -> dict[str, Any]:
    return copy.deepcopy(CALL) | members


def drafts(number: int, **more: Any) -> dict[str, Any]:
    """A call with so many draft orders."""
    call = call_with()
    entries = [copy.deepcopy(DRAFT) for _ in range(number)]
    for place, entry in enumerate(entries):
        entry["resource"] |= {"id": f"d{place}", **more}
    call["context"]["draftOrders"]["entry"] = entries
    return call


def other_drug() -> dict[str, Any]:
    return {"medicationCodeableConcept": {"text": "ondansetron"}, "medicationReference": None}


def nested(levels: int) -> dict[str, Any]:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return {"a": value}


# --- the counting -------------------------------------------------------------------------------------------------


def test_values_and_resources_are_counted_at_all_levels() -> None:
    assert limits.values_in({"a": [1, {"b": 2}], "c": 3}) == 5
    assert limits.resources_in({"x": {"resourceType": "A", "contained": [{"resourceType": "B"}]}}) == 2
    assert limits.resources_in({"x": {"resourceType": "Bundle", "entry": [1, 2, 3, 4]}}) == 4


def test_a_hundred_levels_are_taken_and_one_more_is_not() -> None:
    limits.check_size(nested(99))
    with pytest.raises(RequestError, match="nested too deeply"):
        limits.check_size(nested(100))


@pytest.mark.parametrize("name", ["draftOrders", "appointments", "selections"])
def test_five_hundred_proposals_are_taken_and_one_more_is_not(name: str) -> None:
    proposals: list[dict[str, Any]] = [{}] * 500
    for value in (proposals, {"entry": proposals}):
        limits.check_size({"context": {name: value}})
    for value in ([*proposals, {}], {"entry": [*proposals, {}]}):
        with pytest.raises(TooMuch, match=f"^context.{name}: more than 500 entries: it was not assessed$"):
            limits.check_size({"context": {name: value}})


def test_fifty_thousand_resources_are_taken_and_one_more_is_not() -> None:
    bundle = {"resourceType": "Bundle", "entry": [{}] * 50_000}
    limits.check_size({"prefetch": {"conditions": bundle}})
    limits.check_size({"prefetch": {"conditions": bundle["entry"]}})
    beyond: list[Any] = [{"resourceType": "Bundle", "entry": [{}] * 50_001}, [{}] * 50_001]
    for too_many in beyond:
        with pytest.raises(TooMuch, match="more than 50,000 resources"):
            limits.check_size({"prefetch": {"conditions": too_many}})


def test_two_million_values_are_taken_and_one_more_is_not() -> None:
    limits.check_size({"prefetch": {"x": [0] * 49_000, "y": {"v": [0] * 1_950_995}}})
    with pytest.raises(TooMuch, match="more than 2,000,000 JSON values"):
        limits.check_size({"prefetch": {"x": [0] * 49_000, "y": {"v": [0] * 1_950_998}}})


def test_a_context_of_fifty_thousand_values_is_taken_and_of_one_more_is_not() -> None:
    limits.check_size({"context": {"a": [0] * 49_998}})
    with pytest.raises(TooMuch, match=r"^context: more than 50,000 JSON values"):
        limits.check_size({"context": {"a": [0] * 50_000}})


def test_five_hundred_doses_are_taken_and_one_more_is_not() -> None:
    limits.check_doses(500)
    with pytest.raises(TooMuch, match="more than 500 doses of the drug"):
        limits.check_doses(501)


# --- whole calls -----------------------------------------------------------------------------------------------------


@pytest.mark.conforms("C6")
def test_five_hundred_drafts_of_other_drugs_do_not_hide_the_one_that_matters(client: FlaskClient) -> None:
    call = drafts(499, **other_drug())
    call["context"]["draftOrders"]["entry"].append(copy.deepcopy(DRAFT))
    answer = client.post(SIGN, json=call)
    assert answer.status_code == 200
    assert answer.json is not None
    assert "Restart at 1 mg: 15 days since" in answer.json["cards"][0]["summary"]


@pytest.mark.conforms("C6", "C43")
@pytest.mark.parametrize("number", [501, 10_000])
def test_more_drafts_are_refused_in_words(client: FlaskClient, number: int) -> None:
    answer = client.post(SIGN, json=drafts(number, **other_drug()))
    assert answer.status_code == 413
    assert answer.json is not None
    (issue,) = answer.json["issue"]
    assert issue["code"] == "too-costly"
    assert issue["diagnostics"] == "context.draftOrders: more than 500 entries: it was not assessed"


@pytest.mark.parametrize(("number", "status"), [(4, 200), (5, 413)])
def test_drafts_with_too_many_doses_between_them_are_refused_in_words(
    client: FlaskClient, number: int, status: int
) -> None:
    """Of one draft 100 days are read, and that there are more is a dose that cannot be read."""
    first = date(2026, 1, 20)
    days = {"timing": {"event": [str(first + timedelta(days=day)) for day in range(150)]}}
    dosage = [DRAFT["resource"]["dosageInstruction"][0] | days]
    answer = client.post(SIGN, json=drafts(number, dosageInstruction=dosage))
    assert answer.status_code == status
    assert ("more than 500 doses of the drug" in answer.text) is (status == 413)


@pytest.mark.parametrize("levels", [101, 1_000, 100_000])
def test_a_body_nested_too_deeply_is_refused_in_words(client: FlaskClient, levels: int) -> None:
    body = b'{"hook":"order-sign","x":' + b"[" * levels + b"]" * levels + b"}"
    answer = client.post(SIGN, data=body, content_type="application/json")
    assert answer.status_code == 400
    assert "nested too deeply" in answer.text or "not valid JSON" in answer.text


@pytest.mark.parametrize(("most", "status"), [(11, 200), (10, 413)])
def test_resources_read_from_the_server_count_too(monkeypatch: pytest.MonkeyPatch, most: int, status: int) -> None:
    monkeypatch.setattr(limits, "MOST_RESOURCES", most)
    found = [
        {"resourceType": "Condition", "id": f"c{n}", "subject": {"reference": "Patient/example"}, "code": {"text": "x"}}
        for n in range(10)
    ]
    access = {"access_token": "t", "token_type": "Bearer", "expires_in": 300, "scope": "patient/*.rs", "subject": "cds"}
    application = build(read_settings({"CDS_NOW": "2026-01-20T09:00:00Z", "CDS_FHIR_BUDGET_MS": "10000"}))
    with hostile_server(Condition=answers(searchset(*found))) as server:  # and the patient
        call = call_with(prefetch={}, fhirServer=server.url, fhirAuthorization=access)
        answer = application.test_client().post(SIGN, json=call)
    assert answer.status_code == status
    if status == 413:
        assert answer.json is not None
        assert answer.json["issue"][0]["code"] == "too-costly"


# --- calls at once ----------------------------------------------------------------------------------------------------


def test_each_client_has_as_many_calls_open_as_it_may_and_a_closed_one_makes_room() -> None:
    calls = CallsAtOnce(2)
    with calls.one_of("EHR"):
        with calls.one_of("EHR"), calls.one_of("Other"), pytest.raises(TooManyCalls), calls.one_of("EHR"):
            pytest.fail("a third call")
        with calls.one_of("EHR"):
            pass
    with calls.one_of("EHR"), calls.one_of("EHR"):
        pass


def test_a_call_that_fails_makes_room_too() -> None:
    calls = CallsAtOnce(1)
    for _ in range(3):
        with pytest.raises(ValueError), calls.one_of("EHR"):
            raise ValueError
    with calls.one_of("EHR"):
        pass


@pytest.mark.conforms("C43", "C111")
def test_a_call_too_many_gets_429_with_the_time_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CALLS_AT_ONCE", 1)
    started, go_on = threading.Event(), threading.Event()
    application = build(read_settings({"CDS_NOW": "2026-01-20T09:00:00Z"}))
    monkeypatch.setattr("cds_service.services.cards.render", _waiting(started, go_on))
    first = threading.Thread(target=lambda: application.test_client().post(SIGN, json=CALL))
    first.start()
    try:
        assert started.wait(10)
        refused = application.test_client().post(SIGN, json=CALL)
    finally:
        go_on.set()
        first.join(10)
    assert refused.status_code == 429
    assert refused.headers["Retry-After"] == "1"
    assert refused.headers["Access-Control-Allow-Origin"] == "*"
    assert refused.json is not None
    assert refused.json["issue"][0]["code"] == "throttled"
    assert application.test_client().post(SIGN, json=CALL).status_code == 200
    numbers = application.test_client().get("/metrics").get_data(as_text=True)
    assert 'cds_calls_total{service="tarlatamab-order-sign",status="429"} 1.0' in numbers


def _waiting(started: threading.Event, go_on: threading.Event) -> Any:
    render = cards.render

    def wait(*arguments: Any, **options: Any) -> Any:
        started.set()
        assert go_on.wait(10)
        return render(*arguments, **options)

    return wait
