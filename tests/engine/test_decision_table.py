"""clinical-rules "Decision for one order": rows 3 to 11, what stands beside them, several drafts of one call."""

from __future__ import annotations

import pytest

from fhir_mappings.facts import DrugAllergy, NotRecorded, Syndrome
from tests.engine.builders import (
    ask,
    between,
    course,
    crs,
    day,
    give,
    gives,
    iso,
    mg,
    neuro,
    on_record,
    order,
    toxicity,
)

FITS = ["monitoring/monitor info"]
UNREADABLE = mg(None, doubt="it is a volume, not an amount of drug", recorded="10 mL")
ALLERGY = DrugAllergy(reference="AllergyIntolerance/x", name="tarlatamab")
STOPPED = on_record("stopped", -30, ref="old", status_reason="CRS", stopped_for_toxicity=True)


# --- row 3 -----------------------------------------------------------------------------------------------------


def test_row_3_above_10_mg_is_critical_and_names_the_due_amount() -> None:
    answer = ask(order("10.1"), give(-7, "1"))
    assert answer.about(0) == ["dose/change-dose critical"]
    assert answer.expected("dose") == ("10 mg", "C1D8", iso(0))
    assert ask(order("10"), give(-7, "1")).about(0) == FITS


def test_row_3_at_the_first_dose_names_1_mg() -> None:
    assert ask(order("20")).expected("dose/change-dose") == ("1 mg", "C1D1", iso(0))


def test_row_4_stands_beside_row_3() -> None:
    answer = ask(order("20"), give(-3, "1"))
    assert answer.about(0) == ["dose/change-dose critical", "dose/wait critical"]


def test_row_3_comes_before_rows_5_and_6() -> None:
    assert ask(order("20"), *course(3, -40)).rows("dose/change-dose") == ("DOSE-ABOVE-LARGEST",)
    assert ask(order("20")).rows("dose/change-dose") == ("DOSE-ABOVE-LARGEST",)


def test_no_monitoring_card_stands_beside_rows_3_and_4() -> None:
    for answer in (ask(order("20"), give(-7, "1")), ask(order("10"), give(-3, "1"))):
        assert "monitoring/monitor info" not in answer.kinds


# --- row 4 -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [None, 0, 1, 3])
def test_row_4_an_exposure_of_the_same_day_is_critical_always(k: int | None) -> None:
    before = () if k is None else course(k, -20)
    answer = ask(order("10"), *before, give(day(0, "07:00"), "10", "stopped"))
    assert "dose/wait critical" in answer.about(0)
    assert "10 mg was already given or started" in answer.card("dose/wait").summary


@pytest.mark.parametrize(("k", "days"), [(0, 6), (1, 6), (2, 13), (5, 13)])
def test_row_4_one_day_early_is_not_too_early(k: int, days: int) -> None:
    assert ask(order("10"), *course(k, -days)).about(0) == FITS


@pytest.mark.parametrize(
    ("k", "days", "card"),
    [
        (0, 5, "dose/wait critical"),
        (1, 5, "dose/wait critical"),
        (2, 12, "dose/wait warning"),
        (5, 12, "dose/wait warning"),
    ],
)
def test_row_4_two_days_early_is_critical_in_step_up_and_a_warning_later(k: int, days: int, card: str) -> None:
    answer = ask(order("10"), *course(k, -days))
    assert answer.about(0) == [card]
    assert f"only {days} days" in answer.card("dose/wait").summary


@pytest.mark.parametrize(("days", "kinds"), [(5, ["dose/wait critical"]), (6, None)])
def test_row_4_with_nothing_completed_is_critical_below_six_days(days: int, kinds: list[str] | None) -> None:
    answer = ask(order("1"), give(-days, "0.4", "stopped"))
    assert ("dose/wait critical" in answer.about(0)) is (kinds is not None)


@pytest.mark.parametrize(("days", "early"), [(5, True), (6, False)])
def test_row_4_with_a_restart_due_and_1_mg_ordered_the_lower_bound_is_seven_days(days: int, early: bool) -> None:
    answer = ask(order("1"), *course(3, -40), give(-days, "4", "stopped"))
    assert ("dose/wait warning" in answer.about(0)) is early


