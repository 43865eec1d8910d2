"""Is an infusion proposed for a day that it can be given on? The questions of the table `booking`, the first counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Final

from cds_service.engine.advice import Finding
from cds_service.engine.case import Case, position_slots
from cds_service.engine.course import Position, position_of
from cds_service.engine.step_up import delay_without_rule, given_that_day, is_early, ordered_twice
from cds_service.knowledge.regimen import Row
from fhir_mappings.facts import Amount, OrderedDose, ProposedVisit

Question = Callable[[Case, Row], Finding | None]


def as_order(visit: ProposedVisit, entry: int) -> OrderedDose:
    """A visit as the order of a dose whose amount nobody has said yet."""
    return OrderedDose(
        order=visit.reference,
        entry=entry,
        in_draft_orders=True,
        status="proposed",
        day=visit.day,
        amount=Amount(mg=None),
    )


def at_the_due_amount(case: Case) -> Case:
    """The visit judged as if what is due were ordered: an appointment states no amount."""
    if case.position is None:
        return case
    return replace(case, order=replace(case.order, amount=Amount(mg=case.position.due.mg)))


def given_already(case: Case, row: Row) -> Finding | None:
    """Was a dose given, or may one have been given, on that day?"""
    return _with_window(case, given_that_day(case, row), case.after_waiting)


def booked_twice(case: Case, row: Row) -> Finding | None:
    """Does another proposed visit take the same day?"""
    return _with_window(case, ordered_twice(case, row), case.after_waiting)


def too_early(case: Case, row: Row) -> Finding | None:
    """Is the day too soon after the last exposure?"""
    return _with_window(case, case.found(row) if is_early(case) else None, case.after_waiting)


def past_the_limit(case: Case, row: Row) -> Finding | None:
    """Is the day past the last one before a restart, which can still be kept?"""
    there = _on_schedule(case)
    is_late = _is_past_the_limit(case) and there is not None and not _is_gone(there, case)
    return _with_window(case, case.found(row) if is_late else None, there)


def restart_is_due(case: Case, row: Row) -> Finding | None:
    """Is the last day before a restart gone already, so that this visit can only be one?"""
    return _with_window(case, case.found(row) if _is_past_the_limit(case) else None, case.position)


def without_rule(case: Case, row: Row) -> Finding | None:
    """The seed alone: is the day later than due, with no rule for the delay?"""
    return _with_window(case, delay_without_rule(case, row), case.position)


def not_yet(case: Case, finding: Finding) -> Finding:
    """What stands against the drug, with the visit that it speaks against."""
    return replace(finding, lines=(*finding.lines, case.line("an infusion is booked against it")))


PAST_THE_LIMIT: Final = "past the last day before a restart"
RESTART_IS_DUE: Final = "a restart is due already"
WITHOUT_RULE: Final = "later than due and no delay rule"
OF_ONE_SOURCE: Final = frozenset({PAST_THE_LIMIT, RESTART_IS_DUE, WITHOUT_RULE})
"""What only one of the sources has a rule for."""
QUESTIONS: Final[Mapping[str, Question]] = {
    "a dose was given on that day": given_already,
    "another visit for that day": booked_twice,
    "too early": too_early,
    PAST_THE_LIMIT: past_the_limit,
    RESTART_IS_DUE: restart_is_due,
    WITHOUT_RULE: without_rule,
}


def _is_past_the_limit(case: Case) -> bool:
    position = case.position
    return position is not None and position.delay is not None and position.delay.flag("restart")


def _on_schedule(case: Case) -> Position | None:
    """What is due if the course goes on; None without a completed dose."""
    last = case.course.last_completed
    if last is None:
        return None
    return position_of(case.course, last.day, case.regimen, restart_after_toxicity=case.severe_crs is not None)


def _is_gone(there: Position, case: Case) -> bool:
    """Whether the course restarts anyway, or the last day before it does is over."""
    return there.is_restart or (there.limit_day is not None and there.limit_day < case.call.today)


def _with_window(case: Case, finding: Finding | None, due: Position | None) -> Finding | None:
    """The finding with the first day that is not too early, what is due when, and the last day before a restart."""
    if finding is None:
        return None
    slots = dict(finding.slots) | position_slots(due) | {"earliest": _earliest(case)}
    lines = tuple(case.line("an assumption about days", what=note) for note in case.notes)
    because = finding.because or case.last_dose_because()
    placed = (due.row,) if due is not None else ()
    return replace(finding, slots=slots, lines=lines, because=because, rows=placed, expected=case.expected(due))


def _earliest(case: Case) -> str:
    """The first day from today on that is not too early after any exposure."""
    days = [dose.day.latest + timedelta(days=case.earliest_after) for dose in case.earlier]
    return max([case.call.today, *days]).isoformat()
