"""clinical-rules "Populations": each row with both sides of its borders."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from cds_service.engine.grading import estimated_gfr
from fhir_mappings.facts import (
    Analyte,
    Bound,
    CancerFinding,
    FeedingFinding,
    FertilityFinding,
    NotRecorded,
    OrganFinding,
    Person,
    PregnancyFinding,
    Reading,
    Sex,
)
from tests.engine.builders import (
    MAN,
    NORMAL_LABS,
    WOMAN,
    Answer,
    aged,
    ask,
    between,
    born,
    cancer,
    course,
    feeding,
    fertility,
    give,
    iso,
    lab,
    labs_but,
    order,
    organ,
    pregnancy,
    read,
)

FITS = ["monitoring/monitor info"]
AVOID = "pregnancy/avoid critical"
CONFIRM = "pregnancy/confirm warning"
ADVISE = "contraception/advise warning"
REMIND = "contraception/advise info"
IUD = fertility(FertilityFinding.EFFECTIVE_CONTRACEPTION)
NOT_PREGNANT = pregnancy(PregnancyFinding.NEGATIVE_TEST, -5)
LATER = course(4, -14)


def first(*facts: object, patient: Person = WOMAN, **more: Any) -> Answer:
    """A first dose: 1 mg, nothing given yet."""
    return ask(order("1"), *facts, patient=patient, **more)


def later(*facts: object, patient: Person = WOMAN, **more: Any) -> Answer:
    """A routine C3D1."""
    return ask(order("10"), *LATER, *facts, patient=patient, **more)


# --- pregnant --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("finding", [PregnancyFinding.PREGNANT, PregnancyFinding.POSITIVE_TEST])
@pytest.mark.parametrize("call", [first, later])
def test_a_pregnancy_is_critical_at_every_order(finding: PregnancyFinding, call: Any) -> None:
    answer = call(pregnancy(finding, -10))
    assert AVOID in answer.kinds
    assert "may harm the fetus" in answer.card(AVOID).summary
    assert CONFIRM not in answer.kinds


@pytest.mark.parametrize(("n", "card"), [(-300, AVOID), (-301, CONFIRM)])
def test_a_pregnancy_older_than_300_days_is_asked_about(n: int, card: str) -> None:
    kinds = later(pregnancy(PregnancyFinding.PREGNANT, n)).kinds
    assert [kind for kind in kinds if kind.startswith("pregnancy")] == [card]


@pytest.mark.parametrize(("end", "card"), [(0, None), (1, AVOID)])
def test_a_pregnancy_that_has_ended_is_no_reason(end: int, card: str | None) -> None:
    assert (AVOID in later(pregnancy(PregnancyFinding.PREGNANT, -100, end)).kinds) is (card is not None)


@pytest.mark.parametrize("closing", [PregnancyFinding.NOT_PREGNANT, PregnancyFinding.NEGATIVE_TEST])
def test_a_later_negative_closes_a_pregnancy_and_an_earlier_one_does_not(closing: PregnancyFinding) -> None:
    pregnant = pregnancy(PregnancyFinding.POSITIVE_TEST, -50)
    assert AVOID not in later(pregnant, pregnancy(closing, -49)).kinds
    assert AVOID in later(pregnant, pregnancy(closing, -51)).kinds


def test_a_later_delivery_closes_a_pregnancy() -> None:
    assert AVOID not in later(pregnancy(PregnancyFinding.PREGNANT, -50), feeding(FeedingFinding.DELIVERY, -10)).kinds


def test_a_positive_and_a_negative_of_one_day_are_asked_about_at_every_order() -> None:
    both = (pregnancy(PregnancyFinding.POSITIVE_TEST, -5), NOT_PREGNANT)
    for answer in (first(*both), later(*both)):
        assert CONFIRM in answer.kinds
        assert AVOID not in answer.kinds


def test_a_negative_without_a_day_makes_it_contradictory_not_closed() -> None:
    answer = later(pregnancy(PregnancyFinding.PREGNANT, -5), pregnancy(PregnancyFinding.NEGATIVE_TEST, NotRecorded))
    assert CONFIRM in answer.kinds


def test_a_pregnancy_without_a_day_counts_as_recent() -> None:
    assert "pregnancy/avoid critical" in later(pregnancy(PregnancyFinding.PREGNANT, NotRecorded)).kinds


@pytest.mark.parametrize("more", [(pregnancy(PregnancyFinding.NEGATIVE_TEST, -900),), (NOT_PREGNANT,)])
def test_a_pregnancy_without_a_day_is_asked_about_whatever_test_is_beside_it(more: tuple[object, ...]) -> None:
    assert CONFIRM in later(pregnancy(PregnancyFinding.PREGNANT, NotRecorded), *more).kinds


def test_a_documented_man_with_a_positive_test_is_not_passed_over() -> None:
    assert AVOID in later(pregnancy(PregnancyFinding.POSITIVE_TEST, -5), patient=MAN).kinds


# --- reproductive potential ------------------------------------------------------------------------------------


def asks_for_a_test(patient: Person, *facts: object) -> bool:
    return CONFIRM in first(*facts, patient=patient).kinds


@pytest.mark.parametrize(
    ("birth", "years", "asked"),
    [("2014-01-21", 11, False), ("2014-01-20", 12, True), ("1970-01-21", 55, True), ("1970-01-20", 56, False)],
)
def test_pregnancy_is_asked_from_12_to_55_years(birth: str, years: int, asked: bool) -> None:
    assert asks_for_a_test(aged(born(birth))) is asked, years


def test_an_unknown_age_is_asked() -> None:
    assert asks_for_a_test(aged(NotRecorded))


def test_a_birth_year_that_touches_the_ages_is_asked() -> None:
    assert asks_for_a_test(aged(born("1970-01-01", "1970-12-31")))
    assert not asks_for_a_test(aged(born("1969-01-01", "1969-12-31")))


@pytest.mark.parametrize(
    ("sex", "asked"), [(Sex.FEMALE, True), (Sex.OTHER, True), (Sex.NOT_RECORDED, True), (Sex.MALE, False)]
)
def test_everybody_but_a_documented_male_is_asked(sex: Sex, asked: bool) -> None:
    assert asks_for_a_test(aged(born("1992-01-01"), sex)) is asked


def test_a_documented_male_with_evidence_of_a_uterus_is_asked() -> None:
    man = aged(born("1992-01-01"), Sex.MALE)
    assert asks_for_a_test(man, fertility(FertilityFinding.UTERUS_EVIDENCE, "birth sex female"))


@pytest.mark.parametrize(
    "finding", [FertilityFinding.NO_UTERUS, FertilityFinding.STERILISED, FertilityFinding.MENOPAUSE]
)
def test_hysterectomy_sterilisation_and_menopause_end_the_question(finding: FertilityFinding) -> None:
    answer = first(fertility(finding, finding.value))
    assert answer.kinds == FITS


# --- status before the start -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "asked"), [(-14, False), (-15, True)])
def test_a_negative_test_of_the_last_14_days_answers_the_question(n: int, asked: bool) -> None:
    assert asks_for_a_test(WOMAN, pregnancy(PregnancyFinding.NEGATIVE_TEST, n)) is asked


@pytest.mark.parametrize(("d0", "asked"), [(9, False), (10, True)])
def test_the_14_days_are_counted_to_the_planned_day(d0: int, asked: bool) -> None:
    answer = ask(order("1", d0), NOT_PREGNANT, patient=WOMAN)
    assert (CONFIRM in answer.kinds) is asked


def test_an_older_or_unclear_status_is_named() -> None:
    assert "Older or unclear: uncertain on 2026-01-17." in first(pregnancy(PregnancyFinding.UNCERTAIN, -3)).text(
        CONFIRM
    )
    assert "No status and no test is on record." in first().text(CONFIRM)


def test_the_status_is_asked_before_a_restarted_dose_too_and_not_at_later_doses() -> None:
    assert CONFIRM in ask(order("1"), *course(3, -29), patient=WOMAN).kinds
    assert CONFIRM not in later().kinds


def test_with_the_history_in_doubt_the_dose_counts_as_a_first_one() -> None:
    kinds = ask(order("10", position_named="C4D1"), patient=WOMAN).kinds
    assert CONFIRM in kinds
    assert ADVISE in kinds


# --- contraception ---------------------------------------------------------------------------------------------


def test_contraception_is_advised_as_a_warning_without_an_effective_method() -> None:
    answer = first(NOT_PREGNANT)
    assert ADVISE in answer.kinds
    assert "2026-03-20" in answer.text(ADVISE)  # two months after 2026-01-20


def test_contraception_is_a_reminder_with_an_effective_method() -> None:
    answer = first(NOT_PREGNANT, IUD)
    assert sorted(answer.kinds) == sorted([REMIND, *FITS])
    assert "intrauterine device" in answer.text(REMIND)


def test_another_method_is_named_and_not_enough() -> None:
    other = fertility(FertilityFinding.OTHER_CONTRACEPTION, "condom")
    assert "On record: condom." in first(NOT_PREGNANT, other).text(ADVISE)


def test_contraception_at_later_doses_is_a_line() -> None:
    answer = later()
    assert answer.kinds == FITS
    assert "Effective contraception during treatment and for 2 months after the last dose" in answer.text("monitoring")
    assert "Effective contraception" not in later(patient=MAN).text("monitoring")


def test_contraception_is_not_advised_to_a_woman_known_to_be_pregnant() -> None:
    assert {ADVISE, REMIND}.isdisjoint(first(pregnancy(PregnancyFinding.PREGNANT, -10)).kinds)


def test_contraception_is_advised_where_the_pregnancy_is_contradicted() -> None:
    for day_of_pregnancy in (-5, NotRecorded):
        answer = first(pregnancy(PregnancyFinding.POSITIVE_TEST, day_of_pregnancy), NOT_PREGNANT)
        assert ADVISE in answer.kinds


@pytest.mark.parametrize(
    ("birth", "advised"), [("2014-01-21", False), ("2014-01-20", True), ("1970-01-21", True), ("1970-01-20", False)]
)
def test_contraception_is_advised_from_12_to_55_years(birth: str, advised: bool) -> None:
    patient = aged(born(birth))
    assert (ADVISE in first(NOT_PREGNANT, patient=patient).kinds) is advised
    assert (REMIND in first(NOT_PREGNANT, IUD, patient=patient).kinds) is advised


def test_the_reminder_names_the_day_two_months_after_this_dose() -> None:
    assert "until 2026-03-20" in first(NOT_PREGNANT, IUD).text(REMIND)
    assert "until 2026-03-20" in later().text("monitoring")


# --- lactation -------------------------------------------------------------------------------------------------

NO_FEEDING = "lactation/avoid critical"
ASK_FEEDING = "lactation/confirm warning"
CLOSED: dict[str, Any] = {"patient": MAN}  # keeps the other rows silent


@pytest.mark.parametrize("call", [first, later])
def test_breastfeeding_is_critical_at_every_order(call: Any) -> None:
    assert NO_FEEDING in call(feeding(FeedingFinding.BREASTFEEDING, -30), **CLOSED).kinds


@pytest.mark.parametrize(("n", "recent"), [(-365, True), (-366, False)])
def test_a_status_older_than_twelve_months_is_not_breastfeeding_now(n: int, recent: bool) -> None:
    """365 days before 2026-01-20 is 2025-01-20, twelve calendar months."""
    assert (NO_FEEDING in later(feeding(FeedingFinding.BREASTFEEDING, n), **CLOSED).kinds) is recent
    assert (ASK_FEEDING in first(feeding(FeedingFinding.BREASTFEEDING, n), **CLOSED).kinds) is not recent


def test_breastfeeding_ends_until_two_months_after_this_dose() -> None:
    answer = first(feeding(FeedingFinding.BREASTFEEDING, -30), **CLOSED)
    assert "until 2026-03-20" in answer.text(NO_FEEDING)


def test_the_newest_status_counts() -> None:
    statuses = (feeding(FeedingFinding.BREASTFEEDING, -30), feeding(FeedingFinding.NOT_BREASTFEEDING, -10))
    assert first(*statuses, **CLOSED).kinds == FITS


def test_of_two_statuses_of_one_day_breastfeeding_counts() -> None:
    statuses = (feeding(FeedingFinding.NOT_BREASTFEEDING, -10), feeding(FeedingFinding.BREASTFEEDING, -10))
    assert NO_FEEDING in first(*statuses, **CLOSED).kinds


@pytest.mark.parametrize(("n", "asked"), [(-365, True), (-366, False)])
def test_a_delivery_within_twelve_months_without_a_status_since_asks(n: int, asked: bool) -> None:
    assert (ASK_FEEDING in first(feeding(FeedingFinding.DELIVERY, n), **CLOSED).kinds) is asked
    assert ASK_FEEDING not in later(feeding(FeedingFinding.DELIVERY, n), **CLOSED).kinds


@pytest.mark.parametrize(("status", "asked"), [(-99, False), (-101, True)])
def test_a_status_since_the_delivery_answers_the_question(status: int, asked: bool) -> None:
    records = (feeding(FeedingFinding.DELIVERY, -100), feeding(FeedingFinding.NOT_BREASTFEEDING, status))
    assert (ASK_FEEDING in first(*records, **CLOSED).kinds) is asked


def test_an_unclear_status_asks() -> None:
    assert ASK_FEEDING in first(feeding(FeedingFinding.UNCERTAIN, -10), **CLOSED).kinds


def test_breastfeeding_without_a_day_counts_as_recent_at_the_first_dose() -> None:
    assert "lactation/avoid critical" in first(feeding(FeedingFinding.BREASTFEEDING, NotRecorded), **CLOSED).kinds


def test_breastfeeding_without_a_day_counts_as_recent_at_a_later_dose_too() -> None:
    assert "lactation/avoid critical" in later(feeding(FeedingFinding.BREASTFEEDING, NotRecorded), **CLOSED).kinds


# --- kidney ----------------------------------------------------------------------------------------------------

RENAL = "renal/assess warning"


def renal(*results: Any, **more: Any) -> Answer:
    labs = tuple(r for r in NORMAL_LABS if r.analyte is not Analyte.EGFR)
    return ask(order("1"), *results, labs=labs, **more)


@pytest.mark.parametrize("analyte", [Analyte.EGFR, Analyte.CREATININE_CLEARANCE])
@pytest.mark.parametrize(("value", "severe"), [("30", False), ("29.9", True)])
def test_an_egfr_or_clearance_below_30_is_severe(analyte: Analyte, value: str, severe: bool) -> None:
    assert (RENAL in renal(lab(analyte, value)).kinds) is severe


@pytest.mark.parametrize(
    ("bound", "value", "severe"),
    [(Bound.BELOW, "15", True), (Bound.BELOW, "30", True), (Bound.BELOW, "31", False), (Bound.ABOVE, "15", False)],
)
def test_a_bound_is_severe_only_where_every_value_it_allows_is(bound: Bound, value: str, severe: bool) -> None:
    assert (RENAL in renal(lab(Analyte.EGFR, value, bound=bound)).kinds) is severe


@pytest.mark.parametrize(("n", "counts"), [(-90, True), (-91, False)])
def test_a_result_counts_for_90_days(n: int, counts: bool) -> None:
    answer = renal(lab(Analyte.EGFR, "22", n))
    assert (RENAL in answer.kinds) is counts
    assert ("kidney function (no result of the last 90 days)" in answer.text("monitoring")) is not counts


@pytest.mark.parametrize(("n", "card"), [(-13, True), (-14, False)])
def test_at_later_doses_only_a_result_newer_than_the_last_dose_is_a_card(n: int, card: bool) -> None:
    labs = tuple(r for r in NORMAL_LABS if r.analyte is not Analyte.EGFR)
    answer = ask(order("10"), *LATER, lab(Analyte.EGFR, "22", n), labs=labs)
    assert (RENAL in answer.kinds) is card
    assert ("Severe renal impairment (eGFR 22" in answer.text("monitoring")) is not card


def test_a_restarted_dose_is_a_card_again() -> None:
    assert RENAL in ask(order("1"), *course(3, -29), labs=labs_but(lab(Analyte.EGFR, "22", -40))).kinds


@pytest.mark.parametrize(
    ("patient", "creatinine", "severe"),
    [
        (aged(born("1956-01-01"), Sex.MALE), "1.40", False),
        (aged(born("1956-01-01"), Sex.MALE), "2.28", False),  # 30.1
        (aged(born("1956-01-01"), Sex.MALE), "2.30", True),  # 29.8
    ],
)
def test_the_egfr_is_computed_from_creatinine(patient: Person, creatinine: str, severe: bool) -> None:
    assert (estimated(creatinine, 70, male=True) < 30) is severe
    assert (RENAL in renal(lab(Analyte.CREATININE, creatinine), patient=patient).kinds) is severe


def estimated(creatinine: str, age: int, *, male: bool) -> float:
    """The formula of knowledge 4.4, written a second time."""
    scr, kappa, alpha = float(creatinine), 0.9 if male else 0.7, -0.302 if male else -0.241
    ratio = scr / kappa
    value: float = 142 * min(ratio, 1) ** alpha * max(ratio, 1) ** -1.2 * 0.9938**age
    return value if male else value * 1.012


@pytest.mark.parametrize(
    ("creatinine", "age", "male", "egfr"),
    [("1.0", 60, False, 64.5), ("1.0", 60, True, 86.2), ("1.4027", 70, True, 53.9)],  # 124 µmol/L is 1.4027 mg/dL
)
def test_the_formula_gives_the_check_values_of_the_knowledge(
    creatinine: str, age: int, male: bool, egfr: float
) -> None:
    computed = estimated_gfr(Decimal(creatinine), age, Sex.MALE if male else Sex.FEMALE)
    assert round(float(computed), 1) == egfr
    assert float(computed) == pytest.approx(estimated(creatinine, age, male=male), rel=1e-6)


def test_without_a_sex_the_lower_of_the_two_formulas_counts() -> None:
    both = [estimated_gfr(Decimal("2.0"), 50, sex) for sex in (Sex.MALE, Sex.FEMALE)]
    assert estimated_gfr(Decimal("2.0"), 50, Sex.NOT_RECORDED) == min(both)


def test_a_severe_creatinine_is_said_as_computed() -> None:
    answer = renal(lab(Analyte.CREATININE, "4.0"))
    assert RENAL in answer.kinds
    assert "by CKD-EPI 2021 from creatinine 4 mg/dL" in answer.text(RENAL)


@pytest.mark.parametrize(("reported", "severe"), [(-2, False), (-4, True)])
def test_a_reported_egfr_of_the_same_day_or_later_takes_the_place_of_the_computed(reported: int, severe: bool) -> None:
    answer = renal(lab(Analyte.CREATININE, "4.0", -3), lab(Analyte.EGFR, "60", reported))
    assert (RENAL in answer.kinds) is severe


def test_nothing_is_computed_for_a_child_or_without_a_birth_date_or_from_zero() -> None:
    high = lab(Analyte.CREATININE, "4.0")
    assert RENAL not in renal(high, patient=aged(born("2010-01-01"), Sex.MALE)).kinds
    assert RENAL not in renal(high, patient=aged(NotRecorded, Sex.MALE)).kinds
    assert RENAL not in renal(lab(Analyte.CREATININE, "0")).kinds


@pytest.mark.parametrize("finding", [OrganFinding.KIDNEY_STAGE_4_OR_5, OrganFinding.DIALYSIS])
def test_kidney_disease_stage_4_or_5_and_dialysis_are_severe(finding: OrganFinding) -> None:
    assert RENAL in renal(organ(finding, -400)).kinds
    answer = ask(order("10"), *LATER, organ(finding, -400))
    assert RENAL not in answer.kinds
    assert f"Severe renal impairment ({finding.value})" in answer.text("monitoring")


# --- liver -----------------------------------------------------------------------------------------------------

HEPATIC = "hepatic/assess warning"


@pytest.mark.parametrize(
    ("value", "upper", "impaired"),
    [("1.8", "1.2", False), ("1.81", "1.2", True), ("2", None, False), ("2.1", None, True)],
)
def test_bilirubin_above_one_and_a_half_times_the_upper_normal_is_impairment(
    value: str, upper: str | None, impaired: bool
) -> None:
    answer = ask(order("1"), labs=labs_but(lab(Analyte.BILIRUBIN, value, upper=upper)))
    assert (HEPATIC in answer.kinds) is impaired


@pytest.mark.parametrize(("n", "counts"), [(-30, True), (-31, False)])
def test_a_bilirubin_counts_for_30_days(n: int, counts: bool) -> None:
    answer = ask(order("1"), labs=labs_but(lab(Analyte.BILIRUBIN, "2.2", n, "1.2")))
    assert (HEPATIC in answer.kinds) is counts
    assert ("hepatic impairment (no bilirubin of the last 30 days)" in answer.text("monitoring")) is not counts


@pytest.mark.parametrize(("n", "card"), [(-13, True), (-14, False)])
def test_at_later_doses_only_a_newer_bilirubin_is_a_card(n: int, card: bool) -> None:
    answer = ask(order("10"), *LATER, labs=labs_but(lab(Analyte.BILIRUBIN, "2.0", n, "1.2")))
    assert (HEPATIC in answer.kinds) is card
    assert ("Moderate to severe hepatic impairment (bilirubin 2" in answer.text("monitoring")) is not card


def test_child_pugh_b_or_c_is_impairment() -> None:
    assert HEPATIC in ask(order("1"), organ(OrganFinding.CHILD_PUGH_B_OR_C, -100)).kinds


# --- age -------------------------------------------------------------------------------------------------------

PEDIATRIC = "pediatric/assess warning"


@pytest.mark.parametrize(("d0", "under"), [(0, True), (1, False)])
def test_the_18th_birthday_on_the_planned_day_is_of_age(d0: int, under: bool) -> None:
    """Born 2008-01-21: 18 tomorrow."""
    boy = aged(born("2008-01-21"), Sex.MALE)
    assert (PEDIATRIC in ask(order("1", d0), patient=boy).kinds) is under


def test_a_birth_year_that_leaves_18_open_is_not_certain() -> None:
    answer = ask(order("1"), patient=aged(born("2008-01-01", "2008-12-31"), Sex.MALE))
    assert "not certain to be 18" in answer.card(PEDIATRIC).summary
    assert PEDIATRIC not in ask(order("1"), patient=aged(born("2007-01-01", "2007-12-31"), Sex.MALE)).kinds


def test_a_patient_without_a_birth_date_is_not_certain_to_be_of_age() -> None:
    answer = ask(order("1"), patient=replace(aged(NotRecorded, Sex.MALE), reference=""))
    assert "no birth date is on record" in answer.card(PEDIATRIC).summary


def test_a_patient_that_could_not_be_read_is_a_record_card_instead() -> None:
    answer = ask(order("1"), patient=aged(NotRecorded, Sex.MALE), needs=[read("patient", Reading.UNAVAILABLE)])
    assert PEDIATRIC not in answer.kinds
    assert "record/cannot-assess warning" in answer.kinds


def test_the_age_is_not_asked_again_at_later_doses_but_at_a_restarted_one() -> None:
    boy = aged(born("2010-01-01"), Sex.MALE)
    assert PEDIATRIC not in later(patient=boy).kinds
    assert PEDIATRIC in ask(order("1"), *course(3, -29), patient=boy).kinds


# --- indication and progression --------------------------------------------------------------------------------

MISSING = "indication/confirm warning"
OPEN = "indication/confirm info"
PLATINUM = cancer(CancerFinding.PLATINUM, -250)
PROGRESSION = cancer(CancerFinding.PROGRESSION, -120)
EXTENSIVE = cancer(CancerFinding.SMALL_CELL_EXTENSIVE, -300)


def indication(*records: object, **more: Any) -> Answer:
    return ask(order("1"), cancer=tuple(records), **more)


@pytest.mark.parametrize(
    ("records", "card", "said"),
    [
        ((), MISSING, "No lung cancer is on record."),
        ((cancer(CancerFinding.NOT_SMALL_CELL, -300),), MISSING, "lung cancer other than small-cell"),
        (
            (cancer(CancerFinding.NOT_SMALL_CELL, -300), cancer(CancerFinding.LUNG_UNSPECIFIED, -300)),
            MISSING,
            "lung cancer other than small-cell",
        ),
        ((cancer(CancerFinding.LUNG_UNSPECIFIED, -300), PLATINUM, PROGRESSION), OPEN, "lung cancer without histology"),
        ((cancer(CancerFinding.SMALL_CELL_LIMITED, -300), PLATINUM, PROGRESSION), OPEN, "limited stage is on record"),
        ((EXTENSIVE, PROGRESSION), OPEN, "no platinum chemotherapy on record"),
        ((EXTENSIVE, PLATINUM), OPEN, "no progression on or after platinum on record"),
    ],
)
def test_what_the_record_leaves_open_about_the_indication(records: tuple[object, ...], card: str, said: str) -> None:
    answer = indication(*records)
    assert [kind for kind in answer.kinds if kind.startswith("indication")] == [card]
    assert said in answer.text("indication")


@pytest.mark.parametrize(
    "histology",
    [CancerFinding.SMALL_CELL, CancerFinding.SMALL_CELL_EXTENSIVE],
)
def test_small_cell_lung_cancer_with_platinum_and_progression_after_it_is_silent(histology: CancerFinding) -> None:
    assert indication(cancer(histology, -300), PLATINUM, PROGRESSION).kinds == FITS


def test_limited_stage_that_became_extensive_is_silent() -> None:
    assert indication(EXTENSIVE, cancer(CancerFinding.SMALL_CELL_LIMITED, -500), PLATINUM, PROGRESSION).kinds == FITS


@pytest.mark.parametrize(("n", "open_point"), [(-251, True), (-250, False)])
def test_a_progression_during_platinum_counts_and_one_before_it_does_not(n: int, open_point: bool) -> None:
    assert (OPEN in indication(EXTENSIVE, PLATINUM, cancer(CancerFinding.PROGRESSION, n)).kinds) is open_point


def test_a_progression_without_a_day_counts_as_after_platinum() -> None:
    assert indication(EXTENSIVE, PLATINUM, cancer(CancerFinding.PROGRESSION, NotRecorded)).kinds == FITS


def test_the_indication_is_not_asked_at_later_doses() -> None:
    assert ask(order("10"), *LATER, cancer=()).kinds == FITS


@pytest.mark.parametrize(
    ("key", "records"),
    [
        ("conditions", ()),
        ("medicationRequests", (EXTENSIVE, PROGRESSION)),
        ("procedures", (EXTENSIVE, PROGRESSION)),
        ("observations", (EXTENSIVE, PLATINUM)),
        ("medicationAdministrations", (EXTENSIVE, PROGRESSION)),
    ],
)
def test_nothing_is_concluded_from_absence_in_what_was_read_in_part(key: str, records: tuple[object, ...]) -> None:
    answer = indication(*records, needs=[read(key, Reading.PARTIAL)])
    assert not [kind for kind in answer.kinds if kind.startswith("indication")]


def test_a_lung_cancer_other_than_small_cell_is_said_even_if_conditions_were_read_in_part() -> None:
    answer = indication(cancer(CancerFinding.NOT_SMALL_CELL, -300), needs=[read("conditions", Reading.PARTIAL)])
    assert MISSING in answer.kinds


@pytest.mark.parametrize(("n", "asked"), [(-14, False), (-13, True)])
def test_a_progression_after_the_last_dose_asks_whether_to_go_on(n: int, asked: bool) -> None:
    answer = ask(order("10"), *LATER, cancer(CancerFinding.PROGRESSION, n))
    assert ("progression/confirm warning" in answer.kinds) is asked


def test_a_progression_before_the_first_dose_is_the_indication() -> None:
    assert ask(order("1"), cancer(CancerFinding.PROGRESSION, -3)).kinds == FITS


def test_population_cards_stand_as_they_are_beside_the_dose_rows() -> None:
    answer = ask(order("20"), give(-15, "1"), patient=WOMAN)
    assert {CONFIRM, ADVISE, "dose/change-dose critical"} <= set(answer.kinds)


def test_a_status_that_may_be_of_the_last_14_days_or_older_is_counted_the_cautious_way() -> None:
    assert asks_for_a_test(WOMAN, pregnancy(PregnancyFinding.NEGATIVE_TEST, between(-15, -10)))


# --- what a later or an older record changes -------------------------------------------------------------------


@pytest.mark.parametrize(("days", "advised"), [(300, False), (301, True)])
def test_an_old_pregnancy_that_nobody_closed_does_not_silence_contraception(days: int, advised: bool) -> None:
    answer = ask(order("1"), pregnancy(PregnancyFinding.PREGNANT, -days), patient=WOMAN)
    assert ("contraception/advise warning" in answer.about(0)) is advised


def test_an_old_pregnancy_that_nobody_closed_does_not_silence_the_line_at_later_doses() -> None:
    said = ask(order("10"), *course(3, -14), pregnancy(PregnancyFinding.PREGNANT, -400), patient=WOMAN)
    assert "Effective contraception during treatment" in said.text("monitoring")


def test_the_reason_to_confirm_a_pregnancy_is_named() -> None:
    old = ask(order("1"), pregnancy(PregnancyFinding.PREGNANT, -301), patient=WOMAN)
    assert "older than 300 days and never closed" in old.card("pregnancy/confirm").summary
    both = (pregnancy(PregnancyFinding.PREGNANT, -3), pregnancy(PregnancyFinding.NEGATIVE_TEST, -3))
    assert "the record contradicts itself" in ask(order("1"), *both, patient=WOMAN).card("pregnancy/confirm").summary


@pytest.mark.parametrize(("unclear", "asked"), [(-6, False), (-5, False), (-4, True)])
def test_an_unclear_status_after_a_negative_test_is_asked_about(unclear: int, asked: bool) -> None:
    records = (pregnancy(PregnancyFinding.NEGATIVE_TEST, -5), pregnancy(PregnancyFinding.UNCERTAIN, unclear))
    assert ("pregnancy/confirm warning" in ask(order("1"), *records, patient=WOMAN).about(0)) is asked


def test_a_positive_test_is_named_as_one() -> None:
    positive = ask(order("1"), pregnancy(PregnancyFinding.POSITIVE_TEST, -5), patient=WOMAN)
    assert f"a pregnancy is on record (positive test, {iso(-5)})" in positive.card("pregnancy/avoid").summary
    status = ask(order("1"), pregnancy(PregnancyFinding.PREGNANT, -5), patient=WOMAN)
    assert f"a pregnancy is on record ({iso(-5)})" in status.card("pregnancy/avoid").summary


def test_progression_without_a_day_is_a_line_at_later_doses() -> None:
    undated = cancer(CancerFinding.PROGRESSION, NotRecorded)
    said = "Progression is on record without a day"
    assert said in ask(order("10"), *course(3, -14), undated).text("monitoring")
    assert said not in ask(order("1"), undated).text("monitoring")


def test_a_computed_kidney_function_just_below_30_does_not_read_as_30() -> None:
    """65 years, male, creatinine 2.35 mg/dL: 29.9 by CKD-EPI 2021."""
    answer = ask(order("1"), labs=labs_but(lab(Analyte.EGFR, "80", -89), lab(Analyte.CREATININE, "2.35", -1)))
    summary = answer.card("renal/assess").summary
    assert "eGFR 29." in summary
    assert len(summary) < 140


@pytest.mark.parametrize(("against", "asked"), [(-6, True), (-5, False)])
def test_an_unclear_pregnancy_status_is_asked_about_at_later_doses_too(against: int, asked: bool) -> None:
    """Unclear five days ago: a negative test of the day before does not answer it, one of the same day does."""
    records = (pregnancy(PregnancyFinding.NEGATIVE_TEST, against), pregnancy(PregnancyFinding.UNCERTAIN, -5))
    answer = ask(order("10"), *course(3, -14), *records, patient=WOMAN)
    assert (CONFIRM in answer.about(0)) is asked


@pytest.mark.parametrize(("days", "asked"), [(300, True), (301, False)])
def test_an_unclear_pregnancy_status_is_asked_about_while_it_can_go_on(days: int, asked: bool) -> None:
    answer = ask(order("10"), *course(3, -14), pregnancy(PregnancyFinding.UNCERTAIN, -days), patient=WOMAN)
    assert (CONFIRM in answer.about(0)) is asked


def test_an_unclear_pregnancy_status_without_a_day_is_asked_about_and_of_a_man_is_not() -> None:
    undated = pregnancy(PregnancyFinding.UNCERTAIN, NotRecorded)
    said = ask(order("10"), *course(3, -14), undated, patient=WOMAN).card(CONFIRM).summary
    assert said == "Confirm pregnancy status: the newest status on record is unclear."
    assert CONFIRM not in ask(order("10"), *course(3, -14), undated, patient=MAN).about(0)


def test_an_unclear_feeding_status_does_not_end_breastfeeding_and_a_negative_one_does() -> None:
    feeds = feeding(FeedingFinding.BREASTFEEDING, -30)
    unclear = ask(order("10"), *course(3, -14), feeds, feeding(FeedingFinding.UNCERTAIN, -5), patient=WOMAN)
    assert "lactation/avoid critical" in unclear.about(0)
    ended = ask(order("10"), *course(3, -14), feeds, feeding(FeedingFinding.NOT_BREASTFEEDING, -5), patient=WOMAN)
    assert "lactation/avoid critical" not in ended.about(0)


@pytest.mark.parametrize(
    ("birth", "asked"), [("2015-01-20", False), ("2014-01-20", True), ("1970-01-21", True), ("1970-01-20", False)]
)
def test_an_unclear_pregnancy_status_is_asked_about_from_12_to_55_years(birth: str, asked: bool) -> None:
    """2026-01-20: 11, 12, 55 and 56 years old."""
    unclear = pregnancy(PregnancyFinding.UNCERTAIN, -5)
    answer = ask(order("10"), *course(3, -14), unclear, patient=aged(born(birth)))
    assert (CONFIRM in answer.about(0)) is asked
