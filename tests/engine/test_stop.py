"""clinical-rules "STOP": what ends the treatment for good, both sides of each border."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from cds_service.engine.advice import Finding
from cds_service.engine.case import Call, without_an_order
from cds_service.engine.rulebook import Against, against
from fhir_mappings.facts import (
    Analyte,
    Course,
    DrugAllergy,
    FeedingFinding,
    NotRecorded,
    OrganFinding,
    PregnancyFinding,
    Reading,
    Syndrome,
    ToxicityRecord,
)
from tests.engine.builders import (
    AT,
    NORMAL_LABS,
    WOMAN,
    ask,
    between,
    course,
    crs,
    day,
    feeding,
    give,
    gives,
    ice,
    iso,
    lab,
    labs_but,
    neuro,
    order,
    organ,
    pregnancy,
    read,
    rulebook,
    state_of,
    toxicity,
)

IN_TREATMENT = course(3, -14)
STOP_CRS = "crs/discontinue critical"
STOP_NEURO = "neurotoxicity/discontinue critical"
HOLD_NEURO = "neurotoxicity/withhold critical"
RESOLVED = {"course": Course.RESOLVED}


# --- CRS -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("value", "stops"), [(3, False), (4, True), (5, True)])
def test_crs_grade_4_ever_stops_for_good(value: int, stops: bool) -> None:
    kinds = ask(order("10"), *IN_TREATMENT, crs(value, -50, -45)).about(0)
    assert (kinds == [STOP_CRS]) is stops


def test_crs_grade_4_stops_also_where_1_mg_is_ordered() -> None:
    assert ask(order("1"), *IN_TREATMENT, crs(4, -50, -45)).about(0) == [STOP_CRS]


def test_life_threatening_severity_is_at_least_grade_4_and_stops() -> None:
    assert ask(order("10"), *IN_TREATMENT, crs(4, -50, -45, at_least=True)).about(0) == [STOP_CRS]


def test_a_second_distinct_crs_grade_3_stops_for_good() -> None:
    once = (crs(3, -55, -53),)
    assert ask(order("10"), *IN_TREATMENT, *once).about(0) == ["monitoring/monitor info"]
    assert ask(order("10"), *IN_TREATMENT, *once, crs(3, -13, -11)).about(0) == [STOP_CRS]


def test_a_second_crs_of_grade_2_does_not_stop() -> None:
    assert STOP_CRS not in ask(order("10"), *IN_TREATMENT, crs(3, -55, -53), crs(2, -13, -11)).about(0)


def test_the_problem_list_copy_of_one_crs_grade_3_is_no_second_one() -> None:
    copies = (crs(3, -13, -6, ref="problem"), crs(3, -13, -6, ref="encounter"))
    assert ask(order("10"), *course(1, -14), *copies).about(0)[0] == "crs/restart-step-up warning"


# --- neurotoxicity ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("value", "stops"), [(2, False), (4, True), (5, True)])
def test_neurotoxicity_grade_4_ever_stops_for_good(value: int, stops: bool) -> None:
    kinds = ask(order("10"), *IN_TREATMENT, neuro(value, -50, -48)).about(0)
    assert (kinds == [STOP_NEURO]) is stops


@pytest.mark.parametrize(("onset", "card"), [(-7, HOLD_NEURO), (-8, STOP_NEURO)])
def test_neurotoxicity_grade_3_still_open_holds_until_day_7_and_stops_from_day_8(onset: int, card: str) -> None:
    assert ask(order("10"), give(-10, "1"), neuro(3, onset)).about(0) == [card]


@pytest.mark.parametrize(("onset", "card"), [(-7, HOLD_NEURO), (-8, STOP_NEURO)])
def test_the_seven_days_are_counted_to_now_not_to_the_planned_day(onset: int, card: str) -> None:
    assert ask(order("10", 3), give(-10, "1"), neuro(3, onset)).about(0) == [card]


def test_a_fall_to_grade_2_within_seven_days_is_not_enough() -> None:
    fading = (neuro(3, -8, -2), neuro(2, -2))
    answer = ask(order("10"), give(-10, "1"), *fading)
    assert answer.about(0) == [STOP_NEURO]
    assert "seed source alone would accept any improvement" in answer.text("neurotoxicity")


def test_a_fall_to_grade_1_within_seven_days_is_enough_and_holds_while_it_lasts() -> None:
    assert ask(order("10"), give(-10, "1"), neuro(3, -8, -2), neuro(1, -2)).about(0) == [HOLD_NEURO]


@pytest.mark.parametrize(("observed", "card"), [(-1, HOLD_NEURO), (0, STOP_NEURO)])
def test_an_ice_score_of_grade_1_within_seven_days_documents_the_improvement(observed: int, card: str) -> None:
    """Onset 8 days ago: day 7 is yesterday."""
    assert ask(order("10"), give(-10, "1"), neuro(3, -8), ice(8, observed)).about(0) == [card]


@pytest.mark.parametrize(("end", "stops"), [(-13, False), (-12, True)])
def test_a_grade_3_that_ended_by_day_7_does_not_stop_one_that_ended_later_does(end: int, stops: bool) -> None:
    kinds = ask(order("10"), give(-21, "1"), give(-14, "10", ref="x"), neuro(3, -20, end)).about(0)
    assert (kinds == [STOP_NEURO]) is stops


def test_a_grade_3_that_ended_after_day_7_says_unless_grade_1_by_day_7_is_documented() -> None:
    said = ask(order("10"), give(-21, "1"), neuro(3, -20, -10)).text("neurotoxicity/discontinue")
    assert "unless" in said.lower()
    assert "documented" in said


def test_a_partial_onset_counts_from_its_earliest_day() -> None:
    assert ask(order("10"), give(-12, "1"), neuro(3, between(-8, -3))).about(0) == [STOP_NEURO]
    assert ask(order("10"), give(-12, "1"), neuro(3, between(-7, -3))).about(0) == [HOLD_NEURO]


@pytest.mark.parametrize("value", [1, 2, None])
def test_a_new_neurotoxicity_of_any_grade_after_a_grade_3_stops(value: int | None) -> None:
    kinds = ask(order("10"), *IN_TREATMENT, neuro(3, -54, -50), neuro(value, -13, -12)).about(0)
    assert kinds == [STOP_NEURO]


def test_a_neurotoxicity_before_a_grade_3_is_no_recurrence() -> None:
    answer = ask(order("10"), *IN_TREATMENT, neuro(1, -55, -54), neuro(3, -13, -10))
    assert STOP_NEURO not in answer.about(0)


# --- label rows ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("analyte", "value", "upper", "stops"),
    [
        (Analyte.ALT, "800", "40", False),
        (Analyte.ALT, "801", "40", True),
        (Analyte.AST, "800", "40", False),
        (Analyte.AST, "801", "40", True),
        (Analyte.BILIRUBIN, "12.0", "1.2", False),
        (Analyte.BILIRUBIN, "12.1", "1.2", True),
    ],
)
def test_liver_grade_4_begins_above_20_times_and_10_times_the_upper_normal(
    analyte: Analyte, value: str, upper: str, stops: bool
) -> None:
    answer = ask(order("10"), *IN_TREATMENT, labs=labs_but(lab(analyte, value, -1, upper)))
    assert (answer.about(0)[0] == "hepatotoxicity/discontinue critical") is stops


def test_liver_grade_4_stops_also_if_the_newest_result_is_better() -> None:
    earlier = lab(Analyte.ALT, "900", -30, "40")
    assert ask(order("10"), *IN_TREATMENT, earlier).about(0) == ["hepatotoxicity/discontinue critical"]


@pytest.mark.parametrize(("n", "stops"), [(-57, False), (-56, True)])
def test_results_before_the_first_exposure_do_not_count(n: int, stops: bool) -> None:
    """IN_TREATMENT begins on day -56."""
    kinds = ask(order("10"), *IN_TREATMENT, lab(Analyte.ALT, "900", n, "40")).about(0)
    assert (kinds == ["hepatotoxicity/discontinue critical"]) is stops


def test_a_result_of_the_first_day_counts_only_if_taken_after_the_infusion_began() -> None:
    first = give(day(-14, "10:00"), "1")
    before, later = (lab(Analyte.ALT, "900", day(-14, clock), "40") for clock in ("08:00", "12:00"))
    assert "hepatotoxicity/discontinue critical" not in ask(order("10"), first, before).kinds
    assert "hepatotoxicity/discontinue critical" in ask(order("10"), first, later).kinds


def test_a_result_without_a_day_counts_once_there_was_an_exposure() -> None:
    undated = lab(Analyte.ALT, "900", NotRecorded, "40")
    assert ask(order("10"), *IN_TREATMENT, undated).about(0) == ["hepatotoxicity/discontinue critical"]
    assert "hepatotoxicity/discontinue critical" not in ask(order("1"), undated).kinds


def test_a_liver_record_of_grade_4_stops() -> None:
    record = toxicity(Syndrome.LIVER, 4, -10, -2)
    assert ask(order("10"), *IN_TREATMENT, record).about(0) == ["hepatotoxicity/discontinue critical"]


HY = "hepatotoxicity/discontinue critical"


@pytest.mark.parametrize(
    ("alt", "bilirubin", "stops"), [("120", "2.5", False), ("121", "2.4", False), ("121", "2.5", True)]
)
def test_hys_law_needs_a_transaminase_above_3_times_and_bilirubin_above_2_times(
    alt: str, bilirubin: str, stops: bool
) -> None:
    labs = labs_but(lab(Analyte.ALT, alt, -1, "40"), lab(Analyte.BILIRUBIN, bilirubin, -1, "1.2"))
    answer = ask(order("10"), *IN_TREATMENT, labs=labs)
    assert (HY in answer.about(0)) is stops


@pytest.mark.parametrize(("apart", "stops"), [(3, True), (4, False)])
def test_together_is_at_most_three_days_apart(apart: int, stops: bool) -> None:
    labs = labs_but(lab(Analyte.AST, "121", -1, "40"), lab(Analyte.BILIRUBIN, "2.5", -1 - apart, "1.2"))
    answer = ask(order("10"), *IN_TREATMENT, labs=labs)
    assert (HY in answer.about(0)) is stops


def test_hys_law_says_unless_another_cause_is_established() -> None:
    labs = labs_but(lab(Analyte.ALT, "121", -1, "40"), lab(Analyte.BILIRUBIN, "2.5", -1, "1.2"))
    assert "unless another cause is established" in ask(order("10"), *IN_TREATMENT, labs=labs).card(HY).summary


@pytest.mark.parametrize(
    ("analyte", "low", "recovered", "not_recovered"),
    [(Analyte.NEUTROPHILS, "0.4", "1.0", "0.9"), (Analyte.PLATELETS, "24", "50", "49")],
)
def test_grade_4_cytopenia_stops_when_it_recurs_after_grade_2_or_better(
    analyte: Analyte, low: str, recovered: str, not_recovered: str
) -> None:
    first, second = lab(analyte, low, -30), lab(analyte, low, -1)
    others = labs_but(second)
    again = ask(order("10"), *IN_TREATMENT, first, lab(analyte, recovered, -20), labs=others)
    assert again.about(0) == ["cytopenia/discontinue critical"]
    same = ask(order("10"), *IN_TREATMENT, first, lab(analyte, not_recovered, -20), labs=others)
    assert same.about(0) == ["cytopenia/withhold critical"]


@pytest.mark.parametrize(
    ("analyte", "at_border", "below"), [(Analyte.NEUTROPHILS, "0.5", "0.49"), (Analyte.PLATELETS, "25", "24.9")]
)
def test_recurrence_is_counted_from_grade_4_on(analyte: Analyte, at_border: str, below: str) -> None:
    for value, card in ((at_border, "cytopenia/withhold critical"), (below, "cytopenia/discontinue critical")):
        answer = ask(
            order("10"),
            *IN_TREATMENT,
            lab(analyte, "0.1", -30),
            lab(analyte, "100", -20),
            labs=labs_but(lab(analyte, value, -1)),
        )
        assert answer.about(0) == [card]


@pytest.mark.parametrize(("value", "stops"), [(3, False), (4, True)])
def test_an_infection_of_grade_4_since_the_first_exposure_stops(value: int, stops: bool) -> None:
    infection = toxicity(Syndrome.INFECTION, value, -30, -20)
    assert (ask(order("10"), *IN_TREATMENT, infection).about(0) == ["infection/discontinue critical"]) is stops


def test_an_infection_before_the_first_exposure_does_not_count() -> None:
    before = toxicity(Syndrome.INFECTION, 4, -60, -50)
    assert ask(order("10"), *IN_TREATMENT, before).about(0) == ["monitoring/monitor info"]
    assert ask(order("1"), before).about(0) == ["monitoring/monitor info"]


# --- unconfirmed -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "hold"),
    [
        (crs(4, -50, -45, confirmed=False), "crs/withhold critical"),
        (neuro(4, -50, -45, confirmed=False), "neurotoxicity/withhold critical"),
        (neuro(3, -50, -30, confirmed=False), "neurotoxicity/withhold critical"),
        (toxicity(Syndrome.INFECTION, 4, -50, -45, confirmed=False), "infection/withhold critical"),
        (toxicity(Syndrome.LIVER, 4, -50, -45, confirmed=False), "hepatotoxicity/withhold critical"),
    ],
)
def test_a_stop_that_rests_on_an_unconfirmed_record_is_a_critical_hold_that_asks_to_confirm(
    record: ToxicityRecord, hold: str
) -> None:
    answer = ask(order("10"), *IN_TREATMENT, record)
    assert answer.about(0) == [hold]
    assert "confirm" in answer.card(hold).summary


def test_a_second_grade_3_of_which_one_is_unconfirmed_is_a_hold() -> None:
    answer = ask(order("10"), *IN_TREATMENT, crs(3, -55, -53), crs(3, -13, -11, confirmed=False))
    assert answer.about(0) == ["crs/withhold critical"]


def test_an_unconfirmed_recurrence_of_neurotoxicity_is_a_hold() -> None:
    answer = ask(order("10"), *IN_TREATMENT, neuro(3, -55, -53), neuro(1, -13, -11, confirmed=False))
    assert answer.about(0) == [HOLD_NEURO]


def test_an_unconfirmed_copy_does_not_weaken_a_confirmed_grade_4() -> None:
    copies = (crs(4, -50, -45, ref="a"), crs(4, -50, -45, ref="b", confirmed=False))
    assert ask(order("10"), *IN_TREATMENT, *copies).about(0) == [STOP_CRS]


def test_a_confirmed_grade_1_does_not_confirm_the_grade_4_of_another_record() -> None:
    fading = (crs(4, -50, -45, ref="a", confirmed=False), crs(1, -45, -44, ref="b"))
    assert ask(order("10"), *IN_TREATMENT, *fading).about(0) == ["crs/withhold critical"]


# --- what stands beside a STOP ---------------------------------------------------------------------------------


def test_beside_a_stop_stand_only_pregnancy_and_lactation_to_avoid_and_the_record() -> None:
    answer = ask(
        order("20"),
        *IN_TREATMENT,
        crs(4, -50, -45),
        pregnancy(PregnancyFinding.PREGNANT, -10),
        feeding(FeedingFinding.BREASTFEEDING, -30),
        patient=WOMAN,
        cancer=(),
        companions=(),
        needs=[read("conditions", Reading.PARTIAL)],
    )
    assert sorted(answer.kinds) == [
        STOP_CRS,
        "lactation/avoid critical",
        "pregnancy/avoid critical",
        "record/cannot-assess critical",
    ]


def test_a_stop_ends_with_contraception_and_breastfeeding_until_two_months_after_the_last_dose() -> None:
    """Last dose 2026-01-06: until 2026-03-06."""
    said = ask(order("10"), *IN_TREATMENT, crs(4, -50, -45)).text(STOP_CRS)
    assert "contraception and no breastfeeding until 2 months after the last dose, 2026-03-06" in said


def test_two_months_after_31_december_end_with_february() -> None:
    said = ask(order("10"), give(-20, "1"), crs(4, -19, -15)).text(STOP_CRS)  # 2025-12-31
    assert "2026-02-28" in said


def test_a_stop_expects_no_dose() -> None:
    assert not ask(order("10"), *IN_TREATMENT, crs(4, -50, -45)).extension(STOP_CRS).expected


def test_a_stop_without_any_dose_on_record_counts_and_says_why() -> None:
    answer = ask(order("10"), crs(4, -50, -45))
    assert answer.about(0) == [STOP_CRS]
    assert "no dose of tarlatamab is on record before it" in answer.text(STOP_CRS)


def test_a_stop_that_rests_on_text_says_so() -> None:
    partial = neuro(4, between(-111, -81), from_text=True)
    answer = ask(order("10"), *gives((-130, "1"), (-123, "10")), partial)
    assert answer.kinds == [STOP_NEURO]
    assert "Found only in text: confirm." in answer.text(STOP_NEURO)


def test_a_liver_stop_that_rests_on_text_says_so() -> None:
    answer = ask(order("10"), *IN_TREATMENT, toxicity(Syndrome.LIVER, 4, -10, -2, from_text=True))
    assert "Found only in text: confirm." in answer.text("hepatotoxicity/discontinue")


def test_every_draft_of_the_call_gets_the_stop_in_one_card() -> None:
    answer = ask(order("1"), order("10", 7, 1), give(-90, "1"), crs(4, -89, -80))
    assert answer.kinds == [STOP_CRS]
    assert answer.extension(STOP_CRS).orders == ("MedicationRequest/d0", "MedicationRequest/d1")


def test_established_other_causes_of_liver_injury_do_not_silence_hys_law() -> None:
    labs = labs_but(lab(Analyte.ALT, "121", -1, "40"), lab(Analyte.BILIRUBIN, "2.5", -1, "1.2"))
    answer = ask(order("10"), *IN_TREATMENT, organ(OrganFinding.OTHER_LIVER_CAUSE, -100), labs=labs)
    assert HY in answer.about(0)


def test_a_new_neurotoxicity_after_a_grade_2_does_not_stop() -> None:
    assert STOP_NEURO not in ask(order("10"), *IN_TREATMENT, neuro(2, -54, -50), neuro(2, -13, -12)).about(0)


def test_a_possible_other_cause_of_liver_injury_is_named() -> None:
    labs = labs_but(lab(Analyte.ALT, "121", -1, "40"), lab(Analyte.BILIRUBIN, "2.5", -1, "1.2"))
    said = ask(order("10"), *IN_TREATMENT, organ(OrganFinding.OTHER_LIVER_CAUSE, -100), labs=labs).text(HY)
    assert f"On record as a possible other cause: another cause of liver injury, {iso(-100)}." in said
    assert "possible other cause" not in ask(order("10"), *IN_TREATMENT, labs=labs).text(HY)


@pytest.mark.parametrize(("second", "stops"), [(3, False), (4, True)])
def test_recorded_cytopenias_of_grade_4_recur_like_results(second: int, stops: bool) -> None:
    records = (toxicity(Syndrome.NEUTROPENIA, 4, -50, -45), toxicity(Syndrome.NEUTROPENIA, second, -12, -5))
    answer = ask(order("10"), *course(4, -14), *records)
    assert ("cytopenia/discontinue critical" in answer.about(0)) is stops


def test_a_recorded_cytopenia_recurs_after_a_result_of_grade_4() -> None:
    labs = (*NORMAL_LABS, lab(Analyte.PLATELETS, "20", -40), lab(Analyte.PLATELETS, "80", -30))
    answer = ask(order("10"), *course(4, -14), toxicity(Syndrome.THROMBOCYTOPENIA, 4, -12, -5), labs=labs)
    assert answer.about(0)[0] == "cytopenia/discontinue critical"


@pytest.mark.parametrize("open_or_doubtful", [{"end": None}, {"end": -45, "confirmed": False}])
def test_a_first_cytopenia_that_never_closed_or_is_unconfirmed_makes_no_recurrence(
    open_or_doubtful: dict[str, Any],
) -> None:
    more = dict(open_or_doubtful)
    first = toxicity(Syndrome.NEUTROPENIA, 4, -50, more.pop("end"), **more)
    second = toxicity(Syndrome.NEUTROPENIA, 4, -12, -5)
    assert "cytopenia/discontinue critical" not in ask(order("10"), *course(4, -14), first, second).about(0)


@pytest.mark.parametrize(("between", "stops"), [(None, False), (2, True)])
def test_an_ungraded_record_between_two_results_of_grade_4_is_no_recovery(between: int | None, stops: bool) -> None:
    labs = (*NORMAL_LABS, lab(Analyte.NEUTROPHILS, "0.4", -40), lab(Analyte.NEUTROPHILS, "0.4", -30))
    record = toxicity(Syndrome.NEUTROPENIA, between, -35)
    answer = ask(order("10"), *course(4, -14), record, labs=labs)
    assert ("cytopenia/discontinue critical" in answer.about(0)) is stops


# --- the picture of the course -------------------------------------------------------------------------------------


def against_of(*facts: Any) -> Against:
    state = state_of(*IN_TREATMENT, DrugAllergy(reference="AllergyIntolerance/x", name="tarlatamab"), *facts)
    return against(without_an_order(Call(regimen=rulebook().regimen, state=state, at=AT)))


def rows_of(findings: Iterable[Finding]) -> list[str]:
    return [finding.row.id for finding in findings]


def test_a_picture_of_the_course_leaves_out_nothing_that_stands_against_the_drug() -> None:
    found = against_of(crs(4, -5), *labs_but(lab(Analyte.PLATELETS, "30", -1)))
    assert rows_of(found.stops) == ["CRS-STOP-G4"]
    assert "PLT-HOLD" in rows_of(found.holds)
    assert rows_of(found.checks) == ["CLARIFY-ALLERGY"]
    assert (found.confirmations, found.failed) == ((), ())


def test_a_stop_on_an_unconfirmed_record_is_told_apart() -> None:
    found = against_of(crs(4, -5, confirmed=False))
    assert found.stops == ()
    assert rows_of(found.confirmations) == ["CRS-STOP-G4"]
