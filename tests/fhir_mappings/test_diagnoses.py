"""Organs, lung cancer and its course, allergy to the drug. Now is 2026-01-20, 12:00 in Berlin."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_mappings.facts import CancerFinding, NotRecorded, OrganFinding
from tests.fhir_mappings.charts import (
    HCPCS,
    ICD,
    LOINC,
    RXNORM,
    SNOMED,
    US,
    code,
    condition,
    day,
    given,
    observation,
    order,
    procedure,
    state,
)

C, ORGAN = CancerFinding, OrganFinding


def organs(*resources: Any) -> list[OrganFinding]:
    return [o.finding for o in state(*resources).organs]


def cancers(*resources: Any) -> list[CancerFinding]:
    return [c.finding for c in state(*resources).cancer]


@pytest.mark.parametrize(
    ("concept", "finding"),
    [
        (code(ICD, "N18.4"), ORGAN.KIDNEY_STAGE_4_OR_5), (code(ICD, "N18.5"), ORGAN.KIDNEY_STAGE_4_OR_5), (code(ICD, "N18.6"), ORGAN.KIDNEY_STAGE_4_OR_5),
        ("Chronic kidney disease, stage 4", ORGAN.KIDNEY_STAGE_4_OR_5), ("CKD stage V", ORGAN.KIDNEY_STAGE_4_OR_5), ("ESRD", ORGAN.KIDNEY_STAGE_4_OR_5),
        (code("urn:oid:1", "1", "End stage renal disease"), ORGAN.KIDNEY_STAGE_4_OR_5),
        (code(ICD, "Z99.2"), ORGAN.DIALYSIS), ("on hemodialysis", ORGAN.DIALYSIS),
        ("Cirrhosis, Child-Pugh class B", ORGAN.CHILD_PUGH_B_OR_C), ("Child-Pugh C", ORGAN.CHILD_PUGH_B_OR_C),
        ("Gilbert's syndrome", ORGAN.OTHER_LIVER_CAUSE), ("liver metastases", ORGAN.OTHER_LIVER_CAUSE), ("choledocholithiasis", ORGAN.OTHER_LIVER_CAUSE),
    ],
)  # fmt: skip
def test_an_organ_condition_by_code_or_words(concept: Any, finding: OrganFinding) -> None:
    assert organs(condition(concept)) == [finding]


def test_a_child_pugh_class_may_stand_in_the_stage() -> None:
    assert organs(condition("Cirrhosis", stage=[{"summary": {"text": "Child-Pugh C"}}])) == [ORGAN.CHILD_PUGH_B_OR_C]


@pytest.mark.parametrize(
    "resource",
    [
        condition(code(ICD, "N18.3")), condition(code(ICD, "N18.9")), condition("CKD stage 3"), condition("Child-Pugh A"), condition("no dialysis"),
        condition("ESRD", clinicalStatus="resolved"), condition("ESRD", verificationStatus="refuted"),
        condition("liver metastases", verificationStatus="provisional"), condition(code("urn:oid:1", "1", "Gilbert's syndrome")),
        procedure("dialysis", status="not-done"), procedure("appendectomy"),
    ],
)  # fmt: skip
def test_what_holds_no_more_or_never_did_is_none(resource: Any) -> None:
    assert organs(resource) == []


def test_dialysis_by_a_procedure() -> None:
    (found,) = state(procedure("Hemodialysis")).organs
    assert (found.finding, found.day) == (ORGAN.DIALYSIS, day("2026-01-19"))


# --- lung cancer ------------------------------------------------------------------------------------------------------

HISTOLOGY = "http://hl7.org/fhir/us/mcode/StructureDefinition/mcode-histology-morphology-behavior"
ICD_O = "http://terminology.hl7.org/CodeSystem/icd-o-3"


@pytest.mark.parametrize(
    ("concept", "finding"),
    [
        (code(SNOMED, "254632001"), C.SMALL_CELL),
        (code(SNOMED, "683991000119103"), C.SMALL_CELL_EXTENSIVE),
        (code(SNOMED, "67841000119103"), C.SMALL_CELL_EXTENSIVE),
        (code(SNOMED, "67811000119102"), C.SMALL_CELL_LIMITED),
        (code(SNOMED, "67831000119107"), C.SMALL_CELL),
        (code(SNOMED, "254637007"), C.NOT_SMALL_CELL),
        (code(ICD, "C34.90"), C.LUNG_UNSPECIFIED),
        (code(ICD, "C34.11") | {"text": "Small cell lung cancer, extensive stage"}, C.SMALL_CELL_EXTENSIVE),
        (code(ICD, "C34.11") | {"text": "Non-small cell lung cancer"}, C.NOT_SMALL_CELL),
        ("Small cell lung cancer", C.SMALL_CELL),
        ("ES-SCLC", C.SMALL_CELL_EXTENSIVE),
        ("Extensive-stage small cell lung cancer", C.SMALL_CELL_EXTENSIVE),
        ("LS-SCLC", C.SMALL_CELL_LIMITED),
        ("SCLC, limited stage", C.SMALL_CELL_LIMITED),
        ("NSCLC", C.NOT_SMALL_CELL),
        ("Lung cancer", C.LUNG_UNSPECIFIED),
        ("history of small cell lung cancer", C.SMALL_CELL),
        ("NSCLC transformed to small cell carcinoma", C.SMALL_CELL),
    ],
)
def test_lung_cancer_by_code_or_words(concept: Any, finding: CancerFinding) -> None:
    assert cancers(condition(concept)) == [finding]


@pytest.mark.parametrize(
    ("stage", "finding"),
    [("Extensive", C.SMALL_CELL_EXTENSIVE), ("Limited stage", C.SMALL_CELL_LIMITED), ("unknown", C.SMALL_CELL)],
)
def test_the_stage_may_stand_in_its_own_element(stage: str, finding: CancerFinding) -> None:
    assert cancers(condition("SCLC", stage=[{"summary": {"text": stage}}])) == [finding]


def test_the_histology_decides_about_a_lung_cancer() -> None:
    def with_histology(value: Any) -> list[CancerFinding]:
        return cancers(condition(code(ICD, "C34.90"), extension=[{"url": HISTOLOGY, "valueCodeableConcept": value}]))

    assert with_histology(code(ICD_O, "8041/3")) == [C.SMALL_CELL]
    assert with_histology(code("urn:oid:2.16.840.1.113883.6.43.1", "8041/3")) == [C.SMALL_CELL]
    assert with_histology({"text": "Small cell carcinoma"}) == [C.SMALL_CELL]
    assert with_histology(code(ICD_O, "8140/3")) == [C.LUNG_UNSPECIFIED]


@pytest.mark.parametrize(
    "resource",
    [
        condition("family history of lung cancer"),
        condition("lung cancer screening"),
        condition("no small cell lung cancer"),
        condition("SCLC", verificationStatus="provisional"),
        condition("SCLC", verificationStatus="refuted"),
        condition(code(SNOMED, "408513003")),
        condition("asthma"),
    ],
)
def test_what_is_no_lung_cancer(resource: Any) -> None:
    assert cancers(resource) == []


def test_the_diagnosis_keeps_its_day_and_name() -> None:
    (found,) = state(condition("SCLC", onsetDateTime="2025-03-01")).cancer
    assert (found.day, found.name) == (day("2025-03-01"), "SCLC")
    assert state(condition("SCLC")).cancer[0].day is NotRecorded


def test_progression_in_a_diagnosis_is_one_more_record() -> None:
    assert cancers(condition("ES-SCLC, progressed after carboplatin")) == [C.SMALL_CELL_EXTENSIVE, C.PROGRESSION]
    assert cancers(condition("Disease progression")) == [C.PROGRESSION]
    assert cancers(condition("SCLC without progression")) == [C.SMALL_CELL]
    assert cancers(condition("recurrence of hernia")) == []


@pytest.mark.parametrize(
    ("value", "finding"),
    [
        ({"valueCodeableConcept": code(SNOMED, "268910001")}, C.NO_PROGRESSION),
        ({"valueCodeableConcept": {"text": "Progressive disease"}}, C.PROGRESSION),
        ({"valueCodeableConcept": code(SNOMED, "1", "Patient's condition worsened")}, C.PROGRESSION),
        ({"valueString": "PD"}, C.PROGRESSION),
        ({"valueString": "worsened"}, C.PROGRESSION),
        ({"valueString": "stable disease"}, C.NO_PROGRESSION),
        ({"valueString": "no evidence of progression"}, C.NO_PROGRESSION),
        ({"valueString": "partial response"}, C.NO_PROGRESSION),
        ({"valueString": "progression: none"}, C.NO_PROGRESSION),
    ],
)
def test_a_disease_status(value: Any, finding: CancerFinding) -> None:
    for concept in (code(LOINC, "97509-4"), {"text": "Disease status"}):
        (found,) = state(observation(concept, **value)).cancer
        assert (found.finding, found.day) == (finding, day("2026-01-19"))


def test_a_disease_status_without_a_value_is_none() -> None:
    assert cancers(observation(code(LOINC, "97509-4"))) == []
    assert cancers(observation(code(LOINC, "97509-4"), valueInteger=1)) == []


def test_a_histology_as_an_observations_value() -> None:
    assert cancers(observation("Histology", valueCodeableConcept=code(ICD_O, "8041/3"))) == [C.SMALL_CELL]
    assert cancers(observation("Histology", valueCodeableConcept=code(ICD_O, "8140/3"))) == []


@pytest.mark.parametrize(
    "concept",
    [
        {"text": "carboplatin"},
        {"text": "Cisplatin 75 mg/m2"},
        code(RXNORM, "309311"),
        code(RXNORM, "2555"),
        code(RXNORM, "40048"),
    ],
)
def test_platinum_by_order_administration_or_procedure(concept: Any) -> None:
    assert cancers(order(status="completed", medicationCodeableConcept=concept)) == [C.PLATINUM]
    assert cancers(given(None, medicationCodeableConcept=concept)) == [C.PLATINUM]


@pytest.mark.parametrize(
    "resource",
    [
        order(status="cancelled", medicationCodeableConcept={"text": "carboplatin"}),
        given(None, status="not-done", medicationCodeableConcept={"text": "carboplatin"}),
        procedure("carboplatin infusion", status="not-done"),
        procedure("no carboplatin"),
        order(status="active", medicationCodeableConcept={"text": "etoposide"}),
    ],
)
def test_platinum_that_was_not_given_is_none(resource: Any) -> None:
    assert cancers(resource) == []


def test_platinum_by_a_procedure_has_its_day() -> None:
    (found,) = state(procedure("Carboplatin chemotherapy", performedDateTime="2025-06-01")).cancer
    assert (found.finding, found.day, found.name) == (C.PLATINUM, day("2025-06-01"), "carboplatin")


# --- allergy ----------------------------------------------------------------------------------------------------------


def allergy(concept: Any, **more: Any) -> dict[str, Any]:
    return {"resourceType": "AllergyIntolerance", "id": "i1", "patient": US, "code": concept} | more


@pytest.mark.parametrize(
    "concept", [{"text": "tarlatamab"}, code(HCPCS, "J9026"), code("urn:oid:1", "1", "Imdelltra"), "AMG 757"]
)
def test_an_allergy_to_the_drug(concept: Any) -> None:
    (found,) = state(allergy(concept)).allergies
    assert found.reference == "AllergyIntolerance/i1"


def test_the_substance_may_stand_in_the_reaction() -> None:
    assert len(state(allergy(None, reaction=[{"substance": {"text": "tarlatamab"}}])).allergies) == 1
    assert len(state(allergy(None, substance={"text": "tarlatamab"})).allergies) == 1
    assert state(allergy({"text": "tarlatamab"})).allergies[0].name == "tarlatamab"


@pytest.mark.parametrize(
    "resource",
    [
        allergy({"text": "penicillin"}),
        allergy({"text": "no known allergy to tarlatamab"}),
        allergy({"text": "tarlatamab"}, verificationStatus="refuted"),
        allergy({"text": "tarlatamab"}, verificationStatus="entered-in-error"),
        allergy(code(SNOMED, "716186003")),
    ],
)
def test_other_allergies_are_none(resource: Any) -> None:
    found = state(resource)
    assert (found.allergies, found.unknowns) == ((), ())


def test_an_allergy_to_nothing_readable_is_said() -> None:
    for concept in (None, {}, {"text": ""}):
        (said,) = state(allergy(concept)).unknowns
        assert said.what == "AllergyIntolerance"


@pytest.mark.parametrize(
    "value",
    [{}, {"valueString": "mixed"}, {"valueString": "zq9x"}, {"valueCodeableConcept": code(SNOMED, "271299001")}],
)
def test_a_disease_status_that_could_be_progression_is_said_to_be_unreadable(value: Any) -> None:
    found = state(observation(code(LOINC, "97509-4"), **value))
    assert found.cancer == ()
    assert [unknown.why for unknown in found.unknowns] == ["its disease status could not be read"]


@pytest.mark.parametrize(
    "value", [{"dataAbsentReason": {"text": "not asked"}}, {"component": [{"code": {"text": "x"}}]}]
)
def test_a_disease_status_that_says_why_it_has_no_value_is_none(value: Any) -> None:
    found = state(observation(code(LOINC, "97509-4"), **value))
    assert (found.cancer, found.unknowns) == ((), ())
