"""When an order was signed, and on which side of that moment a record lies: each border in a pair."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from cds_service.replay.assumptions import Assumption
from cds_service.replay.moment import (
    NO_DATE,
    NO_DAY,
    UNREADABLE_DATE,
    Found,
    Known,
    Moment,
    knowledge_of,
    last_updated,
    moment_of,
    without_later_notes,
)
from fhir_mappings.facts import Unknown
from tests.replay.story import A_SECOND_LATER, BERLIN, SIGNED, Resource, moment, order, resource

YES, LATER = Known.YES, Known.LATER


def test_an_order_with_a_time_was_signed_at_that_instant() -> None:
    expected = datetime(2026, 3, 10, 14, tzinfo=BERLIN)
    assert moment() == Moment(earliest=expected, at=expected, zone=BERLIN)
    assert moment().is_certain


def test_an_order_with_a_day_alone_was_signed_some_time_on_that_day() -> None:
    found = moment("2026-03-10")
    assert (found.earliest, found.at) == (
        datetime(2026, 3, 10, tzinfo=BERLIN),
        datetime(2026, 3, 11, tzinfo=BERLIN) - timedelta(microseconds=1),
    )
    assert not found.is_certain


def test_an_order_of_dstu2_says_it_by_another_name() -> None:
    found = moment_of({"resourceType": "MedicationOrder", "dateWritten": SIGNED}, BERLIN)
    assert found == moment()


@pytest.mark.parametrize(
    ("authored", "why"), [(None, NO_DATE), ("soon", UNREADABLE_DATE), ("2026-03", NO_DAY), ("2026", NO_DAY)]
)
def test_an_order_without_a_certain_day_has_no_moment(authored: str | None, why: str) -> None:
    found = moment_of(order(authored=authored), BERLIN)
    assert isinstance(found, Unknown)
    assert found.why == why


RECORDED = {
    "AdverseEvent": "recordedDate",
    "AllergyIntolerance": "recordedDate",
    "Condition": "recordedDate",
    "MedicationAdministration": "effectiveDateTime",
    "MedicationRequest": "authoredOn",
    "Observation": "issued",
    "Procedure": "performedDateTime",
}


@pytest.mark.parametrize(("kind", "name"), RECORDED.items())
def test_what_was_recorded_at_the_moment_was_known_and_a_second_later_was_not(kind: str, name: str) -> None:
    assert knowledge_of(resource(kind, **{name: SIGNED}), moment()) == Found(known=YES)
    assert knowledge_of(resource(kind, **{name: A_SECOND_LATER}), moment()) == Found(known=LATER)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("AdverseEvent", "date"),
        ("AllergyIntolerance", "onsetDateTime"),
        ("Condition", "onsetDateTime"),
        ("Observation", "effectiveDateTime"),
    ],
)
def test_without_a_date_of_recording_it_counts_as_known_since_it_happened_and_that_is_said(
    kind: str, name: str
) -> None:
    expected = Found(known=YES, assumed=(Assumption.EVENT_DATE_USED,))
    assert knowledge_of(resource(kind, **{name: SIGNED}), moment()) == expected
    assert knowledge_of(resource(kind, **{name: A_SECOND_LATER}), moment()) == Found(known=LATER)


def test_the_date_of_recording_outweighs_when_it_happened() -> None:
    known_late = resource("Condition", onsetDateTime="2026-03-01", recordedDate=A_SECOND_LATER)
    foreseen = resource("Observation", effectiveDateTime=A_SECOND_LATER, issued=SIGNED)
    assert knowledge_of(known_late, moment()) == Found(known=LATER)
    assert knowledge_of(foreseen, moment()) == Found(known=YES)


def test_the_same_instant_in_another_zone_is_the_same() -> None:
    assert knowledge_of(resource("Observation", issued="2026-03-10T08:00:00-05:00"), moment()) == Found(known=YES)
    assert knowledge_of(resource("Observation", issued="2026-03-10T08:00:01-05:00"), moment()) == Found(known=LATER)


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        ("2026-03-09", Found(known=YES)),
        ("2026-03-10", Found(known=YES, assumed=(Assumption.SAME_DAY_KEPT,))),
        ("2026-03-11", Found(known=LATER)),
        ("2026-02", Found(known=YES)),
        ("2026-03", Found(known=YES, assumed=(Assumption.SAME_DAY_KEPT,))),
        ("2026-04", Found(known=LATER)),
    ],
)
def test_a_record_of_the_same_day_or_month_without_a_time_is_kept_and_counted(date: str, expected: Found) -> None:
    assert knowledge_of(resource("Condition", recordedDate=date), moment()) == expected


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        ("2026-03-09", Found(known=YES)),
        ("2026-03-10", Found(known=LATER, assumed=(Assumption.SAME_DAY_DOSE_LEFT_OUT,))),
        ("2026-03", Found(known=YES, assumed=(Assumption.SAME_DAY_KEPT,))),
        ("2026-03-11", Found(known=LATER)),
    ],
)
def test_a_dose_of_the_same_day_is_taken_as_given_after_the_order_one_of_the_month_as_history(
    date: str, expected: Found
) -> None:
    assert knowledge_of(resource("MedicationAdministration", effectiveDateTime=date), moment()) == expected


def test_a_dose_with_a_time_on_the_day_of_an_order_without_one_is_taken_as_given_after_it() -> None:
    at_ten = resource("MedicationAdministration", effectiveDateTime="2026-03-10T10:00:00+01:00")
    expected = Found(known=LATER, assumed=(Assumption.SAME_DAY_DOSE_LEFT_OUT,))
    assert knowledge_of(at_ten, moment("2026-03-10")) == expected


@pytest.mark.parametrize("kind", sorted(RECORDED))
def test_without_any_readable_date_it_is_kept_and_counted(kind: str) -> None:
    expected = Found(known=YES, assumed=(Assumption.UNDATED_KEPT,))
    assert knowledge_of(resource(kind), moment()) == expected
    assert knowledge_of(resource(kind, **{RECORDED[kind]: "long ago"}), moment()) == expected


def test_without_any_date_a_version_that_was_written_before_the_moment_was_there_for_certain() -> None:
    assert knowledge_of(resource("Condition", meta={"lastUpdated": SIGNED}), moment()) == Found(known=YES)
    expected = Found(known=YES, assumed=(Assumption.UNDATED_KEPT,))
    assert knowledge_of(resource("Condition", meta={"lastUpdated": A_SECOND_LATER}), moment()) == expected


@pytest.mark.parametrize("kind", ["Patient", "Medication"])
def test_what_has_no_time_was_always_known(kind: str) -> None:
    assert knowledge_of({"resourceType": kind, "id": "x"}, moment()) == Found(known=YES)


def test_a_result_that_was_corrected_afterwards_is_left_out_and_counted() -> None:
    times = {"effectiveDateTime": "2026-03-09T08:00:00+01:00", "issued": A_SECOND_LATER}
    expected = Found(known=LATER, assumed=(Assumption.CORRECTED_LEFT_OUT,))
    assert knowledge_of(resource("Observation", status="corrected", **times), moment()) == expected
    assert knowledge_of(resource("Observation", status="final", **times), moment()) == Found(known=LATER)
    later = times | {"effectiveDateTime": A_SECOND_LATER}
    assert knowledge_of(resource("Observation", status="amended", **later), moment()) == Found(known=LATER)


@pytest.mark.parametrize(("end", "known"), [(SIGNED, YES), (A_SECOND_LATER, LATER)])
def test_an_observation_over_a_time_is_known_when_that_is_over(end: str, known: Known) -> None:
    over_a_day = resource("Observation", effectivePeriod={"start": "2026-03-09", "end": end})
    assert knowledge_of(over_a_day, moment()).known is known


def test_an_infusion_is_known_from_its_start() -> None:
    running = resource("MedicationAdministration", effectivePeriod={"start": SIGNED, "end": A_SECOND_LATER})
    assert knowledge_of(running, moment()) == Found(known=YES)


def test_an_update_counts_only_with_its_offset() -> None:
    assert last_updated({"meta": {"lastUpdated": "2026-03-10T13:00:00Z"}}) == moment().at
    assert last_updated({"meta": {"lastUpdated": "2026-03-10T13:00:00"}}) is None
    assert last_updated({"meta": {"lastUpdated": "yesterday"}}) is None
    assert last_updated({}) is None


def test_a_note_that_was_written_a_second_later_is_taken_away() -> None:
    before: Resource = {"time": SIGNED, "text": "before"}
    undated: Resource = {"text": "undated"}
    noted = resource("Condition", note=[before, {"time": A_SECOND_LATER, "text": "after"}, undated])
    assert without_later_notes(noted, moment())["note"] == [before, undated]
    assert without_later_notes(resource("Condition", note=[before]), moment()) == resource("Condition", note=[before])