def test_row_4_with_a_restart_due_and_10_mg_ordered_keeps_the_lower_bound_of_14_days() -> None:
    assert "dose/wait warning" in ask(order("10"), *course(3, -40), give(-12, "4", "stopped")).about(0)
    assert "dose/wait warning" not in ask(order("10"), *course(3, -40), give(-13, "4", "stopped")).about(0)


def test_row_4_comes_before_row_5() -> None:
    assert ask(order("10"), give(-3, "0.4", "stopped")).about(0) == ["dose/wait critical"]


# --- row 5 -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("amount", ["10", "5", "2"])
def test_row_5_another_amount_than_1_mg_as_first_dose_is_critical(amount: str) -> None:
    answer = ask(order(amount))
    assert answer.about(0) == ["dose/change-dose critical", "monitoring/monitor info"]
    assert answer.rows("dose/change-dose") == ("DOSE-FIRST",)
    assert answer.expected("dose/change-dose") == ("1 mg", "C1D1", iso(0))


def test_row_5_keeps_a_finding_of_lower_rank_as_a_line() -> None:
    assert "5 mg is neither 1 mg nor 10 mg." in ask(order("5")).text("dose/change-dose")


# --- rows 6 and 7 ----------------------------------------------------------------------------------------------


def test_row_6_does_not_hold_where_1_mg_is_ordered() -> None:
    assert ask(order("1"), *course(0, -15)).about(0) == FITS


def test_row_6_names_the_crs_grade_3_of_row_7() -> None:
    answer = ask(order("10"), *course(1, -30), crs(3, -29, -25))
    assert answer.about(0) == ["dose/restart-step-up critical", "monitoring/monitor info"]
    assert f"CRS grade 3 (onset {iso(-29)}) has resolved" in answer.text("dose/restart-step-up")


def test_row_7_crs_grade_3_resolved_without_a_dose_since_restarts_as_a_warning() -> None:
    answer = ask(order("10"), *course(1, -14), crs(3, -13, -6))
    assert answer.about(0) == ["crs/restart-step-up warning", "monitoring/monitor info"]
    assert answer.expected("crs") == ("1 mg", "C1D1", iso(0))
    assert "label would allow the next scheduled dose up to" in answer.text("crs")
    assert iso(7) in answer.text("crs")  # 21 days after day -14


def test_row_7_does_not_hold_where_1_mg_is_ordered() -> None:
    answer = ask(order("1"), *course(1, -14), crs(3, -13, -6))
    assert answer.about(0) == FITS
    assert answer.expected("monitoring") == ("1 mg", "C1D1", iso(0))


@pytest.mark.parametrize(("value", "restarts"), [(2, False), (3, True)])
def test_row_7_is_for_grade_3_alone(value: int, restarts: bool) -> None:
    kinds = ask(order("10"), *course(1, -14), crs(value, -13, -6)).about(0)
    assert ("crs/restart-step-up warning" in kinds) is restarts


def test_row_7_with_the_end_unknown_a_dose_after_the_day_of_onset_is_the_restart() -> None:
    resolved = {"course": crs(3, -7, -6).course}
    cause = ask(order("10"), *gives((-14, "1"), (-7, "10")), crs(3, -7, NotRecorded, **resolved))
    assert "crs/restart-step-up warning" in cause.about(0)
    since = ask(order("10"), *gives((-14, "1"), (-7, "10")), crs(3, -8, NotRecorded, **resolved))
    assert "crs/restart-step-up warning" not in since.about(0)


def test_row_7_with_the_end_known_a_dose_on_the_day_of_the_end_is_not_after_it() -> None:
    on_the_day = ask(order("10"), *gives((-14, "1"), (-7, "10")), crs(3, -13, -7))
    assert "crs/restart-step-up warning" in on_the_day.about(0)
    after_it = ask(order("10"), *gives((-14, "1"), (-7, "10")), crs(3, -13, -8))
    assert "crs/restart-step-up warning" not in after_it.about(0)


def test_row_7_after_10_mg_since_only_a_line_is_said() -> None:
    answer = ask(order("10"), *gives((-28, "1"), (-21, "10")), crs(3, -20, -18), *gives((-14, "10")))
    assert answer.about(0) == FITS
    assert f"CRS grade 3 (onset {iso(-20)}) has resolved, and 10 mg on {iso(-14)} was completed since." in (
        answer.text("monitoring")
    )


