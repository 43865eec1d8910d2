"""clinical-rules "Days" and "Given doses": what counts as a dose, on which day, and what is doubtful about it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from fhir_mappings.facts import NotRecorded, Reading, Unknown
from tests.engine.builders import AT, ask, between, claim, course, day, give, gives, iso, mg, on_record, order, read

FITS = ["monitoring/monitor info"]
FIRST_MUST_BE_1_MG = "dose/change-dose critical"
CONFIRM_HISTORY = "dose/clarify critical"


# --- days ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("clock", "today"), [("2026-01-20T00:30", 0), ("2026-01-20T23:30", 0)])
def test_the_hour_of_the_call_does_not_move_the_count_of_days(clock: str, today: int) -> None:
    at = datetime.fromisoformat(clock).replace(tzinfo=ZoneInfo("UTC"))
    assert ask(order("10"), give(-14, "1"), at=at).kinds == FITS
    assert ask(order("10"), give(-15, "1"), at=at).about(0)[0] == "dose/restart-step-up critical"


def test_today_is_the_clinics_day_not_that_of_utc() -> None:
    before_midnight_in_new_york = datetime(2026, 1, 20, 3, tzinfo=ZoneInfo("UTC"))
    answer = ask(
        order("10", NotRecorded), give(-15, "1"), at=before_midnight_in_new_york, zone=ZoneInfo("America/New_York")
    )
    assert answer.assessment.as_of.isoformat() == "2026-01-19"
    assert answer.about(0) == FITS  # 14 days from 2026-01-05 to 2026-01-19


def test_a_partial_date_of_the_last_dose_counts_the_most_days_for_the_limit_and_says_so() -> None:
    answer = ask(order("10"), give(between(-15, -13), "1"))
    assert answer.about(0)[0] == "dose/restart-step-up critical"
    assert ask(order("10"), give(between(-14, -12), "1")).kinds == FITS
    assert "more cautious" in ask(order("10"), give(between(-14, -12), "1")).text("monitoring")


def test_a_partial_date_of_the_last_dose_counts_the_fewest_days_for_too_early() -> None:
    assert ask(order("10"), give(between(-7, -6), "1")).kinds == FITS
    assert "dose/wait critical" in ask(order("10"), give(between(-7, -5), "1")).kinds


def test_a_planned_day_that_is_a_range_counts_the_more_cautious_way() -> None:
    answer = ask(order("10", between(0, 1)), give(-14, "1"))
    assert answer.about(0)[0] == "dose/restart-step-up critical"
    assert "counted the more cautious way" in ask(order("10", between(0, 1)), give(-13, "1")).text("monitoring")


def test_an_order_without_a_day_is_taken_as_today_and_the_card_says_so() -> None:
    answer = ask(order("10", NotRecorded), give(-14, "1"))
    assert answer.kinds == FITS
    assert "no planned day: taken as today" in answer.text("monitoring")


def test_an_order_with_an_unreadable_day_is_taken_as_today_and_the_card_says_so() -> None:
    unreadable = Unknown(what="MedicationRequest", why="no calendar day")
    answer = ask(order("10", unreadable), give(-14, "1"))
    assert answer.kinds == FITS
    assert "cannot be read (no calendar day): taken as today" in answer.text("monitoring")


def test_a_note_about_the_planned_day_is_said() -> None:
    past = order("10", 0, day_note="planned day 2026-01-02 is past: taken as today")
    assert "planned day 2026-01-02 is past: taken as today" in ask(past, give(-14, "1")).text("monitoring")


# --- 1: exposure and completed dose ----------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["not-done", "entered-in-error"])
def test_a_dose_that_was_never_given_counts_for_nothing(status: str) -> None:
    assert ask(order("10"), give(-7, "1", status)).about(0)[0] == FIRST_MUST_BE_1_MG


@pytest.mark.parametrize("status", ["completed", "in-progress"])
def test_a_finished_or_running_dose_is_a_completed_one(status: str) -> None:
    assert ask(order("10"), give(-7, "1", status)).kinds == FITS


@pytest.mark.parametrize("status", ["stopped", "on-hold", "unknown", ""])
def test_another_status_is_an_exposure_but_no_completed_dose(status: str) -> None:
    answer = ask(order("10"), give(-7, "1", status))
    assert answer.about(0)[0] == FIRST_MUST_BE_1_MG
    assert "is on record, but is not a completed dose" in answer.text("dose/change-dose")


@pytest.mark.parametrize(
    ("given", "completed"),
    [
        ("0.89", False),
        ("0.9", True),
        ("1.1", True),
        ("1.11", False),
        ("8.9", False),
        ("9", True),
        ("11", True),
        ("11.1", False),
    ],
)
def test_90_to_110_per_cent_of_a_regimen_dose_is_that_dose(given: str, completed: bool) -> None:
    """After 1 mg and then this amount of 10 mg (or this amount of 1 mg alone): was it completed?"""
    doses = gives((-7, given)) if Decimal(given) < 2 else gives((-14, "1"), (-7, given))
    kinds = ask(order("10"), *doses).about(0)
    assert ("monitoring/monitor info" in kinds and len(kinds) == 1) is completed


def test_a_partial_dose_is_asked_about_and_does_not_move_the_position() -> None:
    answer = ask(order("10"), *gives((-14, "1")), give(-7, "4", "stopped"))
    assert answer.about(0) == ["dose/clarify warning", "monitoring/monitor info"]
    assert answer.expected("dose/clarify") == ("10 mg", "C1D8", iso(-7))


def test_a_partial_dose_is_not_asked_about_once_a_completed_dose_follows() -> None:
    assert ask(order("10"), give(-21, "1"), give(-14, "4", "stopped"), give(-7, "10")).kinds == FITS


def test_exposures_without_any_readable_amount_are_history_in_doubt() -> None:
    answer = ask(order("10"), give(-14, None), give(-7, None))
    assert answer.about(0) == [CONFIRM_HISTORY]
    assert "No dose on record has a readable amount" in answer.text("dose/clarify")


# --- 2: which dose counts for what -----------------------------------------------------------------------------


def test_the_limit_counts_from_the_last_completed_dose_not_from_a_partial_one() -> None:
    assert "dose/restart-step-up critical" in ask(order("10"), give(-15, "1"), give(-8, "0.4", "stopped")).kinds


def test_too_early_counts_from_the_last_exposure_even_if_not_completed() -> None:
    assert "dose/wait critical" in ask(order("10"), give(-10, "1"), give(-5, "4", "stopped")).kinds
    assert "dose/wait critical" not in ask(order("10"), give(-10, "1"), give(-6, "4", "stopped")).kinds


# --- 3: copies -------------------------------------------------------------------------------------------------


def test_rows_that_share_an_identifier_are_one_dose() -> None:
    one = give(-7, "1", ref="a1", identifiers=frozenset({"urn:mar|7"}))
    assert ask(order("10"), one, replace(one, reference="MedicationAdministration/a2")).kinds == FITS


def test_rows_of_one_order_and_one_clock_time_are_one_dose() -> None:
    first = give(day(-7, "09:00"), "1", ref="a1", request="MedicationRequest/r1")
    second = give(day(-7, "09:00"), None, ref="a2", request="MedicationRequest/r1")
    assert ask(order("10"), first, second).kinds == FITS


def test_rows_of_one_clock_time_and_one_amount_are_one_dose() -> None:
    assert ask(order("10"), give(day(-7, "09:00"), "1", ref="a1"), give(day(-7, "09:00"), "1", ref="a2")).kinds == FITS


@pytest.mark.parametrize("clocks", [("", ""), ("09:00", "11:00"), ("09:00", "")])
def test_rows_of_one_day_without_a_common_clock_time_are_summed_and_asked_about(clocks: tuple[str, str]) -> None:
    one, two = (give(day(-7, clock), "1", ref=f"a{i}") for i, clock in enumerate(clocks))
    answer = ask(order("10"), one, two)
    assert answer.about(0) == [CONFIRM_HISTORY]
    assert "together 2 mg" in answer.text("dose/clarify")


def test_a_sum_of_10_mg_is_the_completed_dose_of_that_day_and_is_asked_about() -> None:
    answer = ask(order("10"), give(-14, "1"), give(-7, "4", ref="a"), give(-7, "6", ref="b"))
    assert answer.about(0) == ["dose/clarify warning", "monitoring/monitor info"]
    assert "together 10 mg" in answer.text("dose/clarify")
    assert answer.expected("dose/clarify") == ("10 mg", "C1D15", iso(0))


def test_another_sum_is_history_in_doubt_unless_a_completed_dose_follows() -> None:
    twice = (give(-14, "1", ref="a"), give(-14, "1", ref="b"))
    assert ask(order("10"), *twice).about(0) == [CONFIRM_HISTORY]
    assert CONFIRM_HISTORY not in ask(order("10"), *twice, give(-7, "10")).kinds


def test_a_sum_with_an_unreadable_part_is_history_in_doubt() -> None:
    assert ask(order("10"), give(-14, "1"), give(-7, "4", ref="a"), give(-7, None, ref="b")).about(0) == [
        CONFIRM_HISTORY
    ]


def test_copies_that_contradict_each_other_are_no_completed_dose() -> None:
    both = frozenset({"urn:mar|7"})
    answer = ask(order("10"), give(-7, "1", ref="a", identifiers=both), give(-7, "10", ref="b", identifiers=both))
    assert answer.about(0)[0] == FIRST_MUST_BE_1_MG


def test_a_copy_that_was_stopped_makes_the_dose_a_partial_one() -> None:
    both = frozenset({"urn:mar|7"})
    answer = ask(
        order("10"), give(-7, "1", ref="a", identifiers=both), give(-7, "1", "stopped", ref="b", identifiers=both)
    )
    assert answer.about(0)[0] == FIRST_MUST_BE_1_MG


# --- 4: stand-ins ----------------------------------------------------------------------------------------------


def test_completed_orders_stand_in_where_no_dose_is_on_record_and_every_card_says_so() -> None:
    answer = ask(order("10"), on_record("completed", -14, "1", ref="o1"), on_record("completed", -7, "10", ref="o2"))
    assert answer.kinds == ["record/cannot-assess warning", "monitoring/monitor info"]
    assert answer.expected("monitoring") == ("10 mg", "C1D15", iso(0))
    for card in answer.cards:
        assert "From orders, administration not confirmed" in (card.detail or "")
    assert "Confirm last dose and date" in answer.text("record")


def test_a_row_that_was_not_done_takes_its_order_out_of_the_stand_ins() -> None:
    not_done = give(-7, "10", "not-done", request="MedicationRequest/o2")
    answer = ask(
        order("10"), on_record("completed", -14, "1", ref="o1"), on_record("completed", -7, "10", ref="o2"), not_done
    )
    assert answer.expected("monitoring") == ("10 mg", "C1D8", iso(-7))


def test_completed_orders_do_not_stand_in_beside_a_dose_on_record() -> None:
    answer = ask(order("10"), give(-7, "1"), on_record("completed", -14, "10", ref="old"))
    assert answer.kinds == FITS
    assert answer.expected("monitoring") == ("10 mg", "C1D8", iso(0))


@pytest.mark.parametrize("reading", [Reading.PARTIAL, Reading.UNAVAILABLE])
def test_completed_orders_do_not_stand_in_after_a_failed_read(reading: Reading) -> None:
    answer = ask(order("10"), on_record("completed", -7, "1"), needs=[read("medicationAdministrations", reading)])
    assert answer.about(0)[0] == CONFIRM_HISTORY
    assert "From orders" not in answer.text("dose/clarify")


def test_a_completed_order_without_a_readable_day_is_not_passed_over() -> None:
    """Its dose may have been given: "first dose" must not be concluded from it (What may never happen 1)."""
    answer = ask(order("1"), on_record("completed", NotRecorded, "1"))
    assert answer.about(0)[0] == CONFIRM_HISTORY


# --- 5: history in doubt ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("reading", [Reading.PARTIAL, Reading.UNAVAILABLE])
@pytest.mark.parametrize("amount", ["1", "10"])
def test_administrations_not_read_leave_the_history_in_doubt_and_rows_5_to_7_are_not_run(
    reading: Reading, amount: str
) -> None:
    answer = ask(order(amount), give(-40, "1"), needs=[read("medicationAdministrations", reading)])
    assert answer.about(0) == [CONFIRM_HISTORY]
    assert answer.kinds.count("record/cannot-assess critical") == 1
    assert not answer.extension("dose/clarify").expected


def test_an_unreadable_administration_leaves_the_history_in_doubt() -> None:
    unreadable = Unknown(what="MedicationAdministration", why="no start", reference="MedicationAdministration/x")
    answer = ask(order("10"), give(-7, "1"), unreadable)
    assert answer.about(0) == [CONFIRM_HISTORY]
    assert "MedicationAdministration/x" in answer.text("dose/clarify")


def test_an_administration_of_another_patient_is_no_doubt_about_this_one() -> None:
    foreign = Unknown(what="MedicationAdministration", why="of another patient", foreign=True)
    assert ask(order("10"), give(-7, "1"), foreign).kinds == FITS


def test_a_dose_without_a_readable_day_leaves_the_history_in_doubt() -> None:
    assert ask(order("10"), give(-7, "1"), give(NotRecorded, "10")).about(0) == [CONFIRM_HISTORY]


def test_an_order_that_names_a_later_position_without_a_dose_on_record_is_history_in_doubt() -> None:
    answer = ask(order("10", position_named="C4D1"))
    assert answer.about(0) == [CONFIRM_HISTORY]
    assert "C4D1" in answer.text("dose/clarify")
    assert ask(order("1", position_named="C1D1")).about(0) == FITS


def test_an_active_order_of_the_past_without_a_dose_on_record_is_history_in_doubt() -> None:
    assert ask(order("1"), on_record("active", -1, "1")).about(0) == [CONFIRM_HISTORY]


def test_an_active_order_of_the_past_whose_dose_was_not_given_is_no_doubt() -> None:
    not_done = give(-7, "1", "not-done", request="MedicationRequest/r1")
    assert ask(order("1"), on_record("active", -7, "1"), not_done).kinds == FITS


def test_a_claim_without_a_dose_on_record_is_history_in_doubt() -> None:
    assert ask(order("1"), claim(-7)).about(0) == [CONFIRM_HISTORY]


def test_an_order_coded_as_a_claim_without_a_readable_day_is_history_in_doubt() -> None:
    assert ask(order("1"), on_record("completed", NotRecorded, "1", is_claim=True)).about(0) == [CONFIRM_HISTORY]


@pytest.mark.parametrize("later", [claim(-3), on_record("completed", -3, "10")])
def test_a_completed_order_or_claim_after_the_last_dose_is_asked_about_and_counts_as_an_exposure(later: object) -> None:
    answer = ask(order("10"), *course(3, -20), later)
    assert answer.about(0) == ["dose/wait warning", CONFIRM_HISTORY] or answer.about(0) == [
        CONFIRM_HISTORY,
        "dose/wait warning",
    ]


def test_a_completed_order_after_the_last_dose_stands_beside_a_restart() -> None:
    answer = ask(order("10"), *course(3, -40), on_record("completed", -20, "10"))
    assert {CONFIRM_HISTORY, "dose/restart-step-up critical"} <= set(answer.about(0))
    assert answer.expected("dose/restart-step-up") == ("1 mg", "C1D1", iso(0))


def test_a_completed_order_of_the_day_of_the_last_dose_or_before_is_no_question() -> None:
    assert ask(order("10"), *course(3, -14), on_record("completed", -14, "10")).kinds == FITS


def test_a_completed_order_that_a_dose_names_is_no_question() -> None:
    given = give(-14, "10", ref="x", request="MedicationRequest/r1")
    assert ask(order("10"), give(-28, "1"), give(-21, "10"), given, on_record("completed", -13, "10")).kinds == FITS


# --- 6: planned orders -----------------------------------------------------------------------------------------


def test_an_active_order_of_a_later_day_joins_the_projection() -> None:
    """1 mg is planned for today: the draft for day 7 is the 10 mg of C1D8."""
    answer = ask(order("10", 7), on_record("active", 0, "1"))
    assert answer.about(0) == FITS
    assert answer.expected("monitoring") == ("10 mg", "C1D8", iso(7))


def test_a_clash_with_a_planned_order_is_said_on_the_draft() -> None:
    answer = ask(order("10"), give(-7, "1"), on_record("active", 0, "10"))
    assert answer.about(0) == ["dose/wait critical"]
    assert "Another order takes 2026-01-20 already" in answer.text("dose/wait")


def test_an_active_order_of_the_past_is_never_planned() -> None:
    assert ask(order("10"), give(-7, "1"), on_record("active", -1, "10")).kinds == FITS


def test_an_active_order_that_a_dose_names_is_not_planned_again() -> None:
    given = give(-7, "1", request="MedicationRequest/r1")
    assert ask(order("10"), given, on_record("active", 0, "10")).kinds == FITS


def test_an_active_order_on_the_day_of_a_dose_is_not_planned_again() -> None:
    answer = ask(order("10"), give(day(0, "07:30"), "1"), on_record("active", 0, "1"))
    assert "already given or started" in answer.text("dose/wait")
    assert "r1" not in answer.text("dose/wait")


def test_the_order_of_the_record_with_the_drafts_id_is_the_draft() -> None:
    assert ask(order("10"), give(-7, "1"), on_record("active", 0, "10", ref="d0")).kinds == FITS


def test_an_active_order_without_a_day_is_todays() -> None:
    answer = ask(order("10"), give(-7, "1"), on_record("active", NotRecorded, "10"))
    assert answer.about(0) == ["dose/wait critical"]


def test_an_active_order_without_a_day_written_before_the_last_dose_is_that_doses_order() -> None:
    assert ask(order("10"), give(-7, "1"), on_record("active", NotRecorded, "1", authored=day(-8))).kinds == FITS


def test_a_dose_that_names_the_draft_itself_says_when_it_was_given() -> None:
    given = give(day(0, "07:30"), "1", "in-progress", request="MedicationRequest/d0")
    answer = ask(order("1"), given)
    assert answer.about(0) == ["dose/wait critical"]
    assert "this order was already given or started on 2026-01-20 at 07:30" in answer.text("dose/wait")


def test_cancelled_drafts_get_no_card() -> None:
    assert ask(order("10", status="cancelled")).kinds == []


def test_the_clock_of_the_test_bench_is_the_one_given() -> None:
    assert ask(order("1")).assessment.as_of == AT.date()


def test_an_amount_with_a_doubt_is_said_and_judged_as_if_ordered() -> None:
    vials = mg("10", doubt="vials: 10 × 1 mg is 10 mg", recorded="10 vials")
    answer = ask(order(vials), give(-7, "1"))
    assert answer.about(0) == ["dose/clarify warning", "monitoring/monitor info"]
    first = ask(order(vials))
    assert sorted(first.about(0)) == [FIRST_MUST_BE_1_MG, "dose/clarify warning", "monitoring/monitor info"]


def test_an_order_without_a_status_after_the_last_dose_is_asked_about() -> None:
    answer = ask(order("10"), *course(3, -14), on_record("", -7, "10"))
    assert CONFIRM_HISTORY in answer.about(0)


def test_an_order_without_a_status_and_no_dose_on_record_is_asked_about() -> None:
    assert CONFIRM_HISTORY in ask(order("1"), on_record("", -7, "10")).about(0)


# --- doses that cannot have been given yet ---------------------------------------------------------------------


def test_a_dose_of_today_is_given_and_one_of_tomorrow_is_asked_about() -> None:
    today = ask(order("10"), give(-7, "1"), give(0, "10"))
    assert today.about(0) == ["dose/wait critical"]
    tomorrow = ask(order("10"), give(-7, "1"), give(1, "10"))
    assert "dose/clarify critical" in tomorrow.about(0)
    assert "A dose on record has a day that is still to come: confirm its date." in tomorrow.text("dose/clarify")
    assert "MedicationAdministration/a1" in {e.reference for e in tomorrow.extension("dose/clarify").evidence}


def test_a_completed_order_of_today_stands_in_and_one_of_tomorrow_is_asked_about() -> None:
    assert "dose/wait critical" in ask(order("10"), on_record("completed", 0, "1")).about(0)
    tomorrow = ask(order("10"), on_record("completed", 1, "1"))
    assert "dose/clarify critical" in tomorrow.about(0)
    assert "dose/wait critical" not in tomorrow.about(0)
    said = "A completed order of the drug has a day that is still to come: confirm its date."
    assert said in tomorrow.text("dose/clarify critical")


# --- several of one day ----------------------------------------------------------------------------------------


def test_two_completed_orders_of_one_day_that_stand_in_are_asked_about() -> None:
    orders = (on_record("completed", -7, "10", ref="r1"), on_record("completed", -7, "10", ref="r2"))
    answer = ask(order("10"), *orders)
    assert "dose/clarify critical" in answer.about(0)
    assert f"Several doses of one day, together 20 mg on {iso(-7)}: one dose or several?" in answer.text("dose/clarify")


def test_doses_of_one_day_are_each_shown_with_their_own_amount() -> None:
    rows = (give(-7, "0.4", ref="a"), give(-7, "0.6", ref="b"))
    shown = {e.reference: e.shows for e in ask(order("10"), *rows).extension("dose/clarify").evidence}
    assert shown == {
        "MedicationAdministration/a": f"0.4 mg on {iso(-7)}",
        "MedicationAdministration/b": f"0.6 mg on {iso(-7)}",
    }


def test_two_halves_of_one_order_are_that_order_given() -> None:
    halves = [give(day(0, hour), "0.5", ref=hour, request="MedicationRequest/d0") for hour in ("07:30", "09:00")]
    waits = ask(order("1"), *halves).card("dose/wait")
    assert "this order was already given or started" in f"{waits.summary} {waits.detail}"
