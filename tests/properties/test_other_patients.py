"""Another patient's data changes nothing; only another patient's draft order is said."""

from __future__ import annotations

import json
import random
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.properties.calls import CASES, NAMES, Body, answer, bundles, kinds, reference, request, usual, without_uuid
from tests.properties.profiles import examples
from tests.vignettes.build import ORDER_HOOKS, searchset
from tests.vignettes.compare import advice

OTHERS: Final = (
    "Patient/somebody-else",
    "https://ehr.example/fhir/Patient/somebody-else",
    "https://other.example/r4/Patient/somebody-else/_history/2",
)
UNASKED: Final = "somethingNobodyAskedFor"
AT_ORDERS: Final = [name for name in NAMES if CASES[name].hook in ORDER_HOOKS]
OF_THE_DRUG: Final = [name for name in NAMES if name != "V69a" and CASES[name].drafts()]
"""V69a orders carboplatin: a draft that is not of the drug gets no card, whosever it is."""
RANDOM: Final = st.randoms(use_true_random=False)


def of_another(resource: dict[str, Any], other: str) -> dict[str, Any]:
    """The same resource, of another patient: the same id where two servers have it, else one of its own."""
    moved: dict[str, Any] = json.loads(json.dumps(resource))
    if resource["resourceType"] == "Patient":
        return moved | {"id": "somebody-else"}
    return moved | {"patient" if "patient" in moved else "subject": {"reference": other}}


def hosts(body: Body, resource: dict[str, Any]) -> list[str]:
    """The keys whose Bundle already holds a resource of this type of the patient, and one that nobody asked for.

    Where a Bundle holds nothing of this patient but something of another, it is no answer: see below.
    """
    kind = resource["resourceType"]
    found = [key for key, es in bundles(body) if any(e.get("resource", {}).get("resourceType") == kind for e in es)]
    return [*found, UNASKED]


def with_another(name: str, donor: str, chance: random.Random) -> Body:
    """The call with resources of the donor's record, as those of another patient, under any key."""
    body = request(name)
    given_away = [
        entry["resource"] for _, entries in bundles(request(donor)) for entry in entries if "resource" in entry
    ]
    other = chance.choice(OTHERS)
    for resource in chance.sample(given_away, k=min(len(given_away), chance.randint(1, 12))):
        key = chance.choice(hosts(body, resource))
        entries = body["prefetch"].setdefault(key, searchset([])).setdefault("entry", [])
        moved = of_another(resource, other)
        if chance.random() < 0.5:
            moved["id"] = f"elsewhere-{moved['id']}"
        entries.insert(chance.randint(0, len(entries)), {"resource": moved})
    return body


@pytest.mark.conforms("C40")
@examples(ci=200, long=10_000)
@given(name=st.sampled_from(NAMES), donor=st.sampled_from(NAMES), chance=RANDOM)
def test_the_record_of_another_patient_changes_nothing(name: str, donor: str, chance: random.Random) -> None:
    cards = answer(CASES[name], with_another(name, donor, chance))
    assert without_uuid(cards) == without_uuid(usual(name))


@examples(ci=60, long=400)
@given(name=st.sampled_from(NAMES), chance=RANDOM)
def test_the_same_record_again_as_another_patients_changes_nothing(name: str, chance: random.Random) -> None:
    cards = answer(CASES[name], with_another(name, name, chance))
    assert without_uuid(cards) == without_uuid(usual(name))


@examples(ci=80, long=2_000)
@given(name=st.sampled_from(AT_ORDERS), donor=st.sampled_from(OF_THE_DRUG), other=st.sampled_from(OTHERS))
def test_a_draft_of_another_patient_is_said_and_changes_nothing_else(name: str, donor: str, other: str) -> None:
    body = request(name)
    draft = of_another(CASES[donor].drafts()[0], other) | {"id": "of-another"}
    body["context"]["draftOrders"]["entry"].append({"resource": draft})
    cards = answer(CASES[name], body)
    said = [card for card in cards if advice(card)["topic"] == "record"]
    rest = [card for card in cards if advice(card)["topic"] != "record"]
    assert without_uuid(rest) == without_uuid([card for card in usual(name) if advice(card)["topic"] != "record"])
    assert any(card["indicator"] == "critical" and "MedicationRequest/of-another" in card["detail"] for card in said)


@pytest.mark.parametrize("key", ["medicationAdministrations", "allergies", "adverseEvents", "procedures"])
def test_a_bundle_that_holds_only_another_patients_data_is_no_answer_about_this_one(key: str) -> None:
    """The one exception: nothing is concluded from absence in it (contract, section 3)."""
    name, kind = "V1", {"medicationAdministrations": "MedicationAdministration", "allergies": "AllergyIntolerance"}
    body = request(name)
    resource = {
        "resourceType": kind.get(key, key[0].upper() + key[1:-1]),
        "id": "a",
        "subject": {"reference": OTHERS[0]},
    }
    assert not body["prefetch"][key].get("entry"), reference(resource)
    body["prefetch"][key] = searchset([resource])
    cards = answer(CASES[name], body)
    assert set(kinds(cards)) - set(kinds(usual(name))) <= {
        "record/cannot-assess/critical",
        "record/cannot-assess/warning",
        "dose/clarify/critical",
    }
    assert any("only resources of another patient" in card["detail"] for card in cards)