@pytest.mark.parametrize(
    ("amount", "doses", "beside"),
    [("20", course(1, -14), "dose/change-dose critical"), ("10", course(3, -12), "dose/wait warning")],
)
def test_row_7_stands_beside_rows_3_and_4(amount: str, doses: tuple[object, ...], beside: str) -> None:
    answer = ask(order(amount), *doses, crs(3, -11, -6))
    assert sorted(answer.about(0)) == sorted([beside, "crs/restart-step-up warning"])


# --- row 8 -----------------------------------------------------------------------------------------------------


def test_row_8_an_unreadable_dose_is_critical_where_1_mg_is_due_and_names_it() -> None:
    answer = ask(order(UNREADABLE))
    assert answer.about(0) == ["dose/clarify critical", "monitoring/monitor info"]
    assert "due is 1 mg" in answer.card("dose/clarify").summary
    assert "It is a volume, not an amount of drug." in answer.text("dose/clarify")


def test_row_8_an_unreadable_dose_is_a_warning_where_10_mg_is_due_and_names_it() -> None:
    answer = ask(order(UNREADABLE), give(-7, "1"))
    assert answer.about(0) == ["dose/clarify warning", "monitoring/monitor info"]
    assert "due is 10 mg" in answer.card("dose/clarify").summary


def test_row_8_an_unreadable_dose_is_critical_where_a_restart_is_due() -> None:
    assert "dose/clarify critical" in ask(order(UNREADABLE), *course(3, -29)).about(0)


def test_row_8_an_order_without_any_amount_says_so() -> None:
    assert "The order states no amount." in ask(order(mg(None, absent=True)), give(-7, "1")).text("dose/clarify")


def test_row_8_without_an_amount_rows_5_to_7_and_9_and_10_are_not_run_but_row_4_is() -> None:
    assert "dose/wait critical" in ask(order(UNREADABLE), give(-3, "1")).about(0)
    for answer in (ask(order(UNREADABLE)), ask(order(UNREADABLE), *course(3, -40))):
        assert {kind.split("/")[1] for kind in answer.about(0)} == {"clarify critical", "monitor info"}


def test_row_8_an_order_stopped_for_toxicity_is_critical_and_stands_alone_as_the_leading_row() -> None:
    answer = ask(order("10"), *course(3, -14), STOPPED)
    assert answer.about(0) == ["dose/clarify critical", "monitoring/monitor info"]
    assert "MedicationRequest/old" in answer.text("dose/clarify")


def test_row_8_a_draft_that_states_a_reason_is_no_earlier_order() -> None:
    assert ask(order("10", stopped_for_toxicity=True), *course(3, -14)).about(0) == FITS


def test_row_8_an_allergy_to_the_drug_is_critical() -> None:
    assert ask(order("10"), *course(3, -14), ALLERGY).about(0) == ["dose/clarify critical", "monitoring/monitor info"]


@pytest.mark.parametrize("fact", [STOPPED, ALLERGY])
@pytest.mark.parametrize(
    ("amount", "doses", "leading"),
    [
        ("20", course(1, -14), "dose/change-dose critical"),
        ("10", course(3, -12), "dose/wait warning"),
        ("10", (), "dose/change-dose critical"),
        ("10", course(3, -29), "dose/restart-step-up critical"),
        ("10", (*course(1, -14), crs(3, -13, -6)), "crs/restart-step-up warning"),
    ],
)
def test_row_8_stop_for_toxicity_and_allergy_stand_beside_rows_3_to_7(
    fact: object, amount: str, doses: tuple[object, ...], leading: str
) -> None:
    kinds = ask(order(amount), *doses, fact).about(0)
    assert leading in kinds
    assert "dose/clarify critical" in kinds


def test_row_8_a_resolved_crs_without_a_grade_and_no_dose_since_asks_for_the_grade() -> None:
    answer = ask(order("10"), *course(1, -14), crs(None, -13, -6))
    assert answer.about(0) == ["dose/clarify warning", "monitoring/monitor info"]
    assert "grade 3 restarts" in answer.card("dose/clarify").summary
    assert "dose/clarify warning" not in ask(order("10"), *course(2, -14, 7), crs(None, -20, -16)).about(0)


