"""Is the patient observed to the end, and what is to be heeded after it? The questions of the table `discharge`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from functools import cached_property
from typing import Final

from cds_service.engine.advice import Because, Finding
from cds_service.engine.case import Call, Case
from cds_service.engine.course import Course
from cds_service.engine.history import DoseKind, GivenDose, kind_of
from cds_service.engine.monitoring import (
    Hours,
    by_code_only_line,
    longest_of_all,
    observation,
    toxicity_observation_lines,
)
from cds_service.engine.toxicity import VITAL_SIGNS
from cds_service.engine.words import clock_text, day_text, mg_text
from cds_service.knowledge.regimen import Row
from fhir_mappings.facts import Amount, OrderedDose, Syndrome, ToxicityRecord, When

EPISODIC: Final = frozenset({Syndrome.CRS.value, Syndrome.NEUROTOXICITY.value})


@dataclass(frozen=True, kw_only=True)
class Observed:
    """The last exposure as the dose that was then due, seen at `at`, now in the clinic's zone.

    `case` knows only what came before it.
    """

    dose: GivenDose
    case: Case
    at: datetime

    @cached_property
    def hours(self) -> Hours:
        """How long it is observed; the longest time there is while the history or the amount is in doubt."""
        known = None if self.dose.mg is None else observation(self.case, ())
        return known or longest_of_all(self.case.regimen)

    @cached_property
    def is_step_up(self) -> bool:
        """Whether it was one of the first two doses of a course, or may have been."""
        position = self.case.position
        rows = [row for row in self.case.regimen.table("observation").rows if row.flag("step_up")]
        if position is None or self.dose.mg is None or self.case.step_ordered:
            return True
        return any(position.number in row.range("dose_number") for row in rows)

    @cached_property
    def parts(self) -> tuple[GivenDose, ...]:
        return self.dose.parts or (self.dose,)

    @cached_property
    def start(self) -> datetime:
        """When it began, as late as the record leaves open."""
        return max(_start(part, self.at) for part in self.parts)

    @cached_property
    def end(self) -> datetime:
        """When it ended: as recorded, else the start and the time of an infusion, else the end of its day."""
        return max(_end(part, self.case, self.at) for part in self.parts)

    @cached_property
    def counted_from(self) -> str:
        """From what the end was taken."""
        last = self.parts[-1]
        if last.ended is not None:
            return f"the end of the infusion{_clock_or_end(last.ended)}"
        if last.day.instant is not None:
            return f"its start{clock_text(last.day)} and the time of an infusion"
        return f"the end of {day_text(last.day)}: the time of the dose is not recorded"

    @property
    def complete_from(self) -> datetime:
        return later(self.end, self.hours.low)


Question = Callable[[Observed, Row], Finding | None]


def later(moment: datetime, hours: int) -> datetime:
    """So many hours later, on the clock of the same zone, also where that clock is changed between them."""
    return (moment.astimezone(UTC) + timedelta(hours=hours)).astimezone(moment.tzinfo)


def _clock_or_end(when: When) -> str:
    return clock_text(when) or f", at the end of {day_text(when)}"


def _start(dose: GivenDose, at: datetime) -> datetime:
    return dose.day.instant or _end_of_day(dose.day, at)


def _end(dose: GivenDose, case: Case, at: datetime) -> datetime:
    if dose.ended is not None:
        return dose.ended.instant or _end_of_day(dose.ended, at)
    if dose.day.instant is None:
        return _end_of_day(dose.day, at)
    minutes = next(row.integer("minutes") for row in case.regimen.table("administration").rows if row.has("minutes"))
    return dose.day.instant + timedelta(minutes=minutes)


def _end_of_day(when: When, at: datetime) -> datetime:
    return datetime.combine(when.latest, time.max, tzinfo=at.tzinfo)


# --- the dose that is observed -------------------------------------------------------------------------------------


def observed(call: Call) -> Observed | None:
    """The last exposure, judged by the doses and toxicities before it; None without one.

    Source: clinical-rules "The other hooks".
    """
    doses = call.course.doses
    return observed_dose(call, len(doses) - 1) if doses else None


def observed_dose(call: Call, place: int) -> Observed:
    """The exposure at this place of the course (from 0), judged by the doses and toxicities before it."""
    dose = call.course.doses[place]
    earlier = tuple(record for record in call.state.toxicities if _came_before(record, dose.day))
    before = replace(call, state=replace(call.state, toxicities=earlier))
    mg = call.regimen.doses["step"].mg if kind_of(dose.mg, call.regimen) is DoseKind.STEP else dose.mg
    order = OrderedDose(order="", status="completed", day=dose.day, amount=Amount(mg=mg))
    case = Case(call=before, order=order, on=dose.day, course=Course(call.course.doses[:place]))
    return Observed(dose=dose, case=case, at=call.at)


def _came_before(record: ToxicityRecord, day: When) -> bool:
    """Without an onset it may have; on the day of the dose it is taken for its consequence."""
    return not isinstance(record.onset, When) or record.onset.latest < day.earliest


# --- what is asked -------------------------------------------------------------------------------------------------


def not_complete(dose: Observed, row: Row) -> Finding | None:
    """Is the observation of the last dose still going on?"""
    if not dose.hours.row.has("hours_from") or _is_past(dose.complete_from, dose.at):
        return None
    finding = _told(dose, row, dose.complete_from)
    lines = toxicity_observation_lines(dose.case)
    return replace(
        finding, lines=(*lines, *finding.lines), rows=(dose.hours.row,), because=finding.because + dose.hours.because
    )


def no_hours(dose: Observed, row: Row) -> Finding | None:
    """Does the source give no time of observation for the last dose, which was given only now?"""
    until = later(dose.start, row.integer("home_hours"))
    if dose.hours.row.has("hours_from") or _is_past(until, dose.at):
        return None
    return _told(dose, row, until)


def first_days_at_home(dose: Observed, row: Row) -> Finding | None:
    """Is the observation complete, and the time with a caregiver near a hospital not over yet?"""
    until = later(dose.start, row.integer("home_hours"))
    if not dose.is_step_up or not _is_past(dose.complete_from, dose.at) or _is_past(until, dose.at):
        return None
    finding = _told(dose, row, until)
    said = (dose.case.line("return precautions for CRS"), dose.case.line("return precautions for neurotoxicity"))
    return replace(finding, lines=(*said, *finding.lines))


NO_HOURS: Final = "the source has no hours"
FIRST_DAYS_AT_HOME: Final = "the first days at home"
QUESTIONS: Final[Mapping[str, Question]] = {
    "the observation is not complete": not_complete,
    NO_HOURS: no_hours,
    FIRST_DAYS_AT_HOME: first_days_at_home,
}


def _is_past(moment: datetime, at: datetime) -> bool:
    """On a clock that is never changed."""
    return moment.astimezone(UTC) <= at.astimezone(UTC)


def _told(dose: Observed, row: Row, until: datetime) -> Finding:
    shows = f"{mg_text(dose.dose.mg)} on {day_text(dose.dose.day)}{clock_text(dose.dose.day)}"
    because: tuple[Because, ...] = dose.dose.because(shows)
    finding = dose.case.found(
        row,
        because=because,
        hours=str(dose.hours),
        until=f"{until:%Y-%m-%d %H:%M}",
        what=dose.counted_from,
    )
    return replace(finding, lines=by_code_only_line(dose.case), expected=())


def is_unresolved(call: Call, finding: Finding) -> bool:
    """Whether a stop or hold is about a CRS or neurotoxicity that is not over, or that vital signs suggest."""
    if finding.row.text("question") == VITAL_SIGNS:
        return True
    topic = finding.row.text("topic")
    return topic in EPISODIC and any(episode.is_active for episode in call.episodes(topic))
