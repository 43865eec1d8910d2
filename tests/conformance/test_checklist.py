"""The checklist of CDS Hooks as black-box checks, each named with the number of its item."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import pytest
from flask.testing import FlaskClient

from app import build
from cds_service import wire
from cds_service.settings import read_settings
from cds_service.web import create_web
from tests.test_web_http import KNOWLEDGE
from tests.vignettes.build import Case, load_vignettes
from tests.vignettes.test_vignettes import cards_for

ROOT: Final = Path(__file__).resolve().parents[2]
CALL: Final = json.loads((ROOT / "examples" / "order-sign-late-second-dose.json").read_text(encoding="utf-8"))
SIGN: Final = "/cds-services/tarlatamab-order-sign"
TOKEN_FIELDS: Final = {"userId", "patientId", "encounterId"}
"""What the hooks on offer mark as allowed in a template (section J)."""
CASES: Final = {case.id: case for case in load_vignettes()}
Json = dict[str, Any]


@pytest.fixture(scope="module")
def client() -> FlaskClient:
    return build(read_settings({"CDS_NOW": "2026-01-20T09:00:00Z"})).test_client()


@pytest.fixture(scope="module")
def services(client: FlaskClient) -> list[Json]:
    found: list[Json] = (client.get("/cds-services").json or {})["services"]
    return found


@pytest.fixture(scope="module")
def templates(services: list[Json]) -> dict[str, str]:
    return {key: template for service in services for key, template in service["prefetch"].items()}


def call(**changes: Any) -> Json:
    """The README's example; a change to `...` leaves a member out."""
    whole = copy.deepcopy(CALL) | changes
    return {name: value for name, value in whole.items() if value is not ...}


def with_context(**changes: Any) -> Json:
    context = CALL["context"] | changes
    return call(context={name: value for name, value in context.items() if value is not ...})


def with_prefetch(**changes: Any) -> Json:
    prefetch = CALL["prefetch"] | changes
    return call(prefetch={name: value for name, value in prefetch.items() if value is not ...})


def cards(client: FlaskClient, body: Json) -> list[Json]:
    response = client.post(SIGN, json=body)
    assert response.status_code == 200, response.get_data(as_text=True)
    found: list[Json] = (response.json or {})["cards"]
    return found


def without_uuids(found: list[Json]) -> str:
    return re.sub(r'"uuid": "[^"]*"', "", json.dumps(found))


def every_answer() -> Iterator[Json]:
    """The cards of vignettes that between them reach most topics."""
    for name in ("V4a", "V5b", "V14a", "V19", "V22a", "V25a", "V52c", "V100a", "V104a", "V106a"):
        if name in CASES:
            yield from map(dict, cards_for(CASES[name]))


# --- A, B: transport, discovery -------------------------------------------------------------------------------------


def test_c1_every_success_is_json(client: FlaskClient) -> None:
    assert client.get("/cds-services").mimetype == "application/json"
    assert client.post(SIGN, json=CALL).mimetype == "application/json"


def test_c5_a_trailing_comma_is_refused(client: FlaskClient) -> None:
    assert client.post(SIGN, data=b'{"a": 1,}', content_type="application/json").status_code == 400


def test_c6_the_default_limit_takes_four_megabytes(client: FlaskClient) -> None:
    body = json.dumps(call(extension={"com.example": "x" * 4_000_000}))
    assert client.post(SIGN, data=body, content_type="application/json").status_code == 200


def test_c7_discovery_is_an_object_with_an_array_of_services(client: FlaskClient, services: list[Json]) -> None:
    assert set(client.get("/cds-services").json or {}) == {"services"}
    assert len(services) == 5


def test_c8_nothing_on_offer_is_still_an_answer() -> None:
    empty = create_web((), knowledge=KNOWLEDGE, max_body_bytes=20_000).test_client().get("/cds-services")
    assert (empty.status_code, empty.json) == (200, {"services": []})


@pytest.mark.parametrize("name", ["hook", "id", "description", "title"])
def test_c9_and_c10_each_service_has_its_words(services: list[Json], name: str) -> None:
    assert all(service[name].strip() for service in services)


