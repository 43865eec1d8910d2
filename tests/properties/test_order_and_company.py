"""In which order the entries come, and what else lies beside them, changes nothing."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.properties.calls import CASES, NAMES, Body, answer, bundles, kinds, request, usual, without_uuid
from tests.properties.profiles import examples
from tests.vignettes.build import searchset
from tests.vignettes.compare import Card

LISTED_AS_RECEIVED: Final = {
    "V18b": "open: records of one episode are named as evidence in the order received",
    "V37e": "open: vital signs and supports of a suspicion are listed in the order received",
    "V48b": "open: copies of one dose are named as evidence in the order received",
    "V48c": "open: copies of one dose are named as evidence in the order received",
    "V55f": "open: premedication on record is named in the order received",
}
"""Which entry comes first decides in which order a card lists them: words and entries are the same."""
THE_FIRST_DECIDES: Final = {
    "V48a": "open: of copies of one dose at two times, the first received gives the time that is said",
    "V48e": "open: of two doses of one day, the first received gives the time that is said",
    "V48f": "open: of two parts of one dose, the first received gives the time that is said",
    "V86h": "open: of several doses of one day, the first received gives the time that is said",
    "V86r": "open: of several doses of one day, the first received gives the time that is said",
    "V103y": "open: of two infusions of one day, the first received gives the time that is named; the later one counts",
}
"""Which entry comes first decides what is said."""
RANDOM: Final = st.randoms(use_true_random=False)


# --- order -------------------------------------------------------------------------------------------------------


def shuffled(body: Body, chance: random.Random) -> Body:
    """The same call with the entries of every prefetch Bundle in another order, and the keys in another order."""
    for _, entries in bundles(body):
        chance.shuffle(entries)
    keys = list(body["prefetch"])
    chance.shuffle(keys)
    body["prefetch"] = {key: body["prefetch"][key] for key in keys}
    return body


@examples(ci=200, long=10_000)
@given(name=st.sampled_from(sorted(set(NAMES) - set(LISTED_AS_RECEIVED) - set(THE_FIRST_DECIDES))), chance=RANDOM)
def test_the_order_of_entries_within_the_prefetch_changes_nothing(name: str, chance: random.Random) -> None:
    cards = answer(CASES[name], shuffled(request(name), chance))
    assert without_uuid(cards) == without_uuid(usual(name))


def backwards(name: str) -> list[Card]:
    body = request(name)
    for _, entries in bundles(body):
        entries.reverse()
    return answer(CASES[name], body)


@pytest.mark.parametrize("name", LISTED_AS_RECEIVED)
def test_where_entries_are_listed_as_received_nothing_else_changes(name: str) -> None:
    assert words_in_any_order(backwards(name)) == words_in_any_order(usual(name))
    assert without_uuid(backwards(name)) != without_uuid(usual(name))


@pytest.mark.parametrize("name", THE_FIRST_DECIDES)
def test_where_the_first_entry_decides_the_kinds_of_cards_stay(name: str) -> None:
    assert kinds(backwards(name)) == kinds(usual(name))
    assert words_in_any_order(backwards(name)) != words_in_any_order(usual(name))


def words(text: str) -> list[str]:
    return re.findall(r"[\w–.-]*\w", text)


def in_any_order(said: Any) -> Any:
    """Lists as bags."""
    if isinstance(said, dict):
        return {name: in_any_order(part) for name, part in said.items()}
    return sorted(map(in_any_order, said), key=json.dumps) if isinstance(said, list) else said


def words_in_any_order(cards: Sequence[Card]) -> list[dict[str, Any]]:
    """The cards, where a summary is a bag of words, and what is listed once an order is a bag of entries."""
    return [
        {
            **{part: in_any_order(said) for part, said in card.items() if part != "uuid"},
            "summary": sorted(words(card["summary"])),
            "detail": sorted(sorted(words(line)) for line in card["detail"].split("\n")),
        }
        for card in cards
    ]


def days_of(draft: dict[str, Any]) -> list[str]:
    return [day for dosage in draft["dosageInstruction"] for day in dosage.get("timing", {}).get("event", [""])]


def order_counts(name: str) -> str:
    """Why the order of the drafts counts; "" if it does not."""
    days = [day for draft in CASES[name].drafts() if "-draft-" in draft["id"] for day in days_of(draft)]
    if days.count("") > 1:
        return "Several undated drafts are taken in entry order (clinical-rules.md, Several drafts)."
    if len(set(days)) < len(days):
        return "Of two drafts for one day one comes first, and the other is ordered twice (the same place)."
    return ""


@examples(ci=120, long=4_000)
@given(name=st.sampled_from([n for n in NAMES if len(CASES[n].drafts()) > 1 and not order_counts(n)]), chance=RANDOM)
def test_the_order_of_drafts_changes_only_the_order_of_words(name: str, chance: random.Random) -> None:
    body = request(name)
    chance.shuffle(body["context"]["draftOrders"]["entry"])
    assert words_in_any_order(answer(CASES[name], body)) == words_in_any_order(usual(name))


@pytest.mark.parametrize("name", ["V42b", "V43a"])
def test_where_the_order_of_drafts_counts_it_does(name: str) -> None:
    body = request(name)
    body["context"]["draftOrders"]["entry"].reverse()
    assert order_counts(name)
    assert words_in_any_order(answer(CASES[name], body)) != words_in_any_order(usual(name))


# --- company -----------------------------------------------------------------------------------------------------


def irrelevant(patient: str, day: str) -> dict[str, list[dict[str, Any]]]:
    """What an ordinary chart holds and no row asks for, by the key under which it comes."""
    subject = {"subject": {"reference": f"Patient/{patient}"}}
    final = {"resourceType": "Observation", "status": "final", **subject, "effectiveDateTime": day}
    active = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]}

    def observation(identity: str, text: str, loinc: str, value: float, unit: str) -> dict[str, Any]:
        code = {"coding": [{"system": "http://loinc.org", "code": loinc}], "text": text}
        return {**final, "id": identity, "code": code, "valueQuantity": {"value": value, "unit": unit, "code": unit}}

    def condition(identity: str, text: str, icd: str) -> dict[str, Any]:
        code = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": icd}], "text": text}
        made = {"resourceType": "Condition", "id": identity, "clinicalStatus": active, "code": code}
        return {**made, **subject, "onsetDateTime": day}

    def medicine(kind: str, identity: str, text: str, **more: Any) -> dict[str, Any]:
        return {"resourceType": kind, "id": identity, "medicationCodeableConcept": {"text": text}, **subject, **more}

    return {
        "conditions": [
            condition("extra-hypertension", "Essential hypertension", "I10"),
            condition("extra-gout", "Gout, unspecified", "M10.9"),
            {"resourceType": "Practitioner", "id": "extra-practitioner", "name": [{"family": "Example"}]},
        ],
        "laboratory": [
            observation("extra-sodium", "Sodium", "2951-2", 139, "mmol/L"),
            observation("extra-glucose", "Glucose", "2345-7", 95, "mg/dL"),
        ],
        "vitalSigns": [observation("extra-weight", "Body weight", "29463-7", 71.5, "kg")],
        "procedures": [
            {
                "resourceType": "Procedure",
                "id": "extra-knee",
                "status": "completed",
                "code": {"text": "Arthroscopy of knee"},
                **subject,
                "performedDateTime": day,
            }
        ],
        "medicationRequests": [
            medicine("MedicationRequest", "extra-metformin", "metformin 500 mg tablet", status="active", intent="order")
        ],
        "medicationAdministrations": [
            medicine(
                "MedicationAdministration",
                "extra-paracetamol",
                "paracetamol 500 mg tablet",
                status="completed",
                effectiveDateTime=day,
            )
        ],
        "allergies": [
            {
                "resourceType": "AllergyIntolerance",
                "id": "extra-penicillin",
                "code": {"text": "Penicillin"},
                "patient": {"reference": f"Patient/{patient}"},
            }
        ],
        "unasked": [
            {"resourceType": "Organization", "id": "extra-hospital", "name": "Example hospital"},
            {"resourceType": "Practitioner", "id": "extra-prescriber"},
        ],
    }


def accompanied(name: str, chance: random.Random) -> Body:
    """The call with some irrelevant resources anywhere between the others."""
    case, body = CASES[name], request(name)
    for key, resources in irrelevant(case.patient_id, case.clock.moment("-3")).items():
        bundle = body["prefetch"].setdefault(key, searchset([])) if key == "unasked" else body["prefetch"].get(key)
        if not bundle or bundle["resourceType"] != "Bundle":
            continue  # a key that could not be read stays so
        entries = bundle.setdefault("entry", [])
        for resource in resources:
            if chance.random() < 0.7:
                entries.insert(chance.randint(0, len(entries)), {"resource": resource})
    return body


@examples(ci=200, long=10_000)
@given(name=st.sampled_from(NAMES), chance=RANDOM)
def test_irrelevant_resources_change_nothing(name: str, chance: random.Random) -> None:
    cards = answer(CASES[name], accompanied(name, chance))
    assert without_uuid(cards) == without_uuid(usual(name))