@pytest.mark.parametrize(("value", "asked"), [(2, False), (3, True)])
def test_row_8_severe_alone_is_no_grade_but_moderate_is_none_of_concern(value: int, asked: bool) -> None:
    kinds = ask(order("10"), *course(1, -14), crs(value, -13, -6, at_least=True)).about(0)
    assert ("dose/clarify warning" in kinds) is asked
    assert "crs/restart-step-up warning" not in kinds


def test_row_8_a_resolved_neurotoxicity_without_a_grade_asks_for_the_grade() -> None:
    answer = ask(order("10"), *course(1, -14), neuro(None, -13, -6))
    assert "resolved neurotoxicity" in answer.card("dose/clarify").summary


@pytest.mark.parametrize(("onset", "asked"), [(-15, False), (-14, True), (-3, True), (NotRecorded, True)])
def test_row_8_a_seizure_or_confusion_without_cause_since_the_last_dose_is_asked_about(
    onset: object, asked: bool
) -> None:
    signs = toxicity(Syndrome.POSSIBLE_NEUROTOXICITY, None, onset)  # type: ignore[arg-type]
    assert ("dose/clarify warning" in ask(order("10"), *course(3, -14), signs).about(0)) is asked


def test_row_8_a_seizure_that_has_resolved_is_not_asked_about() -> None:
    signs = toxicity(Syndrome.POSSIBLE_NEUROTOXICITY, None, -10, -9)
    assert ask(order("10"), *course(3, -14), signs).about(0) == FITS


# --- rows 9 to 11 ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("amount", ["0.5", "1.1", "5", "9.9"])
def test_row_9_an_amount_that_is_neither_1_nor_10_mg_is_a_warning(amount: str) -> None:
    answer = ask(order(amount), give(-7, "1"))
    assert answer.about(0) == ["dose/change-dose warning", "monitoring/monitor info"]
    assert answer.rows("dose/change-dose") == ("DOSE-OTHER-AMOUNT",)
    assert answer.expected("dose/change-dose") == ("10 mg", "C1D8", iso(0))


def test_row_10_1_mg_ordered_while_10_mg_is_due_is_a_warning() -> None:
    answer = ask(order("1"), give(-7, "1"))
    assert answer.about(0) == ["dose/change-dose warning", "monitoring/monitor info"]
    assert answer.rows("dose/change-dose") == ("DOSE-STEP-DONE",)


def test_row_11_a_dose_that_fits_gets_no_dose_card_and_opens_with_the_position() -> None:
    answer = ask(order("10"), give(-7, "1"))
    assert answer.about(0) == FITS
    assert answer.card("monitoring").summary.startswith("C1D8, 10 mg fits: 7 days since the last dose.")


# --- several drafts --------------------------------------------------------------------------------------------


def test_a_whole_cycle_in_one_call_gets_one_monitoring_card_with_three_entries() -> None:
    answer = ask(order("1"), order("10", 7, 1), order("10", 14, 2))
    assert answer.kinds == FITS or set(answer.kinds) == set(FITS)
    assert [answer.expected("monitoring", i) for i in range(3)] == [
        ("1 mg", "C1D1", iso(0)),
        ("10 mg", "C1D8", iso(7)),
        ("10 mg", "C1D15", iso(14)),
    ]


def test_drafts_are_judged_in_the_order_of_their_days_not_of_their_entries() -> None:
    answer = ask(order("10", 7, 0), order("1", 0, 1))
    assert answer.about(0) == FITS
    assert answer.about(1) == FITS


def test_one_order_with_two_doses_is_the_same_case() -> None:
    first, second = order("1", 0, part=0), order("10", 7, part=1)
    answer = ask(first, second)
    assert answer.about(0) == FITS * 2
    assert [a.part for a in answer.assessment.advice] == [0, 1]


def test_a_later_draft_is_judged_as_if_the_due_amount_had_been_given_before_it() -> None:
    """10 mg is ordered where 1 mg is due: the draft of day 7 is C1D8 all the same."""
    answer = ask(order("10"), order("10", 7, 1))
    assert answer.about(0) == ["dose/change-dose critical", "monitoring/monitor info"]
    assert answer.about(1) == FITS