def test_c10_each_service_has_a_title_of_its_own(services: list[Json]) -> None:
    assert len({service["title"] for service in services}) == len(services)


def test_c12_no_hook_and_no_id_stands_twice(services: list[Json]) -> None:
    assert len({(service["hook"], service["id"]) for service in services}) == len(services)
    assert len({service["id"] for service in services}) == len(services)


def test_c13_and_c14_prefetch_and_requirements_are_there(services: list[Json]) -> None:
    for service in services:
        assert all(isinstance(template, str) and template for template in service["prefetch"].values())
        assert service["usageRequirements"].strip()


def test_c14_the_requirements_name_what_is_needed(services: list[Json]) -> None:
    assert all("MedicationAdministration" in service["usageRequirements"] for service in services)


def test_c17_discovery_is_open_and_takes_a_token(client: FlaskClient) -> None:
    assert client.get("/cds-services").status_code == 200
    assert client.get("/cds-services", headers={"Authorization": "Bearer a.b.c"}).status_code == 200


# --- C: templates ---------------------------------------------------------------------------------------------------


def test_c20_each_template_is_a_relative_read_or_search(templates: dict[str, str]) -> None:
    assert all(re.match(r"[A-Z][A-Za-z]+[/?]", template) for template in templates.values())
    assert not any(re.match(r"/|\w+:", template) for template in templates.values())


def test_c21_and_c22_tokens_are_root_fields_that_every_hook_has(templates: dict[str, str]) -> None:
    for template in templates.values():
        tokens = re.findall(r"\{\{(.*?)\}\}", template)
        assert tokens
        assert {token.removeprefix("context.") for token in tokens} <= TOKEN_FIELDS
        assert all(token.startswith("context.") for token in tokens)


def test_c22_no_template_reaches_into_the_orders(templates: dict[str, str]) -> None:
    assert not any("draftOrders" in template for template in templates.values())


def test_c28_no_template_needs_another_and_their_order_is_kept(client: FlaskClient, templates: dict[str, str]) -> None:
    assert not any("%" in template for template in templates.values())
    text = client.get("/cds-services").get_data(as_text=True)
    places = [text.index(f'"{key}":') for key in templates]
    assert places == sorted(places)


def test_c29_only_the_portable_subset_of_searches_is_used(templates: dict[str, str]) -> None:
    names = {part.split("=")[0] for query in templates.values() for part in query.partition("?")[2].split("&") if part}
    assert names <= {"patient", "subject", "category", "code", "_sort", "_count"}


def test_c30_no_parameter_stands_twice(templates: dict[str, str]) -> None:
    for query in templates.values():
        names = [part.split("=")[0] for part in query.partition("?")[2].split("&") if part]
        assert len(names) == len(set(names))


def test_c31_sorting_is_that_of_fhir(templates: dict[str, str]) -> None:
    assert not any("sort:" in query for query in templates.values())
    assert all("_sort=-date" in query for query in templates.values() if "_sort" in query)


# --- D: what arrives ------------------------------------------------------------------------------------------------


def test_c33_an_absent_key_is_unknown_and_said(client: FlaskClient) -> None:
    found = cards(client, with_prefetch(conditions=...))
    assert "record/cannot-assess" in {kind(card) for card in found}


@pytest.mark.parametrize("key", ["conditions", "procedures", "adverseEvents"])
def test_c34_and_c35_null_and_an_empty_bundle_mean_none(client: FlaskClient, key: str) -> None:
    empty = {"resourceType": "Bundle", "type": "searchset", "total": 0}
    assert cards(client, with_prefetch(**{key: None})) == cards(client, with_prefetch(**{key: empty}))


def test_c35_epics_empty_search_with_a_warning_means_none(client: FlaskClient) -> None:
    warning = {"resourceType": "OperationOutcome", "issue": [{"severity": "warning", "code": "informational"}]}
    empty = {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": 0,
        "entry": [{"search": {"mode": "outcome"}, "resource": warning}],
    }
    assert cards(client, with_prefetch(procedures=empty)) == cards(client, with_prefetch(procedures=None))


