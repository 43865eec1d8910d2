"""clinical-rules "Position": where in the schedule is the patient, what is due when, and how late may it be?"""

from __future__ import annotations

import pytest

from cds_service.engine.course import position_after
from tests.engine.builders import ask, course, give, gives, iso, order, rulebook

K_TO_POSITION = [
    (2, "C2D1"),
    (3, "C2D15"),
    (4, "C3D1"),
    (5, "C3D15"),
    (6, "C4D1"),
    (7, "C4D15"),
    (8, "C5D1"),
    (9, "C5D15"),
    (10, "C6D1"),
]


def test_the_first_dose_is_1_mg_at_c1d1_due_on_its_day() -> None:
    assert ask(order("1", 3)).expected("monitoring") == ("1 mg", "C1D1", iso(3))


def test_after_1_mg_10_mg_is_due_at_c1d8_seven_days_later() -> None:
    assert ask(order("10"), give(-7, "1")).expected("monitoring") == ("10 mg", "C1D8", iso(0))


def test_after_the_first_10_mg_c1d15_is_due_seven_days_later() -> None:
    assert ask(order("10"), *gives((-14, "1"), (-7, "10"))).expected("monitoring") == ("10 mg", "C1D15", iso(0))


@pytest.mark.parametrize(("k", "position"), K_TO_POSITION)
def test_from_two_treatment_doses_on_the_cycle_counts_two_doses_each_and_14_days(k: int, position: str) -> None:
    assert ask(order("10"), *course(k, -13)).expected("monitoring") == ("10 mg", position, iso(1))


@pytest.mark.parametrize(("k", "position"), [(0, "C1D8"), (1, "C1D15"), *K_TO_POSITION])
def test_the_position_after_so_many_10_mg_doses_has_the_same_name_where_doses_are_only_drawn(
    k: int, position: str
) -> None:
    assert position_after(k, rulebook().regimen) == position


@pytest.mark.parametrize(("k", "last_day_before_a_restart"), [(0, 14), (1, 21), (2, 28), (3, 28), (4, 28), (9, 28)])
def test_the_limit_is_14_days_after_1_mg_21_after_the_first_10_mg_and_28_later(
    k: int, last_day_before_a_restart: int
) -> None:
    within = ask(order("10"), *course(k, -last_day_before_a_restart))
    assert within.about(0) == ["monitoring/monitor info"]
    beyond = ask(order("10"), *course(k, -last_day_before_a_restart - 1))
    assert beyond.about(0) == ["dose/restart-step-up critical", "monitoring/monitor info"]
    assert beyond.expected("dose") == ("1 mg", "C1D1", iso(0))


@pytest.mark.parametrize(("k", "row"), [(0, "R2"), (1, "R4"), (2, "R6"), (3, "R8"), (7, "R8")])
def test_each_delay_has_its_row(k: int, row: str) -> None:
    assert ask(order("10"), *course(k, -29)).rows("dose/restart-step-up") == (row,)


@pytest.mark.parametrize(("k", "row"), [(0, "R1"), (1, "R3"), (2, "R5"), (3, "R7"), (7, "R7")])
def test_a_dose_in_time_names_the_row_that_lets_it_go_on(k: int, row: str) -> None:
    assert row in ask(order("10"), *course(k, -14)).rows("monitoring")


# --- restarted courses -----------------------------------------------------------------------------------------

TEN_DOSES = course(10, -49)


def test_a_restarted_course_is_named_so_with_the_dose_counted_over_all() -> None:
    """11 doses, then 1 mg a week ago: 13th dose overall."""
    answer = ask(order("10"), *TEN_DOSES, give(-7, "1"))
    assert answer.expected("monitoring") == ("10 mg", "C1D8", iso(0))
    assert "Restarted course: C1D8; 13th dose overall." in answer.text("monitoring")


def test_a_restarted_course_counts_its_limit_from_its_own_doses() -> None:
    """…10 mg, gap of 35 days, 1 mg, 10 mg: k=1, so the limit is 21 days, not 28."""
    again = (*TEN_DOSES, give(-29, "1", ref="s"), give(-22, "10", ref="t"))
    assert ask(order("10"), *again).rows("dose/restart-step-up") == ("R4",)
    again = (*TEN_DOSES, give(-28, "1", ref="s"), give(-21, "10", ref="t"))
    assert ask(order("10"), *again).about(0) == ["monitoring/monitor info"]


