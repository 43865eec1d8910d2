"""A service call and its reply, as a client sees them (sections A, D, E, F, I, J and K of the checklist)."""

from __future__ import annotations

import json
import logging
import statistics
import time
from typing import Any, Final

import pytest
from flask.testing import FlaskClient

from tests.conformance import calls
from tests.conformance.calls import (
    ADVICE,
    DRAFT,
    NEEDED,
    PATIENT,
    advice,
    cards,
    drafts,
    order_select,
    order_sign,
    post,
    prefetch,
    said,
)
from tests.support.hostile_server import HostileServer, answers, fails_with, hostile_server, is_slow

RESTART: Final = "dose/restart-step-up critical"
CANNOT: Final = "record/cannot-assess critical"
TOKEN: Final = "marker-token"
EMPTY: Final = {"resourceType": "Bundle", "type": "searchset", "total": 0}


def outcome(severity: str) -> dict[str, Any]:
    return {"resourceType": "OperationOutcome", "issue": [{"severity": severity, "code": "processing"}]}


def with_access(call: dict[str, Any], server: HostileServer, scope: str = "patient/*.rs") -> dict[str, Any]:
    authorization = {
        "access_token": TOKEN,
        "token_type": "Bearer",
        "expires_in": 300,
        "scope": scope,
        "subject": "cds-service",
    }
    return call | {"fhirServer": server.url, "fhirAuthorization": authorization}


# --- A, E: the body --------------------------------------------------------------------------------------------------


@pytest.mark.conforms("C6")
def test_a_record_of_four_megabytes_is_read(client: FlaskClient) -> None:
    call = order_sign()
    call["prefetch"]["procedures"] = {
        "resourceType": "Bundle",
        "entry": [
            {
                "resource": {
                    "resourceType": "Procedure",
                    "id": f"p{number}",
                    "status": "completed",
                    "subject": {"reference": f"Patient/{PATIENT}"},
                    "code": {"text": "x" * 400},
                }
            }
            for number in range(7_500)
        ],
    }
    body = json.dumps(call).encode()
    assert len(body) > 4_000_000
    response = client.post(calls.SIGN, data=body, content_type="application/json")
    assert response.status_code == 200


@pytest.mark.conforms("C51", "C115", "C118")
def test_fields_and_extensions_that_nobody_knows_leave_every_card_as_it_is(client: FlaskClient) -> None:
    expected = cards(client, order_sign())
    call = order_sign(extension={"com.example.request": {"a": [1]}}, somethingNew="x")
    call["context"] |= {"encounterId": "e1", "somethingNew": {"a": 1}, "extension": {"com.example": 1}}
    call["prefetch"]["somethingNew"] = None
    assert cards(client, call) == expected
    for draft in drafts(call):  # which a suggestion may hand back as it came
        draft["extension"] = [{"url": "https://a.example/x", "valueString": "y"}]
    assert said(client, call) == [advice(card) for card in expected]


@pytest.mark.conforms("C52")
@pytest.mark.parametrize("accept", ["text/html", "application/fhir+json", "*/*"])
def test_whatever_a_client_accepts_it_gets_json(client: FlaskClient, accept: str) -> None:
    response = post(client, order_sign(), headers={"Accept": accept})
    assert (response.status_code, response.mimetype) == (200, "application/json")


@pytest.mark.conforms("C58")
def test_a_call_with_a_complete_prefetch_takes_well_below_half_a_second(client: FlaskClient) -> None:
    took = []
    for _ in range(10):
        started = time.perf_counter()
        post(client, order_sign())
        took.append(time.perf_counter() - started)
    assert statistics.median(took) < 0.5


# --- D: prefetch -----------------------------------------------------------------------------------------------------


@pytest.mark.conforms("C32", "C42")
def test_a_key_that_was_left_out_is_asked_by_its_own_template_and_no_other_is(client: FlaskClient) -> None:
    with hostile_server() as server:
        call = with_access(order_sign(), server)
        call["prefetch"] = prefetch(call, procedures=...)
        assert RESTART in said(client, call)
        assert [asked.path for asked in server.asked] == [f"/fhir/Procedure?patient={PATIENT}"]
        assert {asked.headers["authorization"] for asked in server.asked} == {f"Bearer {TOKEN}"}