@pytest.mark.parametrize("value", ["123", 7, [], {}, {"resourceType": "Patient", "id": "x"}, True])
def test_c38_a_value_of_the_wrong_shape_is_no_fault(client: FlaskClient, value: Any) -> None:
    for key in CALL["prefetch"]:
        assert client.post(SIGN, json=with_prefetch(**{key: value})).status_code in {200, 412}


def test_c39_unknown_keys_change_nothing(client: FlaskClient) -> None:
    assert cards(client, with_prefetch(surprise={"resourceType": "Bundle"})) == cards(client, CALL)


def test_c40_a_patient_that_is_another_is_not_read(client: FlaskClient) -> None:
    other = {**CALL["prefetch"]["patient"], "id": "somebody-else", "birthDate": "2015-01-01"}
    found = cards(client, with_prefetch(patient=other))
    assert "pediatric/assess" not in {kind(card) for card in found}
    assert "record/cannot-assess" in {kind(card) for card in found}


def test_c43_a_412_names_the_keys_and_nothing_of_the_patient(client: FlaskClient) -> None:
    response = client.post(SIGN, json=call(prefetch={}))
    assert response.status_code == 412
    assert response.json is not None
    assert response.json["resourceType"] == "OperationOutcome"
    text = response.get_data(as_text=True)
    assert all(key in text for key in ("conditions", "medicationRequests", "medicationAdministrations"))
    assert CALL["context"]["patientId"] not in text


# --- E: the call ----------------------------------------------------------------------------------------------------


def test_c47_an_unknown_service_is_404_and_another_verb_405(client: FlaskClient) -> None:
    assert client.post("/cds-services/other", json=CALL).status_code == 404
    assert client.get(SIGN).status_code == 405


@pytest.mark.parametrize("member", ["hook", "hookInstance", "context"])
def test_c48_a_required_member_that_is_missing_is_400(client: FlaskClient, member: str) -> None:
    response = client.post(SIGN, json=call(**{member: ...}))
    assert response.status_code == 400
    assert member in response.get_data(as_text=True)


def test_c50_another_hook_than_the_services_is_400(client: FlaskClient) -> None:
    assert client.post(SIGN, json=call(hook="patient-view")).status_code == 400


def test_c51_extensions_at_every_level_change_nothing(client: FlaskClient) -> None:
    more = with_context(extension={"com.example": 1}, novelty=[1])
    assert cards(client, more | {"extension": {"com.example": {}}, "other": None}) == cards(client, CALL)


@pytest.mark.parametrize(
    "authorization",
    [
        {"access_token": "t", "token_type": "Bearer", "expires_in": 300, "scope": "patient/*.read", "subject": "s"},
        {"access_token": "t", "token_type": "bearer", "expires_in": "300", "scope": "patient/*.rs", "subject": "s"},
        {"access_token": "t", "token_type": "Bearer", "scope": "Epic's own words"},
    ],
)
def test_c53_and_c55_tokens_are_taken_as_clients_send_them(client: FlaskClient, authorization: Json) -> None:
    assert cards(client, call(fhirAuthorization=authorization)) == cards(client, CALL)


def test_c55_no_scope_is_read(client: FlaskClient) -> None:
    bare = {"access_token": "t", "token_type": "Bearer", "scope": ""}
    assert cards(client, call(fhirAuthorization=bare)) == cards(client, CALL)


def test_c57_a_retry_gets_the_same_cards_and_another_call_other_uuids(client: FlaskClient) -> None:
    first, again = cards(client, CALL), cards(client, CALL)
    other = cards(client, call(hookInstance="another"))
    assert first == again
    assert not {card["uuid"] for card in first} & {card["uuid"] for card in other}
    assert without_uuids(first) == without_uuids(other)


# --- F: the response ------------------------------------------------------------------------------------------------


def kind(card: Json) -> str:
    advice = card["extension"]["org.tarlatamab-cds.advice"]
    return f"{advice['topic']}/{advice['action']}"


def test_c59_and_c60_no_guidance_is_an_empty_list(client: FlaskClient) -> None:
    nothing = with_context(draftOrders={"resourceType": "Bundle", "entry": []})
    response = client.post(SIGN, json=nothing)
    assert (response.status_code, response.json) == (200, {"cards": []})


