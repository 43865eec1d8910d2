"""Many records of one event, many rows of one dose: gathered in one pass, into what comparing each with each would say.

The comparisons of each with each stand here in their shortest form. They take a minute where the engine takes a second.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cds_service.engine.episodes import Episode, State, episodes_of
from cds_service.engine.history import (
    DoseDays,
    DoseKind,
    GivenDose,
    copies_of_one_dose,
    planned_orders,
    read_history,
)
from fhir_mappings.facts import (
    Administration,
    Course,
    Grade,
    NotRecorded,
    Syndrome,
    ToxicityRecord,
    When,
)
from tests.engine.builders import (
    TODAY,
    ask,
    between,
    claim,
    crs,
    day,
    give,
    grade,
    ice,
    mg,
    neuro,
    on_record,
    order,
    rulebook,
    state_of,
)

GAP: Final = 7
WHOLE_DAY: Final = timedelta(days=1)

# --- each with each ----------------------------------------------------------------------------------------------


def belongs_by_each(onset: When, episode: Episode, doses: Sequence[GivenDose]) -> bool:
    last = max(episode.onsets, key=lambda when: (when.latest, when.earliest))
    if any(last.latest < dose.day.latest and dose.day.earliest <= onset.latest for dose in doses):
        return False
    ended = episode.ended
    if ended is not None and onset.latest - ended.latest > WHOLE_DAY:
        return False
    is_same = (last.earliest, last.latest) == (onset.earliest, onset.latest)
    touches = ended is not None and onset.earliest - ended.latest <= WHOLE_DAY
    is_active = episode.is_active
    return is_active or touches or is_same or (onset.latest - last.earliest).days <= GAP


def is_grade_0(record: ToxicityRecord) -> bool:
    return isinstance(record.grade, Grade) and record.grade.value == 0


def is_closing(record: ToxicityRecord) -> bool:
    return is_grade_0(record) and isinstance(record.grade, Grade) and not record.grade.at_least


def episodes_by_each(records: Iterable[ToxicityRecord], doses: Sequence[GivenDose]) -> tuple[Episode, ...]:
    def place(record: ToxicityRecord) -> Any:
        assert isinstance(record.onset, When)
        return (
            record.onset.latest,
            record.onset.earliest,
            -record.grade.value if isinstance(record.grade, Grade) else 0,
            is_closing(record),
        )

    found: list[Episode] = []
    dated = [record for record in records if isinstance(record.onset, When)]
    for record in sorted(dated, key=place):
        assert isinstance(record.onset, When)
        closes = is_closing(record)
        if closes and found:
            found[-1] = replace(found[-1], closings=(*found[-1].closings, record))
        elif not closes and found and belongs_by_each(record.onset, found[-1], doses):
            found[-1] = replace(found[-1], records=(*found[-1].records, record))
        elif not closes:
            found.append(Episode(syndrome=Syndrome.CRS, records=(record,)))
    undated = tuple(r for r in records if not isinstance(r.onset, When) and not is_grade_0(r))
    if undated and found:
        found[-1] = replace(found[-1], records=(*found[-1].records, *undated), joined_without_onset=True)
    elif undated:
        found.append(Episode(syndrome=Syndrome.CRS, records=undated))
    return tuple(found)


def are_copies(one: Administration, other: Administration) -> bool:
    first, second = one.start, other.start
    assert isinstance(first, When)
    assert isinstance(second, When)
    if (first.earliest, first.latest) != (second.earliest, second.latest):
        return False
    if one.reference == other.reference or one.identifiers & other.identifiers:
        return True
    if first.instant is None or first.instant != second.instant:
        return False
    return (one.request != "" and one.request == other.request) or one.amount.mg == other.amount.mg


def groups_by_each(rows: Iterable[Administration]) -> list[list[Administration]]:
    groups: list[list[Administration]] = []
    for row in rows:
        joined = [group for group in groups if any(are_copies(row, member) for member in group)]
        groups = [group for group in groups if group not in joined]
        groups.append([member for group in joined for member in group] + [row])
    return groups


# --- what a record may be ----------------------------------------------------------------------------------------

SPANS: Final = st.builds(
    lambda first, days: between(first, first + days), st.integers(-12, 0), st.sampled_from([0, 0, 0, 1, 3, 30])
)
MAYBE: Final = st.one_of(SPANS, SPANS, SPANS, st.just(NotRecorded))
GRADES: Final = st.one_of(
    st.just(NotRecorded), st.builds(lambda value, least: grade(value, at_least=least), st.integers(0, 4), st.booleans())
)
RECORDS: Final = st.lists(
    st.builds(
        lambda value, onset, end, course: replace(crs(None, onset, end), course=course, grade=value),
        GRADES,
        MAYBE,
        MAYBE,
        st.sampled_from(list(Course)),
    ),
    max_size=10,
)
DOSES: Final = st.lists(
    SPANS.map(lambda span: GivenDose(day=span, mg=None, kind=DoseKind.STEP, references=())), max_size=3
)
ROWS: Final = st.lists(
    st.builds(
        lambda n, clock, amount, ref, request, identifiers: give(
            day(n, clock), amount, ref=ref, request=request, identifiers=identifiers
        ),
        st.integers(-2, -1),
        st.sampled_from(["", "09:00", "10:00"]),
        st.sampled_from([None, "1", "1.0", "10"]),
        st.sampled_from("abcdefgh"),
        st.sampled_from(["", "MedicationRequest/1", "MedicationRequest/2"]),
        st.frozensets(st.sampled_from("uvwxyz"), max_size=2),
    ),
    max_size=9,
)


# --- episodes ----------------------------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(RECORDS, DOSES)
def test_episodes_are_those_found_by_comparing_each_record_with_each(
    records: list[ToxicityRecord], doses: list[GivenDose]
) -> None:
    found = episodes_of(Syndrome.CRS, records, doses, GAP)
    assert found == episodes_by_each(records, doses)


def test_an_observation_of_grade_0_without_a_day_closes_nothing() -> None:
    seen = crs(2, -3, course=Course.POINT)
    undated = crs(0, NotRecorded, course=Course.POINT)
    assert Episode(syndrome=Syndrome.CRS, records=(seen,), closings=(undated,)).state is State.POINT_OPEN
    same_day = replace(undated, onset=day(-3))
    assert Episode(syndrome=Syndrome.CRS, records=(seen,), closings=(same_day,)).state is State.POINT_OPEN
    later = replace(undated, onset=day(-2))
    assert Episode(syndrome=Syndrome.CRS, records=(seen,), closings=(later,)).ended == day(-2)


def test_an_observation_without_a_day_is_taken_as_older_than_those_with_one() -> None:
    seen, undated = crs(1, -3, course=Course.POINT), crs(3, NotRecorded, course=Course.POINT)
    closing = crs(0, -2, course=Course.POINT)
    assert Episode(syndrome=Syndrome.CRS, records=(seen, undated), closings=(closing,)).ended == day(-2)


@pytest.mark.parametrize(("closed_on", "state"), [(-2, State.POINT_OPEN), (-1, State.RESOLVED)])
def test_thousands_of_observations_are_one_episode_closed_on_the_last_of_their_days(
    closed_on: int, state: State
) -> None:
    seen = [crs(1 + n % 4, -1 - n % 20, ref=str(n), course=Course.POINT) for n in range(5000)]
    (episode,) = episodes_of(Syndrome.CRS, [*seen, crs(1, -20, closed_on, ref="end")], [], GAP)
    assert (len(episode.records), episode.grade, episode.state) == (5001, 4, state)


@pytest.mark.parametrize(("given_on", "events"), [(None, 1), (-10, 2), (-20, 1), (-1, 2)])
def test_a_dose_among_thousands_of_observations_makes_two_episodes_of_them(given_on: int | None, events: int) -> None:
    """From day -20 to day -1; the dose of day -10 caused what was seen from then on, that of day -20 all of it."""
    seen = [crs(1, -1 - n % 20, ref=str(n), course=Course.POINT) for n in range(5000)]
    dose = [] if given_on is None else [GivenDose(day=day(given_on), mg=None, kind=DoseKind.STEP, references=())]
    assert len(episodes_of(Syndrome.CRS, seen, dose, GAP)) == events


def test_thousands_of_ice_scores_still_withhold_the_drug() -> None:
    scores = [ice(n % 3 + 7, -1) for n in range(3000)]
    few = ask(order("10"), give(-14, "1"), *scores[:3]).kinds
    assert ask(order("10"), give(-14, "1"), *scores).kinds == few
    assert "neurotoxicity/withhold critical" in few


@pytest.mark.parametrize(("grade_to", "improved"), [(1, -2), (0, None)])
def test_the_day_of_improvement_is_found_among_thousands_of_records(grade_to: int, improved: int | None) -> None:
    worse = [neuro(3, -5, ref=f"w{n}") for n in range(3000)]
    milder = [neuro(1, -2, ref=f"m{n}", course=Course.POINT) for n in range(3000)]
    episode = Episode(syndrome=Syndrome.NEUROTOXICITY, records=(*worse, *milder))
    assert episode.improved_on(grade_to) == (None if improved is None else day(improved))


# --- doses -------------------------------------------------------------------------------------------------------


def started(rows: Iterable[Administration]) -> list[tuple[Administration, When]]:
    return [(row, row.start) for row in rows if isinstance(row.start, When)]


@settings(max_examples=300, deadline=None)
@given(ROWS)
def test_copies_are_those_found_by_comparing_each_row_with_each(rows: list[Administration]) -> None:
    assert [list(group) for group in copies_of_one_dose(started(rows))] == groups_by_each(rows)


@settings(max_examples=300, deadline=None)
@given(DOSES, SPANS)
def test_a_dose_in_a_span_is_found_as_by_looking_at_each(doses: list[GivenDose], span: When) -> None:
    days = DoseDays(doses=doses)
    overlap = [d for d in doses if d.day.earliest <= span.latest and span.earliest <= d.day.latest]
    after = [d for d in doses if d.day.earliest <= span.latest and span.earliest < d.day.latest]
    assert days.any_in(span.earliest, span.latest) is bool(overlap)
    assert days.any_after(span.earliest, span.latest) is bool(after)


def test_a_span_that_ends_with_the_calendar_can_be_asked_about() -> None:
    assert not DoseDays(doses=()).any_after(date.max, date.max)


@pytest.mark.parametrize(("last_shares", "groups"), [(("i0", "i3999"), 3999), (("x",), 4001)])
def test_thousands_of_rows_are_grouped_by_what_they_share(last_shares: tuple[str, ...], groups: int) -> None:
    rows = [give(day(-1), "10", ref=f"r{n}", identifiers=frozenset({f"i{n}"})) for n in range(4000)]
    found = copies_of_one_dose(started([*rows, give(day(-1), "10", ref="last", identifiers=frozenset(last_shares))]))
    assert len(found) == groups
    assert found[-1][-1].reference == "MedicationAdministration/last"


def test_a_small_group_is_put_before_a_large_one_that_it_is_older_than() -> None:
    old = give(day(-1), "10", ref="old", identifiers=frozenset({"a"}))
    large = [give(day(-1), "10", ref=f"r{n}", identifiers=frozenset({"b"})) for n in range(3)]
    link = give(day(-1), "10", ref="link", identifiers=frozenset({"a", "b"}))
    (found,) = copies_of_one_dose(started([old, *large, link]))
    names = [row.reference.rpartition("/")[2] for row in found]
    assert names == ["old", "r0", "r1", "r2", "link"]


def test_thousands_of_rows_of_one_day_are_its_sum() -> None:
    rows = [give(day(-14, "09:00"), "0.001", ref=f"r{n}", request=f"MedicationRequest/{n % 2}") for n in range(4000)]
    (dose,) = read_history(state_of(*rows), rulebook().regimen, TODAY).doses
    assert (dose.mg, len(dose.references)) == (Decimal("0.001"), 4000)


@pytest.mark.parametrize(("last", "partial"), [("10", 0), ("4", 3000)])
def test_only_what_no_completed_dose_follows_is_asked_about(last: str, partial: int) -> None:
    rows = [give(-5000 + n, "4", ref=f"r{n}") for n in range(2999)]
    history = read_history(state_of(*rows, give(-1, last)), rulebook().regimen, TODAY)
    assert len(history.partial) == partial


def test_orders_and_claims_after_the_last_dose_are_told_apart_from_those_of_its_day() -> None:
    facts = [give(-14, "10"), on_record("completed", -14), on_record("completed", -13, ref="r2"), claim(-12)]
    history = read_history(state_of(*facts), rulebook().regimen, TODAY)
    assert [doubt.references for doubt in history.later_orders] == [("MedicationRequest/r2",), ("Procedure/claim-12",)]


@pytest.mark.parametrize(("planned_for", "kept"), [(0, 0), (1, 1)])
def test_a_planned_order_of_a_day_with_a_dose_is_not_to_come(planned_for: int, kept: int) -> None:
    facts = state_of(give(0, "1"), on_record("active", planned_for))
    history = read_history(facts, rulebook().regimen, TODAY)
    assert len(planned_orders(facts, history, TODAY)) == kept


def test_amounts_that_differ_only_in_how_they_are_written_are_copies() -> None:
    one, other = (give(day(-1, "09:00"), None, ref=ref) for ref in "ab")
    rows = [replace(one, amount=mg("1")), replace(other, amount=mg("1.0"))]
    assert len(copies_of_one_dose(started(rows))) == 1
