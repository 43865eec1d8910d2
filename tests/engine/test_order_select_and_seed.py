"""clinical-rules "order-select" and "Seed mode"; a call with `incomplete` is one of order-select."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_mappings.facts import (
    Amount,
    Analyte,
    Course,
    DrugAllergy,
    NotRecorded,
    Route,
    SupportKind,
    Syndrome,
    Vital,
)
from tests.engine.builders import (
    ask,
    course,
    crs,
    day,
    give,
    gives,
    iso,
    lab,
    labs_but,
    mg,
    neuro,
    on_record,
    order,
    seed,
    sign,
    steroid,
    support,
    toxicity,
)

FITS = ["monitoring/monitor info"]
STATUS = "course/status info"
EMPTY: dict[str, Any] = {"route": Route.NOT_GIVEN, "minutes": NotRecorded}
NO_DOSE: Amount = mg(None, absent=True)
ALLERGY = DrugAllergy(reference="AllergyIntolerance/x", name="tarlatamab")


def select(*facts: object, **more: Any) -> Any:
    return ask(*facts, incomplete=True, **more)


# --- order-select ----------------------------------------------------------------------------------------------


def test_only_selected_drafts_get_cards_and_the_others_are_background() -> None:
    answer = select(order("1"), order("10", 7, 1), selected=[1])
    assert answer.about(0) == []
    assert answer.about(1) == FITS
    assert answer.expected("monitoring", 1) == ("10 mg", "C1D8", iso(7))


def test_nothing_selected_gets_no_card() -> None:
    assert select(order("10"), selected=[]).kinds == []


def test_an_empty_draft_gets_position_due_dose_and_due_day_instead_of_errors() -> None:
    answer = select(order(NO_DOSE, NotRecorded, **EMPTY), give(-7, "1"), companions=())
    assert answer.kinds == [STATUS]
    assert answer.card(STATUS).summary == f"C1D8 is next: 10 mg, due on {iso(0)}."
    assert f"Last day before a restart at 1 mg: {iso(7)}." in answer.text(STATUS)


@pytest.mark.parametrize(
    ("doses", "said"),
    [
        ((), "This dose: first dose. Last day"),
        ((give(-7, "1"),), "This dose: 7 days since the last dose. Last day"),
        ((give(-15, "1"),), "This dose: restarted course, 15 days since the last dose. Last day"),
    ],
    ids=["first", "next", "restart"],
)
def test_what_is_told_of_the_dose_is_a_sentence(doses: tuple[object, ...], said: str) -> None:
    answer = select(order(NO_DOSE, NotRecorded, **EMPTY), *doses, companions=())
    assert answer.card(STATUS).detail.startswith(said)


def test_a_draft_with_a_dose_and_without_a_day_gets_the_course_status_too() -> None:
    assert select(order("10", NotRecorded), give(-7, "1")).kinds == [STATUS]


def test_a_complete_draft_is_judged_as_at_signing() -> None:
    assert select(order("10"), give(-7, "1")).kinds == FITS
    assert select(order("10")).about(0) == ["dose/change-dose critical", *FITS]


def test_a_missing_companion_is_not_yet_an_error() -> None:
    assert select(order("1"), companions=()).kinds == FITS


def test_a_route_that_is_given_and_wrong_is_an_error_already() -> None:
    assert "administration/correct critical" in select(order("1", route=Route.OTHER, route_recorded="oral")).kinds


@pytest.mark.parametrize("facts", [(give(-40, "1"),), (), (*course(3, -14), crs(3, -13, -6))])
def test_without_a_dose_rows_3_and_5_to_10_are_not_run(facts: tuple[object, ...]) -> None:
    assert select(order(NO_DOSE), *facts).kinds == [STATUS]


def test_without_a_dose_and_with_a_day_row_4_is_run() -> None:
    assert select(order(NO_DOSE), give(-3, "1")).kinds[0] == "dose/wait critical"


def test_without_a_day_row_4_is_run_for_today_alone() -> None:
    assert select(order("10", NotRecorded), give(-3, "1")).kinds == [STATUS]
    assert select(order("10", NotRecorded), give(day(0, "07:00"), "1")).kinds[0] == "dose/wait critical"


def test_several_undated_drafts_are_not_yet_asked_to_be_dated() -> None:
    assert select(order("1", NotRecorded), order("10", NotRecorded, 1)).kinds == [STATUS]


@pytest.mark.parametrize(
    ("fact", "card"),
    [
        (crs(4, -50, -45), "crs/discontinue critical"),
        (crs(1, -5), "crs/withhold critical"),
        (ALLERGY, "dose/clarify critical"),
        (on_record("stopped", -30, status_reason="CRS", stopped_for_toxicity=True), "dose/clarify critical"),
    ],
)
def test_stop_hold_and_allergy_run_as_at_signing(fact: object, card: str) -> None:
    assert card in select(order(NO_DOSE, NotRecorded, **EMPTY), *course(3, -14), fact).kinds


def test_an_unreadable_dose_is_no_missing_one() -> None:
    unreadable = mg(None, doubt="it is a volume", recorded="10 mL")
    assert "dose/clarify warning" in select(order(unreadable), give(-7, "1")).kinds


def test_the_needed_premedication_is_a_line() -> None:
    text = select(order("10"), give(-7, "1"), companions=()).text("monitoring")
    assert "Dexamethasone 8 mg IV or equivalent within 1 hour before the infusion" in text
    assert "Premedication: dexamethasone 8 mg" in select(order("10"), give(-7, "1"), companions=(steroid(),)).text(
        "monitoring"
    )


def test_a_draft_without_a_dose_and_with_the_history_in_doubt_is_not_silent() -> None:
    assert select(order(NO_DOSE, position_named="C4D1")).kinds != []


# --- seed mode -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("k", "days"), [(0, 15), (1, 22), (2, 29), (5, 60)])
def test_in_seed_mode_no_delay_restarts_but_the_delay_is_asked_about(k: int, days: int) -> None:
    answer = seed(order("10"), *course(k, -days))
    assert "dose/clarify warning" in answer.about(0)
    assert "the source has no rule for this delay" in answer.card("dose/clarify").summary
    assert not [kind for kind in answer.kinds if "restart" in kind]
    assert answer.expected("monitoring")[0] == "10 mg"


@pytest.mark.parametrize(("k", "on_time", "late"), [(0, 8, 9), (1, 8, 9), (2, 15, 16), (5, 15, 16)])
def test_in_seed_mode_one_day_late_is_no_delay(k: int, on_time: int, late: int) -> None:
    assert "dose/clarify warning" not in seed(order("10"), *course(k, -on_time)).about(0)
    assert "dose/clarify warning" in seed(order("10"), *course(k, -late)).about(0)


@pytest.mark.parametrize(
    ("facts", "card"),
    [
        ((order("20"), give(-7, "1")), "dose/change-dose critical"),
        ((order("10"), give(-3, "1")), "dose/wait critical"),
        ((order("10"), *course(3, -12)), "dose/wait warning"),
        ((order("10"),), "dose/change-dose critical"),
        ((order("10"), *course(1, -7), crs(3, -6, -2)), "crs/restart-step-up warning"),
        ((order(mg(None, doubt="it is a volume")), give(-7, "1")), "dose/clarify warning"),
        ((order("5"), give(-7, "1")), "dose/change-dose warning"),
        ((order("1"), give(-7, "1")), "dose/change-dose warning"),
    ],
)
def test_in_seed_mode_rows_3_to_5_and_7_to_11_are_in_force(facts: tuple[object, ...], card: str) -> None:
    assert card in seed(*facts).kinds


def test_in_seed_mode_the_tolerance_of_one_day_holds() -> None:
    assert "dose/wait critical" not in seed(order("10"), give(-6, "1")).kinds


@pytest.mark.parametrize(
    "facts",
    [
        {"labs": labs_but(lab(Analyte.PLATELETS, "10", -1))},
        {"labs": labs_but(lab(Analyte.ALT, "900", -1, "40"))},
        {"labs": ()},
        {"toxicities": (toxicity(Syndrome.INFECTION, 4, -5),)},
        {"toxicities": (toxicity(Syndrome.OTHER, 3, -5, attributed=True),)},
    ],
)
def test_in_seed_mode_the_label_rows_are_silent(facts: dict[str, Any]) -> None:
    assert seed(order("10"), *course(4, -14), **facts).kinds == FITS


def test_in_seed_mode_an_earlier_toxicity_lengthens_no_observation() -> None:
    assert "Observe 3–4 h" in seed(order("10"), *course(4, -14), crs(2, -13, -10)).card("monitoring").summary


def test_in_seed_mode_the_hours_of_c1d15_are_missing_and_the_card_says_so() -> None:
    answer = seed(order("10"), *gives((-14, "1"), (-7, "10")))
    assert "gives no observation hours for C1D15" in answer.card("monitoring").summary
    assert "6–8 h" not in answer.card("monitoring").summary


def test_in_seed_mode_premedication_is_asked_for_at_every_dose() -> None:
    assert "premedication/order warning" in seed(order("10"), *course(4, -14), companions=()).kinds
    assert seed(order("10"), *course(4, -14)).kinds == FITS


def test_in_seed_mode_any_fall_of_the_grade_within_seven_days_is_improvement() -> None:
    fading = (neuro(3, -10, -5), neuro(2, -5))
    assert "neurotoxicity/discontinue critical" in ask(order("10"), give(-12, "1"), *fading).kinds
    assert seed(order("10"), give(-12, "1"), *fading).about(0)[0] == "neurotoxicity/withhold critical"


@pytest.mark.parametrize(("fell", "stops"), [(-3, False), (-2, True)])
def test_in_seed_mode_no_fall_within_seven_days_stops(fell: int, stops: bool) -> None:
    """Onset ten days ago: day 7 is day -3."""
    kinds = seed(order("10"), give(-12, "1"), neuro(3, -10, fell), neuro(2, fell)).kinds
    assert ("neurotoxicity/discontinue critical" in kinds) is stops


def test_in_seed_mode_an_unanswered_question_about_day_7_is_no_stop() -> None:
    asked = seed(order("10"), give(-21, "1"), neuro(3, -20, NotRecorded, course=crs(1, 0, 0).course))
    assert asked.about(0)[0] == "neurotoxicity/withhold critical"


def test_in_seed_mode_stop_and_hold_of_the_seed_are_in_force() -> None:
    assert seed(order("10"), *course(4, -14), crs(4, -50, -45)).about(0) == ["crs/discontinue critical"]
    assert seed(order("10"), *course(4, -14), neuro(2, -3)).about(0) == ["neurotoxicity/withhold critical"]


@pytest.mark.parametrize("worse", [sign(Vital.SYSTOLIC, "85"), support(SupportKind.VASOPRESSIN, "vasopressin")])
def test_in_seed_mode_worse_vital_signs_do_not_take_down_the_hold(worse: object) -> None:
    answer = seed(order("10"), give(-7, "1"), crs(1, -5), worse)
    assert answer.kinds == ["crs/withhold critical"]


def test_in_seed_mode_the_next_dose_has_no_limit() -> None:
    assert "The source has no limit for a delay." in seed(order("10"), *course(4, -14)).text("monitoring")


def test_in_seed_mode_no_card_cites_the_label() -> None:
    for answer in (seed(order("10")), seed(order("10"), *course(4, -20)), seed(order("10"), give(-7, "1"), crs(3, -5))):
        for card in answer.cards:
            assert "US PI" not in (card.detail or "")
            assert "US PI" not in card.source.label


def test_in_seed_mode_an_allergy_to_the_drug_is_asked_about() -> None:
    assert "dose/clarify critical" in seed(order("10"), *course(4, -14), ALLERGY).kinds


def test_in_seed_mode_vital_signs_still_suggest_crs() -> None:
    assert "crs/withhold warning" in seed(order("10", 6), give(-1, "1"), sign(Vital.TEMPERATURE, "39")).kinds


# --- seed mode speaks no label ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "facts",
    [
        (give(-7, "1"), crs(2, -5)),
        (give(-7, "1"), neuro(2, -5)),
        (give(-7, "1"), neuro(3, -5)),
        (*course(4, -14), crs(3, -13, -8)),
        (give(-14, "1"), neuro(3, -12, -8)),
        (give(-20, "1"), neuro(3, -19, NotRecorded, course=Course.RESOLVED)),
        (*course(4, -14), neuro(3, -20, NotRecorded, course=Course.RESOLVED)),
    ],
)
def test_in_seed_mode_no_sentence_of_the_label_is_said(facts: tuple[object, ...]) -> None:
    text = " ".join(f"{card.summary} {card.detail}" for card in seed(order("10"), *facts).cards)
    for sentence in ("The label", "driving", "grade 1 or less", "At the next dose", "22–24 h of observation"):
        assert sentence not in text, text


def test_in_seed_mode_an_open_question_about_7_days_asks_for_any_improvement() -> None:
    unknown_end = neuro(3, -19, NotRecorded, course=Course.RESOLVED)
    held = seed(order("10"), give(-20, "1"), unknown_end)
    assert held.rows("neurotoxicity/withhold critical") == ("NEURO-HOLD-7D-SEED",)
    asked = seed(order("10"), *course(4, -14), neuro(3, -20, NotRecorded, course=Course.RESOLVED))
    assert asked.rows("neurotoxicity/withhold warning") == ("NEURO-ASK-7D-SEED",)


def test_in_seed_mode_a_grade_3_that_improved_in_time_and_ended_later_asks_for_the_evaluation() -> None:
    """Grade 3 for 5 days, grade 2 until day 10: improved in time by the seed's reading."""
    fading = (neuro(3, -20, -15, ref="a"), neuro(2, -15, -10, ref="b"))
    answer = seed(order("10"), give(-21, "1"), *fading)
    assert answer.rows("monitoring/monitor warning")[0] == "NEURO-RESUME-G3-SEED"


