"""What could not be read, and what could therefore not be checked? The questions of the table `record`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from cds_service.engine.advice import Because, Finding, Line
from cds_service.engine.case import Call
from cds_service.engine.grading import age_days, refusals
from cds_service.engine.monitoring import BLOOD_COUNT, LIVER_TESTS
from cds_service.engine.words import day_text, listed, mg_text
from cds_service.knowledge.regimen import Row
from fhir_mappings.facts import DRAFT, Analyte, Need, Reading, Unknown

Question = Callable[[Call, Row], Finding | None]


def _found(call: Call, row: Row, what: str, because: tuple[Because, ...] = ()) -> Finding:
    return Finding(row=row, slots={"what": what, "drug": call.regimen.drug}, because=because)


def _unknowns(call: Call) -> tuple[Unknown, ...]:
    """Resources that could not be read; those of another patient are no gap in this one's record, but a draft's is."""
    return tuple(unknown for unknown in call.state.unknowns if unknown.what == DRAFT or not unknown.foreign)


SHOWS_THE_DRUG: Final = frozenset({"medicationRequests", "medicationAdministrations", "procedures"})
"""Needs without which it is not known whether the patient has to do with the drug."""


def is_asked(row: Row, *, at_orders: bool) -> bool:
    """Whether the row is asked at this call: some only where orders are judged, some only where none are."""
    return not row.has("at") or row.text("at") == (AT_ORDERS if at_orders else AT_OTHERS)


def need_of(row: Row) -> str:
    return row.text("need") if row.has("need") else ""


AT_ORDERS: Final = "orders"
AT_OTHERS: Final = "other hooks"


def _because(unknowns: tuple[Unknown, ...]) -> tuple[Because, ...]:
    return tuple(Because(reference=u.reference, shows=u.why) for u in unknowns if u.reference)


def _need_text(need: Need) -> str:
    said = "read only in part" if need.reading is Reading.PARTIAL else "not read"
    return f"{said}: {need.why}" if need.why else said


def need_not_read(call: Call, row: Row) -> Finding | None:
    """Could this need, or a resource of its kinds, not be read?"""
    need = call.need(row.text("need"))
    said = [] if need.reading is Reading.COMPLETE else [_need_text(need)]
    unknowns = tuple(unknown for unknown in _unknowns(call) if unknown.what in row.texts("kinds"))
    said += list(dict.fromkeys(f"{unknown.what}: {unknown.why}" for unknown in unknowns))
    if not said:
        return None
    found = _found(call, row, listed(said), _because(unknowns))
    how = "could not be {}" if need.reading is Reading.UNAVAILABLE else "could only be {} in part"
    return replace(found, slots=dict(found.slots) | {done: how.format(done) for done in ("read", "checked")})


def draft_not_read(call: Call, row: Row) -> Finding | None:
    """Could an order of the call itself not be read?"""
    unknowns = tuple(unknown for unknown in _unknowns(call) if unknown.what in row.texts("kinds"))
    if not unknowns:
        return None
    said = listed(f"{unknown.reference or 'an entry'}: {unknown.why}" for unknown in unknowns)
    return _found(call, row, said, _because(unknowns))


def something_else_not_read(call: Call, row: Row) -> Finding | None:
    """Could a resource of a kind that no other row names not be read?"""
    named = {kind for other in call.regimen.table("record").rows if other.has("kinds") for kind in other.texts("kinds")}
    unknowns = tuple(unknown for unknown in _unknowns(call) if unknown.what not in named)
    if not unknowns:
        return None
    return _found(call, row, listed(f"{unknown.what}: {unknown.why}" for unknown in unknowns), _because(unknowns))


def no_recent_results(call: Call, row: Row) -> Finding | None:
    """After at least one dose: is a blood count or liver panel of the last days missing?"""
    if not call.course.doses or not call.was_read("laboratory"):
        return None
    oldest = int(call.regimen.numbers["lab_age_days"])
    missing = [a.value for a in (*BLOOD_COUNT, *LIVER_TESTS) if not _has_recent(call, a, oldest)]
    return _found(call, row, listed(missing)) if missing else None


def _has_recent(call: Call, analyte: Analyte, oldest: int) -> bool:
    """A usable or refused result of the last days: a refused one is said in its own row."""
    return any(age_days(r, call.today) <= oldest for r in call.labs.get(analyte, ()))


def result_refused(call: Call, row: Row) -> Finding | None:
    """After at least one dose: was a result refused that could have decided a stop or a hold?"""
    if not call.course.doses:
        return None
    results = [call.labs.get(Analyte(name), ()) for name in row.texts("analytes")]
    refused = [said for own in results for said in refusals(own, call.regimen)]
    if not refused:
        return None
    because = tuple(Because(reference=result.reference, shows=why) for result, why in refused)
    return _found(call, row, listed(f"{r.analyte.value} of {day_text(r.day)} ({why})" for r, why in refused), because)


def taken_from_orders(call: Call, row: Row) -> Finding | None:
    """Do completed orders stand in for administrations?"""
    doses = call.history.stand_in
    if not doses:
        return None
    said = listed(f"{mg_text(dose.mg)} on {day_text(dose.day)}" for dose in doses)
    because = tuple(b for dose in doses for b in dose.because(f"completed order, {day_text(dose.day)}"))
    return _found(call, row, said, because)


def history_in_doubt(call: Call, row: Row) -> Finding | None:
    """Is something to be asked about the doses on record, before what is next can be told for certain?"""
    history = call.history
    doubts = (*history.uncertain, *history.later_orders, *history.partial)
    if not doubts:
        return None
    because = tuple(b for doubt in doubts for b in doubt.because())
    return _found(call, row, " ".join(dict.fromkeys(doubt.why for doubt in doubts)), because)


def no_question_of_its_own(_call: Call, _row: Row) -> Finding | None:
    """The row of a failed rule is fired by the rulebook."""
    return None


RULE_FAILED: Final = "a rule failed"
QUESTIONS: Final[Mapping[str, Question]] = {
    "need not read": need_not_read,
    "draft not read": draft_not_read,
    "something else not read": something_else_not_read,
    "no recent laboratory results": no_recent_results,
    "a result was refused": result_refused,
    "doses taken from orders": taken_from_orders,
    "the history of doses is in doubt": history_in_doubt,
    RULE_FAILED: no_question_of_its_own,
}


def rule_failed(call: Call, failed: tuple[str, ...]) -> Finding | None:
    """The finding that says what failed: rows by their ids, the history, or everything about an order."""
    for row in call.regimen.table("record").rows:
        if row.text("question") == RULE_FAILED and failed:
            return _found(call, row, listed(failed))
    return None


def as_line(finding: Finding) -> Line:
    return Line(row=finding.row, slots=finding.slots)