def test_c60_silence_is_not_204(client: FlaskClient) -> None:
    assert client.post(SIGN, json=with_context(draftOrders={})).status_code == 200


def test_c61_to_c63_each_card_has_a_short_summary_an_indicator_and_a_source() -> None:
    for card in every_answer():
        assert 0 < len(card["summary"]) <= 139
        assert card["indicator"] in {"info", "warning", "critical"}
        assert card["source"]["label"].strip()


def test_c62_every_indicator_is_used_and_no_other() -> None:
    assert {card["indicator"] for card in every_answer()} == {"info", "warning", "critical"}


def test_c63_the_source_names_where_the_advice_is_from() -> None:
    assert all(re.search(r"US PI|Commissioning text|Local rule", card["source"]["label"]) for card in every_answer())


def test_c65_uuids_are_uuids_and_each_is_there_once(client: FlaskClient) -> None:
    uuids = [UUID(card["uuid"]) for card in cards(client, CALL)]
    assert len(set(uuids)) == len(uuids) > 0


def test_c66_the_source_is_a_document_and_not_about_the_patient(client: FlaskClient) -> None:
    for card in cards(client, CALL):
        assert card["source"]["url"].startswith("https://")
        assert CALL["context"]["patientId"] not in card["source"]["url"]


def test_c68_topics_are_short_codes_that_stay_the_same(client: FlaskClient) -> None:
    topics = [card["source"]["topic"] for card in cards(client, CALL)]
    assert all(re.fullmatch(r"[A-Za-z0-9.-]{1,100}", topic["code"]) and topic["system"] for topic in topics)
    assert topics == [card["source"]["topic"] for card in cards(client, call(hookInstance="another"))]


def suggestions() -> list[Json]:
    return [offer for card in every_answer() for offer in card.get("suggestions", ())]


def test_c69_suggestions_say_how_to_choose() -> None:
    for card in every_answer():
        assert ("selectionBehavior" in card) is bool(card.get("suggestions"))


def test_c70_at_most_one_is_recommended_where_one_can_be_chosen() -> None:
    for card in every_answer():
        recommended = [offer for offer in card.get("suggestions", ()) if offer.get("isRecommended")]
        assert len(recommended) <= 1 or card["selectionBehavior"] == "any"


def test_c71_and_c74_suggestions_and_actions_have_their_words() -> None:
    assert suggestions()
    for offer in suggestions():
        assert offer["label"].strip()
        assert offer["actions"]
        assert all(action["type"] in {"create", "update", "delete"} for action in offer["actions"])
        assert all(action["description"].strip() for action in offer["actions"])


def test_c73_no_action_selection_behavior_is_sent() -> None:
    assert not any("actionSelectionBehavior" in offer for offer in suggestions())


def test_c74_a_change_carries_a_resource_and_a_removal_only_a_reference() -> None:
    for action in (action for offer in suggestions() for action in offer["actions"]):
        assert ("resource" in action) is (action["type"] != "delete")
        assert ("resourceId" in action) is (action["type"] == "delete")


def test_c79_override_reasons_are_whole_codings() -> None:
    reasons = [reason for card in every_answer() for reason in card.get("overrideReasons", ())]
    assert reasons
    assert all(reason["code"] and reason["system"] and reason["display"] for reason in reasons)


def test_c80_a_link_without_a_label_or_with_another_type_cannot_be_built() -> None:
    with pytest.raises(ValueError):
        wire.Link(label="", url="https://a.example")
    with pytest.raises(ValueError):
        wire.Link.model_validate({"label": "l", "url": "https://a.example", "type": "other"})


def test_c81_app_context_stands_only_beside_a_smart_link() -> None:
    wire.Link(label="l", url="https://a.example", type="smart", app_context="{}")
    with pytest.raises(ValueError):
        wire.Link(label="l", url="https://a.example", app_context="{}")


def test_c84_there_are_no_system_actions_unless_agreed(client: FlaskClient) -> None:
    assert set(client.post(SIGN, json=CALL).json or {}) == {"cards"}


