"""Given doses, claims, and the orders beside: clinical rules, Given doses 1 to 8; label 2.3."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from fhir_mappings.facts import (
    Administration,
    Amount,
    Companion,
    CompanionKind,
    NotRecorded,
    Route,
    Unknown,
    When,
)
from tests.fhir_mappings.charts import BERLIN, HCPCS, RXNORM, US, code, day, dose, given, mg, order, procedure, state


def row(*resources: Any, **more: Any) -> Administration:
    (found,) = state(*resources, **more).administrations
    return found


def test_a_given_dose_has_its_amount_and_start() -> None:
    found = row(given(mg(1), identifier=[{"system": "s", "value": "1"}]))
    assert (found.reference, found.status, found.amount) == (
        "MedicationAdministration/a1", "completed", Amount(mg=Decimal(1), recorded="1 mg")
    )  # fmt: skip
    assert isinstance(found.start, When)
    assert found.start.instant == datetime(2026, 1, 6, 9, tzinfo=BERLIN)
    assert (found.ended, found.request, found.identifiers) == (NotRecorded, "", {"s|1"})


@pytest.mark.parametrize(
    "status", ["completed", "in-progress", "stopped", "on-hold", "unknown", "not-done", "entered-in-error"]
)
def test_rows_of_every_status_are_kept(status: str) -> None:
    assert row(given(mg(1), status=status)).status == status
    assert row(given(mg(1), status=status.upper())).status == status


def test_a_row_without_a_status_is_kept() -> None:
    assert row(given(mg(1), status=None)).status == ""


def test_older_fhir_says_not_given_in_an_element_of_its_own() -> None:
    assert row(given(mg(1), wasNotGiven=True)).status == "not-done"
    assert row(given(mg(1), notGiven=True)).status == "not-done"
    assert row(given(mg(1), notGiven=False)).status == "completed"


@pytest.mark.parametrize("name", ["effectivePeriod", "effectiveTimePeriod", "occurencePeriod"])
def test_a_period_gives_start_and_end(name: str) -> None:
    found = row(given(mg(1), effectiveDateTime=None, **{name: {"start": "2026-01-06", "end": "2026-01-07"}}))
    assert (found.start, found.ended) == (day("2026-01-06"), day("2026-01-07"))


@pytest.mark.parametrize("name", ["effectiveTimeDateTime", "occurenceDateTime"])
def test_other_versions_name_the_time_otherwise(name: str) -> None:
    assert row(given(mg(1), effectiveDateTime=None, **{name: "2026-01-06"})).start == day("2026-01-06")


def test_a_missing_start_is_not_recorded_and_an_unreadable_one_unknown() -> None:
    assert row(given(mg(1), effectiveDateTime=None)).start is NotRecorded
    assert isinstance(row(given(mg(1), effectiveDateTime="1970-02-30")).start, Unknown)


def test_the_dose_is_the_rows_own_before_that_of_its_order() -> None:
    ordered = order(dose(mg(10)), id="o1", status="active")
    assert row(given(mg(1), request={"reference": "MedicationRequest/o1"}), ordered).amount.mg == 1


def test_without_one_it_is_that_of_its_order_or_draft() -> None:
    ordered = order(dose(mg(10)), id="o1", status="completed")
    found = row(given(request={"reference": "https://x/MedicationRequest/o1"}), ordered)
    assert (found.amount.mg, found.request) == (10, "MedicationRequest/o1")
    assert row(given(prescription={"reference": "MedicationRequest/o1"}), ordered).amount.mg == 10
    assert row(given(request={"reference": "MedicationRequest/d1"}), drafts=[order(dose(mg(1)))]).amount.mg == 1


def test_of_an_order_with_several_doses_it_is_that_of_its_day() -> None:
    def at(amount: int, date: str) -> dict[str, Any]:
        return dose(mg(amount)) | {"timing": {"event": [date]}}

    points = {"request": {"reference": "MedicationRequest/o1"}}
    ordered = order(at(1, "2026-01-06"), at(10, "2026-01-13"), id="o1", status="active")
    assert row(given(**points), ordered).amount.mg == 1
    assert row(given(**points, effectiveDateTime="2026-01-13"), ordered).amount.mg == 10
    elsewhere = row(given(**points, effectiveDateTime="2026-01-14"), ordered).amount
    assert (elsewhere.mg, elsewhere.doubt) == (None, "no amount is stated, and its order has doses of several amounts")
    same = order(at(10, "2026-01-06"), at(10, "2026-01-13"), id="o1", status="active")
    assert row(given(**points, effectiveDateTime="2026-01-14"), same).amount.mg == 10
    assert row(given(**points, effectiveDateTime=None), ordered).amount.mg is None


def test_else_it_is_what_its_text_says_without_doubt() -> None:
    assert row(given(dosage={"text": "1 mg IV"})).amount == Amount(mg=Decimal(1), recorded="1 mg")
    assert row(given(dosage="1 mg IV")).amount.mg == 1
    assert row(given(note=[{"text": "given 10 mg"}])).amount == Amount(mg=Decimal(10), recorded="10 mg")


def test_an_amount_that_stays_open_in_a_text_stays_in_doubt() -> None:
    several = row(given(dosage={"text": "1 mg or 10 mg"})).amount
    assert several.mg is None
    vials = row(given(dosage={"text": "10 x 1 mg vial"})).amount
    assert (vials.mg, vials.doubt) == (10, "it is found only in text, and it is counted in vials")


def test_no_amount_anywhere_is_absent() -> None:
    assert row(given()).amount.absent
    assert row(given(request={"reference": "MedicationRequest/unknown"})).amount.absent


def test_a_volume_is_no_amount_unless_the_text_names_one() -> None:
    ml = {"value": 250, "unit": "mL"}
    assert row(given(ml)).amount == Amount(mg=None, doubt="it is a volume, not an amount of drug", recorded="250 mL")
    found = row(given(dosage={"dose": ml, "text": "10 mg in 250 mL"})).amount
    assert found == Amount(mg=Decimal(10), recorded="250 mL; 10 mg")
    assert row(given(dosage={"quantity": mg(1)})).amount.mg == 1


def test_a_row_whose_drug_cannot_be_read_is_said_unless_it_cannot_count() -> None:
    nameless: tuple[Any, ...] = (None, {})
    for value in nameless:
        (said,) = state(given(mg(1), medicationCodeableConcept=value)).unknowns
        assert (said.what, said.reference) == ("MedicationAdministration", "MedicationAdministration/a1")
    for status in ("not-done", "entered-in-error"):
        assert state(given(mg(1), status=status, medicationCodeableConcept={})).unknowns == ()


def test_rows_of_other_drugs_are_none() -> None:
    found = state(given(mg(8), medicationCodeableConcept={"text": "dexamethasone"}))
    assert (found.administrations, found.unknowns) == ((), ())


# --- claims -----------------------------------------------------------------------------------------------------------


def test_a_procedure_coded_j9026_is_a_claim() -> None:
    (found,) = state(procedure(code(HCPCS, "J9026"))).claims
    assert (found.reference, found.day) == ("Procedure/r1", day("2026-01-19"))


@pytest.mark.parametrize("status", ["entered-in-error", "not-done"])
def test_a_procedure_that_was_not_is_no_claim(status: str) -> None:
    assert state(procedure(code(HCPCS, "J9026"), status=status)).claims == ()


def test_other_procedures_are_no_claims() -> None:
    assert state(procedure("tarlatamab infusion")).claims == ()


# --- companions -------------------------------------------------------------------------------------------------------


def beside(name: Any, *dosages: Any, **more: Any) -> Companion:
    concept = {"text": name} if isinstance(name, str) else name
    (found,) = state(drafts=[order(*dosages, id="b", medicationCodeableConcept=concept, **more)]).companions
    return found


IV = {"route": {"text": "IV"}}


@pytest.mark.parametrize(
    ("name", "amount", "equivalent"),
    [
        ("Dexamethasone", 8, "8"),
        (code(RXNORM, "3264"), 8, "8"),
        (code(RXNORM, "1116927"), 8, "8"),
        (code(HCPCS, "J1100"), 8, "8"),
        ("methylprednisolone", 40, "8"),
        ("Solu-Medrol", 39, "7.8"),
        ("prednisone", 50, "8"),
        ("prednisolone", 49, "7.84"),
        ("hydrocortisone", 200, "8"),
        ("hydrocortisone", 199, "7.96"),
    ],
)
def test_a_steroid_is_counted_as_dexamethasone(name: Any, amount: int, equivalent: str) -> None:
    found = beside(name, dose(mg(amount)) | IV)
    assert (found.kind, found.dexamethasone_mg, found.route) == (
        CompanionKind.STEROID,
        Decimal(equivalent),
        Route.INTRAVENOUS,
    )
    assert (found.in_draft_orders, found.reference, found.day, found.recorded) == (
        True,
        "MedicationRequest/b",
        NotRecorded,
        f"{amount} mg",
    )


def test_a_steroid_without_a_readable_amount_has_none() -> None:
    assert beside("dexamethasone", {"text": "before infusion"}).dexamethasone_mg is None
    assert beside("dexamethasone", {"text": "before infusion"}).recorded == "before infusion"
    assert beside("dexamethasone").recorded == "dexamethasone"


def test_saline_has_its_volume_and_duration() -> None:
    rated = {
        "doseAndRate": [{"doseQuantity": {"value": 1000, "unit": "mL"}, "rateQuantity": {"value": 250, "unit": "mL/h"}}]
    }
    found = beside("Sodium chloride 0.9 %", rated | IV)
    assert (found.kind, found.litres, found.minutes, found.recorded) == (CompanionKind.SALINE, 1, 240, "1 L")


@pytest.mark.parametrize(
    ("name", "dosage", "litres"),
    [
        ("normal saline", {"text": "1 L over 4 hours"}, 1),
        ("normal saline", {"text": "1,000 mL over 4 hours at 250 mL/h"}, 1),
        ("Sodium chloride 0.9 % 1000 mL", {}, 1),
        (code(HCPCS, "J7030"), {}, 1),
        (code(HCPCS, "J7040"), {}, Decimal("0.5")),
        (code(HCPCS, "J7050"), {}, Decimal("0.25")),
        (code(RXNORM, "313002"), {"doseQuantity": {"value": 1, "unit": "L"}}, 1),
        ("normal saline", {"text": "500 mL or 1 L"}, None),
        ("normal saline", {}, None),
    ],
)
def test_the_volume_is_the_dose_the_text_the_product_or_the_code(name: Any, dosage: Any, litres: Any) -> None:
    assert beside(name, dosage).litres == litres


def test_the_drugs_own_bag_is_no_companion() -> None:
    bag = order(
        id="bag",
        medicationCodeableConcept={"text": "sodium chloride 0.9 % 250 mL"},
        note=[{"text": "diluent for tarlatamab"}],
    )
    hydration = order(
        id="wet",
        medicationCodeableConcept={"text": "sodium chloride 0.9 % 1000 mL"},
        note=[{"text": "after tarlatamab"}],
    )
    found = state(drafts=[order(dose(mg(1))), bag, hydration]).companions
    assert [companion.reference for companion in found] == ["MedicationRequest/wet"]
    inside = order(dose(mg(1)), medicationCodeableConcept={"text": "tarlatamab in sodium chloride 0.9 %"})
    assert state(drafts=[inside]).companions == ()


def test_active_orders_accompany_and_others_of_the_record_do_not() -> None:
    dex = order(dose(mg(8)), id="x", medicationCodeableConcept={"text": "dexamethasone"})
    (found,) = state(dex | {"status": "active"}).companions
    assert found.in_draft_orders is False
    assert state(dex | {"status": "completed"}).companions == ()


def test_a_companion_for_two_days_is_two() -> None:
    found = state(
        drafts=[
            order(
                dose(mg(8)) | {"timing": {"event": ["2026-01-20", "2026-01-27"]}},
                medicationCodeableConcept={"text": "dexamethasone"},
            )
        ]
    ).companions
    assert [c.day for c in found] == [day("2026-01-20"), day("2026-01-27")]


def test_other_orders_are_no_companions() -> None:
    assert state(drafts=[order(medicationCodeableConcept={"text": "ondansetron"})]).companions == ()
    assert state(drafts=[order(medicationCodeableConcept={"text": "carboplatin"})]).companions == ()
    assert US == {"reference": "Patient/p1"}
