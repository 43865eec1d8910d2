"""Where does the course stand, when nobody orders a dose? The questions of the table `course`; the first that holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from cds_service.engine.advice import Finding, Line
from cds_service.engine.case import Case
from cds_service.engine.course import Position
from cds_service.engine.history import GivenDose
from cds_service.engine.monitoring import by_code_only_line
from cds_service.engine.step_up import crs_behind_the_restart
from cds_service.engine.toxicity import holding, with_end_of_protection
from cds_service.engine.words import count_text, day_text, listed, mg_text
from cds_service.knowledge.regimen import Row

MOST_DOSES: Final = 8
"""Given doses that are named one by one; earlier ones are counted."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """The course today, and what stands against its next dose.

    `stops` end it for good, `holds` withhold it now; `checks` are to be cleared up before the next dose.
    """

    case: Case
    stops: tuple[Finding, ...] = ()
    holds: tuple[Finding, ...] = ()
    checks: tuple[Finding, ...] = ()


Question = Callable[[Standing, Row], Finding | None]


def to_stop(standing: Standing, row: Row) -> Finding | None:
    """Is there a reason to stop for good?"""
    return _open(standing, row, standing.stops, also=(*standing.holds, *standing.checks)) if standing.stops else None


def to_withhold(standing: Standing, row: Row) -> Finding | None:
    """Is there a reason to withhold the drug now?"""
    held = holding(standing.case, standing.holds, ())
    return _open(standing, row, held, also=standing.checks) if held else None


def not_certain(standing: Standing, row: Row) -> Finding | None:
    """Are the doses on record too uncertain to tell what is next?"""
    if standing.case.position is not None:
        return None
    because = tuple(b for doubt in standing.case.call.history.uncertain for b in doubt.because())
    what = " ".join(dict.fromkeys(doubt.why for doubt in standing.case.call.history.uncertain))
    finding = _told(standing, row, expected=False, lines=_summaries(standing.checks), what=what)
    return replace(finding, because=(*because, *finding.because))


def to_check(standing: Standing, row: Row) -> Finding | None:
    """Is something to be cleared up before the next dose?"""
    if not standing.checks:
        return None
    return _with_rows_of(standing.checks, _told(standing, row, lines=_summaries(standing.checks)))


def nothing_completed(standing: Standing, row: Row) -> Finding | None:
    """Was no dose completed yet?"""
    return None if standing.case.course.completed else _told(standing, row)


def restarts(standing: Standing, row: Row) -> Finding | None:
    """Is a restart next?"""
    position = standing.case.position
    if position is None or not position.is_restart:
        return None
    crs = crs_behind_the_restart(standing.case)
    if crs is None:
        return _told(standing, row)
    lines = (Line(row=crs.row, slots=crs.slots), *crs.lines)
    return _with_rows_of((crs,), _told(standing, row, lines=lines))


def goes_on(standing: Standing, row: Row) -> Finding | None:
    """Does the course go on with the schedule?"""
    return _told(standing, row)


def no_question_of_its_own(_standing: Standing, _row: Row) -> Finding | None:
    """The row of an order that is not complete is told beside that order."""
    return None


INCOMPLETE: Final = "the order is not complete"
QUESTIONS: Final[Mapping[str, Question]] = {
    INCOMPLETE: no_question_of_its_own,
    "treatment is to be stopped": to_stop,
    "treatment is to be withheld": to_withhold,
    "the doses on record are not certain": not_certain,
    "something is to be cleared up first": to_check,
    "no dose was completed yet": nothing_completed,
    "a restart is next": restarts,
    "the schedule goes on": goes_on,
}


def _open(standing: Standing, row: Row, leading: Iterable[Finding], *, also: Iterable[Finding]) -> Finding:
    """What stands against the drug, in the words of the rows that say so; no due day is told then."""
    findings = (*leading, *also)
    lines = _summaries(findings)
    found = " ".join(dict.fromkeys(finding.slots.get("found", "") for finding in leading))
    return _with_rows_of(findings, _told(standing, row, expected=False, lines=lines, found=found))


def _with_rows_of(findings: Iterable[Finding], told: Finding) -> Finding:
    """The card names the rows that it repeats, and what they rest on."""
    said = tuple(findings)
    because = tuple(b for finding in said for b in finding.because)
    rows = tuple(row for finding in said for row in (finding.row, *finding.rows))
    return replace(told, because=because + told.because, rows=told.rows + rows)


def _summaries(findings: Iterable[Finding]) -> tuple[Line, ...]:
    return tuple(
        line
        for finding in findings
        for line in (Line(row=finding.row, slots=finding.slots, sentence="summary"), *finding.lines)
    )


def _told(
    standing: Standing, row: Row, *, expected: bool = True, lines: tuple[Line, ...] = (), **slots: str
) -> Finding:
    """The row with the doses given, the rows that place the next one, and until when protection is needed."""
    case = standing.case
    position = case.position if expected else None
    placed = _placing(position)
    unseen = by_code_only_line(case) if expected else ()
    finding = case.found(
        row,
        because=tuple(b for dose in case.course.doses[-MOST_DOSES:] for b in dose.because(_dose_text(dose))),
        lines=(*lines, *(Line(row=r, slots=case.slots) for r in placed[1:] if r is not None), *unseen),
        rows=tuple(r for r in placed if r is not None),
    )
    told = dict(finding.slots) | slots | {"given": given_text(case.course.doses)}
    return with_end_of_protection(case, replace(finding, slots=told, expected=case.expected(position)))


def _placing(position: Position | None) -> tuple[Row | None, ...]:
    """The rows that place the next dose: not a delay within its limit where a severe CRS asks for a restart."""
    if position is None:
        return ()
    overruled = position.is_restart and position.delay is not None and not position.delay.flag("restart")
    return (position.row, None if overruled else position.delay)


def given_text(doses: tuple[GivenDose, ...]) -> str:
    """The doses given, each with its day; of many the last ones, and how many came before."""
    if not doses:
        return "none on record"
    earlier = len(doses) - MOST_DOSES
    named = listed(_dose_text(dose) for dose in doses[-MOST_DOSES:])
    return (
        f"{count_text(earlier, 'dose')} before {day_text(doses[-MOST_DOSES].day)}, then {named}"
        if earlier > 0
        else named
    )


def _dose_text(dose: GivenDose) -> str:
    said = f"{mg_text(dose.mg)} on {day_text(dose.day)}"
    return said if dose.is_completed else f"{said} (not completed)"
