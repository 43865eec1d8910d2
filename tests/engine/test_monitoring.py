"""clinical-rules "Monitoring, premedication, administration" and "The ordinary day"."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from cds_service.engine.case import Call, Case
from cds_service.engine.grading import result_text
from cds_service.engine.monitoring import ordinary_lines
from cds_service.knowledge.regimen import Sources
from fhir_mappings.facts import Analyte, Bound, NotRecorded, Reading, Route, Unknown
from tests.engine.builders import (
    AT,
    Answer,
    ask,
    between,
    course,
    crs,
    day,
    give,
    gives,
    iso,
    lab,
    labs_but,
    neuro,
    order,
    read,
    rulebook,
    saline,
    state_of,
    steroid,
)

FITS = ["monitoring/monitor info"]


def of_dose(n: int, *facts: object, amount: str | None = None, **more: Any) -> Answer:
    """The call for the n-th dose of an uninterrupted course, on its day."""
    doses = () if n == 1 else course(n - 2, -7 if n < 4 else -14)
    return ask(order(amount or ("1" if n == 1 else "10")), *doses, *facts, **more)


# --- hours -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "hours"),
    [
        (1, "22–24"),
        (2, "22–24"),
        (3, "6–8"),
        (4, "6–8"),
        (5, "6–8"),
        (6, "3–4"),
        (7, "3–4"),
        (8, "3–4"),
        (9, "3–4"),
        (10, "2"),
        (11, "2"),
        (12, "2"),
    ],
)
def test_the_observation_shortens_with_the_number_of_the_dose(n: int, hours: str) -> None:
    answer = of_dose(n)
    assert answer.kinds == FITS
    assert f"Observe {hours} h" in answer.card("monitoring").summary


@pytest.mark.parametrize(("n", "said"), [(1, True), (2, True), (3, False)])
def test_the_first_two_doses_are_observed_in_hospital_with_caregiver_and_near_care_for_48_h(n: int, said: bool) -> None:
    text = of_dose(n).text("monitoring")
    assert ("in hospital after the infusion" in text) is said
    assert ("at least 48 h: a caregiver, and within one hour of a health-care facility" in text) is said


def test_a_restarted_dose_is_observed_like_the_first_not_for_2_h() -> None:
    """V8: eleven doses, 29 days since the last."""
    answer = ask(order("10"), *course(10, -29))
    assert "observe 22–24 h in hospital" in answer.card("monitoring").summary


def test_1_mg_ordered_out_of_turn_counts_as_a_first_dose_for_the_hours() -> None:
    answer = of_dose(10, amount="1")
    assert "observe 22–24 h" in answer.card("monitoring").summary


# --- after a toxicity (D-7) ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("value", "hours"), [(1, "3–4"), (2, "22–24")])
def test_the_first_dose_after_crs_grade_2_is_observed_22_to_24_hours(value: int, hours: str) -> None:
    answer = of_dose(6, crs(value, -13, -10))
    assert f"Observe {hours} h" in answer.card("monitoring").summary


@pytest.mark.parametrize("value", [1, 2])
def test_the_first_dose_after_any_neurotoxicity_is_observed_22_to_24_hours(value: int) -> None:
    assert "Observe 22–24 h" in of_dose(6, neuro(value, -13, -10)).card("monitoring").summary


def test_later_doses_are_observed_by_position_with_a_line_that_names_the_toxicity() -> None:
    answer = of_dose(6, crs(2, -27, -20))
    assert "Observe 3–4 h" in answer.card("monitoring").summary
    assert f"CRS grade 2 (onset {iso(-27)}) came before an earlier dose: observation by position." in answer.text(
        "monitoring"
    )


def test_a_crs_without_a_grade_lengthens_the_observation_too() -> None:
    assert "22–24 h" in of_dose(6, crs(None, -13, -10)).card("monitoring").summary


def test_of_two_drafts_only_the_first_one_after_the_toxicity_is_observed_longer() -> None:
    answer = ask(order("10"), order("10", 14, 1), *course(4, -14), crs(2, -13, -10))
    hours = [a.slots["hours"] for a in answer.assessment.advice if a.topic == "monitoring"]
    assert hours == ["22–24", "3–4"]


# --- premedication ---------------------------------------------------------------------------------------------

ORDER = "premedication/order warning"


@pytest.mark.parametrize(("n", "needed"), [(1, True), (2, True), (3, False), (6, False)])
def test_dexamethasone_and_saline_are_asked_for_at_the_first_two_doses(n: int, needed: bool) -> None:
    answer = of_dose(n, companions=())
    assert (ORDER in answer.kinds) is needed
    if needed:
        assert answer.rows(ORDER) == ("PREMED-STEROID", "PREMED-SALINE")
        assert "None is among the drafts or active orders." in answer.text(ORDER)
    else:
        assert "names dexamethasone and saline for C1D1 and C1D8 only" in answer.text("monitoring")


def test_premedication_is_asked_for_at_a_restarted_dose() -> None:
    assert ORDER in ask(order("1"), *course(3, -29), companions=()).kinds


def test_premedication_is_asked_for_at_the_first_dose_after_crs_grade_3() -> None:
    assert ORDER in ask(order("10"), *course(3, -14), crs(3, -13, -6), companions=()).kinds
    assert ORDER not in ask(order("10"), *course(3, -14), crs(3, -20, -16), companions=()).kinds


@pytest.mark.parametrize(("amount", "enough"), [("7.9", False), ("8", True), (None, False)])
def test_8_mg_of_dexamethasone_are_enough(amount: str | None, enough: bool) -> None:
    answer = of_dose(2, companions=(steroid(amount), saline()))
    assert (ORDER not in answer.kinds) is enough


def test_too_little_names_what_was_found_instead() -> None:
    assert "Found instead: dexamethasone 4 mg for 2026-01-20." in of_dose(2, companions=(steroid("4"), saline())).text(
        ORDER
    )


@pytest.mark.parametrize(("route", "enough"), [(Route.INTRAVENOUS, True), (Route.OTHER, False)])
def test_the_steroid_is_given_intravenously(route: Route, enough: bool) -> None:
    answer = of_dose(2, companions=(steroid(route=route), saline()))
    assert (ORDER not in answer.kinds) is enough


@pytest.mark.parametrize(("n", "serves"), [(-1, False), (0, True), (1, False)])
def test_a_dated_companion_serves_its_own_day(n: int, serves: bool) -> None:
    answer = of_dose(2, companions=(steroid(n=n), saline()))
    assert (ORDER not in answer.kinds) is serves


def test_a_companion_whose_day_is_a_range_serves_each_day_of_it() -> None:
    assert ORDER not in of_dose(2, companions=(steroid(n=between(-1, 1)), saline())).kinds


def test_an_undated_companion_serves_all_drafts_of_the_call() -> None:
    undated = (steroid(n=NotRecorded), saline(n=NotRecorded))
    assert ask(order("1"), order("10", 7, 1), companions=undated).kinds == FITS


def test_a_dated_companion_does_not_serve_the_other_draft() -> None:
    answer = ask(order("1"), order("10", 7, 1), companions=(steroid(n=0), saline(n=0)))
    assert ORDER not in answer.about(0)
    assert ORDER in answer.about(1)


@pytest.mark.parametrize(("litres", "enough"), [("0.99", False), ("1", True), (None, False)])
def test_one_litre_of_saline_is_enough(litres: str | None, enough: bool) -> None:
    answer = of_dose(2, companions=(steroid(), saline(litres)))
    assert (ORDER not in answer.kinds) is enough


def test_two_bags_of_half_a_litre_are_enough_together() -> None:
    bags = (saline("0.5", minutes="135"), saline("0.5", minutes="135", reference="MedicationRequest/s2"))
    assert ORDER not in of_dose(2, companions=(steroid(), *bags)).kinds
    assert ORDER in of_dose(2, companions=(steroid(), bags[0])).kinds


@pytest.mark.parametrize("reading", [Reading.PARTIAL, Reading.UNAVAILABLE])
def test_from_orders_read_in_part_nothing_is_concluded_about_premedication_but_it_is_said(reading: Reading) -> None:
    answer = of_dose(2, companions=(), needs=[read("medicationRequests", reading)])
    assert ORDER not in answer.kinds
    assert "Premedication could not be checked among the orders on record" in answer.text("monitoring")
    assert "record/cannot-assess critical" in answer.kinds


def test_what_was_found_is_a_line_of_the_card() -> None:
    assert "Premedication: dexamethasone 8 mg and sodium chloride 0.9 % 1 L." in of_dose(2).text("monitoring")


# --- administration --------------------------------------------------------------------------------------------

CORRECT = "administration/correct"


def test_another_route_than_intravenous_is_critical() -> None:
    answer = ask(order("10", route=Route.OTHER, route_recorded="subcutaneous"), *course(4, -14))
    assert f"{CORRECT} critical" in answer.kinds
    assert "Ordered route: subcutaneous." in answer.text(CORRECT)


def test_a_route_not_given_is_a_line() -> None:
    answer = ask(order("10", route=Route.NOT_GIVEN), *course(4, -14))
    assert answer.kinds == FITS
    assert "the order names no route" in answer.text("monitoring")


@pytest.mark.parametrize(("minutes", "fits"), [("59", False), ("60", True), ("61", False), ("30", False)])
def test_another_duration_than_60_minutes_is_a_warning(minutes: str, fits: bool) -> None:
    answer = ask(order("10", minutes=Decimal(minutes)), *course(4, -14))
    assert (f"{CORRECT} warning" not in answer.kinds) is fits


@pytest.mark.parametrize("minutes", [NotRecorded, Unknown(what="MedicationRequest", why="unreadable duration")])
def test_a_duration_not_given_or_not_readable_is_a_line(minutes: object) -> None:
    answer = ask(order("10", minutes=minutes), *course(4, -14))
    assert answer.kinds == FITS
    assert "names no duration" in answer.text("monitoring")


@pytest.mark.parametrize(("minutes", "fits"), [("239", False), ("240", True), ("300", True), ("301", False)])
def test_saline_that_does_not_run_over_4_to_5_hours_is_a_warning(minutes: str, fits: bool) -> None:
    answer = of_dose(2, companions=(steroid(), saline(minutes=minutes)))
    assert (f"{CORRECT} warning" not in answer.kinds) is fits


def test_saline_at_a_dose_that_needs_none_is_not_timed() -> None:
    assert of_dose(6, companions=(saline(minutes="60"),)).kinds == FITS


def test_saline_without_a_duration_is_a_line() -> None:
    answer = of_dose(2, companions=(steroid(), saline(minutes=None)))
    assert answer.kinds == FITS
    assert "The saline order names no duration: over 4–5 h." in answer.text("monitoring")


def test_premedication_and_administration_stand_as_they_are_beside_rows_3_to_10() -> None:
    answer = ask(order("20", minutes=Decimal(30)), give(-7, "1"), companions=())
    assert set(answer.about(0)) == {"dose/change-dose critical", ORDER, f"{CORRECT} warning"}


# --- the ordinary day ------------------------------------------------------------------------------------------


def test_a_routine_c3d1_with_all_data_gets_exactly_one_info_card() -> None:
    answer = ask(order("10"), *gives((-56, "1"), (-49, "10"), (-42, "10"), (-28, "10"), (-14, "10")))
    assert answer.kinds == FITS
    card = answer.card("monitoring")
    assert card.summary == "C3D1, 10 mg fits: 14 days since the last dose. Observe 3–4 h."
    text = answer.text("monitoring")
    for part in (
        "Intravenous infusion over 60 minutes at a constant rate by infusion pump.",
        "No CRS and no neurotoxicity on record.",
        f"Newest results of {iso(-2)}: neutrophils 3.2 × 10⁹/L",
        "platelets 210 × 10⁹/L",
        "haemoglobin 12 g/dL",
        "ALT 20 U/L (0.50×ULN)",
        "AST 20 U/L (0.50×ULN)",
        "bilirubin 0.6 mg/dL (0.50×ULN)",
        "Premedication:",
        f"next dose 10 mg due on {iso(14)}; last day before a restart at 1 mg: {iso(28)}",
    ):
        assert part in text


def test_no_toxicity_is_not_said_where_it_could_not_be_read() -> None:
    for key in ("conditions", "adverseEvents", "observations"):
        answer = ask(order("10"), *course(4, -14), needs=[read(key, Reading.PARTIAL)])
        assert "No CRS and no neurotoxicity" not in answer.text("monitoring")


def test_earlier_toxicities_are_listed() -> None:
    assert f"On record: crs, grade 1, onset {iso(-40)}, ended {iso(-39)}." in of_dose(6, crs(1, -40, -39)).text(
        "monitoring"
    )


def test_a_preliminary_result_and_a_bound_are_shown_as_such() -> None:
    labs = labs_but(lab(Analyte.PLATELETS, "60", preliminary=True))
    assert "platelets 60 × 10⁹/L (preliminary)" in of_dose(6, labs=labs).text("monitoring")


def test_a_position_named_in_the_order_that_disagrees_is_said() -> None:
    answer = ask(order("10", position_named="C4D1"), *course(4, -14))
    assert answer.kinds == FITS
    assert "The order names C4D1; by the doses on record this is C3D1." in answer.text("monitoring")
    assert "The order names" not in ask(order("10", position_named="C3D1"), *course(4, -14)).text("monitoring")


def test_without_a_position_no_next_dose_is_promised() -> None:
    state = state_of(order("10", position_named="C4D1"))
    call = Call(regimen=rulebook().regimen, state=state, at=AT)
    case = Case(call=call, order=state.orders[0], on=day(0), course=call.course)
    assert case.position is None
    assert not [line for line in ordinary_lines(case) if "next_due" in line.slots]


def test_a_refused_result_is_shown_with_the_reason() -> None:
    assert result_text(lab(Analyte.PLATELETS, None, refused="the unit is missing")) == "platelets: the unit is missing"


@pytest.mark.parametrize(("bound", "said"), [(Bound.BELOW, "<15 mL/min/1.73 m²"), (Bound.ABOVE, ">15 mL/min/1.73 m²")])
def test_a_bound_is_shown_as_one(bound: Bound, said: str) -> None:
    assert result_text(lab(Analyte.EGFR, "15", bound=bound)) == said


@pytest.mark.parametrize("sources", [Sources.SEED_AND_LABEL, Sources.SEED])
@pytest.mark.parametrize(
    ("companions", "enough"),
    [
        ((steroid("8"), saline("1", minutes="240")), True),
        ((steroid("8"), saline("1", minutes="300")), True),
        ((steroid("7.9"), saline("1", minutes="240")), False),
        ((steroid("8"), saline("0.99", minutes="240")), False),
        ((steroid("8"), saline("1", minutes="239")), False),
        ((steroid("8"), saline("1", minutes="301")), False),
    ],
)
def test_both_sources_ask_for_8_mg_and_for_1_litre_over_4_to_5_hours(
    sources: Sources, companions: tuple[Any, ...], enough: bool
) -> None:
    answer = of_dose(2, companions=companions, sources=sources)
    assert (ORDER not in answer.kinds) is enough
