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


# --- drafts that are not saved yet ---------------------------------------------------------------------------------


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


# --- whose order ---------------------------------------------------------------------------------------------------


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


# --- selections of order-select ------------------------------------------------------------------------------------

SELECT: Final = next(case for case in CASES.values() if case.hook == "order-select" and case.id == "V44e")


def selecting(how: Callable[[str], str]) -> Body:
    body = SELECT.request()
    body["context"]["selections"] = [how(place) for place in body["context"]["selections"]]
    return body


@pytest.mark.conforms("K2", "K6")
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


@pytest.mark.conforms("J2")
def test_drafts_that_are_not_selected_stay_in_the_background() -> None:
    body = copy.deepcopy(CASES["V3"].request())
    body["hook"] = "order-select"
    body["context"]["selections"] = ["v3-draft-2"]
    client = application(CASES["V3"].now.isoformat(), CASES["V3"].timezone, CASES["V3"].sources).test_client()
    cards = client.post("/cds-services/tarlatamab-order-select", json=body).get_json()["cards"]
    assert {order for card in cards for order in advice(card)["orders"]} <= {"MedicationRequest/v3-draft-2"}


# --- days that no calendar of a clinic has -------------------------------------------------------------------------


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


# --- recorded facts that are garbled -------------------------------------------------------------------------------