def test_in_seed_mode_order_select_of_c1d15_says_that_the_hours_are_missing() -> None:
    draft = order(NO_DOSE, NotRecorded, **EMPTY)
    said = seed(draft, *gives((-14, "1"), (-7, "10")), incomplete=True).text(STATUS)
    assert "The source gives no observation hours for C1D15" in said.replace("the source", "The source")
    with_label = select(draft, *gives((-14, "1"), (-7, "10"))).text(STATUS)
    assert "observe 6–8 h" in with_label


@pytest.mark.parametrize(
    ("fell", "card"), [(7, "monitoring/monitor warning"), (8, "neurotoxicity/discontinue critical")]
)
def test_in_seed_mode_a_grade_3_that_fell_to_grade_2_by_day_7_resumes_and_a_day_later_stops(
    fell: int, card: str
) -> None:
    fading = (neuro(3, -20, fell - 20, ref="a"), neuro(2, fell - 20, -10, ref="b"))
    assert card in seed(order("10"), give(-21, "1"), *fading).about(0)


@pytest.mark.parametrize(("fell", "asked"), [(7, False), (8, True)])
def test_in_seed_mode_a_grade_2_seen_by_day_7_answers_the_question_and_a_day_later_does_not(
    fell: int, asked: bool
) -> None:
    over = neuro(3, -20, NotRecorded, course=Course.RESOLVED, ref="a")
    still = neuro(3, -16, course=Course.POINT, ref="b")
    seen = neuro(2, fell - 20, course=Course.POINT, ref="c")
    answer = seed(order("10"), give(-21, "1"), over, still, seen)
    rows = [advice.row.id for advice in answer.assessment.advice]
    assert ("NEURO-HOLD-7D-SEED" in rows) is asked