@pytest.mark.parametrize(("entry_of_due", "entry_of_other"), [(0, 1), (1, 0)])
def test_of_two_drafts_for_one_day_the_one_with_the_due_amount_comes_first(
    entry_of_due: int, entry_of_other: int
) -> None:
    answer = ask(order("1", 0, entry_of_due), order("10", 0, entry_of_other))
    assert answer.about(entry_of_due) == FITS
    assert answer.about(entry_of_other) == ["dose/wait critical"]
    assert "ordered twice for 2026-01-20" in answer.card("dose/wait").summary


def test_of_two_drafts_for_one_day_without_the_due_amount_the_first_entry_comes_first() -> None:
    answer = ask(order("10", 0, 0), order("5", 0, 1))
    assert answer.about(0)[0] == "dose/change-dose critical"
    assert answer.about(1) == ["dose/wait critical"]


def test_a_draft_too_soon_after_another_draft_is_row_4() -> None:
    answer = ask(order("1"), order("10", 5, 1))
    assert answer.about(1) == ["dose/wait critical"]
    assert ask(order("1"), order("10", 6, 1)).about(1) == FITS


def test_several_undated_drafts_get_one_clarify_and_no_row_4_between_them() -> None:
    answer = ask(order("1", NotRecorded, 0), order("10", NotRecorded, 1), order("10", NotRecorded, 2))
    assert answer.kinds == ["dose/clarify warning", "monitoring/monitor info"]
    assert [answer.expected("monitoring", i)[1] for i in range(3)] == ["C1D1", "C1D8", "C1D15"]


def test_each_of_several_undated_drafts_is_judged_by_row_4_against_given_doses() -> None:
    answer = ask(order("10", NotRecorded, 0), order("10", NotRecorded, 1), give(-3, "1"))
    assert "dose/wait critical" in answer.about(0)
    assert "dose/wait critical" in answer.about(1)


def test_undated_parts_of_one_order_are_taken_in_sequence() -> None:
    answer = ask(order("10", NotRecorded, part=1), order("1", NotRecorded, part=0))
    assert [(a.part, a.slots["position"]) for a in answer.assessment.advice if a.topic == "monitoring"] == [
        (0, "C1D1"),
        (1, "C1D8"),
    ]


def test_a_single_undated_draft_needs_no_clarify() -> None:
    assert ask(order("1", NotRecorded)).about(0) == FITS


def test_history_in_doubt_the_second_draft_is_judged_by_what_the_first_orders() -> None:
    """The position is not known: the projected dose is the ordered one, and still an exposure for row 4."""
    answer = ask(order("10", position_named="C4D1"), order("10", 3, 1))
    assert "dose/wait critical" in answer.about(1)
    unreadable = ask(order(UNREADABLE, position_named="C4D1"), order("10", 3, 1))
    assert "dose/wait critical" in unreadable.about(1)


# --- what stands beside what -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "entry"),
    [
        ((give(day(0, "07:00"), "10", "stopped"), *course(1, -14), order("20")), 0),  # given that day
        ((order("1"), order("20", 0, 1)), 1),  # ordered twice
        ((*course(3, -12), order("20")), 0),  # too early in treatment
    ],
)
def test_each_card_of_row_4_stands_beside_row_3(facts: tuple[object, ...], entry: int) -> None:
    answer = ask(*facts)
    waits = [kind for kind in answer.about(entry) if kind.startswith("dose/wait")]
    assert len(waits) == 1
    assert "dose/change-dose critical" in answer.about(entry)


def test_row_7_leads_before_a_warning_of_row_8_which_stays_a_line() -> None:
    answer = ask(order("10"), *gives((-28, "10"), (-14, "10")), crs(3, -13, -6))
    assert answer.about(0) == ["crs/restart-step-up warning", "monitoring/monitor info"]
    assert "No 1 mg dose is on record before the 10 mg doses" in answer.text("crs")


@pytest.mark.parametrize("fact", [STOPPED, ALLERGY])
def test_a_critical_and_a_warning_of_row_8_both_stand(fact: object) -> None:
    answer = ask(order("10"), *gives((-28, "10"), (-14, "10")), fact)
    assert {"dose/clarify critical", "dose/clarify warning"} <= set(answer.about(0))