def resource(body: Mapping[str, Any], key: str, number: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = body["prefetch"][key]["entry"][number]["resource"]
    return found


def on_record(body: Mapping[str, Any], status: str) -> dict[str, Any]:
    """The drug's only order of the record with this status."""
    orders: list[dict[str, Any]] = [entry["resource"] for entry in body["prefetch"]["medicationRequests"]["entry"]]
    (found,) = [order for order in orders if order["status"] == status and "tarlatamab" in str(order).lower()]
    return found


@pytest.mark.parametrize("event", [["zq"], [""], 77, {}])
@pytest.mark.parametrize("name", ["V46e", "V46f"])
def test_a_completed_order_without_a_readable_day_is_one_of_the_day_it_was_written(name: str, event: Any) -> None:
    body = CASES[name].request()
    order = on_record(body, "completed")
    order["authoredOn"] = order["dosageInstruction"][0]["timing"]["event"][0]
    order["dosageInstruction"][0]["timing"]["event"] = event
    assert not differences(CASES[name], answer(CASES[name], body))


@pytest.mark.parametrize("status", ["zq9x", "complete", "", None])
def test_an_order_with_a_status_that_is_none_may_be_completed(status: Any) -> None:
    body = CASES["V46e"].request()
    on_record(body, "completed")["status"] = status
    assert ("dose", "clarify", "critical") in map(kind, answer(CASES["V46e"], body))


@pytest.mark.parametrize("status", ["zq9x", "", "unknown", None])
def test_a_reason_of_toxicity_counts_unless_the_order_goes_on(status: Any) -> None:
    body = CASES["V54c"].request()
    on_record(body, "stopped")["status"] = status
    assert ("dose", "clarify", "critical") in map(kind, answer(CASES["V54c"], body))


@pytest.mark.parametrize("day", [None, "08.02.2026"])
@pytest.mark.parametrize("name", ["V29d", "V36b"])
def test_an_egfr_without_a_readable_day_warns_and_says_so(name: str, day: Any) -> None:
    body = CASES[name].request()
    for entry in body["prefetch"]["laboratory"]["entry"]:
        if "33914-3" in str(entry) or "98979-8" in str(entry) or "eGFR" in str(entry) or "filtration" in str(entry):
            entry["resource"]["effectiveDateTime"] = day
    cards = answer(CASES[name], body)
    renal = next(card for card in cards if kind(card) == ("renal", "assess", "warning"))
    assert "day not recorded" in renal["detail"] or "could not be read" in renal["detail"]


def test_a_temperature_without_a_value_is_said() -> None:
    body = CASES["V37a"].request()
    del resource(body, "vitalSigns")["valueQuantity"]
    assert ("record", "cannot-assess", "warning") in map(kind, answer(CASES["V37a"], body))


def test_a_temperature_that_says_why_it_has_no_value_is_none() -> None:
    body = CASES["V37a"].request()
    temperature = resource(body, "vitalSigns")
    del temperature["valueQuantity"]
    temperature["dataAbsentReason"] = {"text": "not measured"}
    assert [kind(card) for card in answer(CASES["V37a"], body)] == [("monitoring", "monitor", "info")]


@pytest.mark.parametrize(
    "value", [None, {"text": "zq9x"}, {"coding": [{"system": "http://snomed.info/sct", "code": "1"}]}]
)
def test_a_disease_status_that_cannot_be_read_is_said(value: Any) -> None:
    body = CASES["V12"].request()
    resource(body, "observations")["valueCodeableConcept"] = value
    assert ("record", "cannot-assess", "warning") in map(kind, answer(CASES["V12"], body))


@pytest.mark.parametrize(
    "end",
    [
        {"abatementString": "unknown"},
        {"abatementAge": {}},
        {"abatementAge": {"value": 99}},
        {"abatementRange": {"low": {}}},
    ],
)
def test_an_end_that_says_nothing_lifts_no_hold(end: Any) -> None:
    body = CASES["V14"].request()
    for entry in body["prefetch"]["conditions"]["entry"]:
        if "CRS" in str(entry) or "ytokine" in str(entry):
            entry["resource"] |= end
    assert not differences(CASES["V14"], answer(CASES["V14"], body))


# --- premedication that is none, and claims ------------------------------------------------------------------------


@pytest.mark.parametrize("litres", ["250 mL", "1000 mL"])
def test_the_drugs_own_bag_hydrates_nobody(litres: str) -> None:
    body = CASES["V4"].request()
    patient = CASES["V4"].patient_id
    bag = {
        "resourceType": "MedicationRequest",
        "id": "bag",
        "status": "draft",
        "intent": "order",
        "subject": {"reference": f"Patient/{patient}"},
        "medicationCodeableConcept": {"text": f"sodium chloride 0.9 % {litres}"},
        "dosageInstruction": [{"text": "diluent for tarlatamab"}],
    }
    entries(body).append({"resource": bag})
    cards = answer(CASES["V4"], body)
    assert not differences(CASES["V4"], cards)
    assert not any("sodium chloride" in str(advice(card).get("evidence")) for card in cards)


@pytest.mark.parametrize(
    ("status", "day", "is_asked"),
    [
        ("unknown", "-7", True),
        ("stopped", "-7", True),
        ("on-hold", "-7", True),
        ("active", "-1", True),
        ("active", "7", False),
        ("cancelled", "-7", False),
    ],
)
def test_an_order_coded_as_a_claim_is_a_sign_of_an_earlier_dose_unless_it_is_to_come(
    status: str, day: str, is_asked: bool
) -> None:
    case = CASES["V1"]
    body = case.request()
    claimed = copy.deepcopy(entries(body)[0]["resource"])
    hcpcs = "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"
    claimed |= {"id": "claimed", "status": status}
    claimed["medicationCodeableConcept"] = {"coding": [{"system": hcpcs, "code": "J9026"}]}
    claimed["dosageInstruction"][0]["timing"] = {"event": [case.clock.moment(day)]}
    body["prefetch"]["medicationRequests"] = {"resourceType": "Bundle", "entry": [{"resource": claimed}]}
    assert (("dose", "clarify", "critical") in map(kind, answer(case, body))) is is_asked


# --- text that turns or hides itself -------------------------------------------------------------------------------


@pytest.mark.parametrize("letter", ["\u202e", "\u200b", "\u2066", "\u00ad", "\ufeff"])
def test_letters_that_nobody_sees_reach_no_card(letter: str) -> None:
    body = CASES["V14"].request()
    for entry in body["prefetch"]["conditions"]["entry"]:
        entry["resource"]["code"]["text"] = f"CRS{letter} grade 1"
        entry["resource"]["id"] = f"a{letter}b"
    entries(body)[0]["resource"]["id"] = f"<img src=x>{letter}"
    cards = answer(CASES["V14"], body)
    assert letter not in str(cards)
    assert "<img" not in str(cards)


# --- orders that order nothing, and orders that are said to be over ---------------------------------------------------


def test_an_order_not_to_give_the_drug_is_no_dose_and_premedication_not_to_be_given_is_none() -> None:
    case = CASES["V5b"]
    body = case.request()
    for entry in entries(body):
        entry["resource"]["doNotPerform"] = True
    assert answer(case, body) == []
    body = CASES["V1"].request()
    for entry in entries(body)[1:]:
        entry["resource"]["doNotPerform"] = True
    assert [kind(card) for card in answer(CASES["V1"], body) if kind(card)[0] == "premedication"] == [
        ("premedication", "order", "warning")
    ]


@pytest.mark.conforms("J3", "K3")
@pytest.mark.parametrize("status", ["completed", "active", "on-hold", "zq9x", "", None])
def test_an_order_about_to_be_signed_is_judged_whatever_else_its_status_says(status: Any) -> None:
    case = CASES["V5b"]
    body = case.request()
    entries(body)[0]["resource"]["status"] = status
    assert not differences(case, answer(case, body))


@pytest.mark.parametrize("status", ["cancelled", "stopped", "ended", "entered-in-error"])
def test_an_order_that_is_called_off_gets_no_card(status: str) -> None:
    case = CASES["V5b"]
    body = case.request()
    entries(body)[0]["resource"]["status"] = status
    assert answer(case, body) == []


def test_no_evidence_is_named_of_a_patient_who_was_not_sent() -> None:
    case = CASES["V28a"]
    body = case.request()
    body["prefetch"]["patient"] = None
    cards = answer(case, body)
    assert "pediatric" in [kind(card)[0] for card in cards]
    assert not any("Patient/" in str(advice(card).get("evidence")) for card in cards)


# --- an order with more doses than are assessed ----------------------------------------------------------------------


@pytest.mark.parametrize(("count", "is_said"), [(100, False), (101, True)])
def test_doses_of_an_order_on_record_beyond_the_hundredth_are_said_though_others_were_given(
    count: int, is_said: bool
) -> None:
    body = CASES["V46e"].request()
    on_record(body, "completed")["dosageInstruction"][0]["timing"]["event"] = ["2026-01-01"] * count
    said = [card for card in answer(CASES["V46e"], body) if kind(card) == ("record", "cannot-assess", "critical")]
    assert bool(said) is is_said
    assert all("only the first 100 doses" in card["detail"] for card in said)
