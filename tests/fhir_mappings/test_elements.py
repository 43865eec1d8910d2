"""Shapes, numbers, references, concepts, quantities: as they should be, and as they come."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from fhir_mappings.elements import (
    all_texts,
    belongs_elsewhere,
    code_of,
    coded,
    codings,
    contained,
    extension_value,
    extensions,
    identifiers,
    items,
    number,
    objects,
    own_texts,
    part,
    reference,
    reference_of,
    texts_of_notes,
    unreadable,
    words,
)
from fhir_mappings.facts import Unknown
from fhir_mappings.quantities import Measured, measured, quantity_in_text, quantity_text
from fhir_mappings.terminology import value_set
from tests.fhir_mappings.charts import CLINIC, ICD, LOINC, UCUM, code, mg


def test_one_object_where_a_list_is_expected_is_its_only_entry() -> None:
    assert items({"a": 1}) == ({"a": 1},)
    assert items(None) == ()
    assert objects([{"a": 1}, None, "x", {"b": 2}]) == ({"a": 1}, {"b": 2})


def test_a_list_where_an_object_is_expected_is_taken_at_its_first_object() -> None:
    assert part({"code": [None, {"text": "x"}]}, "code", "text") == "x"
    assert part({"code": "x"}, "code", "text") is None
    assert part([], "code") is None


def test_texts_are_trimmed_and_cut() -> None:
    assert words(" a ") == "a"
    assert words(5) == ""
    assert len(words("x" * 10_000)) == 4000


@pytest.mark.parametrize(
    ("value", "expected"),
    [(10, Decimal(10)), (Decimal("0.90"), Decimal("0.9")), (0.9, Decimal("0.9")), ("10", Decimal(10)), (" 1.5 ", Decimal("1.5")),
     (1e12, Decimal("1e12"))],
)  # fmt: skip
def test_numbers_come_as_integers_decimals_floats_and_texts(value: Any, expected: Decimal) -> None:
    assert number(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        "ten",
        "",
        "1e999",
        float("nan"),
        float("inf"),
        Decimal("Infinity"),
        Decimal("1e13"),
        Decimal("1e-13"),
        10**30,
        {},
        [],
    ],
)
def test_what_is_no_usable_number_is_none(value: Any) -> None:
    assert number(value) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [(" Active ", "active"), (code("x", "RESOLVED"), "resolved"), ({"text": "Ongoing"}, "ongoing"), ({"coding": [{"display": "x"}]}, ""), (None, ""), (5, "")],
)  # fmt: skip
def test_codes_come_plain_or_as_concepts(value: Any, expected: str) -> None:
    assert code_of(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"reference": "Patient/p1"}, "Patient/p1"),
        ({"reference": "https://ehr.example/fhir/Patient/p1"}, "Patient/p1"),
        ({"reference": "https://ehr.example/fhir/Patient/p1/_history/3"}, "Patient/p1"),
        ("Patient/p1", "Patient/p1"),
        (f"https://ehr.example/Patient/e_{'x' * 126}", f"Patient/e_{'x' * 126}"),
        (f"Patient/e_{'x' * 127}", ""),
        ([{"reference": "Patient/p1"}], "Patient/p1"),
        ({"reference": "#m1"}, "#m1"),
        ({"reference": "urn:uuid:1"}, "urn:uuid:1"),
        ({"reference": "patient/p1"}, ""),
        ({"reference": 7}, ""),
        ({"display": "x"}, ""),
        (None, ""),
    ],
)
def test_references_are_normalised(value: Any, expected: str) -> None:
    assert reference(value) == expected


def test_contained_resources_are_found_with_and_without_the_hash() -> None:
    holder = {"contained": [{"id": "a"}, {"id": "#b"}]}
    assert contained(holder, "#a") == {"id": "a"}
    assert contained(holder, "#b") == {"id": "#b"}
    assert contained(holder, "#c") is None


def test_a_resource_is_named_by_type_and_id() -> None:
    assert reference_of({"resourceType": "Condition", "id": "c1"}) == "Condition/c1"
    assert reference_of({"resourceType": "Condition"}) == ""
    assert unreadable({}, "why") == Unknown(what="resource", why="why", reference="")


def test_identifiers_need_a_value() -> None:
    assert identifiers({"identifier": [{"system": "s", "value": "1"}, {"system": "s"}, {"value": "2"}]}) == {
        "s|1",
        "|2",
    }


@pytest.mark.parametrize(
    "subject",
    [
        {"reference": "Patient/p1"},
        {"reference": "https://x/Patient/p1"},
        {"display": "x"},
        None,
        "Patient/p1",
        {"reference": ""},
    ],
)
def test_ours_is_what_names_this_patient_or_nobody(subject: Any) -> None:
    assert belongs_elsewhere({"resourceType": "Condition", "subject": subject}, CLINIC) is None
    assert belongs_elsewhere({"resourceType": "AllergyIntolerance", "patient": subject}, CLINIC) is None


@pytest.mark.parametrize(
    ("subject", "foreign"),
    [({"reference": "Patient/p2"}, True), ({"reference": "Group/p1"}, False), ({"reference": "PATIENT/p2"}, False), ("Patient/p11", True), ({"reference": "urn:uuid:1"}, False), ({"reference": 5}, False), ({"reference": "p1"}, False)],
)  # fmt: skip
def test_another_patients_is_never_used_nor_one_of_whom_it_cannot_be_told(subject: Any, foreign: bool) -> None:
    found = belongs_elsewhere({"resourceType": "Condition", "id": "c", "subject": subject}, CLINIC)
    assert found is not None
    assert (found.foreign, found.reference) == (foreign, "Condition/c")


def test_concepts_come_as_lists_bare_codings_and_plain_texts() -> None:
    assert [c.code for c in codings([code("s", "1"), code("s", "2")])] == ["1", "2"]
    assert [c.code for c in codings({"system": "s", "code": "1"})] == ["1"]
    assert codings({"text": "x"}) == ()
    assert own_texts("crs") == ("crs",)
    assert own_texts(["crs", {"text": "icans"}, 5]) == ("crs", "icans")


def test_the_display_of_a_code_is_no_own_text_but_one_without_a_code_is() -> None:
    concept = {"coding": [{"system": "s", "code": "1", "display": "known"}, {"display": "bare"}], "text": "said"}
    assert own_texts(concept) == ("said", "bare")
    assert all_texts(concept) == ("said", "bare", "known")


@pytest.mark.parametrize(
    "odd",
    [
        {"coding": {"system": LOINC, "code": "751-8"}},
        {"coding": ["751-8", {"system": LOINC, "code": "751-8"}]},
        {"coding": [{"system": LOINC, "code": "751-8", "display": ["Neutrophils"]}]},
        {"coding": [{"system": LOINC, "code": "751-8"}], "text": 5},
        {"system": LOINC, "code": "751-8"},
        [{"text": None}, {"coding": [{"system": LOINC, "code": "751-8"}]}],
    ],
)
def test_a_concept_of_an_odd_shape_means_what_its_coding_means(odd: Any) -> None:
    assert [coding.code for coding in codings(odd)] == ["751-8"]
    assert all_texts(odd) == ()
    known = coded(odd, value_set("laboratory-tests"))
    assert known is not None
    assert known.meaning == "neutrophils"


def test_a_concept_that_is_longer_than_what_is_kept_is_read_alike() -> None:
    long = "Neutrophils " + "x" * 500
    for _ in range(2):
        assert all_texts({"coding": [{"system": LOINC, "code": "751-8", "display": long}], "text": long}) == (long,)


def test_any_coding_may_be_the_known_one() -> None:
    concept = {
        "coding": [{"system": "urn:oid:1", "code": "x"}, {"code": "D89.833"}, {"system": ICD, "code": " D89.832 "}]
    }
    found = coded(concept, value_set("toxicities"))
    assert found is not None
    assert found.number("grade") == 2
    assert coded({"coding": [{"display": "x"}]}, value_set("toxicities")) is None


def test_extensions_are_found_by_the_end_of_their_url() -> None:
    element = {
        "extension": [{"url": "http://x/ctcae-grade/", "valueInteger": 3}, {"url": 5}, {"url": "http://x/other"}]
    }
    found = extensions(element, "ctcae-grade")
    assert [extension_value(e) for e in found] == [3]
    assert extension_value({"url": "x"}) is None


def test_notes_come_as_annotations_and_as_plain_texts() -> None:
    assert texts_of_notes({"note": [{"text": "a"}, "b", {"text": 5}, 7]}) == ("a", "b")


# --- quantities -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quantity", "value"),
    [
        (mg(10), 10),
        ({"value": 10000, "unit": "ug", "system": UCUM, "code": "ug"}, 10),
        ({"value": 10000, "unit": "mcg"}, 10),
        ({"value": 10000, "unit": "µg"}, 10),
        ({"value": 10000, "unit": "μg"}, 10),
        ({"value": 10, "unit": "Milligrams"}, 10),
        ({"value": Decimal("0.01"), "code": "g", "system": UCUM}, 10),
        ({"value": "10", "unit": "mg"}, 10),
        ({"value": 10, "code": "mg"}, 10),
        ({"value": 10, "unit": "something", "code": "mg", "system": UCUM}, 10),
        ({"value": 10, "unit": "mg", "code": "99", "system": "urn:oid:1"}, 10),
        ({"value": 10, "code": "milligram", "system": "urn:oid:1"}, 10),
        ({"value": 10, "unit": "mg", "system": "urn:oid:2.16.840.1.113883.6.8", "code": "mg"}, 10),
    ],
)
def test_a_mass_is_read_by_code_with_system_then_by_the_spelling_of_its_unit(quantity: Any, value: int) -> None:
    assert measured(quantity, "mass").value == value


@pytest.mark.parametrize(
    ("quantity", "refused"),
    [
        ({"value": 10}, "its unit is missing"),
        ({"value": 10, "unit": ""}, "its unit is missing"),
        ({"value": 10, "unit": "mL"}, "its unit is not one of this measurement"),
        (
            {"value": 10, "code": "mg", "system": UCUM, "unit": "mcg"},
            "its unit is given in two ways that contradict each other",
        ),
        ({"unit": "mg"}, "it has no readable number"),
        ({"value": "ten", "unit": "mg"}, "it has no readable number"),
        ("10 mg", "it has no readable number"),
        (None, "it has no readable number"),
    ],
)
def test_a_quantity_without_a_number_or_a_unit_of_its_kind_is_refused(quantity: Any, refused: str) -> None:
    found = measured(quantity, "mass")
    assert (found.value, found.refused) == (None, refused)


def test_a_fever_in_fahrenheit_is_exactly_38_degrees() -> None:
    assert (
        measured({"value": Decimal("100.4"), "unit": "degF", "system": UCUM, "code": "[degF]"}, "temperature").value
        == 38
    )
    assert measured({"value": 100.4, "unit": "°F"}, "temperature").value == 38
    below = measured({"value": Decimal("100.3"), "code": "[degF]", "system": UCUM}, "temperature").value
    assert below is not None
    assert below < 38


def test_a_quantity_is_shown_as_received() -> None:
    assert quantity_text({"value": Decimal("5.00"), "comparator": "<", "unit": "mg"}) == "< 5.00 mg"
    assert quantity_text({"value": "ten", "code": "mg"}) == "ten mg"
    assert quantity_text(None) == ""


def test_a_text_that_is_nothing_but_a_quantity_is_one() -> None:
    assert quantity_in_text("<15 mL/min") == {"value": Decimal(15), "comparator": "<", "unit": "mL/min"}
    assert quantity_in_text("≥ 90") == {"value": Decimal(90), "comparator": ">=", "unit": ""}
    assert quantity_in_text("0,9 mg/dL") == {"value": Decimal("0.9"), "comparator": "", "unit": "mg/dL"}
    assert quantity_in_text("about 15") == {}


def test_a_comparator_is_kept() -> None:
    assert measured({"value": 5, "unit": "mg", "comparator": "<"}, "mass") == Measured(
        value=Decimal(5), comparator="<", recorded="< 5 mg"
    )


def test_loinc_is_no_unit_system() -> None:
    assert measured({"value": 5, "code": "mg", "system": LOINC}, "mass").value == 5  # its spelling still says mg


def test_equal_numbers_are_shown_each_as_received() -> None:
    for text in ("5", "5.0", "5.00"):
        assert measured({"value": Decimal(text), "unit": "mg"}, "mass").recorded == f"{text} mg"


@pytest.mark.parametrize("value", [Decimal("sNaN"), Decimal("NaN"), {}, [5], True])
def test_a_value_that_is_no_number_is_refused_whatever_it_is(value: Any) -> None:
    assert measured({"value": 1, "unit": "mg"}, "mass").value == 1
    assert measured({"value": value, "unit": "mg"}, "mass").refused == "it has no readable number"


def test_a_unit_that_is_no_text_is_missing() -> None:
    assert measured({"value": 1, "unit": {"text": "mg"}}, "mass").refused == "its unit is missing"


def test_a_list_with_one_quantity_is_read() -> None:
    assert measured([{"value": 1, "unit": "mg"}], "mass").value == 1
