"""The vignettes' calls as other EHRs would write them: the same cards, or one that says what is not understood."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, Final

import pytest

from tests.vignettes.build import Case, load_vignettes
from tests.vignettes.compare import Card, advice, differences, kind
from tests.vignettes.test_vignettes import application

CASES: Final = {case.id: case for case in load_vignettes() if not case.open}
Body = dict[str, Any]


def answer(case: Case, body: Mapping[str, Any]) -> list[Card]:
    client = application(case.now.isoformat(), case.timezone, case.sources).test_client()
    reply = client.post(f"/cds-services/{case.service}", json=body)
    assert reply.status_code == 200, reply.get_data(as_text=True)
    cards: list[Card] = reply.get_json()["cards"]
    return cards


def entries(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = body["context"]["draftOrders"]["entry"]
    return found


# --- drafts that are not saved yet -----------------------------------------------------------------------------------


@pytest.mark.parametrize("case", [case for case in CASES.values() if case.hook == "order-sign"], ids=lambda c: c.id)
def test_drafts_without_an_id_get_the_same_cards(case: Case) -> None:
    body = case.request()
    for entry in entries(body):
        entry.get("resource", {}).pop("id", None)
    cards = answer(case, body)
    assert sorted(map(kind, cards)) == sorted(card.kind for card in case.then)


@pytest.mark.parametrize("identity", [None, "", " ", 7, {}, []])
def test_a_draft_whose_id_is_none_is_named_by_its_place(identity: Any) -> None:
    body = CASES["V3"].request()
    for entry in entries(body):
        entry["resource"]["id"] = identity
    orders = {order for card in answer(CASES["V3"], body) for order in advice(card)["orders"]}
    assert orders == {"MedicationRequest/#1", "MedicationRequest/#2", "MedicationRequest/#3"}


# --- whose order -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "subject", ["Group/v14", "Person/1", "RelatedPerson/9", "PATIENT/v14", "urn:uuid:1", "#p", "Patient/other"]
)
def test_a_draft_of_which_it_cannot_be_told_whose_it_is_is_said_critically(subject: str) -> None:
    body = CASES["V14"].request()
    entries(body)[0]["resource"]["subject"] = {"reference": subject}
    (card,) = answer(CASES["V14"], body)
    assert (kind(card), advice(card)["rows"][0]) == (("record", "cannot-assess", "critical"), "REC-DRAFT")


def test_a_draft_whose_drug_cannot_be_read_is_said_to_be_of_this_call() -> None:
    body = CASES["V14"].request()
    order = entries(body)[0]["resource"]
    rxnorm = "http://www.nlm.nih.gov/research/umls/rxnorm"
    order["medicationCodeableConcept"] = {"coding": [{"system": rxnorm, "code": "1"}]}
    (card,) = answer(CASES["V14"], body)
    assert card["summary"] == "Check by hand: an order of this call could not be read."


# --- selections of order-select --------------------------------------------------------------------------------------

SELECT: Final = next(case for case in CASES.values() if case.hook == "order-select" and case.id == "V44e")


def selecting(how: Callable[[str], str]) -> Body:
    body = SELECT.request()
    body["context"]["selections"] = [how(place) for place in body["context"]["selections"]]
    return body


@pytest.mark.parametrize(
    "how",
    [
        lambda place: place,
        lambda place: place.split("/")[1],
        lambda place: f"https://ehr.example/fhir/{place}",
        lambda place: f"{place}/_history/1",
        lambda place: "MedicationRequest/of-no-draft",
        lambda place: "?",
    ],
)
def test_a_selection_is_found_however_it_is_written_and_an_unknown_one_selects_all(how: Callable[[str], str]) -> None:
    assert not differences(SELECT, answer(SELECT, selecting(how)))


def test_a_draft_without_an_id_is_selected_by_its_full_url() -> None:
    body = SELECT.request()
    (entry, *_) = entries(body)
    del entry["resource"]["id"]
    entry["fullUrl"] = "urn:uuid:8f3c2f60-1111-4222-8333-944455556666"
    body["context"]["selections"] = [entry["fullUrl"]]
    assert sorted(map(kind, answer(SELECT, body))) == sorted(card.kind for card in SELECT.then)


def test_drafts_that_are_not_selected_stay_in_the_background() -> None:
    body = copy.deepcopy(CASES["V3"].request())
    body["hook"] = "order-select"
    body["context"]["selections"] = ["v3-draft-2"]
    client = application(CASES["V3"].now.isoformat(), CASES["V3"].timezone, CASES["V3"].sources).test_client()
    cards = client.post("/cds-services/tarlatamab-order-select", json=body).get_json()["cards"]
    assert {order for card in cards for order in advice(card)["orders"]} <= {"MedicationRequest/v3-draft-2"}


# --- days that no calendar of a clinic has ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "timing", [{"event": ["9999-12-31"]}, {"event": ["9999"]}, {"repeat": {"boundsPeriod": {"start": "9999-12-31"}}}]
)
@pytest.mark.parametrize("name", ["V2", "V25a"])
def test_a_planned_day_at_the_end_of_all_days_is_taken_as_today_and_said(name: str, timing: Any) -> None:
    body = CASES[name].request()
    entries(body)[0]["resource"]["dosageInstruction"][0]["timing"] = timing
    cards = answer(CASES[name], body)
    assert sorted(map(kind, cards)) == sorted(card.kind for card in CASES[name].then)
    assert any("planned day cannot be read" in card["detail"] for card in cards)