@pytest.mark.conforms("C33")
@pytest.mark.parametrize("key", NEEDED)
def test_a_needed_key_that_is_absent_is_said_and_never_taken_for_none(client: FlaskClient, key: str) -> None:
    call = order_sign()
    call["prefetch"] = prefetch(call, **{key: ...})
    assert CANNOT in said(client, call)


@pytest.mark.conforms("C34")
@pytest.mark.parametrize("key", ["procedures", "adverseEvents", "allergies"])
def test_null_means_none_and_is_not_asked_again(client: FlaskClient, key: str) -> None:
    with hostile_server() as server:
        call = with_access(order_sign(), server)
        call["prefetch"] = prefetch(call, **{key: None})
        assert CANNOT not in said(client, call)
        assert server.asked == []


@pytest.mark.conforms("C33", "C34")
def test_null_for_everything_that_is_needed_is_an_answer_and_absence_of_it_is_412(client: FlaskClient) -> None:
    call = order_sign(prefetch=dict.fromkeys(NEEDED))
    assert post(client, call).status_code == 200
    assert post(client, order_sign(prefetch={})).status_code == 412


@pytest.mark.conforms("C35")
@pytest.mark.parametrize("key", ["procedures", "medicationAdministrations", "conditions"])
@pytest.mark.parametrize("total", [{"total": 0}, {"total": 0, "entry": []}, {}])
def test_an_empty_searchset_gets_the_same_cards_as_null(client: FlaskClient, key: str, total: Any) -> None:
    call = order_sign()
    empty = {"resourceType": "Bundle", "type": "searchset", **total}
    as_null = cards(client, call | {"prefetch": prefetch(call, **{key: None})})
    assert cards(client, call | {"prefetch": prefetch(call, **{key: empty})}) == as_null


@pytest.mark.conforms("C36")
@pytest.mark.parametrize("severity", ["error", "fatal"])
@pytest.mark.parametrize("inside", [False, True])
def test_an_outcome_of_an_error_is_unavailable_and_not_asked_again(
    client: FlaskClient, severity: str, inside: bool
) -> None:
    entry = {"resource": outcome(severity), "search": {"mode": "outcome"}}
    value = {**EMPTY, "entry": [entry]} if inside else outcome(severity)
    with hostile_server() as server:
        call = with_access(order_sign(), server)
        call["prefetch"] = prefetch(call, medicationAdministrations=value)
        assert CANNOT in said(client, call)
        assert server.asked == []


@pytest.mark.conforms("C36")
@pytest.mark.parametrize("severity", ["warning", "information"])
def test_a_remark_beside_an_empty_searchset_is_an_empty_searchset(client: FlaskClient, severity: str) -> None:
    call = order_sign()
    remark = {"resource": outcome(severity), "search": {"mode": "outcome"}}
    as_null = cards(client, call | {"prefetch": prefetch(call, procedures=None)})
    assert cards(client, call | {"prefetch": prefetch(call, procedures={**EMPTY, "entry": [remark]})}) == as_null


@pytest.mark.conforms("C37")
def test_a_page_that_cannot_be_followed_is_said_and_nothing_is_concluded_from_it(client: FlaskClient) -> None:
    call = order_sign()
    call["prefetch"]["medicationAdministrations"]["link"] = [
        {"relation": "next", "url": "https://ehr.example/fhir?p=2"}
    ]
    assert CANNOT in said(client, call)
    assert CANNOT not in said(client, order_sign())


@pytest.mark.conforms("C38")
@pytest.mark.parametrize("key", list(order_sign()["prefetch"]))
@pytest.mark.parametrize("wrong", ["123", 7, True, [], {}, {"resourceType": "Binary"}, [None]])
def test_a_value_of_the_wrong_shape_is_never_a_fault(client: FlaskClient, key: str, wrong: Any) -> None:
    call = order_sign()
    assert post(client, call | {"prefetch": prefetch(call, **{key: wrong})}).status_code == 200


