"""The marks of the timeline: days typed from clinical-rules "Days" to "The other hooks", and the vignettes named.

Today is 2026-01-20 in all of them.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cds_service.engine import toxicity as engine_toxicity
from cds_service.engine.case import Occasion
from cds_service.knowledge.regimen import Sources
from cds_service.timeline import MOST_NOTES, MOST_OF_A_LANE, timeline
from cds_service.timeline_marks import Kind, Lane, Mark, Timeline
from fhir_mappings.facts import (
    Analyte,
    Course,
    DrugAllergy,
    NotRecorded,
    PregnancyFinding,
    ProposedVisit,
    Reading,
    Syndrome,
    Unknown,
    Vital,
)
from tests.engine.builders import (
    AT,
    ZONE,
    between,
    claim,
    course,
    crs,
    day,
    give,
    gives,
    iso,
    lab,
    labs_but,
    neuro,
    on_record,
    order,
    pregnancy,
    read,
    rulebook,
    sign,
    state_of,
    toxicity,
)

RECORD_HAS_TEXT = "\u202e<b>rash</b>\u200b\nnext line"


def line(
    *facts: Any,
    occasion: Occasion = Occasion.STATUS,
    sources: Sources = Sources.SEED_AND_LABEL,
    at: datetime = AT,
    zone: ZoneInfo = ZONE,
    **more: Any,
) -> Timeline:
    state = state_of(*facts, **more)
    assessment = rulebook(sources).assess(state, at=at, zone=zone, occasion=occasion)
    return timeline(state, assessment, at=at, zone=zone)


def of(found: Timeline, kind: Kind) -> list[Mark]:
    return [mark for mark in found.marks if mark.kind is kind]


def one(found: Timeline, kind: Kind) -> Mark:
    marks = of(found, kind)
    assert len(marks) == 1, marks
    return marks[0]


def days_of(mark: Mark) -> tuple[str, str]:
    assert mark.first is not None
    assert mark.last is not None
    return mark.first.isoformat(), mark.last.isoformat()


# --- doses ------------------------------------------------------------------------------------------------------


def test_given_doses_stand_on_their_days_with_their_places() -> None:
    found = line(*gives((-29, "1"), (-22, "10"), (-15, "10"), (-1, "10")))
    expected = [
        ("C1D1", "1 mg", "2025-12-22"),
        ("C1D8", "10 mg", "2025-12-29"),
        ("C1D15", "10 mg", "2026-01-05"),
        ("C2D1", "10 mg", "2026-01-19"),
    ]
    assert [(m.place, m.label, days_of(m)[0]) for m in found.of(Lane.DOSES)] == expected
    assert found.day_one == date(2025, 12, 22)
    assert found.of(Lane.DOSES)[0].references == ("MedicationAdministration/a-29",)


def test_a_restarted_course_is_counted_anew() -> None:
    found = line(*gives((-60, "1"), (-53, "10"), (-8, "1"), (-1, "10")))
    assert [m.place for m in found.of(Lane.DOSES)] == ["C1D1", "C1D8", "C1D1", "C1D8"]
    assert found.day_one == date(2026, 1, 12)


def test_treatment_doses_without_a_step_dose_have_no_place_in_the_schedule() -> None:
    found = line(*gives((-15, "10"), (-1, "10")))
    assert [m.place for m in found.of(Lane.DOSES)] == ["", ""]
    assert "no step dose before it on record" in found.of(Lane.DOSES)[0].says


def test_another_amount_is_shown_as_no_completed_dose_and_an_unreadable_one_as_such() -> None:
    found = line(*gives((-15, "1"), (-8, "5")), give(-3, None))
    partial, unreadable = of(found, Kind.EXPOSURE)
    assert (partial.label, unreadable.label) == ("5 mg", "? mg")
    assert "not a completed dose" in partial.says
    assert "an unreadable amount given on 2026-01-17" in unreadable.says


def test_a_dose_of_a_month_is_a_range_and_never_its_first_day() -> None:
    found = line(give(between(-50, -20), "1", ref="month"))
    dose = one(found, Kind.STEP)
    assert days_of(dose) == ("2025-12-01", "2025-12-31")
    assert not dose.start_known
    assert "day not known: between 2025-12-01 and 2025-12-31" in dose.says
    assert found.day_one is None
    assert all(not mark.is_placed for mark in found.of(Lane.OBSERVATION))
    assert "The day of that dose is not known" in found.of(Lane.OBSERVATION)[0].says


def test_a_dose_without_a_day_has_no_place_and_is_told() -> None:
    found = line(give(-15, "1"), give(NotRecorded, "10", ref="nowhere"))
    lost = one(found, Kind.EXPOSURE)
    assert not lost.is_placed
    assert lost.says == "10 mg given, day not known: it has no place on the axis."
    assert one(found, Kind.STEP).place == "C1D1?"
    assert found.headline.endswith("The doses on record are not certain: what is due is not known.")
    assert of(found, Kind.DUE) == []
    assert any("no readable day" in note for note in found.notes)


def test_a_row_that_says_not_given_is_told_so_and_one_in_error_is_dropped() -> None:
    found = line(give(-15, "1"), give(-8, "10", "not-done"), give(-7, "10", "entered-in-error"))
    assert one(found, Kind.EXPOSURE).says == "10 mg recorded as not given on 2026-01-12."
    assert not one(found, Kind.EXPOSURE).is_placed


def test_a_dose_with_a_day_to_come_is_drawn_as_doubtful() -> None:
    mark = one(line(give(-15, "1"), give(3, "10", ref="future")), Kind.EXPOSURE)
    assert days_of(mark) == ("2026-01-23", "2026-01-23")
    assert not mark.is_certain
    assert "a day still to come: confirm its date" in mark.says


def test_two_rows_of_one_day_are_told_as_their_sum() -> None:
    found = line(give(-1, "4", ref="x"), give(day(-1, "12:00"), "6", ref="y"), give(-8, "1"))
    assert "10 mg given on 2026-01-19" in one(found, Kind.TREATMENT).says
    assert "the sum of 2 rows of that day" in one(found, Kind.TREATMENT).says


def test_completed_orders_that_stand_in_are_not_shown_as_given() -> None:
    found = line(on_record("completed", -8, "1"))
    assert "from an order or claim" in one(found, Kind.FROM_ORDER).says
    assert any("not confirmed" in note for note in found.notes)


def test_claims_are_shown_where_no_dose_is_and_not_beside_one() -> None:
    assert of(line(give(-8, "1"), claim(-8)), Kind.FROM_ORDER) == []
    earlier, later = of(line(give(-8, "1"), claim(-10), claim(-3)), Kind.FROM_ORDER)
    assert days_of(earlier) == ("2026-01-10", "2026-01-10")
    assert days_of(later) == ("2026-01-17", "2026-01-17")


# --- ordered ----------------------------------------------------------------------------------------------------


def test_a_draft_is_planned_on_its_day_with_what_is_due_in_its_place() -> None:
    mark = one(line(give(-8, "1"), order("10", 0), occasion=Occasion.ORDERS), Kind.PLANNED)
    assert (mark.label, days_of(mark)) == ("10 mg", ("2026-01-20", "2026-01-20"))
    assert mark.says == "Draft order: 10 mg on 2026-01-20; due is 10 mg, C1D8."


def test_a_draft_without_a_day_is_drawn_as_doubtful_today() -> None:
    mark = one(line(give(-8, "1"), order(None, NotRecorded), occasion=Occasion.ORDERS), Kind.PLANNED)
    assert (mark.label, days_of(mark), mark.start_known) == ("? mg", ("2026-01-20", "2026-01-20"), False)
    assert "no readable day: taken as today" in mark.says


def test_orders_of_the_record_are_planned_or_asked_about() -> None:
    found = line(give(-8, "1"), on_record("active", 5, ref="next"), on_record("active", -3, ref="past"))
    past, planned = of(found, Kind.PLANNED)
    assert past.says == "Active order of a past day, no dose on record for it: 10 mg on 2026-01-17."
    assert planned.says == "Order on record: 10 mg on 2026-01-25."


def test_an_active_order_of_the_day_of_a_dose_is_that_dose() -> None:
    assert of(line(give(-8, "1"), on_record("active", -8, "1")), Kind.PLANNED) == []


def test_a_proposed_visit_is_shown_with_all_its_days() -> None:
    visit = ProposedVisit(reference="Appointment/v", day=between(4, 6))
    mark = one(line(give(-8, "1"), visit, occasion=Occasion.BOOKING), Kind.PLANNED)
    assert days_of(mark) == ("2026-01-24", "2026-01-26")
    assert not mark.start_known


# --- due and limit ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "place", "due_on", "window", "limit"),
    [
        (gives((-1, "1")), "C1D8", "2026-01-26", ("2026-01-25", "2026-02-02"), "2026-02-02"),  # 7 days; up to 14
        (gives((-8, "1"), (-1, "10")), "C1D15", "2026-01-26", ("2026-01-25", "2026-02-09"), "2026-02-09"),  # up to 21
        (course(2, -1), "C2D1", "2026-02-02", ("2026-02-01", "2026-02-16"), "2026-02-16"),  # 14 days; up to 28
        (course(3, -1), "C2D15", "2026-02-02", ("2026-02-01", "2026-02-16"), "2026-02-16"),
    ],
)
def test_the_next_dose_is_due_and_may_be_given_up_to_its_limit(
    given: tuple[Any, ...], place: str, due_on: str, window: tuple[str, str], limit: str
) -> None:
    found = line(*given)
    due = one(found, Kind.DUE)
    assert (due.place, due.label, days_of(due)) == (place, "10 mg due", (due_on, due_on))
    assert days_of(one(found, Kind.WINDOW)) == window
    assert days_of(one(found, Kind.LIMIT)) == (limit, limit)


def test_on_the_limit_day_the_course_goes_on_and_on_the_day_after_it_restarts() -> None:
    """V5: 14 days after 1 mg, and 15."""
    kept, passed = line(give(-14, "1")), line(give(-15, "1"))
    assert (one(kept, Kind.DUE).place, one(kept, Kind.DUE).label) == ("C1D8", "10 mg due")
    assert one(kept, Kind.LIMIT).says == "Last day before a restart: 2026-01-20."
    assert (one(passed, Kind.DUE).place, one(passed, Kind.DUE).label) == ("C1D1", "1 mg due")
    assert days_of(one(passed, Kind.DUE)) == ("2026-01-20", "2026-01-20")
    assert one(passed, Kind.LIMIT).says == "The last day before a restart was 2026-01-19: it is past."
    assert of(passed, Kind.WINDOW) == []


def test_on_its_due_day_a_dose_is_due_on_it_and_a_day_later_since_it() -> None:
    today, late = line(give(-7, "1")), line(give(-8, "1"))
    assert today.headline == "1 dose on record, the last 1 mg on 2026-01-13. Next: 10 mg (C1D8), due on 2026-01-20."
    assert late.headline == "1 dose on record, the last 1 mg on 2026-01-12. Next: 10 mg (C1D8), due since 2026-01-19."
    assert one(late, Kind.DUE).says == "Due since 2026-01-19: 10 mg, C1D8."


def test_the_first_dose_is_due_today_without_a_window_or_limit() -> None:
    found = line(order("1"), occasion=Occasion.ORDERS)
    assert [(m.kind, m.label, days_of(m)) for m in found.of(Lane.DUE)] == [
        (Kind.DUE, "1 mg due", ("2026-01-20", "2026-01-20"))
    ]


def test_without_the_drug_on_record_nothing_is_due() -> None:
    found = line()
    assert found.headline == "No tarlatamab on record."
    assert found.marks == ()
    assert found.silent[Lane.DUE] == "no dose or order on record"


def test_after_a_last_dose_of_an_uncertain_day_due_day_and_limit_are_doubtful() -> None:
    found = line(give(between(-5, -3), "1"))
    due, limit = one(found, Kind.DUE), one(found, Kind.LIMIT)
    assert days_of(due) == ("2026-01-22", "2026-01-24")
    assert days_of(limit) == ("2026-01-29", "2026-01-29")
    assert not due.start_known
    assert not limit.start_known
    assert "Counted from the earliest day" in limit.says


def test_a_restart_after_crs_grade_3_is_due_today_without_a_limit_to_keep() -> None:
    found = line(*gives((-15, "1"), (-8, "10")), crs(3, -7, -4))
    assert one(found, Kind.DUE).label == "1 mg due"
    assert one(found, Kind.DUE).says == "Due from today: 1 mg, C1D1. The course restarts."
    assert of(found, Kind.LIMIT) == []


def test_an_exposure_after_the_last_completed_dose_leaves_no_window_beyond_the_limit() -> None:
    found = line(give(-14, "1"), give(-1, "5"))
    assert of(found, Kind.WINDOW) == []
    assert days_of(one(found, Kind.LIMIT)) == ("2026-01-20", "2026-01-20")


def test_seed_alone_has_no_limit_and_says_so() -> None:
    found = line(give(-3, "1"), sources=Sources.SEED)
    assert of(found, Kind.LIMIT) == []
    assert "no source in force says until when" in one(found, Kind.WINDOW).says
    assert not one(found, Kind.WINDOW).end_known


# --- toxicity, stops and holds ----------------------------------------------------------------------------------


def test_an_active_episode_goes_on_today_and_withholds_since_its_onset() -> None:
    found = line(*gives((-15, "1"), (-8, "10")), crs(2, -7))
    episode, hold = one(found, Kind.CRS), one(found, Kind.HOLD)
    assert (episode.label, days_of(episode), episode.goes_on) == ("CRS G2", ("2026-01-13", "2026-01-20"), True)
    assert (hold.label, days_of(hold), hold.rows) == ("HOLD CRS", ("2026-01-13", "2026-01-20"), ("CRS-HOLD-G2",))
    assert one(found, Kind.DUE).label == "10 mg due if lifted"
    assert one(found, Kind.WINDOW).says == (
        "If the hold is lifted, 10 mg may be given from 2026-01-18 (not too early) to 2026-02-02."
    )
    assert found.headline.endswith("To be withheld now; if the hold is lifted: 10 mg (C1D15), due since 2026-01-19.")


def test_an_episode_that_is_over_is_a_bar_of_its_days_and_withheld_by_the_rules_in_them() -> None:
    found = line(*gives((-15, "1"), (-8, "10")), crs(1, -14, -12), crs(2, -13, -12, ref="worse"))
    episode, held = one(found, Kind.CRS), one(found, Kind.HELD)
    assert (episode.label, days_of(episode), episode.goes_on) == ("CRS G2", ("2026-01-06", "2026-01-08"), False)
    assert episode.is_certain
    assert episode.references == ("Condition/crs-14", "Condition/worse")
    assert (days_of(held), held.rows) == (("2026-01-06", "2026-01-08"), ("CRS-HOLD-G2",))
    assert of(found, Kind.HOLD) == []


def test_an_end_that_nobody_recorded_is_open_and_a_missing_grade_is_said() -> None:
    found = line(*gives((-15, "1"), (-8, "10")), crs(None, -14, NotRecorded, course=Course.RESOLVED))
    episode = one(found, Kind.CRS)
    assert (days_of(episode), episode.end_known) == (("2026-01-06", "2026-01-06"), False)
    assert episode.says == "CRS, grade not recorded, onset 2026-01-06, over, end not recorded."
    assert episode.label == "CRS grade ?"
    assert one(found, Kind.HELD).rows == ("CRS-HOLD-UNGRADED",)


def test_an_outcome_that_nobody_recorded_is_not_drawn_as_active() -> None:
    episode = one(line(give(-8, "1"), crs(1, -7, course=Course.OUTCOME_MISSING)), Kind.CRS)
    assert (days_of(episode), episode.end_known) == (("2026-01-13", "2026-01-20"), False)
    assert "its outcome and end are not recorded" in episode.says


def test_an_active_episode_without_an_onset_is_drawn_at_today_with_an_open_start() -> None:
    found = line(give(-8, "1"), neuro(2, NotRecorded, ref="when"))
    episode, hold = one(found, Kind.NEUROTOXICITY), one(found, Kind.HOLD)
    assert (days_of(episode), episode.start_known) == (("2026-01-20", "2026-01-20"), False)
    assert (days_of(hold), hold.start_known) == (("2026-01-20", "2026-01-20"), False)
    assert "Since when is not recorded" in hold.says


def test_a_resolved_episode_without_an_onset_has_no_place_and_is_told() -> None:
    episode = one(line(give(-8, "1"), crs(1, NotRecorded, -2, ref="when")), Kind.CRS)
    assert not episode.is_placed
    assert "onset not recorded, ended 2026-01-18" in episode.says


def test_a_severity_is_a_lower_bound_and_an_unconfirmed_record_says_so() -> None:
    episode = one(line(give(-8, "1"), crs(3, -7, at_least=True, confirmed=False)), Kind.CRS)
    assert episode.label == "CRS ≥G3"
    assert "worst grade 3 or worse" in episode.says
    assert episode.says.endswith("Unconfirmed.")


def test_a_record_without_an_onset_is_taken_for_the_same_event_and_told() -> None:
    found = line(give(-8, "1"), crs(1, -7, -6), crs(2, NotRecorded, -5, ref="when"))
    assert "taken for the same event" in one(found, Kind.CRS).says


def test_a_stop_stands_since_its_record_and_nothing_is_due() -> None:
    found = line(*gives((-15, "1"), (-8, "10")), crs(4, -7, -1))
    stop = one(found, Kind.STOP)
    assert (stop.label, days_of(stop), stop.rows) == ("STOP CRS", ("2026-01-13", "2026-01-20"), ("CRS-STOP-G4",))
    assert found.of(Lane.DUE) == ()
    assert found.silent[Lane.DUE] == "no dose is due: to be stopped"


def test_neurotoxicity_grade_3_stops_from_the_eighth_day_on() -> None:
    """Day 7 is still a hold; the stop is counted from the day after it."""
    seventh = line(*gives((-15, "1"), (-8, "10")), neuro(3, -7))
    eighth = line(*gives((-15, "1"), (-9, "10")), neuro(3, -8))
    assert of(seventh, Kind.STOP) == []
    assert days_of(one(seventh, Kind.HOLD))[0] == "2026-01-13"
    assert days_of(one(eighth, Kind.STOP)) == ("2026-01-20", "2026-01-20")


def test_an_episode_that_ended_the_treatment_is_not_told_as_a_hold_that_passed() -> None:
    """The first grade 3 was withheld; the second one, and a grade 4, were stops from their onset."""
    second = line(*gives((-40, "1"), (-33, "10")), crs(3, -32, -30), crs(3, -10, -8, ref="second"))
    fourth = line(*gives((-15, "1"), (-8, "10")), crs(4, -7, -1))
    assert days_of(one(second, Kind.STOP))[0] == "2026-01-10"
    assert days_of(one(second, Kind.HELD)) == ("2025-12-19", "2025-12-21")
    assert of(fourth, Kind.HELD) == []


def test_a_stop_on_an_unconfirmed_record_is_a_hold_to_confirm() -> None:
    found = line(*gives((-15, "1"), (-8, "10")), crs(4, -7, -1, confirmed=False))
    assert of(found, Kind.STOP) == []
    assert one(found, Kind.HOLD).rows == ("CRS-CONFIRM",)


def test_a_hold_on_results_stands_since_the_first_of_them() -> None:
    labs = labs_but(lab(Analyte.NEUTROPHILS, "0.6", -3))
    hold = one(line(*gives((-15, "1"), (-8, "10")), labs=labs), Kind.HOLD)
    assert (hold.label, days_of(hold)[0], hold.rows) == ("HOLD cytopenia", "2026-01-17", ("NEUT-HOLD",))


def test_a_stop_on_two_results_stands_since_both_are_there() -> None:
    labs = labs_but(lab(Analyte.ALT, "200", -5, "40"), lab(Analyte.BILIRUBIN, "3", -4, "1.2"))
    assert days_of(one(line(*gives((-15, "1"), (-8, "10")), labs=labs), Kind.STOP))[0] == "2026-01-16"


def test_what_is_to_be_cleared_up_is_a_check_and_no_hold() -> None:
    found = line(*gives((-8, "1")), sign(Vital.TEMPERATURE, "38.6"))
    assert one(found, Kind.CHECK).rows == ("CRS-SUSPECTED",)
    assert days_of(one(found, Kind.CHECK))[0] == "2026-01-20"
    assert one(found, Kind.DUE).label == "10 mg due"


def test_an_allergy_to_the_drug_is_to_be_cleared_up_before_the_next_dose() -> None:
    found = line(*gives((-14, "1"), (-7, "10")), DrugAllergy(reference="AllergyIntolerance/a", name="tarlatamab"))
    check = one(found, Kind.CHECK)
    assert (check.label, check.rows, check.references) == (
        "CHECK record",
        ("CLARIFY-ALLERGY",),
        ("AllergyIntolerance/a",),
    )
    assert found.headline.endswith("Next, once what is open is cleared up: 10 mg (C1D15), due on 2026-01-20.")
    assert "CHECK" not in line(*gives((-14, "1"), (-7, "10"))).headline


def test_a_critical_card_about_the_patient_is_to_be_cleared_up_too() -> None:
    """V25a: the card says to avoid the drug; the picture beside it does not call the dose simply due."""
    pregnant = pregnancy(PregnancyFinding.PREGNANT, -10)
    found = line(order("1"), pregnant, occasion=Occasion.ORDERS)
    assert one(found, Kind.CHECK).says == (
        "Avoid tarlatamab: a pregnancy is on record (2026-01-10); it may harm the fetus."
    )
    assert found.headline == "No dose on record. Next, once what is open is cleared up: 1 mg (C1D1), due from today."


def test_holds_are_shown_whatever_the_hook_asked() -> None:
    """A call that books nothing asks no rule of toxicity; the picture still holds."""
    found = line(*gives((-15, "1"), (-8, "10")), crs(2, -7), occasion=Occasion.BOOKING)
    assert one(found, Kind.HOLD).rows == ("CRS-HOLD-G2",)


def test_a_hold_that_only_a_later_order_gave_is_told_too() -> None:
    """An infection of grade 2 withholds while stepping up: on the day of this order a restart is due."""
    infection = toxicity(Syndrome.INFECTION, 2, -3)
    facts = (*course(3, -10), infection, order("10", 20))
    found = line(*facts, occasion=Occasion.ORDERS)
    assert of(line(*facts[:-1]), Kind.HOLD) == []
    assert one(found, Kind.HOLD).label == "HOLD infection"
    assert "Since when is not recorded" in one(found, Kind.HOLD).says


def test_other_toxicities_and_those_of_before_are_told_apart() -> None:
    found = line(
        *gives((-15, "1"), (-8, "10")),
        crs(2, -30, -28, ref="before"),
        toxicity(Syndrome.NEUTROPENIA, 2, -7, -5),
        toxicity(Syndrome.OTHER, None, -6, course=Course.POINT, label=RECORD_HAS_TEXT, ref="rash"),
        toxicity(Syndrome.ANAEMIA, 2, -4, course=Course.OUTCOME_MISSING),
    )
    neutropenia, rash, anaemia = of(found, Kind.OTHER_TOXICITY)
    assert (neutropenia.label, days_of(neutropenia)) == ("neutropenia G2", ("2026-01-13", "2026-01-15"))
    assert (rash.label, days_of(rash)) == ("<b>rash</b> next line grade ?", ("2026-01-14", "2026-01-14"))
    assert (anaemia.goes_on, anaemia.end_known) == (True, False)
    assert "Not counted against the drug" in one(found, Kind.NOT_COUNTED).says


# --- observation, contraception, remarks --------------------------------------------------------------------------


def test_the_first_doses_and_the_last_are_observed_from_their_clock_times() -> None:
    """n=1, 2: 22-24 h after the infusion of an hour, 48 h near care; n=4: 6-8 h. clinical-rules "Monitoring"."""
    doses = [give(day(n, "10:00"), mg, ref=f"a{n}") for n, mg in ((-29, "1"), (-22, "10"), (-15, "10"), (-1, "10"))]
    found = line(*doses)
    observed = [(m.label, f"{m.begins:%m-%d %H:%M}", f"{m.ends:%m-%d %H:%M}") for m in of(found, Kind.OBSERVED)]
    assert observed == [
        ("22–24 h", "12-22 10:00", "12-23 11:00"),
        ("22–24 h", "12-29 10:00", "12-30 11:00"),
        ("6–8 h", "01-19 10:00", "01-19 19:00"),
    ]
    assert [f"{m.ends:%m-%d %H:%M}" for m in of(found, Kind.NEAR_CARE)] == ["12-24 10:00", "12-31 10:00"]


def test_without_a_clock_time_the_hours_are_counted_from_the_end_of_the_day_and_said_so() -> None:
    mark = one(line(give(-1, "1")), Kind.OBSERVED)
    assert not mark.start_known
    assert "the time of the dose is not recorded" in mark.says


def test_seed_alone_has_no_hours_for_the_third_dose_and_says_so() -> None:
    found = line(*gives((-15, "1"), (-8, "10"), (-1, "10")), sources=Sources.SEED)
    assert [m.says for m in found.of(Lane.OBSERVATION) if not m.is_placed] == [
        "10 mg of 2026-01-19: the source gives no hours of observation."
    ]


def test_contraception_ends_two_calendar_months_after_the_last_exposure() -> None:
    at = datetime(2026, 1, 5, 9, tzinfo=ZONE)
    found = line(*gives((-27, "1"), (-20, "10")), at=at)
    mark = one(found, Kind.PROTECTION)
    assert (mark.label, days_of(mark)) == ("until 2026-02-28", ("2025-12-24", "2026-02-28"))  # 31 December, clamped
    assert mark.says.endswith("2 months after the last dose, 2026-02-28. A further dose moves this day.")
    assert of(line(), Kind.PROTECTION) == []


def test_the_last_day_of_contraception_is_not_past_and_the_day_after_it_is() -> None:
    doses = gives((-68, "1"), (-61, "10"))  # the last on 2025-11-20
    last, after = (line(*doses, at=datetime(2026, 1, day, 9, tzinfo=ZONE)) for day in (20, 21))
    assert one(last, Kind.PROTECTION).says.endswith("2026-01-20. A further dose moves this day.")
    assert one(after, Kind.PROTECTION).says.endswith("2026-01-20. This day is past.")


def test_of_an_uncertain_last_dose_contraception_is_counted_from_its_latest_day() -> None:
    mark = one(line(give(between(-5, -3), "1")), Kind.PROTECTION)
    assert (mark.last, mark.end_known) == (date(2026, 3, 17), False)


def test_what_was_not_read_is_a_remark_and_no_lane_says_none_on_record() -> None:
    found = line(
        give(-8, "1"),
        Unknown(what="Observation", why="no code", reference="Observation/o"),
        Unknown(what="Condition", why="of another patient", foreign=True),
        needs=[read("adverseEvents", Reading.PARTIAL), read("observations", Reading.UNAVAILABLE, "")],
    )
    assert found.notes == (
        "adverseEvents were read only in part: time limit. More may be on record.",
        "observations could not be read. More may be on record.",
        "Observation Observation/o could not be read: no code.",
    )
    assert found.silent[Lane.TOXICITY] == "none found, but not all could be read"
    assert found.silent[Lane.HOLD] == "none found, but not all could be read"


def test_doses_that_were_not_read_are_not_none_on_record() -> None:
    found = line(needs=[read("medicationAdministrations", Reading.UNAVAILABLE)])
    assert found.silent[Lane.DOSES] == "given doses could not be read"
    assert found.silent[Lane.OBSERVATION] == "not known: given doses could not be read"
    assert found.silent[Lane.PROTECTION] == "not known: given doses could not be read"
    assert found.of(Lane.DUE) == ()


def test_an_order_while_doses_were_not_read_is_no_proof_that_none_was_given() -> None:
    found = line(order("10"), needs=[read("medicationAdministrations", Reading.UNAVAILABLE)])
    assert found.headline == (
        "Given doses could not be read. Whether one was given is not certain: what is due is not known."
    )


def test_after_a_claim_alone_it_is_not_certain_whether_a_dose_was_given() -> None:
    """V46d: a dose may have been given on the day of the claim."""
    found = line(claim(-14))
    assert found.headline == "No dose on record. Whether one was given is not certain: what is due is not known."
    assert found.silent[Lane.OBSERVATION] == "not known: whether a dose was given is not certain"
    assert found.silent[Lane.PROTECTION] == "not known: whether a dose was given is not certain"
    assert line(order("1")).silent[Lane.PROTECTION] == "no dose on record"


def test_a_rule_that_raises_takes_down_only_itself_and_is_a_remark(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    tables = {
        "stop": {**engine_toxicity.STOP_QUESTIONS, "grade ever": broken},
        "hold": engine_toxicity.HOLD_QUESTIONS,
    }
    state = state_of(give(-8, "1"), crs(2, -7))
    assessment = rulebook().assess(state, at=AT, zone=ZONE, occasion=Occasion.STATUS)
    monkeypatch.setattr("cds_service.engine.rulebook.CASE_TABLES", tables)
    found = timeline(state, assessment, at=AT, zone=ZONE)
    assert "The rule CRS-STOP-G4 failed: it could not be assessed." in found.notes
    assert one(found, Kind.HOLD).rows == ("CRS-HOLD-G2",)


def test_the_latest_marks_of_a_lane_are_kept_and_the_earlier_counted() -> None:
    doses = [give(-n, "10", ref=f"a{n}") for n in range(1, MOST_OF_A_LANE + 3)]
    found = line(*doses)
    assert len(found.of(Lane.DOSES)) == MOST_OF_A_LANE
    assert "Doses: 2 earlier entries are not shown." in found.notes


def test_remarks_are_bounded_and_the_others_counted() -> None:
    lost = [Unknown(what="Condition", why=f"reason {n}") for n in range(MOST_NOTES + 2)]
    assert line(give(-8, "1"), *lost).notes[-1] == "2 further remarks are not shown."


def test_days_are_those_of_the_clinic() -> None:
    found = line(give(-8, "1"), at=datetime(2026, 1, 20, 3, tzinfo=ZoneInfo("UTC")), zone=ZoneInfo("America/New_York"))
    assert (found.today, found.zone) == (date(2026, 1, 19), "America/New_York")


def test_labels_and_sentences_of_the_record_are_bounded() -> None:
    found = line(give(-8, "1"), toxicity(Syndrome.OTHER, 2, -5, label="x" * 2000))
    mark = one(found, Kind.OTHER_TOXICITY)
    assert len(mark.label) == 40
    assert len(mark.says) == 600
    assert iso(-5) not in mark.label
