"""Ends and statuses of after the moment are taken back; what nobody dates stays, and is counted."""

from __future__ import annotations

from typing import Any

import pytest

from cds_service.replay.as_it_was import as_it_was, draft_of
from cds_service.replay.assumptions import Assumption
from tests.replay.story import A_SECOND_LATER, SIGNED, Resource, dose, moment, order, resource, status

RESOLVED_ON = "http://hl7.org/fhir/us/ctcae/StructureDefinition/adverse-event-resolved-date"
WITHDRAWN = (Assumption.WITHDRAWN_UNDATED,)
CLOSED = (Assumption.CLOSED_UNDATED,)


def then(found: Resource, authored: str = SIGNED, **options: Any) -> tuple[dict[str, Any], tuple[Assumption, ...]]:
    was = as_it_was(found, moment(authored), **options)
    return dict(was.resource), was.assumed


# --- conditions and allergies -----------------------------------------------------------------------------------------


def test_a_condition_that_ended_at_the_moment_had_ended_and_one_that_ended_a_second_later_was_active() -> None:
    ended = resource("Condition", clinicalStatus=status("resolved"), abatementDateTime=SIGNED)
    going_on = resource("Condition", clinicalStatus=status("active"))
    assert then(ended) == (ended, ())
    assert then(ended | {"abatementDateTime": A_SECOND_LATER}) == (going_on, ())


def test_the_end_of_a_period_counts_like_a_date() -> None:
    ended = resource("Condition", clinicalStatus=status("inactive"), abatementPeriod={"end": A_SECOND_LATER})
    assert then(ended) == (resource("Condition", clinicalStatus=status("active")), ())


def test_a_status_of_an_older_fhir_keeps_its_shape() -> None:
    ended = resource("Condition", clinicalStatus="resolved", abatementDateTime=A_SECOND_LATER)
    assert then(ended) == (resource("Condition", clinicalStatus="active"), ())
    coded = resource("Condition", clinicalStatus={"coding": [{"code": "resolved"}]}, abatementDateTime=A_SECOND_LATER)
    assert then(coded) == (resource("Condition", clinicalStatus={"coding": [{"code": "active"}]}), ())


def test_a_condition_whose_end_is_foreseen_keeps_its_open_status() -> None:
    planned = resource("Condition", clinicalStatus=status("recurrence"), abatementDateTime=A_SECOND_LATER)
    assert then(planned) == (resource("Condition", clinicalStatus=status("recurrence")), ())


def test_an_end_on_the_day_of_the_order_is_kept_and_counted() -> None:
    ended = resource("Condition", clinicalStatus=status("resolved"), abatementDateTime="2026-03-10")
    assert then(ended) == (ended, (Assumption.END_DAY_UNCLEAR,))


@pytest.mark.parametrize(
    ("elements", "assumed"),
    [
        ({"clinicalStatus": status("resolved")}, CLOSED),
        ({"clinicalStatus": status("active")}, ()),
        ({"abatementString": "resolved"}, CLOSED),
        ({"clinicalStatus": status("remission"), "abatementDateTime": "some day"}, CLOSED),
        ({"verificationStatus": status("refuted")}, WITHDRAWN),
        ({"verificationStatus": status("entered-in-error"), "clinicalStatus": status("inactive")}, CLOSED + WITHDRAWN),
    ],
)
def test_a_condition_that_was_closed_or_withdrawn_without_a_date_stays_so_and_is_counted(
    elements: Resource, assumed: tuple[Assumption, ...]
) -> None:
    found = resource("Condition", **elements)
    assert then(found) == (found, assumed)


def test_an_allergy_is_read_like_a_condition() -> None:
    found = resource("AllergyIntolerance", clinicalStatus=status("resolved"), verificationStatus=status("refuted"))
    assert then(found) == (found, CLOSED + WITHDRAWN)


@pytest.mark.parametrize(("written", "assumed"), [(SIGNED, ()), (A_SECOND_LATER, CLOSED)])
def test_a_version_of_before_the_moment_stood_so(written: str, assumed: tuple[Assumption, ...]) -> None:
    found = resource("Condition", clinicalStatus=status("resolved"), meta={"lastUpdated": written})
    assert then(found) == (found, assumed)


def test_a_later_note_is_taken_away() -> None:
    noted = resource("Observation", note=[{"time": A_SECOND_LATER, "text": "grade 3"}])
    assert then(noted) == (resource("Observation", note=[]), ())


# --- adverse events ---------------------------------------------------------------------------------------------------


def event(outcome: str, resolved: str = "", **elements: Any) -> Resource:
    made = resource("AdverseEvent", outcome={"coding": [{"code": outcome}]}, **elements)
    return made | ({"extension": [{"url": RESOLVED_ON, "valueDateTime": resolved}]} if resolved else {})


def test_an_adverse_event_that_was_resolved_a_second_later_was_going_on() -> None:
    assert then(event("resolved", SIGNED)) == (event("resolved", SIGNED), ())
    assert then(event("resolved", A_SECOND_LATER)) == (event("ongoing"), ())


def test_other_extensions_of_an_adverse_event_stay() -> None:
    graded = {"url": "http://hl7.org/fhir/us/ctcae/StructureDefinition/ctcae-grade", "valueInteger": 2}
    found = event("resolved", A_SECOND_LATER)
    found["extension"].append(graded)
    assert then(found) == (event("ongoing", extension=[graded]), ())


