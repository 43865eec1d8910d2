"""An order with another amount: it stands everywhere or nowhere, and nothing else changes."""

from __future__ import annotations

from copy import deepcopy
from decimal import Decimal
from typing import Any

import pytest

from fhir_mappings.amounts import restated
from fhir_mappings.redosing import Change, redosed

ONE = {0: Change(mg=Decimal(1), position="C1D1")}


def mg(value: Any, unit: str = "mg") -> dict[str, Any]:
    return {"value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit}


def dosage(**more: Any) -> dict[str, Any]:
    return {"doseAndRate": [{"doseQuantity": mg(10)}], "timing": {"event": ["2026-01-20"]}} | more


def order(*dosages: Any, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "MedicationRequest",
        "id": "draft-1",
        "status": "draft",
        "intent": "order",
        "medicationCodeableConcept": {"text": "tarlatamab-dlle 10 mg kit"},
        "subject": {"reference": "Patient/p"},
        "dosageInstruction": list(dosages) or [dosage()],
    } | more


def with_dose(**more: Any) -> dict[str, Any]:
    """An order of one dosage whose dose is written in these members."""
    return order({"doseAndRate": [more]})


def dosage_of(changed: dict[str, Any] | None, place: int = 0) -> dict[str, Any]:
    assert changed is not None
    found: dict[str, Any] = changed["dosageInstruction"][place]
    return found


# --- what is changed ---------------------------------------------------------------------------------------------------


def test_nothing_but_the_amount_is_changed_and_the_order_received_stays_as_it_is() -> None:
    received = order(dosage(text="10 mg IV over 60 min", vendor={"x": 1}), priority="routine", unknown=[1, 2])
    before = deepcopy(received)
    expected = deepcopy(received)
    expected["dosageInstruction"][0]["doseAndRate"][0]["doseQuantity"]["value"] = Decimal(1)
    expected["dosageInstruction"][0]["text"] = "1 mg IV over 60 min"
    assert redosed(received, ONE) == expected
    assert received == before


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (mg(10), mg(1)),
        ({"value": 10, "unit": "mg"}, {"value": 1, "unit": "mg"}),
        (mg("0.01", "g"), mg(1)),
        (mg(10_000, "ug"), mg(1)),
        (
            {**mg(10), "extension": [{"url": "x", "valueCode": "y"}]},
            {**mg(1), "extension": [{"url": "x", "valueCode": "y"}]},
        ),
    ],
)
def test_a_quantity_gets_the_new_amount_in_mg(given: Any, expected: Any) -> None:
    changed = dosage_of(redosed(with_dose(doseQuantity=given), ONE))
    assert changed["doseAndRate"][0]["doseQuantity"] == expected


def test_a_range_becomes_the_one_amount_that_is_due_in_its_place() -> None:
    ends = {"low": mg(1), "high": mg(10)}
    changed = dosage_of(redosed(with_dose(type={"text": "ordered"}, doseRange=ends), ONE))
    assert changed["doseAndRate"] == [{"type": {"text": "ordered"}, "doseQuantity": mg(1)}]


def test_the_older_place_of_the_dose_is_changed_too() -> None:
    """STU3 writes it beside doseAndRate (K4); an object stands for a list of one."""
    received = order() | {"dosageInstruction": {"doseQuantity": mg(10), "text": "10 mg"}}
    changed = redosed(received, ONE)
    assert changed is not None
    assert changed["dosageInstruction"] == {"doseQuantity": mg(1), "text": "1 mg"}