def test_k_1_of_a_course_restarted_in_treatment_is_due_after_14_days() -> None:
    again = (*TEN_DOSES, give(-14, "1"), give(-7, "10"))
    assert ask(order("10"), *again).expected("monitoring") == ("10 mg", "C1D15", iso(7))


@pytest.mark.parametrize(("days", "early"), [(5, True), (6, False), (7, False)])
def test_k_1_of_a_course_restarted_in_treatment_keeps_the_lower_bound_of_seven_days(days: int, early: bool) -> None:
    again = (*TEN_DOSES, give(-days - 7, "1"), give(-days, "10"))
    assert ("dose/wait critical" in ask(order("10"), *again).kinds) is early


@pytest.mark.parametrize("k_before", [0, 1])
def test_k_1_of_a_course_restarted_during_step_up_is_due_after_seven_days(k_before: int) -> None:
    before = course(k_before, -60)
    again = (*before, give(-14, "1", ref="s"), give(-7, "10", ref="t"))
    assert ask(order("10"), *again).expected("monitoring") == ("10 mg", "C1D15", iso(0))


def test_k_1_of_a_course_restarted_from_exactly_two_treatment_doses_is_due_after_14_days() -> None:
    again = (*course(2, -60), give(-14, "1", ref="s"), give(-7, "10", ref="t"))
    assert ask(order("10"), *again).expected("monitoring") == ("10 mg", "C1D15", iso(7))


def test_1_mg_ordered_while_a_restart_is_due_fits() -> None:
    answer = ask(order("1"), *course(3, -40))
    assert answer.about(0) == ["monitoring/monitor info"]
    assert answer.expected("monitoring") == ("1 mg", "C1D1", iso(0))
    assert "22–24 h" in answer.text("monitoring")
    assert "restarted course, 40 days since the last dose" in answer.card("monitoring").summary


# --- no step dose on record ------------------------------------------------------------------------------------


def test_without_1_mg_on_record_all_10_mg_doses_count_and_the_step_up_is_asked_about() -> None:
    answer = ask(order("10"), *gives((-28, "10"), (-14, "10")))
    assert answer.about(0) == ["dose/clarify warning", "monitoring/monitor info"]
    assert "no 1 mg dose" in answer.text("dose/clarify")
    assert answer.expected("monitoring") == ("10 mg", "C2D1", iso(0))


def test_without_1_mg_on_record_the_limits_still_run() -> None:
    assert "dose/restart-step-up critical" in ask(order("10"), *gives((-43, "10"), (-29, "10"))).kinds
    assert "dose/restart-step-up critical" not in ask(order("10"), *gives((-42, "10"), (-28, "10"))).kinds


# --- the next dose, counted from D0 ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("k", "amount", "next_due", "next_limit"),
    [(None, "1", 7, 14), (0, "10", 7, 21), (1, "10", 14, 28), (4, "10", 14, 28)],
)
def test_the_card_says_the_next_due_day_and_the_last_day_before_a_restart_counted_from_this_dose(
    k: int | None, amount: str, next_due: int, next_limit: int
) -> None:
    doses = () if k is None else course(k, -14)
    said = ask(order(amount, 0), *doses).text("monitoring")
    assert f"next dose 10 mg due on {iso(next_due)}; last day before a restart at 1 mg: {iso(next_limit)}" in said


@pytest.mark.parametrize(("number", "said"), [(20, "21st"), (21, "22nd"), (22, "23rd"), (10, "11th"), (11, "12th")])
def test_the_ordinal_of_a_dose_is_said_as_a_reader_would(number: int, said: str) -> None:
    """`number` doses before: one 1 mg and 10 mg until the gap, 1 mg a week ago."""
    doses = (*course(number - 2, -49), give(-7, "1"))
    assert f"{said} dose overall" in ask(order("10"), *doses).text("monitoring")


def test_from_k_2_on_a_restarted_course_is_due_after_14_days_as_before() -> None:
    again = (*TEN_DOSES, give(-35, "1", ref="s"), give(-28, "10", ref="t"), give(-14, "10", ref="u"))
    assert ask(order("10"), *again).expected("monitoring") == ("10 mg", "C2D1", iso(0))