@pytest.mark.parametrize(
    ("facts", "beside"),
    [
        ((order("20", position_named="C4D1"),), "dose/change-dose critical"),
        ((order("10", position_named="C4D1"), order("10", 0, 1)), "dose/wait critical"),
    ],
)
def test_a_history_in_doubt_stands_beside_rows_3_and_4(facts: tuple[object, ...], beside: str) -> None:
    answer = ask(*facts)
    entry = len(facts) - 1
    assert {beside, "dose/clarify critical"} <= set(answer.about(entry))


@pytest.mark.parametrize(
    ("facts", "beside"),
    [
        ((order("20"), *course(3, -40)), "dose/change-dose critical"),
        ((order("10"), give(-40, "0.4", "stopped")), "dose/change-dose critical"),
        ((order("10"), *course(3, -24)), None),
    ],
)
def test_an_order_completed_after_the_last_dose_stands_beside_rows_3_and_5(
    facts: tuple[object, ...], beside: str | None
) -> None:
    kinds = set(ask(*facts, on_record("completed", -20, "10")).about(0))
    assert "dose/clarify critical" in kinds
    assert beside is None or beside in kinds


# --- what is due after a wait ----------------------------------------------------------------------------------


def test_a_wait_after_a_partial_infusion_names_the_first_day_on_which_the_dose_may_be_given() -> None:
    """1 mg 8 days ago, a stopped 10 mg infusion 2 days ago: due was yesterday, 7 days after the infusion is day 5."""
    answer = ask(order("10"), give(-8, "1"), give(-2, "4", "stopped"))
    assert answer.card("dose/wait").summary == f"Wait: only 2 days since the last dose; 10 mg is due on {iso(5)}."
    assert answer.expected("dose/wait") == ("10 mg", "C1D8", iso(5))


def test_a_wait_that_ends_after_the_limit_names_the_restart() -> None:
    """1 mg 12 days ago, a stopped infusion 2 days ago: on day 5 it is 17 days, and the limit is 14."""
    answer = ask(order("10"), give(-12, "1"), give(-2, "4", "stopped"))
    assert answer.expected("dose/wait") == ("1 mg", "C1D1", iso(5))


def test_a_wait_that_ends_on_the_last_day_before_a_restart_names_the_next_dose() -> None:
    answer = ask(order("10"), give(-9, "1"), give(-2, "4", "stopped"))
    assert answer.expected("dose/wait") == ("10 mg", "C1D8", iso(5))


def test_a_wait_while_a_restart_is_due_says_that_it_is_a_restart() -> None:
    """The lower bound of the restart, 1 mg, is 7 days after the infusion of day -3; that of the 10 mg ordered is 14."""
    answer = ask(order("10"), *course(3, -40), give(-3, "4", "stopped"))
    assert answer.about(0) == ["dose/wait warning"]
    assert answer.rows("dose/wait") == ("WAIT-THEN-RESTART",)
    assert answer.card("dose/wait").summary == (
        f"No 10 mg yet: only 3 days since the last infusion. A restart at 1 mg is due, not before {iso(4)}."
    )
    assert "A restart at 1 mg is due: 40 days since the last 10 mg dose" in answer.text("dose/wait")


def test_a_wait_for_a_restart_that_is_ordered_too_early_says_so_too() -> None:
    answer = ask(order("1"), *course(3, -40), give(-3, "4", "stopped"))
    assert answer.rows("dose/wait") == ("WAIT-THEN-RESTART",)
    assert answer.expected("dose/wait") == ("1 mg", "C1D1", iso(4))


def test_one_day_is_said_in_the_singular() -> None:
    assert "only 1 day since the last dose" in ask(order("10"), give(-1, "1")).card("dose/wait").summary


def test_a_partial_last_date_that_may_be_early_or_late_says_both_in_the_wait() -> None:
    """The last dose between day -40 and day -5: too early at one end, over the limit at the other."""
    answer = ask(order("10"), *gives((-82, "1"), (-75, "10"), (-68, "10")), give(between(-40, -5), "10"))
    assert answer.about(0) == ["dose/wait warning"]
    said = answer.text("dose/wait")
    assert "A restart at 1 mg is due: 40 days" in said
    assert f"The last dose may be of {iso(-40)} to {iso(-5)}: counted the more cautious way." in said


