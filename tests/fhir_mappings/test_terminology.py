"""Value sets: valid FHIR, sourced, and matched by code or by wording."""

from __future__ import annotations

import json
from decimal import Decimal
from importlib.resources import files
from typing import Any

import pytest
from fhir.resources.R4B.valueset import ValueSet as FhirValueSet

from fhir_mappings.characteristics import observation_codes
from fhir_mappings.terminology import anything_in, normalised, spelling, system_uri, units, value_set
from fhir_mappings.wording import Standing, affirmed, says, statements
from tests.fhir_mappings.charts import HCPCS, ICD, LOINC, NDC, SNOMED

FILES = sorted(p.name for p in (files("fhir_mappings") / "valuesets").iterdir() if p.name.endswith(".json"))
PROJECT = "https://tarlatamab-cds.example.org"
EXTENSION = f"{PROJECT}/StructureDefinition"


def resource(name: str) -> Any:
    return json.loads((files("fhir_mappings") / "valuesets" / name).read_text(encoding="utf-8"))


def extension(element: Any, name: str) -> Any:
    found = [e for e in element.get("extension", ()) if e["url"] == f"{EXTENSION}/{name}"]
    return next((value for e in found for key, value in e.items() if key.startswith("value")), None)


@pytest.mark.parametrize("name", FILES)
def test_a_value_set_is_a_valid_fhir_resource_named_as_its_file(name: str) -> None:
    read = FhirValueSet.model_validate(resource(name))
    assert f"{read.id}.json" == name
    assert read.url == f"{PROJECT}/ValueSet/{read.id}"


@pytest.mark.parametrize("name", FILES)
def test_every_concept_says_what_it_means_and_where_it_is_from(name: str) -> None:
    for include in resource(name)["compose"]["include"]:
        assert extension(include, "meaning"), include
        assert extension(include, "source"), include


@pytest.mark.parametrize("name", FILES)
def test_nothing_without_a_source_ships(name: str) -> None:
    assert "UNVERIFIED" not in json.dumps(resource(name))


def test_what_is_general_reference_knowledge_bears_its_mark() -> None:
    for name in FILES:
        for include in resource(name)["compose"]["include"]:
            if extension(include, "source").startswith("general reference"):
                assert extension(include, "mark") == "K", include


def test_codes_known_to_be_wrong_are_left_out() -> None:
    every = {
        concept["code"]
        for name in FILES
        for include in resource(name)["compose"]["include"]
        for concept in include["concept"]
    }
    assert not every & {"408513003", "408512008", "8659-8", "88293-6"}


@pytest.mark.parametrize("name", FILES)
def test_a_term_stands_once_under_one_meaning_of_its_set(name: str) -> None:
    terms = [
        (extension(include, "meaning"), normalised(concept["code"]))
        for include in resource(name)["compose"]["include"]
        if include["system"] == f"{PROJECT}/CodeSystem/text"
        for concept in include["concept"]
    ]
    assert len(terms) == len(set(terms))


@pytest.mark.parametrize(
    "ndc",
    ["55513-059", "55513-059-01", "55513-0059-01", "55513005901", "5551305901", "555130059", "55513059", "55513-0059"],
)
def test_the_1_mg_kit_is_known_in_every_way_to_write_its_ndc(ndc: str) -> None:
    found = value_set("drug").coded(NDC, ndc)
    assert found is not None
    assert found.display == "Imdelltra 1 mg kit"


@pytest.mark.parametrize("ndc", ["55513-077-01", "55513007701", "5551307701"])
def test_the_10_mg_kit_too(ndc: str) -> None:
    found = value_set("drug").coded(NDC, ndc)
    assert found is not None
    assert found.display == "Imdelltra 10 mg kit"


@pytest.mark.parametrize(
    "ndc", ["55513-058-01", "55513-590-01", "5551300590", "555130591", "1", "55513-059X", "", "5551305"]
)
def test_other_ndcs_are_not(ndc: str) -> None:
    assert value_set("drug").coded(NDC, ndc) is None


def test_a_code_counts_only_in_its_system() -> None:
    assert value_set("drug").coded(HCPCS, "j9026") is not None
    assert value_set("drug").coded(LOINC, "J9026") is None


def test_icd_codes_match_with_and_without_their_point_and_prefixes_only_where_said() -> None:
    toxicities, pregnancy = value_set("toxicities"), value_set("pregnancy")
    assert toxicities.coded(ICD, "D89831") == toxicities.coded(ICD, "D89.831")
    assert toxicities.coded(ICD, "D89.8311") is None
    found = pregnancy.coded(ICD, "O09.211")
    assert found is not None
    assert found.meaning == "pregnant"
    puerperal, peripartum = pregnancy.coded(ICD, "O90.4"), pregnancy.coded(ICD, "O90.3")
    assert puerperal is not None
    assert peripartum is not None
    assert (puerperal.meaning, peripartum.meaning) == ("uncertain", "pregnant")
    assert pregnancy.coded(ICD, "Z33.2") is None