def test_an_adverse_event_with_a_later_end_and_no_outcome_keeps_none() -> None:
    found = event("resolved", A_SECOND_LATER)
    del found["outcome"]
    assert then(found) == (resource("AdverseEvent"), ())


def test_nobody_gets_an_order_after_a_fatal_event() -> None:
    assert then(event("fatal")) == (event("ongoing"), ())


@pytest.mark.parametrize(
    ("found", "assumed"),
    [
        (event("resolved"), CLOSED),
        (event("recovered", "no date"), CLOSED),
        (event("resolved", "2026-03-10"), (Assumption.END_DAY_UNCLEAR,)),
        (event("ongoing"), ()),
        (event("ongoing", status="entered-in-error"), WITHDRAWN),
    ],
)
def test_an_adverse_event_whose_end_has_no_date_is_counted(found: Resource, assumed: tuple[Assumption, ...]) -> None:
    assert then(found) == (found, assumed)


# --- what takes time --------------------------------------------------------------------------------------------------


def infusion(end: str, code: str) -> Resource:
    period = {"start": "2026-03-10T13:30:00+01:00"} | ({"end": end} if end else {})
    made = dose("d", "", effectivePeriod=period)
    del made["effectiveDateTime"]
    return made | {"status": code}


def test_an_infusion_that_ended_a_second_later_was_running() -> None:
    assert then(infusion(SIGNED, "completed")) == (infusion(SIGNED, "completed"), ())
    assert then(infusion(A_SECOND_LATER, "completed")) == (infusion("", "in-progress"), ())
    assert then(infusion(A_SECOND_LATER, "entered-in-error")) == (infusion("", "entered-in-error"), WITHDRAWN)


def test_a_procedure_that_ended_a_second_later_was_going_on() -> None:
    period = {"start": "2026-03-10T13:30:00+01:00"}
    ended = resource("Procedure", status="completed", performedPeriod=period | {"end": A_SECOND_LATER})
    assert then(ended) == (resource("Procedure", status="in-progress", performedPeriod=period), ())
    not_done = resource("Procedure", status="not-done")
    assert then(not_done) == (not_done, WITHDRAWN)


@pytest.mark.parametrize(
    ("code", "assumed"), [("final", ()), ("entered-in-error", WITHDRAWN), ("cancelled", WITHDRAWN)]
)
def test_a_result_that_was_withdrawn_stays_so_and_is_counted(code: str, assumed: tuple[Assumption, ...]) -> None:
    found = resource("Observation", status=code)
    assert then(found) == (found, assumed)


def test_a_patient_is_as_exported() -> None:
    assert then({"resourceType": "Patient", "id": "p"}) == ({"resourceType": "Patient", "id": "p"}, ())


# --- other orders -----------------------------------------------------------------------------------------------------

BEFORE = "2026-03-01T09:00:00+01:00"
AS_EXPORTED = (Assumption.ORDER_STATUS_AS_EXPORTED,)


def planned(day: str, **elements: Any) -> Resource:
    made = order("earlier", authored=BEFORE, **elements)
    made["dosageInstruction"][0]["timing"]["event"] = [day]
    return made


def test_an_order_that_a_dose_was_given_on_later_was_active() -> None:
    stopped = order("earlier", authored=BEFORE, status="stopped", statusReason={"text": "Toxicity"})
    found, assumed = then(stopped, carried_out_later=frozenset({"MedicationRequest/earlier"}))
    assert (found["status"], "statusReason" in found, assumed) == ("active", False, ())
    other = frozenset({"MedicationRequest/another"})
    assert then(stopped, carried_out_later=other) == (stopped, AS_EXPORTED)


def test_a_completed_order_whose_day_was_still_to_come_was_active() -> None:
    found, assumed = then(planned("2026-03-11"))
    assert (found["status"], assumed) == ("active", ())
    assert then(planned("2026-03-10")) == (planned("2026-03-10"), AS_EXPORTED)


def test_a_stopped_order_whose_day_was_still_to_come_may_have_been_stopped_before() -> None:
    stopped = planned("2026-03-11", status="stopped")
    assert then(stopped) == (stopped, AS_EXPORTED)


def test_an_order_that_says_when_it_ended_is_put_back_by_that() -> None:
    ended = order("earlier", authored=BEFORE, status="stopped", statusChanged=SIGNED)
    assert then(ended) == (ended, ())
    found, assumed = then(ended | {"statusChanged": A_SECOND_LATER})
    assert (found["status"], "statusChanged" in found, assumed) == ("active", False, ())


@pytest.mark.parametrize("code", ["active", "draft", "unknown"])
def test_an_order_that_has_not_ended_is_as_exported(code: str) -> None:
    found = order("earlier", authored=BEFORE, status=code)
    assert then(found) == (found, ())


def test_an_order_entered_in_error_stays_so_and_is_counted() -> None:
    found = order("earlier", authored=BEFORE, status="entered-in-error")
    assert then(found) == (found, WITHDRAWN)


def test_an_order_is_a_draft_again_without_the_reason_why_it_ended() -> None:
    ended = order(status="stopped", statusReason={"text": "Toxicity"}, dateEnded="2026-03-12")
    assert draft_of(ended) == order(status="draft")