def test_more_than_10_mg_over_the_limit_says_why_1_mg_is_due() -> None:
    answer = ask(order("20"), *course(3, -29))
    assert answer.expected("dose/change-dose") == ("1 mg", "C1D1", iso(0))
    assert "A restart at 1 mg is due: 29 days since the last 10 mg dose" in answer.text("dose/change-dose")


def test_an_order_for_a_day_that_is_taken_names_the_other_order_in_its_evidence() -> None:
    answer = ask(order("10"), order("10", 0, 1), give(-7, "1"))
    assert "Another order takes 2026-01-20 already: 10 mg is due then." in answer.text("dose/wait")
    shown = {e.reference: e.shows for e in answer.extension("dose/wait").evidence}
    assert shown["MedicationRequest/d0"] == "planned for 2026-01-20"


def test_earlier_than_due_and_not_too_early_is_said_in_a_line() -> None:
    early = ask(order("10"), *course(3, -13)).text("monitoring")
    assert f"Due on {iso(1)}: {iso(0)} is earlier, but not too early." in early
    assert "not too early" not in ask(order("10"), *course(3, -14)).text("monitoring")


def test_a_restarted_course_says_that_its_second_10_mg_may_come_before_its_due_day() -> None:
    """Restarted from treatment: 10 mg a week after the 1 mg, then two-weekly; the lower bound stays a week."""
    answer = ask(order("10"), *course(3, -60), *gives((-14, "1"), (-7, "10")))
    assert answer.about(0) == FITS
    assert f"Due on {iso(7)}: {iso(0)} is earlier, but not too early." in answer.text("monitoring")


# --- severe CRS behind another record --------------------------------------------------------------------------


def test_an_unconfirmed_grade_4_copy_does_not_hide_the_restart_of_a_confirmed_grade_3() -> None:
    copies = (crs(3, -13, -8, ref="a"), crs(4, -13, -8, ref="b", confirmed=False))
    answer = ask(order("10"), *course(3, -14), *copies)
    assert answer.about(0) == ["crs/withhold critical"]
    assert answer.expected("crs/withhold") == ("1 mg", "C1D1", iso(0))
    assert (
        f"If lifted: 1 mg (C1D1), due on {iso(0)}; last day before a restart at 1 mg: none, the restart is due."
        in answer.text("crs/withhold")
    )


def test_a_severity_above_the_recorded_grade_does_not_hide_the_restart() -> None:
    """Grade 3 by its code, "life-threatening" by a copy's severity: a stop, and grade 3 alone a restart."""
    severe = crs(4, -13, -8, ref="b", at_least=True, confirmed=False)
    answer = ask(order("10"), *course(3, -14), crs(3, -13, -8, ref="a"), severe)
    assert answer.expected("crs/withhold") == ("1 mg", "C1D1", iso(0))


def test_the_label_is_compared_only_while_its_limit_has_not_passed() -> None:
    inside = ask(order("20"), *course(3, -28), crs(3, -27, -20)).text("crs/restart-step-up")
    assert f"The label would allow the next scheduled dose up to {iso(0)}" in inside
    passed = ask(order("20"), *course(3, -29), crs(3, -28, -20)).text("crs/restart-step-up")
    assert "The label would allow" not in passed


def test_an_active_grade_3_before_several_drafts_restarts_once() -> None:
    """1 mg, then 10 mg a week later, then 10 mg: the restart is due once."""
    drafts = (order("10"), order("10", 7, 1), order("10", 21, 2))
    answer = ask(*drafts, *course(3, -14), crs(3, -13))
    hold = answer.extension("crs/withhold")
    assert [(str(e.dose), e.position) for e in hold.expected] == [
        ("1 mg", "C1D1"),
        ("10 mg", "C1D8"),
        ("10 mg", "C1D15"),
    ]


# --- undated drafts --------------------------------------------------------------------------------------------


def test_several_undated_drafts_are_each_expected_on_a_day_of_their_own() -> None:
    drafts = [order(amount, NotRecorded, entry) for entry, amount in enumerate(("1", "10", "10"))]
    answer = ask(*drafts)
    assert [answer.expected("monitoring", entry) for entry in range(3)] == [
        ("1 mg", "C1D1", iso(0)),
        ("10 mg", "C1D8", iso(7)),
        ("10 mg", "C1D15", iso(14)),
    ]
    assert "-7 days" not in answer.text("monitoring")
