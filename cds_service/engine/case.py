"""What every rule may ask about: the call as a whole, and one ordered dose in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from functools import cached_property
from typing import Final

from cds_service.engine.advice import Because, Expected, Finding, Line
from cds_service.engine.course import Course, Position, days_at_least, days_at_most, lower_bound, on_day, position_of
from cds_service.engine.episodes import Episode, State, episodes_of, is_not_ours, with_ice_grades
from cds_service.engine.grading import newest, newest_of_each, result_day
from cds_service.engine.history import DoseKind, GivenDose, History, read_history
from cds_service.engine.words import NOT_KNOWN, clock_text, count_text, day_text, mg_text, ordinal_text
from cds_service.knowledge.regimen import Regimen, Row
from fhir_mappings.facts import (
    Amount,
    Analyte,
    LabResult,
    Need,
    OrderedDose,
    Reading,
    Syndrome,
    ToxicityRecord,
    TreatmentState,
    When,
)

RETRACTED: Final = frozenset({"entered-in-error"})


class Occasion(Enum):
    """Why the rules are asked: orders to be judged, the course told, a discharge, or infusions to be booked."""

    ORDERS = "orders"
    STATUS = "status"
    DISCHARGE = "discharge"
    BOOKING = "booking"


@dataclass(frozen=True, kw_only=True)
class Call:
    """The facts of one call, derived once: what was given, which toxicities are the drug's.

    `at` is now in the clinic's zone. `details_may_be_missing` holds for orders still being written (order-select).
    """

    regimen: Regimen
    state: TreatmentState
    at: datetime
    details_may_be_missing: bool = False

    @property
    def today(self) -> date:
        return self.at.date()

    @cached_property
    def history(self) -> History:
        return read_history(self.state, self.regimen, self.today)

    @cached_property
    def course(self) -> Course:
        return Course(self.history.doses)

    @cached_property
    def labs(self) -> Mapping[Analyte, tuple[LabResult, ...]]:
        """The results of each analyte, also refused ones, in the order of the record."""
        found: dict[Analyte, list[LabResult]] = {}
        for result in self.state.labs:
            found.setdefault(result.analyte, []).append(result)
        return {analyte: tuple(own) for analyte, own in found.items()}

    @cached_property
    def results(self) -> Mapping[Analyte, tuple[LabResult, ...]]:
        """The usable results of each analyte after the first exposure, oldest first; none without an exposure."""
        is_after_first = self.history.is_after_first
        return {
            analyte: tuple(sorted(after, key=result_day))
            for analyte, own in self.labs.items()
            if (after := [result for result in own if result.value is not None and is_after_first(result.day)])
        }

    @cached_property
    def newest_in_treatment(self) -> Mapping[Analyte, LabResult]:
        """The newest of `results` of each analyte."""
        return newest_of_each(self.results)

    @cached_property
    def newest(self) -> Mapping[Analyte, LabResult]:
        """The newest usable result of each analyte."""
        return newest_of_each(self.labs)

    def baseline(self, analyte: Analyte) -> LabResult | None:
        """The newest usable result of a day before the first exposure."""
        first = self.history.first
        before = (
            r
            for r in self.labs.get(analyte, ())
            if isinstance(r.day, When) and first is not None and r.day.latest < first.day.earliest
        )
        return newest(before)

    @cached_property
    def toxicities(self) -> tuple[ToxicityRecord, ...]:
        """The records that count against the drug."""
        records = with_ice_grades(self.state.toxicities, self.regimen)
        return tuple(record for record in records if not is_not_ours(record, self.history, self.state.engagers))

    @cached_property
    def not_ours(self) -> tuple[ToxicityRecord, ...]:
        return tuple(r for r in self.state.toxicities if is_not_ours(r, self.history, self.state.engagers))

    @cached_property
    def _episodes(self) -> Mapping[Syndrome, tuple[Episode, ...]]:
        gap = int(self.regimen.numbers["episode_gap_days"])
        doses = self.history.completed
        return {s: episodes_of(s, self.toxicities, doses, gap) for s in (Syndrome.CRS, Syndrome.NEUROTOXICITY)}

    def episodes(self, syndrome: str) -> tuple[Episode, ...]:
        """The drug's CRS or neurotoxicity episodes in order of onset."""
        return self._episodes[Syndrome(syndrome)]

    @property
    def has_the_drug(self) -> bool:
        """Whether the drug was ever ordered, given or claimed, as far as the record tells."""
        rows = [row for row in self.state.administrations if row.status not in RETRACTED]
        return bool(rows or self.state.orders or self.state.claims)

    def was_read(self, *keys: str) -> bool:
        """Whether these needs were read completely, so that absence may be concluded from."""
        return all(self.need(key).reading is Reading.COMPLETE for key in keys)

    def need(self, key: str) -> Need:
        return self.state.needs.get(key, Need(key=key, reading=Reading.COMPLETE))

    def severe_crs_to_restart(self, course: Course) -> Episode | None:
        """A resolved CRS grade 3 after which no dose was completed: the restart it asks for is still to come."""
        for row in self.regimen.table("dose").rows:
            if row.has("syndrome"):
                for episode in reversed(self.episodes(row.text("syndrome"))):
                    if has_resolved_from(episode, row.integer("grade")) and not dose_after(episode, course):
                        return episode
        return None

    def has_severe_crs_now(self) -> bool:
        """Whether an active CRS has the grade after which the course restarts."""
        return any(
            episode.is_active and (episode.grade or 0) >= row.integer("grade")
            for row in self.regimen.table("dose").rows
            if row.has("syndrome")
            for episode in self.episodes(row.text("syndrome"))
        )


