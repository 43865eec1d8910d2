"""Where in the schedule is the patient, and which dose is due when?

The course starts at the latest completed step dose; k counts the completed treatment doses since. Everything else,
position, due day, delay limit, dose number, follows from k and the tables `schedule` and `delay`.
"""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property

from cds_service.engine.history import DoseKind, GivenDose
from cds_service.knowledge.regimen import Dose, Regimen, Row
from fhir_mappings.facts import When


@dataclass(frozen=True)
class Course:
    """All doses up to a moment, given or projected, in order of time."""

    doses: tuple[GivenDose, ...]

    @cached_property
    def completed(self) -> tuple[GivenDose, ...]:
        return tuple(dose for dose in self.doses if dose.is_completed)

    @property
    def last_completed(self) -> GivenDose | None:
        return self.completed[-1] if self.completed else None

    @property
    def last_exposure(self) -> GivenDose | None:
        return self.doses[-1] if self.doses else None

    @cached_property
    def _start(self) -> int | None:
        """Index of the latest step dose among the completed ones."""
        steps = [index for index, dose in enumerate(self.completed) if dose.kind is DoseKind.STEP]
        return steps[-1] if steps else None

    @property
    def step_on_record(self) -> bool:
        return self._start is not None

    @cached_property
    def treatment_doses(self) -> int:
        """k: completed treatment doses since the latest step dose; all of them where no step dose is on record."""
        since = self.completed if self._start is None else self.completed[self._start + 1 :]
        return sum(dose.kind is DoseKind.TREATMENT for dose in since)

    @property
    def is_restarted(self) -> bool:
        return self._start is not None and self._start > 0

    def before_restart(self) -> Course | None:
        """The course before the latest step dose; None where no step dose is on record."""
        return None if self._start is None else Course(self.completed[: self._start])

    def with_dose(self, dose: GivenDose) -> Course:
        return Course((*self.doses, dose))


def days_at_most(until: When, since: When) -> int:
    """The most calendar days that can lie between two days: the cautious count for a limit."""
    return (until.latest - since.earliest).days


def days_at_least(until: When, since: When) -> int:
    """The fewest calendar days that can lie between two days: the cautious count for "too early"."""
    return (until.earliest - since.latest).days


def months_after(day: date, months: int) -> date:
    """The same day `months` later, clamped to the month's end (31 December + 2 months = end of February)."""
    index = day.month - 1 + months
    year, month = day.year + index // 12, index % 12 + 1
    return date(year, month, min(day.day, monthrange(year, month)[1]))


def on_day(day: date) -> When:
    """A certain day without a clock time."""
    return When(earliest=day, latest=day)


def schedule_row(course: Course, regimen: Regimen) -> Row:
    """The schedule's row for the next dose: the first one with nothing completed, else by k."""
    return _row_at(course.treatment_doses if course.completed else None, regimen)


def _row_at(treatment_doses: int | None, regimen: Regimen) -> Row:
    for row in regimen.table("schedule").rows:
        if row.flag("first_dose") != (treatment_doses is None):
            continue
        if treatment_doses is None or treatment_doses in row.range("treatment_doses"):
            return row
    raise LookupError("the schedule has a gap")


def first_row(regimen: Regimen) -> Row:
    """The schedule's row of a first or restarted dose."""
    return schedule_row(Course(()), regimen)


def position_name(row: Row, course: Course) -> str:
    """`C1D8`, or the cycle and day counted from k."""
    return _name_at(row, course.treatment_doses)


def position_after(treatment_doses: int, regimen: Regimen) -> str:
    """The name of the position of the dose that follows the step dose and k treatment doses."""
    return _name_at(_row_at(treatment_doses, regimen), treatment_doses)


def _name_at(row: Row, treatment_doses: int) -> str:
    if not row.has("cycle_days"):
        return row.text("position")
    days = row.texts("cycle_days")
    beyond = treatment_doses - (row.range("treatment_doses").at_least or 0)
    cycle, place = divmod(beyond, len(days))
    return row.text("position").format(cycle=row.integer("first_cycle") + cycle, day=days[place])


def delay_row(course: Course, days: int, regimen: Regimen) -> Row | None:
    """The row of the delay table for this many days since the last completed dose; None where no source has a rule."""
    for row in regimen.table("delay").rows:
        if course.treatment_doses in row.range("treatment_doses") and days in row.range("days_since"):
            return row
    return None


def limit_days(course: Course, regimen: Regimen) -> int | None:
    """Days after the last completed dose up to which the course goes on; None where no source has a limit."""
    for row in regimen.table("delay").rows:
        if not row.flag("restart") and course.treatment_doses in row.range("treatment_doses"):
            return row.range("days_since").at_most
    return None


def restarted_from_treatment(course: Course, regimen: Regimen) -> bool:
    """Whether the course before this one had reached the two-weekly schedule (k of 2 or more)."""
    before = course.before_restart()
    return before is not None and bool(before.completed) and schedule_row(before, regimen).has("cycle_days")


def due_after(course: Course, row: Row, regimen: Regimen) -> int:
    """Days from the last completed dose to the due day: two weeks once a course restarted in treatment goes on."""
    return row.integer("due_after_days_restarted" if restarted_from_treatment(course, regimen) else "due_after_days")


@dataclass(frozen=True, kw_only=True)
class Position:
    """The next dose: its place in the schedule, what is due and when.

    `number` is n: 1 for a first or restarted dose, else k+2. `limit_day` is the last day before a restart, None without
    a completed dose or a limit. `delay` is the row that decided.
    """

    name: str
    number: int
    due: Dose
    due_on: date
    limit_day: date | None
    row: Row
    delay: Row | None
    is_restart: bool
    is_restarted_course: bool
    overall: int


def limit_day(course: Course, regimen: Regimen) -> date | None:
    last, limit = course.last_completed, limit_days(course, regimen)
    if last is None or limit is None:
        return None
    return last.day.earliest + timedelta(days=limit)


def position_of(course: Course, on: When, regimen: Regimen, *, restart_after_toxicity: bool) -> Position:
    """What is due on `on`, after this course.

    Units: days in the clinic's zone; an uncertain day counts the cautious way (limit: the most days).
    Source: seed S3-S7; label 2.2 Table 1, 2.4 Table 4; clinical-rules "Position".
    """
    last = course.last_completed
    delay = delay_row(course, days_at_most(on, last.day), regimen) if last is not None else None
    is_restart = last is not None and (restart_after_toxicity or (delay is not None and delay.flag("restart")))
    starts = last is None or is_restart
    row = first_row(regimen) if starts else schedule_row(course, regimen)
    due_on = on.latest if starts or last is None else last.day.latest + timedelta(days=due_after(course, row, regimen))
    return Position(
        name=row.text("position") if starts else position_name(row, course),
        number=1 if starts else course.treatment_doses + 2,
        due=row.dose("dose"),
        due_on=due_on,
        limit_day=limit_day(course, regimen),
        row=row,
        delay=delay,
        is_restart=is_restart,
        is_restarted_course=is_restart or course.is_restarted,
        overall=len(course.completed) + 1,
    )


def lower_bound(course: Course, position: Position, *, step_ordered: bool, regimen: Regimen) -> int:
    """Days after the last exposure before which a dose is too early.

    Two weeks from k=2 on; one week before that, with nothing completed, and when a restart is due and ordered.
    """
    if not course.completed or (position.is_restart and step_ordered):
        return first_row(regimen).integer("earliest_after_days")
    return schedule_row(course, regimen).integer("earliest_after_days")
