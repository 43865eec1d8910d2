"""clinical-rules "Toxicity records": what is one episode, whose toxicity is it, and which grade counts?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fhir_mappings.facts import Course, NotRecorded, OtherEngager, Syndrome, ToxicityRecord
from tests.engine.builders import ask, between, course, crs, day, give, gives, ice, iso, neuro, order, toxicity

STOP_CRS = "crs/discontinue critical"
STOP_NEURO = "neurotoxicity/discontinue critical"
RESOLVED: dict[str, Any] = {"course": Course.RESOLVED}
FIRST = give(-100, "1")


def is_second(*records: ToxicityRecord, doses: tuple[object, ...] = ()) -> bool:
    """Whether these CRS grade 3 records are two distinct ones, which stops the drug for good."""
    return STOP_CRS in ask(order("1"), FIRST, *doses, *records).about(0)


# --- one episode or two ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("later", "second"), [(-83, False), (-82, True)])
def test_onsets_up_to_seven_days_apart_are_one_episode(later: int, second: bool) -> None:
    """Both resolved on an unknown day, so only the onsets can tell."""
    records = (crs(3, -90, NotRecorded, **RESOLVED), crs(3, later, NotRecorded, ref="b", **RESOLVED))
    assert is_second(*records) is second


def test_overlapping_records_are_one_episode_however_far_their_onsets() -> None:
    assert not is_second(crs(3, -90, -70), crs(3, -75, -70, ref="b"))


def test_a_record_still_open_overlaps_a_later_one() -> None:
    assert not is_second(crs(3, -90), crs(3, -10, -5, ref="b"))


@pytest.mark.parametrize(("later", "second"), [(-88, False), (-87, False), (-86, True)])
def test_a_whole_resolved_day_between_makes_a_new_episode(later: int, second: bool) -> None:
    """The first ended on day -88."""
    assert is_second(crs(3, -90, -88), crs(3, later, -80, ref="b")) is second


@pytest.mark.parametrize(("dosed", "second"), [(-90, False), (-89, True), (-86, True), (-85, False)])
def test_a_completed_dose_between_makes_a_new_episode(dosed: int, second: bool) -> None:
    """Onsets on day -90 and day -86: a dose on the day of the second onset caused it."""
    records = (crs(3, -90, NotRecorded, **RESOLVED), crs(3, -86, NotRecorded, ref="b", **RESOLVED))
    assert is_second(*records, doses=(give(dosed, "10"),)) is second


def test_a_partial_dose_between_makes_no_new_episode() -> None:
    records = (crs(3, -90, NotRecorded, **RESOLVED), crs(3, -86, NotRecorded, ref="b", **RESOLVED))
    assert not is_second(*records, doses=(give(-88, "4", "stopped"),))


def test_the_worst_grade_of_an_episode_counts() -> None:
    assert STOP_CRS in ask(order("1"), FIRST, crs(1, -90, -88), crs(4, -89, -88, ref="b")).about(0)


def test_a_grade_3_fading_to_grade_1_is_one_episode() -> None:
    answer = ask(order("10"), *gives((-21, "1"), (-14, "10")), neuro(3, -13, -9), neuro(1, -9, -6, ref="b"))
    assert STOP_NEURO not in answer.kinds
    assert answer.about(0) == ["monitoring/monitor warning"]


def test_a_partial_onset_recorded_alike_twice_is_one_event() -> None:
    month = between(-90, -60)
    assert not is_second(crs(3, month, NotRecorded, **RESOLVED), crs(3, month, NotRecorded, ref="b", **RESOLVED))


# --- without an onset ------------------------------------------------------------------------------------------


def test_a_record_without_an_onset_joins_the_nearest_episode() -> None:
    assert not is_second(crs(3, -90, -88), crs(3, NotRecorded, NotRecorded, ref="b", **RESOLVED))


def test_a_stop_from_a_record_without_an_onset_asks_whether_one_event_is_recorded_twice() -> None:
    answer = ask(order("1"), FIRST, crs(1, -90, -88), crs(4, NotRecorded, NotRecorded, ref="b", **RESOLVED))
    assert answer.about(0) == [STOP_CRS]
    assert "is this one event recorded twice?" in answer.text(STOP_CRS)


def test_records_without_any_onset_are_one_episode_that_counts() -> None:
    answer = ask(order("1"), FIRST, crs(4, NotRecorded, NotRecorded, **RESOLVED))
    assert answer.about(0) == [STOP_CRS]
    assert "onset not recorded" in answer.text(STOP_CRS)


def test_a_grade_3_neurotoxicity_without_an_onset_is_asked_about_not_stopped() -> None:
    answer = ask(order("10"), *gives((-21, "1"), (-14, "10")), neuro(3, NotRecorded, NotRecorded, **RESOLVED))
    assert "neurotoxicity/withhold critical" in answer.about(0)


def test_an_event_without_outcome_is_closed_by_its_copy_that_resolved_on_an_unknown_day() -> None:
    event = crs(2, -13, course=Course.OUTCOME_MISSING, ref="event")
    copy = crs(2, -13, NotRecorded, ref="problem", **RESOLVED)
    assert ask(order("10"), *course(3, -14), event).about(0) == ["crs/withhold critical"]
    assert ask(order("10"), *course(3, -14), event, copy).about(0) == ["monitoring/monitor info"]


@pytest.mark.parametrize(("began", "card"), [(-13, "monitoring/monitor info"), (-14, "crs/withhold critical")])
def test_an_event_without_outcome_is_closed_by_a_record_of_that_day_alone_and_not_by_one_that_lasted_until_it(
    began: int, card: str
) -> None:
    """What only ended on the day of the event may have been followed by it."""
    event = crs(2, -13, course=Course.OUTCOME_MISSING, ref="event")
    assert ask(order("10"), *course(3, -14), event, crs(2, began, -13, ref="problem")).about(0) == [card]


@pytest.mark.parametrize("closing_first", [False, True])
def test_a_grade_0_and_an_observation_without_a_grade_of_one_day_close_nothing_in_whatever_order_they_come(
    closing_first: bool,
) -> None:
    """Which of the two came later is not recorded: the event is not over, and what follows is no second one."""
    seen, closing = crs(None, -88, course=Course.POINT, ref="seen"), crs(0, -88, course=Course.POINT, ref="closing")
    both = (closing, seen) if closing_first else (seen, closing)
    assert not is_second(crs(3, -89, course=Course.OUTCOME_MISSING), *both, crs(3, -80, -79))


# --- not ours --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("onset", "counts"), [(-101, False), (-100, True)])
def test_a_toxicity_from_before_the_first_1_mg_is_not_counted_and_mentioned(onset: int, counts: bool) -> None:
    answer = ask(order("1"), FIRST, crs(4, onset, -90))
    assert (answer.about(0) == [STOP_CRS]) is counts
    if not counts:
        assert "Not counted against tarlatamab: crs, grade 4" in answer.text("monitoring") or (
            "Not counted against tarlatamab: crs grade 4" in answer.text("monitoring")
        )


def test_a_toxicity_from_before_a_first_dose_that_is_not_1_mg_counts_and_says_why() -> None:
    answer = ask(order("10"), *gives((-28, "10"), (-14, "10")), crs(4, -40, -35))
    assert answer.about(0) == [STOP_CRS]
    assert "Counted although no dose of tarlatamab is on record before it" in answer.text(STOP_CRS)


def test_a_toxicity_without_any_dose_on_record_counts_and_says_why() -> None:
    answer = ask(order("1"), crs(4, -40, -35))
    assert answer.about(0) == [STOP_CRS]
    assert "Counted although no dose of tarlatamab is on record before it" in answer.text(STOP_CRS)


CAR_T = OtherEngager(reference="Procedure/car-t", name="CAR-T", day=day(-730))


@pytest.mark.parametrize("doses", [(), (give(-20, "10"),)])
def test_a_toxicity_after_another_engager_and_before_the_first_dose_is_not_ours(doses: tuple[object, ...]) -> None:
    assert STOP_CRS not in ask(order("1"), *doses, CAR_T, crs(4, -720, -700)).about(0)


def test_another_engager_after_the_onset_does_not_explain_it() -> None:
    later = OtherEngager(reference="Procedure/car-t", name="CAR-T", day=day(-30))
    assert ask(order("1"), later, crs(4, -40, -35)).about(0) == [STOP_CRS]


def test_another_engager_without_a_day_does_not_explain_it() -> None:
    undated = OtherEngager(reference="Procedure/car-t", name="CAR-T", day=NotRecorded)
    assert ask(order("1"), undated, crs(4, -40, -35)).about(0) == [STOP_CRS]


def test_a_toxicity_after_a_dose_of_the_drug_counts_even_after_another_engager() -> None:
    assert ask(order("1"), FIRST, CAR_T, crs(4, -40, -35)).about(0) == [STOP_CRS]


def test_a_toxicity_without_an_onset_is_never_not_ours() -> None:
    assert ask(order("1"), FIRST, crs(4, NotRecorded, -90)).about(0) == [STOP_CRS]


def test_a_first_dose_that_was_stopped_does_not_excuse_a_toxicity_before_it() -> None:
    assert ask(order("1"), give(-100, "1", "stopped"), crs(4, -110, -105)).about(0) == [STOP_CRS]


# --- ICE -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("score", "rows"),
    [
        (9, ("NEURO-HOLD-G1", "ICE-7-9")),
        (7, ("NEURO-HOLD-G1", "ICE-7-9")),
        (6, ("NEURO-HOLD-G2", "ICE-3-6")),
        (3, ("NEURO-HOLD-G2", "ICE-3-6")),
        (2, ("NEURO-HOLD-G3", "ICE-0-2")),
        (0, ("NEURO-HOLD-G3", "ICE-0-2")),
    ],
)
def test_an_ice_score_has_the_grade_of_the_table(score: int, rows: tuple[str, str]) -> None:
    assert ask(order("10"), give(-7, "1"), ice(score, -2)).rows("neurotoxicity/withhold") == rows


def test_an_ice_score_of_10_alone_is_no_neurotoxicity() -> None:
    assert ask(order("10"), give(-7, "1"), ice(10, -2)).about(0) == ["monitoring/monitor info"]


def test_an_ice_score_outside_the_scale_stays_ungraded_and_holds() -> None:
    assert ask(order("10"), give(-7, "1"), ice(11, -2)).rows("neurotoxicity/withhold") == ("NEURO-HOLD-UNGRADED",)


def test_the_card_shows_the_ice_score_itself() -> None:
    assert "ICE score 8" in ask(order("10"), give(-7, "1"), ice(8, -2)).text("neurotoxicity/withhold")


# --- more harm is never milder ---------------------------------------------------------------------------------

RANK = {"critical": 0, "warning": 1, "info": 2}


def gravest(*facts: object) -> int:
    return min(RANK[kind.split()[1]] for kind in ask(order("10"), *course(3, -14), *facts).kinds)


@pytest.mark.parametrize("base", [crs(4, -50, -45), crs(1, -3), neuro(3, -10), neuro(3, -5), neuro(None, -3)])
@pytest.mark.parametrize(
    "more", [crs(1, -9, -8), crs(None, -9, -8), neuro(1, -9, -8), neuro(2, -2), ice(8, -1), crs(3, -30, -28)]
)
def test_one_more_toxicity_never_makes_the_gravest_card_milder(base: ToxicityRecord, more: ToxicityRecord) -> None:
    assert gravest(base, more) <= gravest(base)


@pytest.mark.parametrize(
    "record",
    [crs(3, -20), crs(2, -20), crs(1, -13), neuro(3, -30, -28), neuro(3, -20, -3), neuro(3, -10, -9), neuro(1, -3)],
)
@pytest.mark.parametrize("blank", ["grade", "onset", "end"])
def test_a_blanked_field_never_turns_a_warning_into_silence(record: ToxicityRecord, blank: str) -> None:
    blanked = replace(record, **{blank: NotRecorded})  # type: ignore[arg-type]
    if gravest(record) < RANK["info"]:
        assert gravest(blanked) < RANK["info"]


def test_a_resolved_crs_without_a_grade_is_at_least_a_line_of_the_card_after_a_dose_since() -> None:
    answer = ask(order("10"), *course(3, -14), crs(None, -50, -49))
    assert f"On record: crs, onset {iso(-50)}, ended {iso(-49)}." in answer.text("monitoring")


def test_a_grade_3_neurotoxicity_without_an_onset_and_with_an_end_is_asked_about() -> None:
    answer = ask(order("10"), *gives((-21, "1"), (-14, "10")), neuro(3, NotRecorded, -6))
    assert "neurotoxicity/withhold critical" in answer.about(0)
    since = ask(order("10"), *gives((-21, "1"), (-14, "10")), neuro(3, NotRecorded, -16))
    assert "neurotoxicity/withhold warning" in since.about(0)


def test_the_evidence_names_the_records_with_their_days() -> None:
    evidence = ask(order("10"), give(-7, "1"), crs(2, -5, ref="c7")).extension("crs/withhold").evidence
    assert [(e.reference, str(e.shows)) for e in evidence] == [("Condition/c7", f"crs, grade 2, onset {iso(-5)}, open")]


def test_neurotoxicity_of_another_kind_is_not_counted_as_such() -> None:
    other = toxicity(Syndrome.OTHER, 4, -5)
    assert ask(order("10"), give(-7, "1"), other).about(0) == ["monitoring/monitor info"]
