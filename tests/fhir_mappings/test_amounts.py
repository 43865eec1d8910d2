"""How much is ordered: clinical rules, Given doses 8."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from fhir_mappings.amounts import amount_of, said_amounts
from fhir_mappings.facts import Amount
from tests.fhir_mappings.charts import UCUM, dose, mg


def amount(dosage: Any, notes: tuple[str, ...] = (), names: tuple[str, ...] = (), dispensed: Any = None) -> Amount:
    return amount_of(dosage, notes, names, dispensed)


@pytest.mark.parametrize(
    "dosage",
    [
        dose(mg(10)),
        dose({"value": 10000, "unit": "ug", "system": UCUM, "code": "ug"}),
        {"doseAndRate": {"doseQuantity": mg(10)}},
        {"doseQuantity": mg(10)},
        {"doseAndRate": [{"type": {"text": "ordered"}}, {"doseQuantity": mg("10")}]},
        {"doseAndRate": [{"doseRange": {"low": mg(10), "high": mg(10)}}]},
        {"doseAndRate": [{"doseQuantity": mg(10)}], "text": "10 mg in 250 mL over 60 minutes"},
        {"doseAndRate": [{"doseQuantity": mg(10)}], "text": "as planned"},
        {"doseAndRate": [{"doseQuantity": mg(10)}, {"doseQuantity": mg(Decimal("10.0"))}]},
    ],
)
def test_an_amount_with_its_unit_is_certain(dosage: Any) -> None:
    found = amount(dosage)
    assert (found.mg, found.doubt, found.absent) == (10, "", False)


@pytest.mark.parametrize(
    ("quantity", "doubt"),
    [
        ({"value": 10, "unit": "mL", "system": UCUM, "code": "mL"}, "it is a volume, not an amount of drug"),
        ({"value": 1, "unit": "pill", "system": UCUM, "code": "{pill}"}, "it counts pieces, not an amount of drug"),
        ({"value": 1, "code": "{pill}"}, "it counts pieces, not an amount of drug"),
        ({"value": 10}, "its unit is missing"),
        ({"value": 10, "unit": "mg/kg"}, "its unit is not one of this measurement"),
        ({"unit": "mg"}, "it has no readable number"),
        (mg(0), "it is not above zero"),
        (mg(-10), "it is not above zero"),
        ({"value": 10, "unit": "vials"}, "it is counted in vials of unknown strength"),
        (5, "it has no readable number"),
        ("a bag", "it could not be read"),
    ],
)
def test_what_is_no_mass_gives_no_amount_and_says_why(quantity: Any, doubt: str) -> None:
    found = amount(dose(quantity))
    assert (found.mg, found.doubt, found.absent) == (None, doubt, False)


def test_the_quantity_is_kept_as_received() -> None:
    assert amount(dose({"value": 10, "unit": "mL"})).recorded == "10 mL"
    assert amount(dose("a bag")).recorded == "a bag"


def test_a_bound_is_an_amount_in_doubt() -> None:
    assert amount(dose(mg(10) | {"comparator": "<"})) == Amount(
        mg=Decimal(10), doubt="it is only a bound", recorded="< 10 mg"
    )


@pytest.mark.parametrize(
    ("quantity", "names", "total"),
    [
        ({"value": 10, "unit": "vial"}, ("Imdelltra 1 mg vial",), 10),
        ({"value": 10, "unit": "1 mg vial"}, (), 10),
        ({"value": 1, "unit": "kit", "code": "{vial}", "system": UCUM}, ("Imdelltra 10 mg kit",), 10),
        ({"value": 2, "code": "{vial}", "system": UCUM}, ("tarlatamab-dlle 1 mg injection",), 2),
    ],
)
def test_vials_of_known_strength_are_computed_and_asked(quantity: Any, names: tuple[str, ...], total: int) -> None:
    found = amount(dose(quantity), names=names)
    assert (found.mg, found.doubt) == (total, "it is counted in vials")


def test_vials_of_two_strengths_or_none_of_them_are_no_amount() -> None:
    assert amount(dose({"value": 2, "unit": "vial"}), names=("1 mg vial", "10 mg vial")).mg is None
    assert amount(dose({"value": 0, "unit": "vial"}), names=("1 mg vial",)).mg is None


def test_vials_to_dispense_count_only_where_no_dose_is_stated() -> None:
    vials = {"value": 10, "unit": "vial"}
    assert amount({}, names=("Imdelltra 1 mg vial",), dispensed=vials).mg == 10
    assert amount(dose(mg(1)), names=("Imdelltra 1 mg vial",), dispensed=vials) == Amount(
        mg=Decimal(1), recorded="1 mg"
    )
    assert amount({}, dispensed=mg(10)).absent


def test_product_strength_is_never_the_dose() -> None:
    assert amount({}, names=("Imdelltra 10 mg vial", "tarlatamab 10 mg")).absent
    assert amount({"text": "tarlatamab 0.9 mg/mL"}).absent
    assert amount({"text": "2.4 mg per mL"}).absent


@pytest.mark.parametrize(
    ("texts", "total", "doubt"),
    [
        ("10 mg IV", 10, "it is found only in text"),
        ("Give 10mg over 60 min", 10, "it is found only in text"),
        ("10,000 mcg", 10, "it is found only in text"),
        ("1,000 µg", 1, "it is found only in text"),
        ("0,9 mg", "0.9", "it is found only in text"),
        ("1.0 milligrams", 1, "it is found only in text"),
        ("1-10 mg", 10, "it is found only in text, and it is a range"),
        ("1 to 10 mg", 10, "it is found only in text, and it is a range"),
        ("1 – 10 mg", 10, "it is found only in text, and it is a range"),
        ("10 x 1 mg vial", 10, "it is found only in text, and it is counted in vials"),
        ("10 × 1 mg", 10, "it is found only in text, and it is counted in vials"),
        ("2 vials of 1 mg", 2, "it is found only in text, and it is counted in vials"),
        ("10 mg/250 mL", 10, "it is found only in text"),
        ("tarlatamab 10 mg; dexamethasone 8 mg before", 10, "it is found only in text"),
        ("after dexamethasone 8 mg give tarlatamab 10 mg", 10, "it is found only in text"),
    ],
)
def test_an_amount_in_a_text_is_taken_as_read_and_asked(texts: str, total: Any, doubt: str) -> None:
    found = amount({"text": texts})
    assert (found.mg, found.doubt) == (Decimal(total), doubt)


@pytest.mark.parametrize(
    "text", ["one dose", "10 mL", "dexamethasone 8 mg before", "day 10", "0 mg", "10 mg/kg", "10 mg vial", "C1D8 mg"]
)
def test_texts_without_an_amount_of_the_drug(text: str) -> None:
    assert amount({"text": text}).absent


def test_several_amounts_in_a_text_settle_nothing() -> None:
    found = amount({"text": "1 mg on day 1, then 10 mg on day 8"})
    assert (found.mg, found.doubt) == (None, "it is found only in text, and the text names several amounts")
    assert found.recorded == "1 mg, 10 mg"


def test_a_note_speaks_only_where_the_dosage_is_silent() -> None:
    assert amount({}, notes=("give 10 mg",)).mg == 10
    assert amount({"text": "1 mg"}, notes=("give 10 mg",)).mg == 1
    assert amount(dose(mg(1)), notes=("give 10 mg",)) == Amount(mg=Decimal(1), recorded="1 mg")


def test_an_amount_in_text_stands_in_for_an_unusable_quantity() -> None:
    found = amount({"doseAndRate": [{"doseQuantity": {"value": 250, "unit": "mL"}}], "text": "10 mg in 250 mL"})
    assert found.mg == 10
    assert found.doubt == "it is a volume, not an amount of drug; it is found only in text"
    assert found.recorded == "250 mL; 10 mg"


def test_the_larger_of_quantity_and_contradicting_text_is_judged() -> None:
    for quantity, text in ((1, "10 mg"), (10, "1 mg")):
        found = amount(dose(mg(quantity)) | {"text": text})
        assert (found.mg, found.doubt) == (10, "the quantity and the text contradict each other")


def test_the_larger_of_two_contradicting_quantities_is_judged() -> None:
    found = amount({"doseAndRate": [{"doseQuantity": mg(1)}, {"doseQuantity": mg(10)}]})
    assert (found.mg, found.doubt) == (10, "the dosage states two amounts that contradict each other")


def test_a_readable_quantity_beside_an_unreadable_one_counts() -> None:
    assert amount({"doseAndRate": [{"doseQuantity": {"value": 250, "unit": "mL"}}, {"doseQuantity": mg(10)}]}).mg == 10


@pytest.mark.parametrize(
    ("limits", "total", "doubt"),
    [
        ({"low": mg(1), "high": mg(10)}, 10, "it is a range"),
        ({"high": mg(10)}, 10, "it is a range"),
        ({"low": mg(1)}, 1, "it is a range"),
        ({}, None, "it is a range that could not be read"),
        ({"low": mg(0), "high": mg(0)}, None, "it is a range that could not be read"),
        ({"low": {"value": 1}, "high": {"value": 10}}, None, "it is a range that could not be read"),
        ("1-10 mg", None, "it is a range that could not be read"),
    ],
)
def test_a_range_is_taken_at_its_upper_end_and_asked(limits: Any, total: Any, doubt: str) -> None:
    found = amount({"doseAndRate": [{"doseRange": limits}]})
    assert (found.mg, found.doubt) == (total, doubt)


def test_junk_in_place_of_a_dose_is_unreadable_not_absent() -> None:
    assert amount({"doseAndRate": "10 mg"}) == Amount(mg=None, doubt="it could not be read")
    assert amount({"doseAndRate": [7]}).absent is False


@pytest.mark.parametrize(
    "dosage", [{}, None, {"doseAndRate": []}, {"doseAndRate": [{}]}, {"route": {"text": "IV"}}, 5, ""]
)
def test_no_amount_in_any_form_is_absent(dosage: Any) -> None:
    assert amount(dosage) == Amount(mg=None, doubt="no amount is stated", absent=True)


def test_a_dosage_that_is_a_plain_text_is_read_as_one() -> None:
    assert amount("10 mg IV").mg == 10


def test_additional_instructions_are_texts_of_the_dosage() -> None:
    assert amount({"additionalInstruction": [{"text": "10 mg"}]}).mg == 10
    assert amount({"additionalInstructions": [{"text": "10 mg"}]}).mg == 10
    assert amount({"patientInstruction": "10 mg"}).mg == 10


def test_each_amount_is_said_once() -> None:
    assert [said.mg for said in said_amounts(("10 mg", "10 mg of 10 mg"))] == [10]