@pytest.mark.conforms("C40")
def test_what_another_patient_was_given_moves_no_schedule(client: FlaskClient) -> None:
    call = order_sign()
    for entry in call["prefetch"]["medicationAdministrations"]["entry"]:
        entry["resource"]["subject"] = {"reference": "Patient/somebody-else"}
    assert RESTART in said(client, order_sign())
    answered = cards(client, call)
    assert RESTART not in map(advice, answered)
    assert not any("somebody-else" in card["detail"] for card in answered)


@pytest.mark.conforms("C41", "C46")
def test_the_same_record_from_the_server_gets_the_same_cards_and_its_metadata_are_never_asked(
    client: FlaskClient,
) -> None:
    call = order_sign()
    by_type: dict[str, list[Any]] = {}
    for value in call["prefetch"].values():
        for entry in (value or {}).get("entry", ()):
            by_type.setdefault(entry["resource"]["resourceType"], []).append(entry)
    serve = {kind: answers({**EMPTY, "total": len(found), "entry": found}) for kind, found in by_type.items()}
    with hostile_server(Patient=answers(call["prefetch"]["patient"]), **serve) as server:
        read = cards(client, with_access(call, server) | {"prefetch": {}})
        assert not [asked.path for asked in server.asked if "metadata" in asked.path]
    assert [advice(card) for card in read] == said(client, call)


@pytest.mark.conforms("C43", "C109")
def test_412_names_the_missing_keys_and_not_the_patient(client: FlaskClient) -> None:
    call = json.loads(json.dumps(order_sign(prefetch={})).replace(f'"{PATIENT}"', '"marker-patient"'))
    for draft in drafts(call):
        draft["subject"] = {"reference": "Patient/marker-patient"}
    response = post(client, call)
    assert response.status_code == 412
    assert all(f"prefetch.{key}" in response.text for key in NEEDED)
    assert "marker-patient" not in response.text


@pytest.mark.conforms("C44")
def test_a_server_that_is_slow_or_refuses_costs_no_more_than_the_budget_and_is_said() -> None:
    client = calls.application(CDS_FHIR_BUDGET_MS="300").test_client()
    with hostile_server(MedicationAdministration=is_slow(5), Condition=fails_with(403)) as server:
        call = with_access(order_sign(), server)
        call["prefetch"] = prefetch(call, medicationAdministrations=..., conditions=...)
        started = time.monotonic()
        assert CANNOT in said(client, call)
        assert time.monotonic() - started < 4.5  # the slow answer comes after 5 s


@pytest.mark.conforms("C45")
@pytest.mark.parametrize("server", ["http://169.254.169.254/latest", "http://10.0.0.1/fhir", "ftp://a.example", "x"])
def test_a_server_that_nobody_may_call_leaves_the_call_to_its_prefetch(client: FlaskClient, server: str) -> None:
    call = order_sign(fhirServer=server, fhirAuthorization={"access_token": TOKEN, "token_type": "Bearer"})
    assert RESTART in said(client, call)
    call["prefetch"] = {}
    assert post(client, call).status_code == 412


@pytest.mark.conforms("C53")
@pytest.mark.parametrize(
    "authorization", [{"access_token": TOKEN}, {"access_token": TOKEN, "expires_in": "300"}, {}, None, "x"]
)
def test_an_incomplete_authorization_is_no_mistake_of_the_call(client: FlaskClient, authorization: Any) -> None:
    expected = cards(client, order_sign())
    assert cards(client, order_sign(fhirAuthorization=authorization)) == expected


