"""Suggestions, override reasons and system actions of real replies (C4, C69 to C79, C84), to a client of 2.0."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class

from tests.conformance.calls import Card
from tests.vignettes.build import Case
from tests.vignettes.test_vignettes import CASES, application

ORDERS = {"MedicationRequest", "ServiceRequest"}
MAY_CHANGE = {"dosageInstruction", "text"}
"""Members in which an updated order may differ from the draft: its dose, and a narrative that repeats it."""


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """A call and its reply."""

    call: Mapping[str, Any]
    reply: Mapping[str, Any]

    @property
    def cards(self) -> Sequence[Card]:
        return list(self.reply["cards"])

    @property
    def suggestions(self) -> list[Mapping[str, Any]]:
        return [one for card in self.cards for one in card.get("suggestions", ())]

    def actions(self, kind: str = "") -> list[Mapping[str, Any]]:
        every = [action for one in self.suggestions for action in one.get("actions", ())]
        return [action for action in every if not kind or action["type"] == kind]

    @property
    def drafts(self) -> dict[str, Mapping[str, Any]]:
        """The drafts of the call by `Type/id`."""
        bundle = self.call["context"].get("draftOrders", {})
        resources = [entry["resource"] for entry in bundle.get("entry", ())]
        return {f"{one['resourceType']}/{one['id']}": one for one in resources if "id" in one}


def one_case_for_each_kind_of_card() -> Iterator[Case]:
    """Vignettes, as few as show every topic, action and indicator."""
    seen: set[object] = set()
    for case in CASES:
        kinds = {card.kind for card in case.then}
        if kinds - seen and not case.open:
            seen |= kinds
            yield case


def answer(case: Case) -> Exchange:
    client = application(case.now.isoformat(), case.timezone, case.sources).test_client()
    call = case.request()
    reply = client.post(f"/cds-services/{case.service}", json=call).get_json()
    return Exchange(call=call, reply=reply)


@pytest.fixture(scope="module")
def exchanges() -> list[Exchange]:
    return [answer(case) for case in one_case_for_each_kind_of_card()]


@pytest.fixture
def with_suggestions(exchanges: list[Exchange]) -> list[Exchange]:
    found = [one for one in exchanges if one.suggestions]
    assert found
    return found


@pytest.mark.conforms("C4", "C75")
def test_every_resource_of_an_action_is_valid_fhir(with_suggestions: list[Exchange]) -> None:
    resources = [action["resource"] for one in with_suggestions for action in one.actions() if "resource" in action]
    assert resources
    for resource in resources:
        get_fhir_model_class(resource["resourceType"]).model_validate(resource)


@pytest.mark.conforms("C69", "C70")
def test_a_card_with_suggestions_says_how_many_of_them_may_be_taken(with_suggestions: list[Exchange]) -> None:
    for one in with_suggestions:
        for card in one.cards:
            if card.get("suggestions"):
                assert card["selectionBehavior"] in {"any", "at-most-one"}
                recommended = [chosen for chosen in card["suggestions"] if chosen.get("isRecommended")]
                assert len(recommended) <= 1 or card["selectionBehavior"] == "any"


@pytest.mark.conforms("C71")
def test_each_suggestion_has_a_label_and_a_uuid_that_a_retry_gets_again(with_suggestions: list[Exchange]) -> None:
    for one in with_suggestions:
        assert all(chosen["label"].strip() for chosen in one.suggestions)
        assert len({chosen["uuid"] for chosen in one.suggestions}) == len(one.suggestions)
    case = next(case for case in one_case_for_each_kind_of_card() if answer(case).suggestions)
    assert answer(case).suggestions == answer(case).suggestions


@pytest.mark.conforms("C72", "C74")
def test_actions_of_one_suggestion_are_described_and_touch_different_resources(
    with_suggestions: list[Exchange],
) -> None:
    for one in with_suggestions:
        for chosen in one.suggestions:
            actions = chosen.get("actions", [])
            assert "actions" not in chosen or actions
            assert all(action["description"].strip() for action in actions)
            changed = [target(action) for action in actions if action["type"] != "create"]
            assert len(set(changed)) == len(changed)


@pytest.mark.conforms("C73")
def test_no_suggestion_says_how_to_choose_among_its_actions(with_suggestions: list[Exchange]) -> None:
    assert not [one for each in with_suggestions for one in each.suggestions if "actionSelectionBehavior" in one]


@pytest.mark.conforms("C75")
def test_a_created_order_is_a_draft_for_the_patient_of_the_call(with_suggestions: list[Exchange]) -> None:
    created = [(one, action["resource"]) for one in with_suggestions for action in one.actions("create")]
    assert created
    for one, resource in created:
        assert resource["resourceType"] in ORDERS
        assert resource["status"] == "draft"
        assert resource["subject"]["reference"].endswith(f"Patient/{one.call['context']['patientId']}")


@pytest.mark.conforms("C76")
def test_an_update_is_the_whole_draft_and_changes_nothing_but_the_dose(with_suggestions: list[Exchange]) -> None:
    updates = [(one, action["resource"]) for one in with_suggestions for action in one.actions("update")]
    assert updates
    for one, resource in updates:
        draft = one.drafts[f"{resource['resourceType']}/{resource['id']}"]
        changed = {name for name in draft.keys() | resource.keys() if draft.get(name) != resource.get(name)}
        assert "dosageInstruction" in changed
        assert changed <= MAY_CHANGE


@pytest.mark.conforms("C77")
def test_a_client_of_version_2_is_told_what_to_delete_by_its_reference(with_suggestions: list[Exchange]) -> None:
    deletes = [action for one in with_suggestions for action in one.actions("delete")]
    assert deletes
    assert all("resource" not in action and action["resourceId"].count("/") == 1 for action in deletes)


@pytest.mark.conforms("C78")
def test_only_drafts_of_the_call_are_updated_and_deleted(with_suggestions: list[Exchange]) -> None:
    for one in with_suggestions:
        targets = {target(action) for action in one.actions() if action["type"] != "create"}
        assert targets <= one.drafts.keys()


def target(action: Mapping[str, Any]) -> str:
    if "resourceId" in action:
        return str(action["resourceId"])
    return f"{action['resource']['resourceType']}/{action['resource']['id']}"


@pytest.mark.conforms("C79")
def test_each_override_reason_has_a_code_a_system_and_words(exchanges: list[Exchange]) -> None:
    reasons = [reason for one in exchanges for card in one.cards for reason in card.get("overrideReasons", ())]
    assert reasons
    for reason in reasons:
        assert all(reason[name].strip() for name in ("code", "system", "display"))
        assert reason["system"].startswith(("http://", "https://", "urn:"))


@pytest.mark.conforms("C84")
def test_a_client_that_did_not_ask_for_system_actions_gets_none(exchanges: list[Exchange]) -> None:
    assert {name for one in exchanges for name in one.reply} == {"cards"}