@pytest.mark.parametrize(
    ("met", "known"),
    [
        ("urn:oid:2.16.840.1.113883.6.96", SNOMED),
        ("http://snomed.info/sct/", SNOMED),
        ("urn:oid:1.2.3", "urn:oid:1.2.3"),
        ("", ""),
    ],
)
def test_other_names_of_a_code_system(met: str, known: str) -> None:
    assert system_uri(met) == known


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("AMG-757", "amg 757"),
        ("Sodium chloride 0.9%", "sodium chloride 0.9"),
        ("Gr. III", "gr iii"),
        ("Naïve – test.", "naive test"),
        ("", ""),
    ],
)
def test_texts_are_compared_without_case_accents_and_punctuation(text: str, plain: str) -> None:
    assert normalised(text) == plain


def test_terms_match_at_word_boundaries_and_the_longest_wins() -> None:
    cancers = value_set("lung-cancer")
    assert [m.concept.meaning for m in cancers.mentions("non small cell lung cancer")] == ["not-small-cell"]
    assert [m.concept.meaning for m in cancers.mentions("small cell lung cancer")] == ["small-cell"]
    assert value_set("toxicities").mentions("crsx uncrs") == ()


def test_units_are_read_by_code_and_by_spelling() -> None:
    assert units("mass").ucum["ug"].converted(Decimal(10000)) == 10
    assert units("mass").spellings[spelling("µg")].converted(Decimal(1000)) == 1
    assert units("mass").spellings[spelling("μg")] == units("mass").spellings[spelling("µg")]
    assert units("mass").spellings[spelling("M C G")].converted(Decimal(1000)) == 1


def test_several_sets_are_looked_through_at_once() -> None:
    known = anything_in("toxicities", "pregnancy")
    assert known.mentions("crs")
    assert known.mentions("pregnancy")
    assert not known.mentions("asthma")


def test_numbers_and_words_of_a_concept() -> None:
    grade = value_set("toxicities").coded(ICD, "D89.833")
    assert grade is not None
    assert (grade.number("grade"), grade.word("scale"), grade.number("scale"), grade.word("nothing")) == (
        3,
        "ASTCT CRS",
        None,
        "",
    )


def test_the_prefetch_asks_for_each_code_that_ships_for_a_single_observation() -> None:
    asked = observation_codes()
    assert {f"{LOINC}|82810-3", f"{LOINC}|63895-7", f"{LOINC}|86649-1", f"{LOINC}|97509-4"} <= set(asked)
    assert "http://ncicb.nci.nih.gov/xml/owl/EVS/Thesaurus.owl|C143394" in asked
    assert f"{LOINC}|8659-8" not in asked
    assert len(asked) == len(set(asked))


# --- what a text says -------------------------------------------------------------------------------------------------

SAID, DENIED, PAST, OVER = Standing.SAID, Standing.DENIED, Standing.PAST, Standing.OVER


@pytest.mark.parametrize(
    ("text", "standings"),
    [
        ("CRS grade 2", [SAID]),
        ("no evidence of CRS", [DENIED]),
        ("No CRS or ICANS", [DENIED, DENIED]),
        ("no evidence of active or recurrent CRS", [DENIED]),
        ("No fever. ICANS grade 3", [SAID]),
        ("no hypotension, CRS grade 1", [SAID]),
        ("no CRS but ICANS", [DENIED, SAID]),
        ("rule out CRS", [DENIED]),
        ("R/O CRS", [DENIED]),
        ("CRS ruled out", [DENIED]),
        ("CRS: none", [DENIED]),
        ("family history of infection", [DENIED]),
        ("history of CRS", [PAST]),
        ("Hx of CRS grade 4", [PAST]),
        ("no history of CRS", [DENIED]),
        ("CRS grade 2, resolved", [SAID]),
        ("CRS grade 2 - resolved", [OVER]),
        ("CRS not resolved", [SAID]),
        ("CRS of grade 3 with no change in CRS", [SAID, SAID]),
        ("gr. III CRS", [SAID]),
    ],
)  # fmt: skip
def test_a_denial_reaches_only_what_it_denies(text: str, standings: list[Standing]) -> None:
    assert [s.standing for s in statements([text], value_set("toxicities"))] == standings


def test_only_what_is_there_now_is_affirmed() -> None:
    known = value_set("toxicities")
    assert [s.concept.meaning for s in affirmed(["history of CRS; ICANS"], known)] == ["neurotoxicity"]


def test_a_clause_is_searched_for_words_of_a_kind() -> None:
    assert says("latent tuberculosis", "chronic")
    assert not says("translatent", "chronic")