@pytest.mark.conforms("C54", "C108", "C109")
def test_neither_token_nor_patient_is_in_the_log_of_a_whole_call(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    with hostile_server(Procedure=fails_with(500)) as server, caplog.at_level(logging.DEBUG):
        call = with_access(order_sign(), server)
        call["prefetch"] = prefetch(call, procedures=...)
        response = post(client, call)
    assert '"event":"call"' in caplog.text
    assert "tarlatamab-order-sign" in caplog.text
    assert TOKEN not in caplog.text + response.text
    ours = [record.getMessage() for record in caplog.records if record.name == "cds_service"]
    assert not [line for line in ours if f"Patient/{PATIENT}" in line or "patient=" in line]


@pytest.mark.conforms("C55")
def test_the_scope_is_not_read(client: FlaskClient) -> None:
    scopes = ["patient/*.read launch", "patient/Procedure.rs", "Epic's own words, none of SMART's", ""]
    answered = []
    for scope in scopes:
        with hostile_server() as server:
            call = with_access(order_sign(), server, scope)
            call["prefetch"] = prefetch(call, procedures=...)
            answered.append(cards(client, call))
            assert len(server.asked) == 1
    assert all(one == answered[0] for one in answered)


# --- F: cards --------------------------------------------------------------------------------------------------------


@pytest.mark.conforms("C61", "C64")
def test_a_drug_name_full_of_markup_and_as_long_as_a_page_breaks_no_card(client: FlaskClient) -> None:
    call = order_sign()
    name = f"tarlatamab <script>alert(1)</script> **[x](https://evil.example)** {'very long ' * 300}"
    drafts(call)[0]["medicationCodeableConcept"]["text"] = name
    answered = cards(client, call)
    assert RESTART in map(advice, answered)
    for card in answered:
        assert len(card["summary"]) <= 139
        assert "<script" not in card["summary"] + card["detail"]
        assert "](https://evil" not in card["summary"] + card["detail"]


@pytest.mark.conforms("C57", "C68")
def test_a_retry_has_the_same_uuids_and_another_call_the_same_topics(client: FlaskClient) -> None:
    first, retry = cards(client, order_sign()), cards(client, order_sign())
    other = cards(client, order_sign(hookInstance="another"))
    assert [card["uuid"] for card in first] == [card["uuid"] for card in retry]
    assert not {card["uuid"] for card in first} & {card["uuid"] for card in other}
    assert [card["source"]["topic"] for card in first] == [card["source"]["topic"] for card in other]


@pytest.mark.conforms("C66")
def test_the_source_is_linked_absolutely_and_alike_for_every_patient(client: FlaskClient) -> None:
    answered = [*cards(client, order_sign()), *cards(client, order_select())]
    urls = {card["source"]["url"] for card in answered}
    assert urls
    assert all(url.startswith("https://") and PATIENT not in url for url in urls)


@pytest.mark.conforms("C67", "C73", "C83")
def test_no_card_has_an_icon_a_way_to_choose_actions_or_an_app_that_starts_by_itself(client: FlaskClient) -> None:
    for card in [*cards(client, order_sign()), *cards(client, order_select())]:
        text = json.dumps(card)
        assert '"icon"' not in text
        assert '"actionSelectionBehavior"' not in text
        assert '"autolaunchable"' not in text


@pytest.mark.conforms("C85", "C118")
def test_what_is_ours_stands_under_a_reverse_domain_name(client: FlaskClient) -> None:
    assert {name for card in cards(client, order_sign()) for name in card["extension"]} == {ADVICE}


@pytest.mark.conforms("C86")
def test_the_worst_cards_come_first(client: FlaskClient) -> None:
    call = order_sign(prefetch=dict.fromkeys(NEEDED))
    for answered in (cards(client, call), cards(client, order_sign()), cards(client, order_select())):
        ranks = [["critical", "warning", "info"].index(card["indicator"]) for card in answered]
        assert ranks == sorted(ranks)


@pytest.mark.conforms("C119")
def test_what_was_shown_before_is_shown_again(client: FlaskClient) -> None:
    first = cards(client, order_sign())
    cards(client, order_select())
    cards(client, order_sign(hookInstance="another"))
    assert cards(client, order_sign()) == first


# --- J: contexts -----------------------------------------------------------------------------------------------------


@pytest.mark.conforms("J2")
@pytest.mark.parametrize("field", ["userId", "patientId", "selections", "draftOrders"])
def test_order_select_without_a_required_field_is_refused_by_its_name(client: FlaskClient, field: str) -> None:
    call = order_select()
    del call["context"][field]
    response = post(client, call)
    assert response.status_code == 400
    assert f"context.{field}: required, and missing" in response.text


@pytest.mark.conforms("J3")
@pytest.mark.parametrize("field", ["userId", "patientId", "draftOrders"])
def test_order_sign_without_a_required_field_is_refused_by_its_name(client: FlaskClient, field: str) -> None:
    call = order_sign()
    del call["context"][field]
    response = post(client, call)
    assert response.status_code == 400
    assert f"context.{field}: required, and missing" in response.text


@pytest.mark.conforms("J2", "J3")
@pytest.mark.parametrize("call", [order_sign(), order_select()], ids=lambda call: str(call["hook"]))
@pytest.mark.parametrize("user", ["Practitioner/1", "PractitionerRole/1", "Patient/1", "RelatedPerson/1"])
def test_an_order_hook_is_answered_with_and_without_an_encounter_whoever_the_user_is(
    client: FlaskClient, call: dict[str, Any], user: str
) -> None:
    plain = call | {"context": call["context"] | {"userId": user}}
    within = call | {"context": plain["context"] | {"encounterId": "e1"}}
    assert cards(client, plain) == cards(client, within) != []


# --- K: drafts -------------------------------------------------------------------------------------------------------


@pytest.mark.conforms("K1")
def test_orders_of_other_types_beside_the_drug_change_nothing(client: FlaskClient) -> None:
    call = order_sign()
    call["context"]["draftOrders"]["entry"] += [
        {"resource": {"resourceType": kind, "id": "x", "subject": {"reference": f"Patient/{PATIENT}"}}}
        for kind in ("NutritionOrder", "VisionPrescription", "DeviceRequest", "ReferralRequest", "Medication")
    ]
    assert cards(client, call) == cards(client, order_sign())


@pytest.mark.conforms("K1")
def test_the_drug_is_found_as_an_entry_of_its_own_and_as_contained(client: FlaskClient) -> None:
    contained, entry = order_sign(), order_sign()
    for call, reference in ((contained, "#m"), (entry, "Medication/m")):
        draft = drafts(call)[0]
        medication = {"resourceType": "Medication", "id": "m", "code": draft.pop("medicationCodeableConcept")}
        draft["medicationReference"] = {"reference": reference}
        if call is contained:
            draft["contained"] = [medication]
        else:
            call["context"]["draftOrders"]["entry"].append({"resource": medication})
    assert RESTART in said(client, contained)
    assert RESTART in said(client, entry)


@pytest.mark.conforms("K2")
def test_a_draft_is_never_read_from_the_server(client: FlaskClient) -> None:
    with hostile_server() as server:
        post(client, with_access(order_sign(prefetch={}), server))
        asked = [one.path for one in server.asked]
    assert asked
    assert not [path for path in asked if "draft-" in path]


@pytest.mark.conforms("K3")
def test_a_bundle_without_type_and_drafts_of_another_intent_or_full_url_are_read(client: FlaskClient) -> None:
    call = order_sign()
    del call["context"]["draftOrders"]["type"]
    for number, entry in enumerate(call["context"]["draftOrders"]["entry"]):
        entry["fullUrl"] = f"urn:uuid:30327687-2c1c-4f23-b485-15629c26d28{number}"
        entry["resource"]["intent"] = "plan"
    assert RESTART in said(client, call)


@pytest.mark.conforms("K4")
def test_a_dose_as_stu3_writes_it_and_a_dosage_without_its_list_are_the_same_dose(client: FlaskClient) -> None:
    stu3, bare = order_sign(), order_sign()
    (dosage,) = drafts(stu3)[0]["dosageInstruction"]
    dosage |= dosage.pop("doseAndRate")[0]
    drafts(bare)[0]["dosageInstruction"] = drafts(bare)[0]["dosageInstruction"][0]
    expected = said(client, order_sign())
    assert said(client, stu3) == expected
    assert said(client, bare) == expected


@pytest.mark.conforms("K6")
def test_a_selection_of_no_entry_is_no_mistake(client: FlaskClient) -> None:
    call = order_select()
    call["context"]["selections"] = [DRAFT, "MedicationRequest/not-there"]
    assert post(client, call).status_code == 200
