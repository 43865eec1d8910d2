"""The treatment timeline: what the record shows, what is due and what stands against it, as marks with their days.

Nothing here counts a day of the regimen: the engine does, by the rows of the knowledge. What is not known is a mark
that says so, or a sentence without a place on the axis; it is never a firm day, and never left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date, datetime
from typing import Final
from zoneinfo import ZoneInfo

from cds_service.cards import LONGEST_FACT, visible
from cds_service.engine.advice import Assessment
from cds_service.engine.case import Call, Case, without_an_order
from cds_service.engine.course import Position
from cds_service.engine.history import DoseKind, Doubt
from cds_service.engine.rulebook import Against, against
from cds_service.engine.words import count_text, listed, mg_text
from cds_service.timeline_doses import due, due_when, given, ordered, protection, watched
from cds_service.timeline_harm import stops_and_holds, toxicities
from cds_service.timeline_marks import Kind, Lane, Mark, Timeline
from fhir_mappings.facts import Reading, TreatmentState

LONGEST_LABEL: Final = 40
MOST_OF_A_LANE: Final = 300
"""Marks of one lane; a course of two years has some 60. Earlier ones are counted."""
MOST_NOTES: Final = 40
NOT_KNOWN_DUE: Final = "what is due is not known"
TOXICITY_KEYS: Final = ("conditions", "adverseEvents", "observations")


def timeline(state: TreatmentState, assessment: Assessment, *, at: datetime, zone: ZoneInfo) -> Timeline:
    """What the course of this patient looks like at `at`, by the rules of the assessment's regimen.

    Units: calendar days in `zone`, the clinic's.
    Unknown: days that the record leaves open are ranges or absent in the marks; what could not be read is in `notes`.
    Source: clinical-rules "Days", "Given doses", "Position", "HOLD", "Monitoring", "The other hooks".
    """
    call = Call(regimen=assessment.regimen, state=state, at=at.astimezone(zone))
    case = without_an_order(call)
    stands = against(case)
    position = None if stands.stops or not call.has_the_drug else case.if_lifted
    is_held = bool(stands.confirmations) or any(hold.row.flag("holds") for hold in stands.holds)
    marks = [
        *given(call),
        *ordered(call, assessment),
        *due(case, position, is_held=is_held),
        *toxicities(call),
        *stops_and_holds(case, stands, assessment),
        *watched(call),
        *protection(case),
    ]
    kept, dropped = _bounded(map(_clean, marks))
    return Timeline(
        today=call.today,
        zone=zone.key,
        drug=call.regimen.drug,
        headline=visible(_headline(case, position, stands, is_held=is_held, is_open=_is_open(marks))),
        day_one=_day_one(call),
        marks=kept,
        notes=tuple(visible(note) for note in (*dropped, *_notes(call, stands))),
        silent=_silent(case, stands),
    )


def _clean(mark: Mark) -> Mark:
    """One line each, without letters that turn or hide text; a label of the record is bounded."""
    label = visible(mark.label)
    if len(label) > LONGEST_LABEL:
        label = label[: LONGEST_LABEL - 1].rstrip() + "…"
    says = visible(mark.says)
    if len(says) > 2 * LONGEST_FACT:
        says = says[: 2 * LONGEST_FACT - 1].rstrip() + "…"
    return replace(mark, label=label, says=says, references=tuple(visible(r)[:LONGEST_FACT] for r in mark.references))


def _bounded(marks: Iterable[Mark]) -> tuple[tuple[Mark, ...], list[str]]:
    """The latest marks of each lane in order of time, and how many earlier ones there are."""
    lanes: dict[Lane, list[Mark]] = {lane: [] for lane in Lane}
    for mark in marks:
        lanes[mark.lane].append(mark)
    dropped: list[str] = []
    for lane, own in lanes.items():
        own.sort(key=lambda mark: (mark.first or date.max, mark.last or date.max))
        if len(own) > MOST_OF_A_LANE:
            dropped.append(f"{lane.value}: {len(own) - MOST_OF_A_LANE} earlier entries are not shown.")
            del own[:-MOST_OF_A_LANE]
    return tuple(mark for own in lanes.values() for mark in own), dropped


def _day_one(call: Call) -> date | None:
    """The day of the latest step dose, else of the first dose on record."""
    steps = [dose for dose in call.history.doses if dose.kind is DoseKind.STEP]
    first = steps[-1] if steps else call.history.first
    return first.day.earliest if first is not None and first.day.is_certain else None


# --- in words ----------------------------------------------------------------------------------------------------


def _is_open(marks: Iterable[Mark]) -> bool:
    """Whether something is to be cleared up before the next dose."""
    return any(mark.kind is Kind.CHECK for mark in marks)


def _headline(case: Case, position: Position | None, stands: Against, *, is_held: bool, is_open: bool) -> str:
    if not case.call.has_the_drug:
        return f"No {case.regimen.drug} on record."
    doses = case.course.doses
    given_so_far = f"{count_text(len(doses), 'dose')} on record" if doses else _no_dose(case)
    if doses and doses[-1].day.is_certain:
        given_so_far += f", the last {mg_text(doses[-1].mg)} on {doses[-1].day.earliest.isoformat()}"
    today, has_doses = case.call.today, bool(doses)
    return f"{given_so_far}. {_next(position, stands, today, has_doses=has_doses, is_held=is_held, is_open=is_open)}"


def _no_dose(case: Case) -> str:
    return "No dose on record" if case.call.history.well_read else "Given doses could not be read"


def _next(
    position: Position | None, stands: Against, today: date, *, has_doses: bool, is_held: bool, is_open: bool
) -> str:
    if stands.stops:
        return "To be stopped for good: no dose is due."
    if position is None:
        return f"{'The doses on record are' if has_doses else 'Whether one was given is'} not certain: {NOT_KNOWN_DUE}."
    due_next = f"{position.due} ({position.name}), due {due_when(position, today)}"
    if is_held:
        return f"To be withheld now; if the hold is lifted: {due_next}."
    return f"Next, once what is open is cleared up: {due_next}." if is_open else f"Next: {due_next}."


def _notes(call: Call, stands: Against) -> list[str]:
    """What is in doubt, what could not be read, and which rules failed."""
    history = call.history
    doubts = (*history.uncertain, *history.later_orders, *history.partial, *history.summed)
    notes = [_doubt_text(doubt) for doubt in doubts]
    if history.stand_in:
        notes.append("Doses are taken from completed orders; that they were given is not confirmed.")
    for need in call.state.needs.values():
        if need.reading is not Reading.COMPLETE:
            said = "could not be read" if need.reading is Reading.UNAVAILABLE else "were read only in part"
            notes.append(f"{need.key} {said}{f': {need.why}' if need.why else ''}. More may be on record.")
    notes += [f"{u.what} {u.reference} could not be read: {u.why}." for u in call.state.unknowns if not u.foreign]
    notes += [f"The rule {row} failed: it could not be assessed." for row in stands.failed]
    unique = list(dict.fromkeys(notes))
    more = [f"{len(unique) - MOST_NOTES} further remarks are not shown."] if len(unique) > MOST_NOTES else []
    return unique[:MOST_NOTES] + more


def _doubt_text(doubt: Doubt) -> str:
    references = listed(because.reference for because in doubt.because()[:5])
    return f"{doubt.why} ({references})" if references else doubt.why


def _silent(case: Case, stands: Against) -> dict[Lane, str]:
    """Why a lane is empty, should it be: nothing on record is not the same as not read."""
    call = case.call
    toxicity_read = call.was_read(*TOXICITY_KEYS)
    return {
        Lane.DOSES: "none on record" if call.history.well_read else "given doses could not be read",
        Lane.DUE: _not_due(call, stands),
        Lane.TOXICITY: "none on record" if toxicity_read else "none found, but not all could be read",
        Lane.HOLD: "none" if toxicity_read and not stands.failed else "none found, but not all could be read",
        Lane.OBSERVATION: _without_doses(call) or "no dose to observe",
        Lane.PROTECTION: _without_doses(call) or "no dose on record",
    }


def _without_doses(call: Call) -> str:
    """Why it is not known whether a dose was given; "" where it is known that none was."""
    if not call.history.well_read:
        return "not known: given doses could not be read"
    return "not known: whether a dose was given is not certain" if call.history.uncertain else ""


def _not_due(call: Call, stands: Against) -> str:
    if stands.stops:
        return "no dose is due: to be stopped"
    return "not known: the doses on record are not certain" if call.has_the_drug else "no dose or order on record"


__all__ = ["Kind", "Lane", "Mark", "Timeline", "timeline"]