def has_resolved_from(episode: Episode, grade: int) -> bool:
    """Resolved, from this grade or a worse one by a grade and not only by a severity (then the grade is asked for).

    A worse one that is confirmed stops the drug before this is asked; one that is not must not hide the restart.
    """
    return episode.recorded_grade >= grade and episode.state is State.RESOLVED


def dose_after(episode: Episode, course: Course) -> bool:
    """Whether a dose was completed on a day after the episode's end (end unknown: after its onset)."""
    since = episode.ended or episode.latest_onset
    if since is None:
        return False
    return any(dose.day.earliest > since.latest for dose in course.completed)


def position_slots(position: Position | None) -> dict[str, str]:
    """The slots that say what is due; without a position only that it is not certain."""
    if position is None:
        return {"what_is_due": "what is due, and when, is not certain"}
    return {
        "what_is_due": f"{position.due} ({position.name}) is due on {position.due_on.isoformat()}",
        "due": str(position.due),
        "position": position.name,
        "due_on": position.due_on.isoformat(),
        "limit_day": _limit_text(position),
        "overall": f"{ordinal_text(position.overall)} dose overall",
    }


def _limit_text(position: Position) -> str:
    if position.limit_day is None:
        return "none stated"
    is_past = position.delay is not None and position.delay.flag("restart")
    if position.is_restart and not is_past:  # after a severe CRS no day is left on which the course would go on
        return "none, the restart is due"
    return f"passed ({position.limit_day.isoformat()})" if is_past else position.limit_day.isoformat()


