"""Is it the drug? Clinical rules, Given doses 7."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_mappings.drugs import is_claim, medication_of
from fhir_mappings.medications import Recognition, medication_reference, recognise
from tests.fhir_mappings.charts import HCPCS, NCIT, NDC, RXNORM, SNOMED, code

DRUG, OTHER, UNREADABLE, NONE = Recognition.DRUG, Recognition.OTHER, Recognition.UNREADABLE, Recognition.NONE


def concept(value: Any) -> dict[str, Any]:
    return {"resourceType": "MedicationRequest", "medicationCodeableConcept": value}


def pointing(value: Any, **more: Any) -> dict[str, Any]:
    return {"resourceType": "MedicationRequest", "medicationReference": value} | more


@pytest.mark.parametrize(
    "value",
    [
        code(NDC, "55513-077-01"),
        code(HCPCS, "J9026"),
        code("urn:oid:2.16.840.1.113883.6.285", "C9170"),
        code("http://www.whocc.no/atc", "L01FX33"),
        code("http://fdasis.nlm.nih.gov", "74X82ST8Q1"),
        code(NCIT, "C175858"),
        {"coding": [{"system": RXNORM, "code": "1"}, {"system": NDC, "code": "55513005901"}]},
        {"text": "tarlatamab"},
        {"text": "Tarlatamab-dlle 10 MG [Imdelltra]"},
        {"text": "IMDELLTRA"},
        {"text": "imdylltra 1 mg powder"},
        {"text": "AMG 757"},
        {"text": "AMG-757"},
        {"text": "amg757 study drug"},
        code("urn:oid:1.2.3", "local", "Tarlatamab infusion"),
        {"text": "tarlatamab in sodium chloride 0.9 % 250 mL"},
        "Tarlatamab",
        [{"text": "tarlatamab"}],
    ],
)
def test_the_drug_is_known_by_any_code_or_name(value: Any) -> None:
    assert recognise(concept(value), {}) is DRUG


@pytest.mark.parametrize(
    "value",
    [
        {"text": "carboplatin"},
        {"text": "untarlatamabbed"},
        code(RXNORM, "3264"),
        code(RXNORM, "309311"),
        code(NDC, "55513-058-01"),
        code(HCPCS, "J9999"),
        code(RXNORM, "1", "amlodipine"),
        {"text": "dexamethasone 8 mg before tarlatamab"},
        {"text": "Sodium chloride 0.9 % 1 L for hydration after Imdelltra"},
    ],
)
def test_other_medications_are_others(value: Any) -> None:
    assert recognise(concept(value), {}) is OTHER


@pytest.mark.parametrize(
    "value",
    [
        {},
        5,
        {"text": "  "},
        {"text": "--"},
        code(RXNORM, "1234567"),
        code("urn:oid:1.2.3", "local"),
        code(SNOMED, "1"),
        True,
    ],
)
def test_a_medication_without_a_name_or_a_decisive_code_is_unreadable(value: Any) -> None:
    assert recognise(concept(value), {}) is UNREADABLE


@pytest.mark.parametrize(
    "resource", [{}, {"medicationCodeableConcept": None}, {"resourceType": "MedicationRequest", "status": "draft"}]
)
def test_no_medication_at_all_is_none(resource: Any) -> None:
    assert recognise(resource, {}) is NONE


MEDICATION = {"resourceType": "Medication", "id": "m1", "code": {"text": "Imdelltra"}}
DILUTED = {
    "resourceType": "Medication",
    "id": "m1",
    "code": {"text": "IV admixture"},
    "ingredient": [
        {"itemCodeableConcept": {"text": "sodium chloride 0.9 %"}},
        {"itemCodeableConcept": code(NDC, "55513-077-01")},
    ],
}


def test_the_medication_may_be_contained_fetched_or_an_ingredient() -> None:
    assert recognise(pointing({"reference": "#m1"}, contained=[MEDICATION]), {}) is DRUG
    assert recognise(pointing({"reference": "Medication/m1"}), {"Medication/m1": MEDICATION}) is DRUG
    assert recognise(pointing({"reference": "https://x/Medication/m1"}), {"Medication/m1": MEDICATION}) is DRUG
    assert recognise(pointing({"reference": "urn:uuid:1"}), {"urn:uuid:1": MEDICATION}) is DRUG
    assert recognise(pointing({"reference": "Medication/m1"}), {"Medication/m1": DILUTED}) is DRUG
    assert (
        recognise({"medication": {"reference": {"reference": "Medication/m1"}}}, {"Medication/m1": MEDICATION}) is DRUG
    )
    assert recognise({"medication": {"concept": {"text": "tarlatamab"}}}, {}) is DRUG


def test_an_ingredient_may_be_another_medication_also_in_a_circle() -> None:
    outer = {"ingredient": [{"itemReference": {"reference": "Medication/m1"}}]}
    circle = {"ingredient": [{"itemReference": {"reference": "Medication/c"}}]}
    assert (
        recognise(pointing({"reference": "Medication/o"}), {"Medication/o": outer, "Medication/m1": MEDICATION}) is DRUG
    )
    assert recognise(pointing({"reference": "Medication/c"}), {"Medication/c": circle}) is UNREADABLE
    named = {"ingredient": [{"itemReference": {"reference": "Medication/x", "display": "AMG 757"}}]}
    assert recognise(pointing({"reference": "Medication/o"}), {"Medication/o": named}) is DRUG


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"reference": "Medication/m1", "display": "Imdelltra"}, DRUG),
        ({"reference": "Medication/m1", "display": "Carboplatin"}, OTHER),
        ({"reference": "Medication/m1"}, UNREADABLE),
        ({"reference": "Medication/m1", "display": " "}, UNREADABLE),
        ({"display": "tarlatamab"}, DRUG),
        ({}, UNREADABLE),
        ("Medication/m1", UNREADABLE),
    ],
)
def test_a_reference_that_leads_nowhere_is_decided_by_its_display(value: Any, expected: Recognition) -> None:
    assert recognise(pointing(value), {}) is expected


def test_a_medication_that_is_no_object_leads_nowhere() -> None:
    assert recognise(pointing({"reference": "Medication/m1"}), {"Medication/m1": "x"}) is UNREADABLE  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("resource", "needed"),
    [
        (pointing({"reference": "Medication/m1"}), "Medication/m1"),
        (pointing({"reference": "https://ehr.example/fhir/Medication/m1/_history/2"}), "Medication/m1"),
        ({"medication": {"reference": "Medication/m1"}}, "Medication/m1"),
        ({"medication": {"reference": {"reference": "Medication/m1"}}}, "Medication/m1"),
        (pointing({"reference": "#m1"}), None),
        (pointing({"display": "x"}), None),
        (concept({"text": "tarlatamab"}), None),
        (pointing({"reference": "Medication/m1"}, medicationCodeableConcept={"text": "x"}), None),
        ({}, None),
    ],
)
def test_what_must_be_fetched_to_know_the_medication(resource: Any, needed: str | None) -> None:
    assert medication_reference(resource) == needed


def test_an_order_is_a_claim_only_if_no_other_code_of_the_drug_stands_beside_it() -> None:
    def claimed(value: Any) -> bool:
        return is_claim(medication_of(concept(value), {}))

    assert claimed(code(HCPCS, "J9026"))
    assert claimed(code(HCPCS, "J9026") | {"text": "tarlatamab"})
    assert not claimed({"coding": [{"system": HCPCS, "code": "J9026"}, {"system": NDC, "code": "55513-077"}]})
    assert not claimed({"text": "tarlatamab"})