def test_every_text_that_names_the_amount_names_the_new_one() -> None:
    received = order(
        dosage(
            text="Infuse 10 mg over 60 minutes",
            patientInstruction="You get 10 mg",
            additionalInstruction=[{"text": "check the 10 mg twice"}],
        ),
        note=[{"text": "10 mg as planned"}],
        text={"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">tarlatamab 10 mg</div>'},
    )
    changed = redosed(received, ONE)
    assert changed is not None
    assert changed["note"] == [{"text": "1 mg as planned"}]
    assert changed["text"]["div"].endswith("tarlatamab 1 mg</div>")
    assert dosage_of(changed)["text"] == "Infuse 1 mg over 60 minutes"
    assert dosage_of(changed)["patientInstruction"] == "You get 1 mg"
    assert dosage_of(changed)["additionalInstruction"] == [{"text": "check the 1 mg twice"}]


def test_the_strength_of_the_product_is_not_the_dose() -> None:
    changed = redosed(order(), ONE)
    assert changed is not None
    assert changed["medicationCodeableConcept"] == {"text": "tarlatamab-dlle 10 mg kit"}


def test_of_several_doses_only_those_that_are_wrong_are_changed_by_their_sequence() -> None:
    first, second = dosage(sequence=1, text="10 mg"), dosage(sequence=2, text="10 mg")
    changed = redosed(order(second, first), ONE)
    assert dosage_of(changed, 0)["text"] == "10 mg"
    assert dosage_of(changed, 1)["text"] == "1 mg"


def test_the_position_that_is_due_may_be_named() -> None:
    assert redosed(order(dosage(text="C1D1: 10 mg")), ONE) is not None
    assert redosed(order(dosage(text="C1D8: 10 mg")), ONE) is None


# --- what is not changed -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "received",
    [
        with_dose(doseQuantity={"value": 10, "unit": "vial"}),
        with_dose(doseQuantity={"value": 10}),
        with_dose(doseQuantity=mg(10) | {"comparator": "<"}),
        with_dose(doseRange={"low": mg(1)}),
        with_dose(doseQuantity=mg(10), rateQuantity={"value": 10, "unit": "mg/h", "system": "http://unitsofmeasure.org", "code": "mg/h"}),
        with_dose(doseQuantity=mg(10), rateRange={"high": {"value": 10, "unit": "mg/h", "system": "http://unitsofmeasure.org", "code": "mg/h"}}),
        with_dose(doseQuantity=mg(10), rateRatio={"numerator": mg(10), "denominator": {"value": 1, "code": "h", "system": "http://unitsofmeasure.org"}}),
        order({"text": "10 mg"}),
        order({"text": "as told"}),
        order(dosage(maxDosePerAdministration=mg(10))),
        order(dosage(timing={"event": ["2026-01-20", "2026-02-03"]})),
        order(dispenseRequest={"quantity": {"value": 1, "unit": "kit"}}),
        order(dispenseRequest={"initialFill": {"quantity": {"value": 1, "unit": "kit"}}}),
        order("10 mg IV"),
        order(note=[{"text": "10 mg, then 10 mg"}]),
        order(note=[{"text": "cycle 2 day 1"}]),
        order(medicationCodeableConcept={"text": "tarlatamab C2D1"}),
        order(dosage(), dosage(), note=[{"text": "10 mg each"}]),
        order(dosage(), dosage(), note=[{"text": "C1D1 and on"}]),
    ],
    ids=[
        "vials", "no unit", "a bound", "half a range", "a rate of the drug", "a rate up to that", "a ratio of the drug", "text alone", "no amount", "a limit",
        "two days", "a kit", "a first kit", "a bare text", "two amounts", "another position", "another position in the name",
        "an amount beside several doses", "a position beside several doses",
    ],
)  # fmt: skip
def test_an_order_that_cannot_be_changed_with_certainty_is_not_changed(received: dict[str, Any]) -> None:
    assert redosed(received, ONE) is None


def test_a_rate_of_volume_and_an_expected_duration_of_supply_hinder_nothing() -> None:
    by_volume = {"value": 250, "unit": "mL/h", "system": "http://unitsofmeasure.org", "code": "mL/h"}
    received = order({"doseAndRate": [{"doseQuantity": mg(10), "rateQuantity": by_volume}]})
    received["dispenseRequest"] = {"expectedSupplyDuration": {"value": 30, "unit": "days"}}
    assert dosage_of(redosed(received, ONE))["doseAndRate"][0]["rateQuantity"] == by_volume


def test_a_dose_that_the_order_does_not_have_is_not_changed() -> None:
    assert redosed(order(), {1: Change(mg=Decimal(1), position="C1D1")}) is None


# --- one text ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nothing is said", "nothing is said"),
        ("Give 10 mg IV", "Give 1 mg IV"),
        ("10mg", "1mg"),
        ("10.0 milligrams", "1 milligrams"),
        ("after dexamethasone 8 mg, tarlatamab 10 mg", "after dexamethasone 8 mg, tarlatamab 1 mg"),
        ("dexamethasone 8 mg before", "dexamethasone 8 mg before"),
        ("5 mg", None),
        ("ten mg", None),
        ("1-10 mg", None),
        ("10 mg or 10 mg", None),
        ("10 mg in 10 mL", None),
        ("10 mL with 10 mg", None),
        ("10 mg/mL", None),
        ("10 mg per 250 mL", None),
        ("0.01 g", None),
        ("10 x 1 mg", None),
        ("10 mg vial", None),
        ("10 mg x 1 vial", None),
        ("½ of 10 mg", None),
    ],
)
def test_a_text_is_reworded_with_certainty_or_not_at_all(text: str, expected: str | None) -> None:
    assert restated(text, Decimal(10), Decimal(1)) == expected


@pytest.mark.parametrize(("length", "expected"), [(4000, True), (4001, False)])
def test_a_text_longer_than_anybody_reads_is_not_reworded(length: int, expected: bool) -> None:
    text = "Give 10 mg" + " " * (length - len("Give 10 mg"))
    assert (restated(text, Decimal(10), Decimal(1)) is not None) is expected