def without_an_order(call: Call) -> Case:
    """What would be judged today if a dose were to be given: for the questions that look at the record alone."""
    today = on_day(call.today)
    order = OrderedDose(order="", status="", day=today, amount=Amount(mg=None, absent=True))
    return Case(call=call, order=order, on=today, course=call.course)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One ordered dose on its day, against the doses given and planned before it.

    `course` holds real and projected doses. `undated` marks one of several drafts without a day.
    """

    call: Call
    order: OrderedDose
    on: When
    course: Course
    day_missing: bool = False
    undated: bool = False
    notes: tuple[str, ...] = field(default=())

    @property
    def regimen(self) -> Regimen:
        return self.call.regimen

    @property
    def state(self) -> TreatmentState:
        return self.call.state

    @property
    def ordered(self) -> Decimal | None:
        return self.order.amount.mg

    @property
    def dose_missing(self) -> bool:
        """An order still being written that states no dose yet."""
        return self.call.details_may_be_missing and self.order.amount.absent

    @property
    def history_uncertain(self) -> bool:
        return bool(self.call.history.uncertain)

    @cached_property
    def severe_crs(self) -> Episode | None:
        return self.call.severe_crs_to_restart(self.course)

    @cached_property
    def position(self) -> Position | None:
        """None while the history is in doubt."""
        if self.history_uncertain:
            return None
        restart = self.severe_crs is not None
        return position_of(self.course, self.on, self.regimen, restart_after_toxicity=restart)

    @cached_property
    def if_lifted(self) -> Position | None:
        """What would be due once a hold is lifted: an active CRS of the grade that restarts is then a resolved one.

        The restart is due once: not again after an earlier draft of the call that makes it.
        """
        restarted = any(dose.projected and dose.kind is DoseKind.STEP for dose in self.course.completed)
        if self.position is None or restarted or not self.call.has_severe_crs_now():
            return self.position
        return position_of(self.course, self.on, self.regimen, restart_after_toxicity=True)

    @cached_property
    def after_waiting(self) -> Position | None:
        """What is due on the first day that is neither before the due day nor too early after the last exposure."""
        if self.position is None:
            return None
        due_is_step = self.position.due == self.regimen.doses["step"]
        interval = lower_bound(self.course, self.position, step_ordered=due_is_step, regimen=self.regimen)
        earliest = [self.position.due_on]
        earliest += [dose.day.latest + timedelta(days=interval) for dose in self.earlier]
        day = max(earliest)
        restart = self.severe_crs is not None
        there = position_of(self.course, on_day(day), self.regimen, restart_after_toxicity=restart)
        return replace(there, due_on=day)

    @property
    def is_start(self) -> bool:
        """Whether this is a first or restarted dose; unknown counts as one."""
        return self.position is None or self.position.number == 1

    @property
    def step_ordered(self) -> bool:
        return self.ordered == self.regimen.doses["step"].mg

    @cached_property
    def earlier(self) -> tuple[GivenDose, ...]:
        """Exposures that interval rules look at: not the undated peers of an undated draft."""
        return tuple(dose for dose in self.course.doses if not (self.undated and dose.undated))

    @cached_property
    def days_since_exposure(self) -> int | None:
        return min((days_at_least(self.on, dose.day) for dose in self.earlier), default=None)

    @cached_property
    def days_since_completed(self) -> int | None:
        last = self.course.last_completed
        return None if last is None else days_at_most(self.on, last.day)

    @cached_property
    def least_interval(self) -> int:
        """Days that lie at least between the last exposure and this dose, by the schedule."""
        position = self.position or position_of(self.course, self.on, self.regimen, restart_after_toxicity=False)
        return lower_bound(self.course, position, step_ordered=self.step_ordered, regimen=self.regimen)

    @cached_property
    def earliest_after(self) -> int:
        """Days after the last exposure before which this dose is too early: the interval, less the tolerance."""
        return self.least_interval - int(self.regimen.numbers["early_tolerance_days"])

    @cached_property
    def same_day(self) -> tuple[GivenDose, ...]:
        """Exposures, given or projected, that fall or may fall on this dose's day."""
        return tuple(d for d in self.earlier if d.day.earliest <= self.on.latest and self.on.earliest <= d.day.latest)

    @cached_property
    def slots(self) -> dict[str, str]:
        """The slots that every sentence about this dose may use."""
        last = self.course.last_completed or self.course.last_exposure
        slots = {
            "drug": self.regimen.drug,
            "name": self.regimen.name,
            "day": day_text(self.on),
            "ordered": mg_text(self.ordered),
            "last_dose": mg_text(last.mg) if last else NOT_KNOWN,
            "last_day": day_text(last.day) if last else NOT_KNOWN,
            "days": count_text(days_at_most(self.on, last.day), "day") if last else NOT_KNOWN,
            "since": self._since(),
        }
        return slots | position_slots(self.position)

    def _since(self) -> str:
        last = self.course.last_completed
        if last is None:
            return "first dose"
        if last.undated:
            return "after the order before it"
        days = count_text(days_at_most(self.on, last.day), "day")
        restart = "restarted course, " if self.position is not None and self.position.is_restart else ""
        return f"{restart}{days} since the last dose"

    def last_dose_because(self) -> tuple[Because, ...]:
        """The evidence for the count of days: the last dose on record."""
        last = self.course.last_completed or self.course.last_exposure
        if last is None or last.projected:
            return ()
        days = count_text(days_at_most(self.on, last.day), "day")
        return last.because(f"{mg_text(last.mg)} given on {day_text(last.day)}{clock_text(last.day)}, {days} before")

    def line(self, about: str, **slots: str) -> Line:
        """An authored line of the knowledge.

        Raises: LookupError where the file has none in force about it.
        """
        for row in self.regimen.table("lines").rows:
            if row.text("about") == about:
                return Line(row=row, slots=self.slots | slots)
        raise LookupError(f"no line about {about}")

    def has_line(self, about: str) -> bool:
        return any(row.text("about") == about for row in self.regimen.table("lines").rows)

    def expected(self, due: Position | None) -> tuple[Expected, ...]:
        """What is due at this position, for the card; nothing without one."""
        if due is None:
            return ()
        return (Expected(order=self.order.order, dose=due.due, position=due.name, due_on=due.due_on),)

    def found(
        self,
        row: Row,
        *,
        because: tuple[Because, ...] = (),
        lines: tuple[Line, ...] = (),
        rows: tuple[Row, ...] = (),
        confirmed: bool = True,
        **slots: str,
    ) -> Finding:
        """The row holds for this dose."""
        said = self.slots | slots
        return Finding(row=row, slots=said, because=because, lines=lines, rows=rows, confirmed=confirmed)