CARD_MEMBERS: Final = {
    "uuid", "summary", "detail", "indicator", "source", "suggestions", "selectionBehavior", "overrideReasons", "links",
    "extension",
}  # fmt: skip


def test_c85_cards_have_no_member_that_the_specification_does_not_know() -> None:
    assert all(set(card) <= CARD_MEMBERS for card in every_answer())


def test_c86_the_worst_card_comes_first() -> None:
    order = ["critical", "warning", "info"]
    for name in ("V5b", "V14a", "V22a"):
        ranks = [order.index(card["indicator"]) for card in cards_for(CASES[name])] if name in CASES else []
        assert ranks == sorted(ranks)


# --- I, J: versions and hooks ---------------------------------------------------------------------------------------


def test_c117_hooks_are_named_as_the_standard_names_them(services: list[Json]) -> None:
    assert {service["hook"] for service in services} == {
        "order-sign", "order-select", "patient-view", "encounter-discharge", "appointment-book",
    }  # fmt: skip


def test_c118_the_extension_of_a_card_is_an_object_under_a_reverse_domain_name() -> None:
    assert all(list(card["extension"]) == ["org.tarlatamab-cds.advice"] for card in every_answer())


def test_c119_a_repeat_shows_the_same_cards_again(client: FlaskClient) -> None:
    assert cards(client, CALL) == cards(client, CALL)


HOOKS: Final[dict[str, tuple[str, ...]]] = {
    "patient-view": ("userId", "patientId"),
    "order-select": ("userId", "patientId", "selections", "draftOrders"),
    "order-sign": ("userId", "patientId", "draftOrders"),
    "encounter-discharge": ("userId", "patientId", "encounterId"),
    "appointment-book": ("userId", "patientId", "appointments"),
}
FIELDS: Final[Json] = {
    "userId": "PractitionerRole/1",
    "encounterId": "e1",
    "selections": [],
    "draftOrders": {"resourceType": "Bundle", "entry": []},
    "appointments": {"resourceType": "Bundle", "entry": []},
}


def hook_call(hook: str, *left_out: str) -> Json:
    context = {**FIELDS, "patientId": CALL["context"]["patientId"]}
    needed = {name: context[name] for name in HOOKS[hook] if name not in left_out}
    return call(hook=hook, context=needed)


def hook_is_met(client: FlaskClient, hook: str) -> None:
    """With all that is required 200, also with the optional encounter; without any required field 400."""
    address = f"/cds-services/tarlatamab-{hook}"
    assert client.post(address, json=hook_call(hook)).status_code == 200
    whole = hook_call(hook)
    whole["context"]["encounterId"] = "e1"
    assert client.post(address, json=whole).status_code == 200
    for name in HOOKS[hook]:
        response = client.post(address, json=hook_call(hook, name))
        assert response.status_code == 400, name
        assert name in response.get_data(as_text=True)


def test_j1_patient_view(client: FlaskClient) -> None:
    hook_is_met(client, "patient-view")


def test_j2_order_select(client: FlaskClient) -> None:
    hook_is_met(client, "order-select")


def test_j3_order_sign(client: FlaskClient) -> None:
    hook_is_met(client, "order-sign")


def test_j6_encounter_discharge(client: FlaskClient) -> None:
    hook_is_met(client, "encounter-discharge")


def test_j7_appointment_book(client: FlaskClient) -> None:
    hook_is_met(client, "appointment-book")


def test_k2_a_draft_is_named_by_the_handle_it_came_with(client: FlaskClient) -> None:
    advice = cards(client, CALL)[0]["extension"]["org.tarlatamab-cds.advice"]
    draft = CALL["context"]["draftOrders"]["entry"][0]["resource"]
    assert advice["orders"] == [f"{draft['resourceType']}/{draft['id']}"]


def test_the_vignettes_that_are_looked_at_reach_the_topics_of_the_checklist() -> None:
    chosen: list[Case] = [CASES[name] for name in ("V5b", "V22a") if name in CASES]
    assert chosen
    assert len({kind(card) for card in every_answer()}) >= 8
