"""Which toxicity records are one event, how grave was it, and is it over?

Problem list, encounter diagnosis and adverse event are often copies of one event: records with near onsets are one
episode unless a completed dose or a whole resolved day lies between them. The worst grade counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from enum import Enum
from functools import cached_property
from typing import Final, assert_never

from cds_service.engine.history import DoseDays, DoseKind, GivenDose, History
from cds_service.knowledge.regimen import Regimen, Row
from fhir_mappings.facts import (
    Course,
    Grade,
    GradeSource,
    NotRecorded,
    OtherEngager,
    Scale,
    Syndrome,
    ToxicityRecord,
    When,
)

ONE_DAY: Final = timedelta(days=1)


class State(Enum):
    ACTIVE = "active"
    POINT_OPEN = "graded and never closed"
    OUTCOME_MISSING = "outcome missing"
    RESOLVED = "resolved"


def grade_value(record: ToxicityRecord) -> int | None:
    return record.grade.value if isinstance(record.grade, Grade) else None


def is_lower_bound(record: ToxicityRecord) -> bool:
    return isinstance(record.grade, Grade) and record.grade.at_least


def closes(record: ToxicityRecord) -> bool:
    """Whether it says that the patient is back at grade 0."""
    return grade_value(record) == 0 and not is_lower_bound(record)


def _dated(records: Iterable[ToxicityRecord]) -> list[tuple[When, ToxicityRecord]]:
    return [(record.onset, record) for record in records if isinstance(record.onset, When)]


def _is_after(one: When, other: When) -> bool:
    """Whether this is certainly later: on another day, or by the clock."""
    if one.instant is not None and other.instant is not None:
        return one.instant > other.instant
    return one.earliest > other.latest


LONG_AGO: Final = When(earliest=date.min, latest=date.min)
ANY_GRADE: Final = 9
"""What a grade 0 closes: whatever grade was seen before it."""


@dataclass(kw_only=True)
class _Standing:
    """What the records of an event say so far of its being over; kept while they are gone through, day by day.

    `points` and `without_outcome` are the latest observations and adverse events without outcome. Another record of the
    event closes them if it ends later; on the day itself only one that is no milder does, which is then their copy.
    `over_some_day` is the latest onset of a record that is resolved on an unknown day, `over_grade` the worst grade of
    such a record: it closes what began by then, and what is milder and only shows that it was fading.
    """

    is_open: bool = False
    over_some_day: date | None = None
    over_grade: int = 0
    last_end: When | None = None
    last_end_grade: int = 0
    last_end_of_one_day: date | None = None
    points: When | None = None
    points_grade: int = 0
    without_outcome: date | None = None

    def add(self, record: ToxicityRecord) -> None:
        onset = record.onset if isinstance(record.onset, When) else None
        match record.course:
            case Course.OPEN | Course.FATAL:
                self.is_open = True
            case Course.RESOLVED if isinstance(record.end, When):
                is_of_one_day = onset is None or onset.earliest == record.end.latest
                self.end(record.end, grade_value(record) or ANY_GRADE, is_of_one_day=is_of_one_day)
            case Course.RESOLVED:
                since = onset.earliest if onset is not None else date.max
                self.over_some_day = max(since, self.over_some_day or date.min)
                self.over_grade = max(self.over_grade, grade_value(record) or 0)
            case Course.POINT if 0 < (grade_value(record) or 0) < self.over_grade:
                pass
            case Course.POINT:
                self.see(onset or LONG_AGO, grade_value(record) or 0)
            case Course.OUTCOME_MISSING:
                day = onset.earliest if onset is not None else date.min
                self.without_outcome = max(day, self.without_outcome or date.min)
            case _:
                assert_never(record.course)

    def see(self, day: When, grade: int) -> None:
        """A grade is observed: the latest counts, and of one moment the worst."""
        if self.points is None or _is_after(day, self.points):
            self.points, self.points_grade = day, grade
        elif not _is_after(self.points, day):
            self.points_grade = max(self.points_grade, grade)

    def end(self, day: When, grade: int, *, is_of_one_day: bool) -> None:
        """A record of this grade ends."""
        if self.last_end is None or day.latest > self.last_end.latest or _is_after(day, self.last_end):
            self.last_end, self.last_end_grade = day, grade
        elif day.latest == self.last_end.latest:
            self.last_end_grade = max(self.last_end_grade, grade)
        if is_of_one_day:
            self.last_end_of_one_day = max(day.latest, self.last_end_of_one_day or date.min)

    def close(self, day: When) -> None:
        """The patient is seen to be back at grade 0: the end, unless it was over before or is not certainly later."""
        if self.state is State.RESOLVED:
            return
        if self.points is None or _is_after(day, self.points):
            self.end(day, ANY_GRADE, is_of_one_day=True)

    def _began_by_then(self, day: date) -> bool:
        return self.over_some_day is not None and day <= self.over_some_day

    @property
    def _points_are_closed(self) -> bool:
        if self.points is None or self._began_by_then(self.points.earliest):
            return True
        if self.last_end is None or _is_after(self.points, self.last_end):
            return False
        return _is_after(self.last_end, self.points) or self.last_end_grade >= self.points_grade

    @property
    def _outcomes_are_known(self) -> bool:
        day = self.without_outcome
        if day is None or self._began_by_then(day):
            return True
        is_later = self.last_end is not None and self.last_end.latest > day
        return is_later or (self.last_end_of_one_day is not None and self.last_end_of_one_day >= day)

    @property
    def state(self) -> State:
        if self.is_open:
            return State.ACTIVE
        if not self._points_are_closed:
            return State.POINT_OPEN
        return State.RESOLVED if self._outcomes_are_known else State.OUTCOME_MISSING

    @property
    def ended(self) -> When | None:
        return self.last_end if self.state is State.RESOLVED else None


@dataclass(frozen=True, kw_only=True)
class Episode:
    """Records of one event. `closings` are observations that the patient is back at grade 0 (day known)."""

    syndrome: Syndrome
    records: tuple[ToxicityRecord, ...]
    closings: tuple[ToxicityRecord, ...] = ()
    joined_without_onset: bool = False

    @cached_property
    def grade(self) -> int | None:
        """The worst grade of its records; None where none has one."""
        return max((grade for record in self.records if (grade := grade_value(record)) is not None), default=None)

    @cached_property
    def grade_is_lower_bound(self) -> bool:
        """True when the worst grade is known only from a severity."""
        worst = [record for record in self.records if grade_value(record) == self.grade]
        return self.grade is not None and all(is_lower_bound(record) for record in worst)

    @cached_property
    def recorded_grade(self) -> int:
        """The worst grade that is recorded as one, and not only as a severity; 0 where none is."""
        exact = (grade_value(record) for record in self.records if not is_lower_bound(record))
        return max((grade for grade in exact if grade is not None), default=0)

    @cached_property
    def onsets(self) -> tuple[When, ...]:
        return tuple(record.onset for record in self.records if isinstance(record.onset, When))

    @cached_property
    def onset(self) -> When | None:
        return min(self.onsets, key=lambda when: (when.earliest, when.latest), default=None)

    @cached_property
    def latest_onset(self) -> When | None:
        return max(self.onsets, key=lambda when: (when.latest, when.earliest), default=None)

    @cached_property
    def _standing(self) -> _Standing:
        standing = _Standing()
        for onset, record in sorted(_dated((*self.records, *self.closings)), key=_by_onset):
            if closes(record):
                standing.close(onset)
            else:
                standing.add(record)
        for record in self.records:
            if not isinstance(record.onset, When):
                standing.add(record)
        return standing

    @property
    def ended(self) -> When | None:
        """The day on which it was over; None while it is not, or where no record says when."""
        return self._standing.ended

    @property
    def state(self) -> State:
        return self._standing.state

    @property
    def is_active(self) -> bool:
        return self.state is not State.RESOLVED

    def is_confirmed(self, grade_from: int) -> bool:
        """Whether a confirmed record carries this grade or a worse one."""
        return any(record.confirmed and (grade_value(record) or 0) >= grade_from for record in self.records)

    @property
    def is_confirmed_at_all(self) -> bool:
        return any(record.confirmed for record in self.records)

    def improved_on(self, grade_to: int) -> When | None:
        """The first day from which `grade_to` or less is documented and nothing worse follows; None if not documented.

        An observation documents it even beside an open record; a milder diagnosis only once the worse ones are closed.
        Neither does on the day on which the worse one began, unless its clock time is later.
        """
        worse = [record for record in self.records if not _is_at_most(record, grade_to)]
        closed = [record for record in worse if record.course is Course.RESOLVED]
        since = max((r.onset for r in worse if isinstance(r.onset, When)), key=_earliest, default=LONG_AGO)
        still_open = any(record.course in {Course.OPEN, Course.FATAL} for record in worse)
        at_most = [record for record in self.records if _is_at_most(record, grade_to)]
        milder = [record for record in at_most if record.course is Course.POINT or not still_open]
        days = [r.onset for r in milder if isinstance(r.onset, When) and _is_after(r.onset, since)]
        days += [r.onset for r in self.closings if isinstance(r.onset, When) and _is_after(r.onset, since)]
        ends = [record.end for record in closed if isinstance(record.end, When)]
        if ends and not still_open and all(self._has_end(record) for record in closed):
            days.append(max(ends, key=lambda end: end.latest))
        return min(days, key=lambda day: day.latest, default=None)

    def _has_end(self, record: ToxicityRecord) -> bool:
        """Whether a resolved record says when it ended, or a copy of it does: one of the same onset and no milder."""
        grade = grade_value(record) or 0
        copies = [r for r in self.records if r.course is Course.RESOLVED and r.onset == record.onset]
        return any(isinstance(copy.end, When) and (grade_value(copy) or 0) >= grade for copy in copies)

    def is_open_question(self, grade_to: int, within_days: int) -> bool:
        """Whether it is not known if what was worse than `grade_to` fell in time: then that is asked, not assumed."""
        worse = [record for record in self.records if not _is_at_most(record, grade_to)]
        if any(record.course in {Course.OPEN, Course.FATAL} or self._lasted(record, within_days) for record in worse):
            return False
        if any(record.course is Course.RESOLVED and not self._has_end(record) for record in worse):
            return True
        if self.state is not State.RESOLVED:
            courses = {record.course for record in worse}
            return Course.OUTCOME_MISSING in courses and Course.POINT not in courses
        has_end = self.closings or any(isinstance(record.end, When) for record in worse)
        return self.ended is None or self.onset is None or not has_end

    def _lasted(self, record: ToxicityRecord, days: int) -> bool:
        """Whether a record says for certain that it was there more than so many days after the onset of the event."""
        seen = {Course.RESOLVED: record.end, Course.POINT: record.onset}.get(record.course)
        if not isinstance(seen, When) or self.onset is None:
            return False
        return (seen.earliest - self.onset.latest).days > days


def _earliest(day: When) -> tuple[date, float]:
    return day.earliest, day.instant.timestamp() if day.instant is not None else float("-inf")


def _is_at_most(record: ToxicityRecord, grade: int) -> bool:
    value = grade_value(record)
    return value is not None and value <= grade and not is_lower_bound(record)


def with_ice_grades(records: Iterable[ToxicityRecord], regimen: Regimen) -> tuple[ToxicityRecord, ...]:
    """ICE observations with the grade that the table gives their score (patient taken as not unarousable)."""
    return tuple(_ice_graded(record, regimen) for record in records)


def _ice_graded(record: ToxicityRecord, regimen: Regimen) -> ToxicityRecord:
    if record.grade is not NotRecorded:
        return record
    for row in ice_rows([record], regimen):
        grade = Grade(value=row.integer("grade"), scale=Scale.ASTCT_ICANS, source=GradeSource.OBSERVATION)
        return replace(record, grade=grade)
    return record


def ice_rows(records: Iterable[ToxicityRecord], regimen: Regimen) -> tuple[Row, ...]:
    """The rows that grade the ICE scores among these records."""
    scores = {record.ice_score for record in records if record.ice_score is not None}
    rows = regimen.table("ice_grades").rows
    return tuple(row for row in rows if any(score in row.range("ice_score") for score in scores))


def is_not_ours(record: ToxicityRecord, history: History, engagers: Sequence[OtherEngager]) -> bool:
    """Whether a toxicity is certainly not the drug's.

    Only before the first dose on record, and only if that dose was the step dose or another engager came before the
    onset; with no dose on record, only after another engager. Whatever starts after a dose of the drug counts.
    Source: clinical-rules "Toxicity records".
    """
    if not isinstance(record.onset, When):
        return False
    first = history.first
    if first is not None and record.onset.latest >= first.day.earliest:
        return False
    if first is not None and first.kind is DoseKind.STEP:
        return True
    return any(isinstance(other.day, When) and other.day.latest <= record.onset.earliest for other in engagers)


def _apart(one: When, other: When) -> int:
    """The most days between two onsets; 0 where both are recorded alike."""
    if (one.earliest, one.latest) == (other.earliest, other.latest):
        return 0
    return (other.latest - one.earliest).days


@dataclass(kw_only=True)
class _Event:
    """An episode while its records, and the observations that close it, are gathered; `last` is its latest onset."""

    last: When
    records: list[ToxicityRecord] = field(default_factory=list)
    closings: list[ToxicityRecord] = field(default_factory=list)
    standing: _Standing = field(default_factory=_Standing)

    def add(self, record: ToxicityRecord, onset: When) -> None:
        self.last = onset
        self.records.append(record)
        self.standing.add(record)

    def close(self, record: ToxicityRecord, onset: When) -> None:
        self.closings.append(record)
        self.standing.close(onset)

    def holds(self, onset: When, doses: DoseDays, gap: int) -> bool:
        """Whether a record of this onset, which is not before the last one, is part of this event.

        It is none if a completed dose after the day of the last onset, up to the day of this one, caused it.
        """
        if doses.any_after(self.last.latest, onset.latest):
            return False
        ended = self.standing.ended
        if ended is not None and onset.latest - ended.latest > ONE_DAY:
            return False
        is_active = self.standing.state is not State.RESOLVED
        touches = is_active or (ended is not None and onset.earliest - ended.latest <= ONE_DAY)
        return touches or _apart(self.last, onset) <= gap


def _by_onset(dated: tuple[When, ToxicityRecord]) -> tuple[date, date, float, int, bool]:
    """By day, then by the clock; what has no clock time comes first, and of one moment the worse, what closes last."""
    onset, record = dated
    clock = onset.instant.timestamp() if onset.instant is not None else float("-inf")
    return onset.latest, onset.earliest, clock, -(grade_value(record) or 0), closes(record)


def episodes_of(
    syndrome: Syndrome, records: Sequence[ToxicityRecord], doses: Sequence[GivenDose], gap_days: int
) -> tuple[Episode, ...]:
    """The records of one syndrome as episodes, in order of onset. A grade 0 record closes the episode before it.

    Units: `gap_days` calendar days between onsets of one episode.
    Source: clinical-rules "Toxicity records"; knowledge section 6 (Episodes).
    """
    own = [record for record in records if record.syndrome is syndrome]
    dated = sorted(_dated(own), key=_by_onset)
    days = DoseDays(doses=doses)
    found: list[_Event] = []
    for onset, record in dated:
        if closes(record):
            if found:
                found[-1].close(record, onset)
            continue
        if not found or not found[-1].holds(onset, days, gap_days):
            found.append(_Event(last=onset))
        found[-1].add(record, onset)
    episodes = [Episode(syndrome=syndrome, records=tuple(e.records), closings=tuple(e.closings)) for e in found]
    undated = tuple(r for r in own if not isinstance(r.onset, When) and grade_value(r) != 0)
    if undated and episodes:
        episodes[-1] = replace(episodes[-1], records=(*episodes[-1].records, *undated), joined_without_onset=True)
    elif undated:
        episodes.append(Episode(syndrome=syndrome, records=undated))
    return tuple(episodes)
