"""clinical-rules "HOLD": what withholds the drug now, what only asks, and how treatment goes on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fhir_mappings.facts import Analyte, Bound, Course, NotRecorded, SupportKind, Syndrome, Vital
from tests.engine.builders import (
    PREMEDICATION,
    WOMAN,
    ask,
    course,
    crs,
    day,
    give,
    gives,
    ice,
    iso,
    lab,
    labs_but,
    neuro,
    order,
    sign,
    support,
    toxicity,
)

FITS = ["monitoring/monitor info"]
IN_TREATMENT = course(3, -14)
HOLD_CRS = "crs/withhold critical"
HOLD_NEURO = "neurotoxicity/withhold critical"
RESUME_NEURO = "monitoring/monitor warning"


# --- active CRS and neurotoxicity ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "row"), [(1, "CRS-HOLD-G1"), (2, "CRS-HOLD-G2"), (3, "CRS-HOLD-G3"), (None, "CRS-HOLD-UNGRADED")]
)
def test_an_active_crs_of_any_grade_is_withheld(value: int | None, row: str) -> None:
    answer = ask(order("10"), give(-7, "1"), crs(value, -5))
    assert answer.about(0) == [HOLD_CRS]
    assert answer.rows(HOLD_CRS) == (row,)


@pytest.mark.parametrize(
    ("value", "row"), [(1, "NEURO-HOLD-G1"), (2, "NEURO-HOLD-G2"), (3, "NEURO-HOLD-G3"), (None, "NEURO-HOLD-UNGRADED")]
)
def test_an_active_neurotoxicity_of_any_grade_is_withheld(value: int | None, row: str) -> None:
    answer = ask(order("10"), give(-7, "1"), neuro(value, -5))
    assert answer.about(0) == [HOLD_NEURO]
    assert answer.rows(HOLD_NEURO) == (row,)


def test_neurotoxicity_grade_3_asks_for_the_neurological_evaluation() -> None:
    assert "neurological evaluation" in ask(order("10"), give(-7, "1"), neuro(3, -5)).card(HOLD_NEURO).summary


def test_a_hold_ends_with_the_dose_due_and_the_last_day_before_a_restart() -> None:
    said = ask(order("10"), give(-7, "1"), crs(1, -5)).text(HOLD_CRS)
    assert f"If lifted: 10 mg (C1D8), due on {iso(0)}; last day before a restart at 1 mg: {iso(7)}." in said


def test_a_hold_with_the_history_in_doubt_says_that_the_due_dose_cannot_be_told() -> None:
    answer = ask(order("10", position_named="C4D1"), crs(1, -5))
    assert "If lifted: confirm last dose and date first" in answer.text(HOLD_CRS)


def test_a_hold_for_a_later_day_says_to_recheck_on_that_day() -> None:
    assert "recheck on that day" in ask(order("10", 3), give(-7, "1"), crs(1, -5)).text(HOLD_CRS)
    assert "recheck on that day" not in ask(order("10", 0), give(-7, "1"), crs(1, -5)).text(HOLD_CRS)


def test_beside_a_hold_stand_only_critical_dose_cards_population_and_record() -> None:
    answer = ask(order("20"), give(-15, "1"), crs(1, -5), patient=WOMAN, companions=())
    assert sorted(set(answer.kinds)) == sorted(
        [HOLD_CRS, "dose/change-dose critical", "pregnancy/confirm warning", "contraception/advise warning"]
    )


def test_a_dose_card_that_is_a_warning_does_not_stand_beside_a_hold() -> None:
    assert ask(order("5"), give(-7, "1"), crs(1, -5)).about(0) == [HOLD_CRS]


# --- open records older than the last dose ---------------------------------------------------------------------


@pytest.mark.parametrize("value", [1, 2])
def test_an_open_grade_1_or_2_from_before_the_last_completed_dose_asks_and_the_other_rows_go_on(value: int) -> None:
    assert ask(order("10"), *IN_TREATMENT, crs(value, -20)).about(0) == ["crs/withhold warning", *FITS]
    assert ask(order("10"), *IN_TREATMENT, neuro(value, -20)).about(0) == ["neurotoxicity/withhold warning", *FITS]


@pytest.mark.parametrize("onset", [-14, -13])
def test_an_open_grade_1_from_the_day_of_the_last_dose_or_later_is_withheld(onset: int) -> None:
    assert ask(order("10"), *IN_TREATMENT, crs(1, onset)).about(0) == [HOLD_CRS]


@pytest.mark.parametrize("value", [3, None])
def test_a_grade_3_or_unknown_grade_still_open_stays_critical(value: int | None) -> None:
    assert ask(order("10"), *IN_TREATMENT, crs(value, -20)).about(0) == [HOLD_CRS]


def test_an_open_grade_2_known_only_from_a_severity_stays_critical() -> None:
    assert ask(order("10"), *IN_TREATMENT, crs(2, -20, at_least=True)).about(0) == [HOLD_CRS]


@pytest.mark.parametrize("how", [Course.OUTCOME_MISSING, Course.POINT])
def test_an_event_without_outcome_or_a_grade_observation_from_before_the_last_dose_asks(how: Course) -> None:
    assert ask(order("10"), *IN_TREATMENT, crs(3, -20, course=how)).about(0)[0] == "crs/withhold warning"
    assert ask(order("10"), *IN_TREATMENT, crs(3, -10, course=how)).about(0) == [HOLD_CRS]


def test_a_later_grade_0_closes_a_grade_observation() -> None:
    point: dict[str, Any] = {"course": Course.POINT}
    answer = ask(order("10"), give(-7, "1"), crs(1, -5, **point), crs(0, -3, **point))
    assert answer.about(0) == FITS


@pytest.mark.parametrize(("closed", "cards"), [("12:00", FITS), ("08:00", [HOLD_CRS])])
def test_of_two_grades_of_one_day_the_later_by_the_clock_counts(closed: str, cards: list[str]) -> None:
    seen = crs(1, day(-3, "10:00"), course=Course.POINT, ref="seen")
    over = crs(0, day(-3, closed), course=Course.POINT, ref="over")
    assert ask(order("10"), give(-7, "1"), seen, over).about(0) == cards


def test_ice_10_closes_an_icans_observation_and_an_earlier_one_does_not() -> None:
    assert ask(order("10"), give(-7, "1"), ice(8, -5), ice(10, -3)).about(0) == FITS
    assert ask(order("10"), give(-7, "1"), ice(10, -5), ice(8, -3)).about(0) == [HOLD_NEURO]


# --- neurotoxicity grade 3 and its seven days ------------------------------------------------------------------


def test_a_grade_3_resolved_on_an_unknown_day_is_withheld_and_asked_about() -> None:
    answer = ask(order("10"), give(-20, "1"), neuro(3, -19, NotRecorded, course=Course.RESOLVED))
    assert HOLD_NEURO in answer.about(0)
    assert "at grade 1 or less by day 7 (2026-01-08)? If not: stop." in answer.card(HOLD_NEURO).summary


def test_a_grade_3_resolved_on_an_unknown_day_with_a_completed_dose_since_is_a_warning() -> None:
    answer = ask(order("10"), *IN_TREATMENT, neuro(3, -20, NotRecorded, course=Course.RESOLVED))
    assert answer.about(0) == ["neurotoxicity/withhold warning", *FITS]


@pytest.mark.parametrize("value", [1, 2])
def test_a_milder_adverse_event_without_outcome_is_withheld_for_itself_day_7_asks_only_about_grade_3(
    value: int,
) -> None:
    answer = ask(order("10"), give(-14, "1"), neuro(value, -10, course=Course.OUTCOME_MISSING))
    assert answer.about(0) == [HOLD_NEURO]
    assert answer.rows(HOLD_NEURO) == (f"NEURO-HOLD-G{value}",)


def test_an_adverse_event_of_grade_3_without_outcome_is_asked_about_likewise() -> None:
    unknown: dict[str, Any] = {"course": Course.OUTCOME_MISSING}
    assert ask(order("10"), give(-14, "1"), neuro(3, -10, **unknown)).about(0) == [HOLD_NEURO]
    assert ask(order("10"), *IN_TREATMENT, neuro(3, -20, **unknown)).about(0) == [
        "neurotoxicity/withhold warning",
        *FITS,
    ]


def test_a_grade_3_that_ended_within_seven_days_with_no_dose_since_is_monitored_as_a_warning() -> None:
    answer = ask(order("10"), *gives((-21, "1"), (-14, "10")), neuro(3, -13, -6))
    assert answer.about(0) == [RESUME_NEURO]
    assert "Confirm the neurological evaluation; observe 22–24 h" in answer.card(RESUME_NEURO).summary
    assert answer.expected(RESUME_NEURO) == ("10 mg", "C1D15", iso(-7))
    assert answer.advice(RESUME_NEURO).slots["hours"] == "22–24"


def test_a_grade_3_that_ended_within_seven_days_with_a_dose_since_is_only_a_line() -> None:
    answer = ask(order("10"), *gives((-28, "1")), neuro(3, -26, -22), *gives((-21, "10"), (-14, "10")))
    assert answer.about(0) == FITS
    assert f"Neurotoxicity grade 3 (onset {iso(-26)}) came before an earlier dose" in answer.text("monitoring")


def test_of_two_drafts_only_the_first_dose_after_the_grade_3_is_monitored_as_a_warning() -> None:
    answer = ask(order("10"), order("10", 14, 1), *gives((-21, "1"), (-14, "10")), neuro(3, -13, -6))
    assert answer.about(0) == [RESUME_NEURO]
    assert answer.about(1) == FITS


def test_a_grade_1_documented_by_day_7_answers_the_question_even_if_the_end_is_unknown() -> None:
    """Neither a stop nor a question is left: it is the first dose after a grade 3 that improved in time."""
    records = (
        neuro(3, -19, NotRecorded, course=Course.RESOLVED, ref="a"),
        neuro(1, -16, NotRecorded, course=Course.RESOLVED, ref="b"),
    )
    answer = ask(order("10"), *gives((-27, "1"), (-20, "10")), *records)
    assert answer.about(0) == [RESUME_NEURO]


# --- resolved --------------------------------------------------------------------------------------------------


def test_a_resolved_grade_2_crs_lets_the_next_dose_follow_with_22_to_24_hours() -> None:
    answer = ask(order("10"), give(-9, "1"), crs(2, -8, -4))
    assert answer.about(0) == FITS
    assert "Observe 22–24 h: first dose after CRS grade 2" in answer.text("monitoring")


def test_the_delay_limit_still_runs_after_a_hold() -> None:
    assert "dose/restart-step-up critical" in ask(order("10"), give(-15, "1"), crs(2, -13, -4)).about(0)


# --- laboratory ------------------------------------------------------------------------------------------------

BORDERS = [
    (Analyte.NEUTROPHILS, None, "1.0", "0.99", "cytopenia"),
    (Analyte.PLATELETS, None, "50", "49", "cytopenia"),
    (Analyte.HAEMOGLOBIN, None, "8", "7.9", "cytopenia"),
    (Analyte.ALT, "40", "200", "200.1", "hepatotoxicity"),
    (Analyte.AST, "40", "200", "200.1", "hepatotoxicity"),
    (Analyte.BILIRUBIN, "1.2", "3.6", "3.61", "hepatotoxicity"),
]


@pytest.mark.parametrize(("analyte", "upper", "mild", "bad", "topic"), BORDERS)
def test_a_result_at_the_border_does_not_hold_and_one_beyond_it_does(
    analyte: Analyte, upper: str | None, mild: str, bad: str, topic: str
) -> None:
    at_border = ask(order("10"), *IN_TREATMENT, labs=labs_but(lab(analyte, mild, -1, upper)))
    assert f"{topic}/withhold critical" not in at_border.kinds
    beyond = ask(order("10"), *IN_TREATMENT, labs=labs_but(lab(analyte, bad, -1, upper)))
    assert f"{topic}/withhold critical" in beyond.kinds


@pytest.mark.parametrize(("analyte", "upper", "mild", "bad", "topic"), BORDERS)
def test_a_result_older_than_seven_days_asks_to_repeat_it(
    analyte: Analyte, upper: str | None, mild: str, bad: str, topic: str
) -> None:
    recent = ask(order("10"), *IN_TREATMENT, labs=labs_but(lab(analyte, bad, -7, upper)))
    assert f"{topic}/withhold critical" in recent.kinds
    older = ask(order("10"), *IN_TREATMENT, labs=labs_but(lab(analyte, bad, -8, upper)))
    assert f"{topic}/withhold warning" in older.kinds
    assert older.card(f"{topic}/withhold warning").summary.startswith("Repeat the ")
    assert FITS[0] in older.kinds


def test_the_age_of_a_result_is_judged_by_now_not_by_the_planned_day() -> None:
    assert (
        "cytopenia/withhold critical"
        in ask(order("10", 7), *course(3, -7), labs=labs_but(lab(Analyte.PLATELETS, "30", -7))).kinds
    )


def test_only_the_newest_result_of_an_analyte_holds() -> None:
    better = labs_but(lab(Analyte.PLATELETS, "30", -5), lab(Analyte.PLATELETS, "60", -1))
    assert ask(order("10"), *IN_TREATMENT, labs=better).about(0) == FITS


def test_of_two_results_of_one_day_the_later_clock_time_holds() -> None:
    worse = labs_but(lab(Analyte.PLATELETS, "60", day(-1, "08:00")), lab(Analyte.PLATELETS, "30", day(-1, "18:00")))
    assert "cytopenia/withhold critical" in ask(order("10"), *IN_TREATMENT, labs=worse).kinds


@pytest.mark.parametrize("values", [("30", "60"), ("60", "30")])
def test_of_two_results_of_one_moment_the_worse_holds_in_whatever_order_they_came(values: tuple[str, str]) -> None:
    both = labs_but(*[lab(Analyte.PLATELETS, value, day(-1, "08:00")) for value in values])
    assert "cytopenia/withhold critical" in ask(order("10"), *IN_TREATMENT, labs=both).kinds


def test_results_before_the_first_exposure_hold_nothing() -> None:
    assert ask(order("1"), labs=labs_but(lab(Analyte.PLATELETS, "30", -1))).about(0) == FITS


@pytest.mark.parametrize(
    ("bound", "value", "holds"),
    [(Bound.BELOW, "1.0", True), (Bound.BELOW, "1.1", False), (Bound.ABOVE, "0.9", False)],
)
def test_a_bound_holds_only_where_every_value_it_allows_would(bound: Bound, value: str, holds: bool) -> None:
    labs = labs_but(lab(Analyte.NEUTROPHILS, value, -1, bound=bound))
    assert ("cytopenia/withhold critical" in ask(order("10"), *IN_TREATMENT, labs=labs).kinds) is holds


@pytest.mark.parametrize(
    ("bound", "value", "holds"), [(Bound.ABOVE, "200", True), (Bound.ABOVE, "199", False), (Bound.BELOW, "300", False)]
)
def test_a_bound_above_the_range_holds_only_where_every_value_it_allows_would(
    bound: Bound, value: str, holds: bool
) -> None:
    labs = labs_but(lab(Analyte.ALT, value, -1, "40", bound=bound))
    assert ("hepatotoxicity/withhold critical" in ask(order("10"), *IN_TREATMENT, labs=labs).kinds) is holds


# --- recorded toxicities ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("syndrome"), [Syndrome.NEUTROPENIA, Syndrome.THROMBOCYTOPENIA, Syndrome.ANAEMIA])
@pytest.mark.parametrize(("value", "holds"), [(2, False), (3, True)])
def test_a_recorded_cytopenia_of_grade_3_holds(syndrome: Syndrome, value: int, holds: bool) -> None:
    kinds = ask(order("10"), *IN_TREATMENT, toxicity(syndrome, value, -5)).kinds
    assert ("cytopenia/withhold critical" in kinds) is holds


@pytest.mark.parametrize(("value", "holds"), [(2, False), (3, True)])
def test_a_recorded_liver_toxicity_of_grade_3_holds(value: int, holds: bool) -> None:
    kinds = ask(order("10"), *IN_TREATMENT, toxicity(Syndrome.LIVER, value, -5)).kinds
    assert ("hepatotoxicity/withhold critical" in kinds) is holds


@pytest.mark.parametrize(("value", "said"), [(None, "not recorded"), (3, "3")])
def test_a_sentence_about_a_record_without_a_grade_is_told_that_none_is_recorded(value: int | None, said: str) -> None:
    record = toxicity(Syndrome.FEBRILE_NEUTROPENIA, value, -5)
    assert ask(order("10"), *IN_TREATMENT, record).advice("cytopenia/withhold").slots["grade"] == said


@pytest.mark.parametrize("value", [None, 1, 3, 5])
def test_febrile_neutropenia_holds_whatever_its_grade(value: int | None) -> None:
    assert (
        "cytopenia/withhold critical"
        in ask(order("10"), *IN_TREATMENT, toxicity(Syndrome.FEBRILE_NEUTROPENIA, value, -5)).kinds
    )


@pytest.mark.parametrize(
    ("k", "value", "holds"),
    [(0, None, True), (0, 1, True), (1, 1, True), (2, 2, False), (2, 3, True), (2, None, False), (5, 2, False)],
)
def test_an_infection_holds_at_any_grade_in_step_up_and_from_grade_3_later(
    k: int, value: int | None, holds: bool
) -> None:
    kinds = ask(order("10"), *course(k, -14), toxicity(Syndrome.INFECTION, value, -5)).kinds
    assert ("infection/withhold critical" in kinds) is holds


def test_a_chronic_infection_or_one_before_the_first_exposure_does_not_hold() -> None:
    assert ask(order("10"), give(-7, "1"), toxicity(Syndrome.INFECTION, None, -5, acute=False)).about(0) == FITS
    assert ask(order("10"), give(-7, "1"), toxicity(Syndrome.INFECTION, None, -8)).about(0) == FITS
    assert ask(order("1"), toxicity(Syndrome.INFECTION, None, -5)).about(0) == FITS


def test_a_resolved_infection_does_not_hold() -> None:
    assert ask(order("10"), give(-7, "1"), toxicity(Syndrome.INFECTION, 3, -5, -2)).about(0) == FITS


@pytest.mark.parametrize(
    ("value", "attributed", "holds"), [(3, True, True), (2, True, False), (3, None, False), (3, False, False)]
)
def test_another_grade_3_reaction_holds_only_if_the_record_names_the_drug(
    value: int, attributed: bool | None, holds: bool
) -> None:
    record = toxicity(Syndrome.OTHER, value, -5, attributed=attributed)
    assert ("other-toxicity/withhold critical" in ask(order("10"), *IN_TREATMENT, record).kinds) is holds


def test_another_grade_3_reaction_that_is_over_does_not_hold() -> None:
    over = toxicity(Syndrome.OTHER, 3, -5, -2, attributed=True)
    assert not any(kind.startswith("other-toxicity") for kind in ask(order("10"), *IN_TREATMENT, over).kinds)


def test_another_grade_4_reaction_says_to_consider_stopping() -> None:
    record = toxicity(Syndrome.OTHER, 4, -5, attributed=True)
    assert "consider stopping" in ask(order("10"), *IN_TREATMENT, record).text("other-toxicity")


# --- inferred CRS ----------------------------------------------------------------------------------------------

SUSPECTED = "crs/withhold warning"
DOSED = give(day(-1, "10:00"), "1")


def suspicion(*signs: object, dosed: object = DOSED, **more: Any) -> list[str]:
    return ask(order("10", 6), dosed, *signs, **more).kinds


@pytest.mark.parametrize(
    ("signs", "grade"),
    [
        ((sign(Vital.TEMPERATURE, "38.0"),), "1"),
        ((sign(Vital.SYSTOLIC, "89"),), "2"),
        ((sign(Vital.OXYGEN_FLOW, "0.5"),), "2"),
        ((sign(Vital.OXYGEN_FLOW, "6"),), "2"),
        ((sign(Vital.OXYGEN_FLOW, "6.1"),), "3"),
        ((support(SupportKind.HIGH_FLOW_OXYGEN, "face mask"),), "3"),
        ((support(SupportKind.VASOPRESSOR),), "3"),
        ((support(SupportKind.VASOPRESSIN, "vasopressin"),), "3"),
        ((support(SupportKind.VASOPRESSOR), support(SupportKind.VASOPRESSIN, "vasopressin")), "3"),
        ((support(SupportKind.VASOPRESSOR), support(SupportKind.VASOPRESSOR, "epinephrine")), "4"),
        ((support(SupportKind.VASOPRESSOR), support(SupportKind.VASOPRESSOR, "Norepinephrine")), "3"),
        ((support(SupportKind.POSITIVE_PRESSURE, "BiPAP"),), "4"),
    ],
)
def test_vital_signs_after_the_dose_suggest_a_grade_as_a_warning_that_hides_nothing(
    signs: tuple[object, ...], grade: str
) -> None:
    answer = ask(order("10", 6), DOSED, *signs)
    assert answer.about(0) == [SUSPECTED, *FITS]
    assert answer.card(SUSPECTED).summary.endswith(f"suggest grade {grade}.")
    assert "infection and febrile neutropenia" in answer.text(SUSPECTED)


@pytest.mark.parametrize(
    "harmless",
    [
        sign(Vital.TEMPERATURE, "37.99"),
        sign(Vital.SYSTOLIC, "90"),
        sign(Vital.OXYGEN_FLOW, "0"),
        sign(Vital.OXYGEN_SATURATION, "80"),
    ],
)
def test_vital_signs_at_the_harmless_side_of_the_border_suggest_nothing(harmless: object) -> None:
    assert suspicion(harmless) == FITS


def test_vital_signs_before_the_dose_suggest_nothing() -> None:
    assert suspicion(sign(Vital.TEMPERATURE, "39", -1, "09:59")) == FITS
    assert suspicion(sign(Vital.TEMPERATURE, "39", -1, "10:01"))[0] == SUSPECTED


def test_vital_signs_of_the_day_of_a_dose_without_a_clock_time_are_taken_as_after_it() -> None:
    assert suspicion(sign(Vital.TEMPERATURE, "39", -1), dosed=give(-1, "1"))[0] == SUSPECTED


@pytest.mark.parametrize(("clock", "suspected"), [("09:01", True), ("08:59", False)])
def test_vital_signs_older_than_72_hours_suggest_nothing(clock: str, suspected: bool) -> None:
    """Now is 09:00 of day 0: 72 hours ago was 09:00 of day -3."""
    kinds = ask(order("10", 2), give(-5, "1"), sign(Vital.TEMPERATURE, "39", -3, clock)).kinds
    assert (SUSPECTED in kinds) is suspected


def test_vital_signs_older_than_72_hours_without_a_clock_time_are_counted_by_days() -> None:
    fever = sign(Vital.TEMPERATURE, "39")
    assert SUSPECTED in ask(order("10", 2), give(-5, "1"), replace(fever, at=day(-3))).kinds
    assert SUSPECTED not in ask(order("10", 2), give(-5, "1"), replace(fever, at=day(-4))).kinds


def test_vital_signs_without_a_day_are_taken_as_recent() -> None:
    assert SUSPECTED in suspicion(replace(sign(Vital.TEMPERATURE, "39"), at=NotRecorded))


def test_without_a_dose_vital_signs_suggest_nothing() -> None:
    assert ask(order("1"), sign(Vital.TEMPERATURE, "39")).kinds == FITS


@pytest.mark.parametrize(("onset", "end", "suspected"), [(-9, -8, True), (-1, 0, False)])
def test_a_crs_recorded_since_the_last_dose_takes_the_place_of_the_suspicion(
    onset: int, end: int, suspected: bool
) -> None:
    kinds = suspicion(sign(Vital.TEMPERATURE, "39"), crs(1, onset, end), give(-10, "1", "stopped", ref="x"))
    assert (SUSPECTED in kinds) is suspected


def test_vital_signs_worse_than_the_recorded_grade_are_said_in_the_hold() -> None:
    said = ask(order("10"), give(-1, "1"), crs(1, -1), sign(Vital.SYSTOLIC, "85")).text(HOLD_CRS)
    assert "Vital signs suggest at least grade 2, more than recorded" in said
    said = ask(order("10"), give(-1, "1"), crs(2, -1), sign(Vital.SYSTOLIC, "85")).text(HOLD_CRS)
    assert "Vital signs" not in said


def test_the_companions_of_a_usual_call_are_there() -> None:
    """A guard of this file: without premedication the kinds above would hold another card."""
    assert len(PREMEDICATION) == 2


# --- the seven days where the end is not known -----------------------------------------------------------------


def fading(documented: int) -> tuple[Any, ...]:
    """One episode, all resolved on unknown days: grade 3 from day -19, grade 2 from day -15, grade 1 from a day on."""
    grades = ((3, -19), (2, -15), (1, documented))
    return tuple(neuro(value, onset, NotRecorded, course=Course.RESOLVED) for value, onset in grades)


@pytest.mark.parametrize(("documented", "card"), [(-12, RESUME_NEURO), (-11, HOLD_NEURO)])
def test_with_the_end_unknown_a_grade_1_documented_on_day_7_answers_and_one_on_day_8_does_not(
    documented: int, card: str
) -> None:
    kinds = ask(order("10"), *gives((-27, "1"), (-20, "10")), *fading(documented)).about(0)
    assert kinds == [card]


@pytest.mark.parametrize(("documented", "asked"), [(-12, False), (-11, True)])
def test_with_a_dose_since_the_question_of_day_7_is_asked_likewise(documented: int, asked: bool) -> None:
    doses = gives((-27, "1"), (-20, "10"), (-6, "10"))
    kinds = ask(order("10", 7), *doses, *fading(documented)).about(0)
    assert ("neurotoxicity/withhold warning" in kinds) is asked
    assert HOLD_NEURO not in kinds


@pytest.mark.parametrize("doses", [gives((-27, "1"), (-20, "10")), gives((-27, "1"), (-20, "10"), (-6, "10"))])
def test_a_grade_2_resolved_on_an_unknown_day_is_not_asked_about_day_7(doses: tuple[object, ...]) -> None:
    grade_2 = neuro(2, -19, NotRecorded, course=Course.RESOLVED)
    kinds = ask(order("10", 8), *doses, grade_2).kinds
    assert not [kind for kind in kinds if kind.startswith("neurotoxicity")]


@pytest.mark.parametrize(
    ("analyte", "upper", "value", "said"),
    [
        (Analyte.NEUTROPHILS, None, "0.9", "grade 3"),
        (Analyte.NEUTROPHILS, None, "0.4", "grade 4"),
        (Analyte.PLATELETS, None, "30", "grade 3"),
        (Analyte.PLATELETS, None, "20", "grade 4"),
        (Analyte.ALT, "40", "300", "grade 3"),
    ],
)
def test_a_hold_names_the_grade_of_the_result(analyte: Analyte, upper: str | None, value: str, said: str) -> None:
    answer = ask(order("10"), *IN_TREATMENT, labs=labs_but(lab(analyte, value, -1, upper)))
    (card,) = (card for card in answer.cards if "withhold" in str(card.source.topic))
    assert said in card.summary


# --- what a hold says ------------------------------------------------------------------------------------------


def test_a_hold_keeps_the_suspicion_that_gets_no_card_beside_it_as_a_line() -> None:
    answer = ask(order("10"), give(-2, "1"), neuro(1, -1), sign(Vital.TEMPERATURE, "38.5"))
    assert HOLD_NEURO in answer.about(0)
    assert "crs/withhold warning" not in answer.about(0)
    assert "Check for CRS before the dose: vital signs since the last dose suggest grade 1." in answer.text(HOLD_NEURO)
    assert "Observation/temperature" in {e.reference for e in answer.extension(HOLD_NEURO).evidence}


def test_vital_signs_are_shown_with_their_units() -> None:
    signs = (sign(Vital.TEMPERATURE, "38.5"), sign(Vital.SYSTOLIC, "85"), sign(Vital.OXYGEN_FLOW, "4"))
    shown = {e.shows for e in ask(order("10", 5), give(-2, "1"), *signs).extension("crs/withhold warning").evidence}
    assert shown == {
        f"temperature 38.5 °C ({iso(0)})",
        f"systolic blood pressure 85 mmHg ({iso(0)})",
        f"oxygen flow 4 L/min ({iso(0)})",
    }


def test_a_hold_for_a_severity_alone_says_that_the_grade_may_be_worse() -> None:
    answer = ask(order("10"), give(-7, "1"), crs(3, -5, at_least=True))
    assert "CRS grade 3 or worse is still active" in answer.card(HOLD_CRS).summary
    infection = ask(order("10"), *IN_TREATMENT, toxicity(Syndrome.INFECTION, 3, -5, at_least=True))
    assert "infection grade 3 or worse is active" in infection.card("infection/withhold").summary


def test_a_hold_says_how_long_the_next_dose_is_observed() -> None:
    said = "At the next dose: 22–24 h of observation."
    assert said in ask(order("10"), give(-7, "1"), crs(2, -5)).text(HOLD_CRS)
    assert said not in ask(order("10"), give(-7, "1"), crs(1, -5)).text(HOLD_CRS)
    assert said in ask(order("10"), give(-7, "1"), neuro(1, -5)).text(HOLD_NEURO)


def test_a_hold_for_neurotoxicity_grade_3_says_by_when_it_must_improve() -> None:
    said = "Not at grade 1 or less within 7 days of onset: stop for good."
    assert said in ask(order("10"), give(-7, "1"), neuro(3, -5)).text(HOLD_NEURO)
    assert said not in ask(order("10"), give(-7, "1"), neuro(2, -5)).text(HOLD_NEURO)


def test_other_reactions_are_named_by_their_record() -> None:
    rash = toxicity(Syndrome.OTHER, 3, -5, attributed=True, label="Rash")
    said = ask(order("10"), *IN_TREATMENT, rash).text("other-toxicity/withhold")
    assert "On record: Rash, grade 3" in said


@pytest.mark.parametrize(("days", "held"), [(28, False), (29, True)])
def test_an_infection_of_any_grade_withholds_a_restart_too(days: int, held: bool) -> None:
    """A restart steps up again: 29 days after the last dose any active infection withholds it."""
    answer = ask(order("1"), *course(3, -days), toxicity(Syndrome.INFECTION, 1, -5))
    assert ("infection/withhold critical" in answer.about(0)) is held


def test_an_infection_before_the_first_dose_is_said_in_a_line() -> None:
    said = ask(order("1"), toxicity(Syndrome.INFECTION, 2, -5)).text("monitoring")
    assert "On record before the first dose, where no hold of this service applies yet: infection, grade 2" in said
    over = ask(order("1"), toxicity(Syndrome.INFECTION, 2, -5, -2)).text("monitoring")
    assert "On record before the first dose" not in over


def test_a_low_count_before_the_first_dose_is_said_with_its_grade() -> None:
    said = ask(order("1"), labs=labs_but(lab(Analyte.NEUTROPHILS, "0.8"))).text("monitoring")
    assert "neutrophils 0.8 × 10⁹/L (CTCAE grade 3)" in said


def test_a_question_about_day_7_is_worded_for_before_and_after_it() -> None:
    event = neuro(3, -3, course=Course.OUTCOME_MISSING)
    summary = ask(order("10"), give(-5, "1"), event).card(HOLD_NEURO).summary
    assert summary == (
        "Withhold tarlatamab and ask: neurotoxicity grade 3 (onset 2026-01-17) at grade 1 or less by day 7 "
        "(2026-01-24)? If not: stop."
    )


@pytest.mark.parametrize(
    ("value", "rows"), [("0.49", ("NEUT-HOLD", "LAB-NEUT-G4")), ("0.5", ("NEUT-HOLD", "LAB-NEUT-G3"))]
)
def test_a_card_names_the_row_that_grades_its_result(value: str, rows: tuple[str, str]) -> None:
    answer = ask(order("10"), *IN_TREATMENT, labs=labs_but(lab(Analyte.NEUTROPHILS, value)))
    assert answer.rows("cytopenia/withhold") == rows


def test_a_suspicion_names_the_rows_that_grade_its_signs() -> None:
    signs = (sign(Vital.TEMPERATURE, "38.0"), sign(Vital.OXYGEN_FLOW, "7"))
    assert ask(order("10", 5), give(-2, "1"), *signs).rows("crs/withhold warning") == (
        "CRS-SUSPECTED",
        "ASTCT-FEVER",
        "ASTCT-LOW-FLOW",
        "ASTCT-HIGH-FLOW",
    )


def test_the_rows_applied_are_reported_as_fired() -> None:
    fired = ask(order("10"), *IN_TREATMENT).assessment.fired
    assert {"SCH-TREATMENT", "R7", "OBS-4-5", "LINE-NEXT"} <= set(fired)
