"""All rules in fixed order on one call: collect, let the graver speak first, say the rest.

The order is that of clinical-rules "Decision for one order": STOP, then HOLD, then the first step of the dose table
that holds, with what stands beside it. One of the two places of the service that catches every exception: a rule
that raises takes down only itself, and shows as `record/cannot-assess`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, TypeVar, assert_never
from zoneinfo import ZoneInfo

from cds_service.engine import (
    booking,
    discharge,
    gaps,
    monitoring,
    populations,
    requirements,
    status,
    step_up,
    toxicity,
)
from cds_service.engine.advice import Advice, Assessment, Finding, Line
from cds_service.engine.case import Call, Case, Occasion, without_an_order
from cds_service.engine.course import Course, on_day
from cds_service.engine.history import DoseKind, GivenDose, kind_of, planned_orders
from cds_service.engine.words import day_text
from cds_service.errors import KnowledgeError
from cds_service.knowledge.regimen import Regimen, Row
from fhir_mappings.facts import VISIT, NotRecorded, OrderedDose, TreatmentState, Unknown, When

INDICATORS: Final = ("critical", "warning", "info")
NOT_TO_BE_GIVEN: Final = frozenset({"cancelled", "stopped", "entered-in-error", "ended"})
BESIDE_STOP: Final = frozenset({("pregnancy", "avoid"), ("lactation", "avoid")})
CaseQuestion = Callable[[Case, Row], Finding | None]
CASE_TABLES: Final[Mapping[str, Mapping[str, CaseQuestion]]] = {
    "dose": step_up.QUESTIONS,
    "stop": toxicity.STOP_QUESTIONS,
    "hold": toxicity.HOLD_QUESTIONS,
    "resume": toxicity.RESUME_QUESTIONS,
    "premedication": monitoring.PREMEDICATION_QUESTIONS,
    "administration": monitoring.ADMINISTRATION_QUESTIONS,
    "population": populations.QUESTIONS,
}
HISTORY: Final = "the history of doses"
MAY_END_TREATMENT: Final = step_up.MAY_END_TREATMENT | populations.MAY_END_TREATMENT
_Asked = TypeVar("_Asked")


@dataclass(kw_only=True)
class _Log:
    """Rows fired, rows asked in vain, rows that failed, in the order of asking."""

    fired: dict[str, None] = field(default_factory=dict)
    asked: dict[str, None] = field(default_factory=dict)
    failed: dict[str, None] = field(default_factory=dict)

    def ask(self, question: Callable[[_Asked, Row], Finding | None], asked: _Asked, row: Row) -> Finding | None:
        self.asked[row.id] = None
        try:
            finding = question(asked, row)
        except Exception:  # a rule that raises takes down only itself, and is shown
            self.failed[row.id] = None
            return None
        if finding is not None:
            self.fired[row.id] = None
        return finding


class Rulebook:
    """The rules of one regimen, ready to assess calls.

    Raises: KnowledgeError where the file asks what nobody can answer, or lacks what an answer needs.
    """

    def __init__(self, regimen: Regimen) -> None:
        self.regimen = regimen
        requirements.refuse_other_names(regimen)
        for name, questions in CASE_TABLES.items():
            _refuse_unanswerable(regimen, name, questions)
        _refuse_unanswerable(regimen, "course", status.QUESTIONS)
        _refuse_unanswerable(regimen, "discharge", discharge.QUESTIONS)
        _refuse_unanswerable(regimen, "booking", booking.QUESTIONS)
        _refuse_unanswerable(regimen, "record", gaps.QUESTIONS)
        requirements.refuse_other_rows(regimen)

    def assess(
        self,
        state: TreatmentState,
        *,
        at: datetime,
        zone: ZoneInfo,
        selections: frozenset[str] | None = None,
        details_may_be_missing: bool = False,
        occasion: Occasion = Occasion.ORDERS,
    ) -> Assessment:
        """The advice for every draft of the call that may get cards; on another occasion what it asks about.

        `at` is now (aware); day counts are made in `zone`, the clinic's. `selections` are the drafts that cards may be
        about (None: all). A draft of the drug that is not selected is background, like a planned order.
        """
        call = Call(
            regimen=self.regimen, state=state, at=at.astimezone(zone), details_may_be_missing=details_may_be_missing
        )
        log = _Log()
        advice = _asked_for(call, selections, occasion, log)
        said = sorted(_stand_in_said(call, advice, log), key=_rank)
        fired = dict.fromkeys((*log.fired, *(row.id for one in said for row in _rows_of(one))))
        return Assessment(
            advice=tuple(said),
            fired=tuple(fired),
            silent=tuple(row_id for row_id in log.asked if row_id not in fired and row_id not in log.failed),
            as_of=call.today,
            regimen=self.regimen,
            orders=_assessed(state, selections) if occasion is Occasion.ORDERS else (),
        )


def _assessed(state: TreatmentState, selections: frozenset[str] | None) -> tuple[str, ...]:
    """The drafts of the drug that cards may be about."""
    return tuple(dict.fromkeys(o.order for o in _drafts(state) if selections is None or o.order in selections))


def _asked_for(call: Call, selections: frozenset[str] | None, occasion: Occasion, log: _Log) -> list[Advice]:
    match occasion:
        case Occasion.ORDERS:
            return _on_orders(call, selections, log)
        case Occasion.STATUS:
            return _on_patient(call, _status, log)
        case Occasion.DISCHARGE:
            return _on_patient(call, _discharge, log)
        case Occasion.BOOKING:
            return _on_visits(call, log)
        case _:
            assert_never(occasion)


def _on_orders(call: Call, selections: frozenset[str] | None, log: _Log) -> list[Advice]:
    advice: list[Advice] = []
    for case in _cases(call, _drafts(call.state), log):
        if selections is None or case.order.order in selections:
            advice += _advice_on(case, log)
    return advice + _record_advice(call, _assessed(call.state, selections), log)


def _rows_of(advice: Advice) -> tuple[Row, ...]:
    """The rows that an advice applies: its own, further ones, those of its lines."""
    return (advice.row, *advice.rows, *(line.row for line in advice.lines))


def _refuse_unanswerable(regimen: Regimen, table: str, questions: Mapping[str, object]) -> None:
    for row in regimen.table(table).rows:
        if row.has("question") and row.text("question") not in questions:
            raise KnowledgeError(f"{regimen.file}:{row.line} {row.id}: nobody can answer {row.text('question')!r}")


# --- the cases of a call ---------------------------------------------------------------------------------------


def _drafts(state: TreatmentState) -> list[OrderedDose]:
    return [o for o in state.orders if o.in_draft_orders and o.status not in NOT_TO_BE_GIVEN]


def _day_of(order: OrderedDose, call: Call) -> When:
    return order.day if isinstance(order.day, When) else When(earliest=call.today, latest=call.today)


def _notes(order: OrderedDose, on: When, call: Call) -> tuple[str, ...]:
    notes = [order.day_note] if order.day_note else []
    if isinstance(order.day, Unknown):
        notes.append(f"The planned day cannot be read ({order.day.why}): taken as today.")
    elif order.day is NotRecorded and not order.day_note:
        notes.append("The order names no planned day: taken as today.")
    if not on.is_certain:
        notes.append(f"The planned day may be {day_text(on)}: counted the more cautious way.")
    last = call.course.last_completed or call.course.last_exposure
    if last is not None and not last.day.is_certain:
        notes.append(f"The last dose may be of {day_text(last.day)}: counted the more cautious way.")
    return tuple(notes)


def _cases(call: Call, drafts: Sequence[OrderedDose], log: _Log) -> list[Case]:
    """Each draft dose in the order of its day, against the doses given and those due before it.

    Of several for one day the planned orders come first, then the draft with the amount that is due.
    """
    try:
        planned = planned_orders(call.state, call.history, call.today)
        undated = [o for o in drafts if not isinstance(o.day, When)]
        several = len(undated) > 1
        waiting = [(o, _day_of(o, call), several and o in undated) for o in (*planned, *drafts)]
        waiting.sort(
            key=lambda item: (item[1].latest, item[1].earliest, item[0].in_draft_orders, item[0].entry, item[0].part)
        )
        return _in_turn(call, waiting)
    except Exception:  # the history itself raised: every rule about these orders failed with it
        log.failed[HISTORY] = None
        return []


def _in_turn(call: Call, waiting: list[tuple[OrderedDose, When, bool]]) -> list[Case]:
    cases: list[Case] = []
    course = call.course
    while waiting:
        order, on, undated = waiting.pop(_next(call, waiting, course))
        case = Case(
            call=call,
            order=order,
            on=on,
            course=course,
            day_missing=not isinstance(order.day, When),
            undated=undated,
            notes=_notes(order, on, call),
        )
        if order.in_draft_orders:
            cases.append(case)
        if not case.same_day:
            course = course.with_dose(_projected(case))
    return cases


def _next(call: Call, waiting: Sequence[tuple[OrderedDose, When, bool]], course: Course) -> int:
    """The first of the day; among drafts of that day, the one with the amount that is due."""
    first, on, undated = waiting[0]
    if not first.in_draft_orders or undated:
        return 0
    probe = Case(call=call, order=first, on=on, course=course)
    due = probe.position.due.mg if probe.position is not None else None
    for index, (order, day, _) in enumerate(waiting):
        if (day.earliest, day.latest) == (on.earliest, on.latest) and order.amount.mg == due:
            return index
    return 0


def _projected(case: Case) -> GivenDose:
    """The dose as it will have been given: at the amount that is due, else (position unknown) as ordered.

    One of several without a day is taken for its due day: the next one is counted from there.
    """
    due = case.if_lifted
    mg = due.due.mg if due is not None else case.ordered
    return GivenDose(
        day=on_day(due.due_on) if case.undated and due is not None else case.on,
        mg=mg,
        kind=kind_of(mg, case.regimen) if mg is not None else DoseKind.EXPOSURE_ONLY,
        references=(case.order.order,),
        requests=frozenset({case.order.order}),
        projected=True,
        undated=case.undated,
    )


# --- the advice on one dose ------------------------------------------------------------------------------------


def _collect(case: Case, table: str, log: _Log) -> list[Finding]:
    questions = CASE_TABLES[table]
    asked = (log.ask(questions[row.text("question")], case, row) for row in case.regimen.table(table).rows)
    return [finding for finding in asked if finding is not None]


def _stops_and_confirmations(case: Case, log: _Log) -> tuple[list[Finding], list[Finding]]:
    found = _collect(case, "stop", log)
    stops = [toxicity.with_end_of_protection(case, finding) for finding in found if finding.confirmed]
    return stops, [toxicity.to_confirm(case, finding) for finding in found if not finding.confirmed]


@dataclass(frozen=True, kw_only=True)
class Against:
    """What stands against the drug today, and the ids of rows that could not be asked because they raised.

    `checks` are what the record alone asks to clarify before the next dose, such as an allergy to the drug.
    """

    stops: tuple[Finding, ...] = ()
    confirmations: tuple[Finding, ...] = ()
    holds: tuple[Finding, ...] = ()
    checks: tuple[Finding, ...] = ()
    failed: tuple[str, ...] = ()


def against(case: Case) -> Against:
    """All stops, holds and questions that the record gives today: a picture of the course leaves none out.

    `confirmations` are the stops that rest on an unconfirmed record, each under its own row.
    """
    log = _Log()
    stops = _collect(case, "stop", log)
    holds = _collect(case, "hold", log)
    checks = _without_order(case, log)
    return Against(
        stops=tuple(stop for stop in stops if stop.confirmed),
        confirmations=tuple(stop for stop in stops if not stop.confirmed),
        holds=tuple(holds),
        checks=checks,
        failed=tuple(log.failed),
    )


def _advice_on(case: Case, log: _Log) -> list[Advice]:
    """STOP, HOLD, then the dose: with the companions that each of them allows."""
    try:
        population = [_to_advice(case, finding) for finding in _collect(case, "population", log)]
        stops, confirmations = _stops_and_confirmations(case, log)
        if stops:
            beside = [advice for advice in population if (advice.topic, advice.action) in BESIDE_STOP]
            return [_to_advice(case, replace(stop, expected=())) for stop in stops] + beside
        found = confirmations + _collect(case, "hold", log)
        holds = [finding for finding in found if finding.row.flag("holds")]
        suspicions = [finding for finding in found if not finding.row.flag("holds")]
        doses = [_to_advice(case, finding) for finding in _dose_findings(case, log)]
        if holds:
            held = [_to_advice(case, finding) for finding in toxicity.holding(case, holds, suspicions)]
            critical = [advice for advice in doses if advice.topic == "dose" and advice.indicator == "critical"]
            return held + critical + population
        return [_to_advice(case, finding) for finding in suspicions] + doses + _care(case, doses, log) + population
    except Exception:  # what the rules share raised: nothing about this order could be assessed
        log.failed[f"everything about {case.order.order}"] = None
        return []


def _dose_findings(case: Case, log: _Log) -> tuple[Finding, ...]:
    delays = [log.ask(step_up.delayed, case, row) for row in case.regimen.table("delay").rows if row.flag("restart")]
    found = [finding for finding in delays if finding is not None] + _collect(case, "dose", log)
    return step_up.leading(case, found)


def _care(case: Case, doses: Sequence[Advice], log: _Log) -> list[Advice]:
    """Premedication and administration as they are; monitoring, unless the dose is to wait or is above the largest."""
    cards = [
        _to_advice(case, f) for f in (*_collect(case, "premedication", log), *_collect(case, "administration", log))
    ]
    if any(_forbids_monitoring(advice) for advice in doses):
        return cards
    if case.dose_missing or (case.call.details_may_be_missing and case.day_missing):
        return [*_course_status(case, log), *cards]
    watched = monitoring.monitoring(case, _collect(case, "resume", log), fits=not doses)
    if watched is None:
        return cards
    finding, sentence = watched
    log.fired[finding.row.id] = None
    signs = toxicity.worse_than_recorded(case)
    because = finding.because + tuple(b for _, more in signs for b in more)
    lines = finding.lines + tuple(line for line, _ in signs) + populations.population_lines(case)
    advice = _to_advice(case, replace(finding, lines=lines, because=because))
    position = case.position
    applied = [] if position is None else [position.row, *([position.delay] if position.delay is not None else [])]
    return [replace(advice, sentence=sentence, rows=(*applied, *advice.rows)), *cards]


def _forbids_monitoring(advice: Advice) -> bool:
    """Too much or too early is not to be given, so there is nothing to watch."""
    return advice.row.flag("without_monitoring")


def _course_status(case: Case, log: _Log) -> list[Advice]:
    """order-select of an incomplete draft: where the course stands; nothing without a position."""
    observed = monitoring.observation_lines(case)
    if not observed:
        return []
    row = next(r for r in case.regimen.table("course").rows if r.text("question") == status.INCOMPLETE)
    log.fired[row.id] = None
    lines = (*observed, *monitoring.ordinary_lines(case))
    finding = case.found(row, because=case.last_dose_because(), lines=lines)
    return [_to_advice(case, finding)]


def _to_advice(case: Case, finding: Finding) -> Advice:
    """The finding as advice on this dose, with what is due: the position of the case, if the finding says no other."""
    row = finding.row
    expected = finding.expected if finding.expected is not None else case.expected(case.position)
    return Advice(
        topic=row.text("topic"),
        action=row.text("action"),
        indicator=row.text("indicator"),
        row=row,
        order=case.order.order,
        part=case.order.part,
        slots=case.slots | dict(finding.slots),
        because=finding.because,
        lines=finding.lines,
        rows=finding.rows,
        expected=expected[0] if expected else None,
        ordered=case.ordered,
        on=case.on,
        day_assumed=case.day_missing,
        hours=finding.hours,
        in_part=finding.in_part,
    )


# --- the other occasions -----------------------------------------------------------------------------------------


def _on_patient(call: Call, say: Callable[[Call, _Log], list[Advice]], log: _Log) -> list[Advice]:
    """Of a patient without the drug only what could hide it is said: orders and given doses that were not read."""
    if not call.has_the_drug:
        return _record_advice(call, (), log, needs=gaps.SHOWS_THE_DRUG)
    try:
        advice = say(call, log)
    except Exception:  # what the rules share raised: nothing about this patient could be assessed
        log.failed[HISTORY] = None
        advice = []
    return advice + _record_advice(call, (), log, at_orders=False)


def _first(
    asked: _Asked, table: str, questions: Mapping[str, Callable[[_Asked, Row], Finding | None]], call: Call, log: _Log
) -> Finding | None:
    """The first row of the table that holds."""
    rows = call.regimen.table(table).rows
    return next((f for row in rows if (f := log.ask(questions[row.text("question")], asked, row)) is not None), None)


def _status(call: Call, log: _Log) -> list[Advice]:
    """patient-view: one card about the course, and what stands against its next dose in it."""
    case = without_an_order(call)
    stops, confirmations = _stops_and_confirmations(case, log)
    found = confirmations + _collect(case, "hold", log)
    holds = tuple(finding for finding in found if finding.row.text("indicator") == INDICATORS[0])
    checks = tuple(finding for finding in found if finding not in holds) + _without_order(case, log)
    standing = status.Standing(case=case, stops=tuple(stops), holds=holds, checks=checks)
    told = _first(standing, "course", status.QUESTIONS, call, log)
    return [] if told is None else [_to_advice(case, told)]


def _without_order(case: Case, log: _Log) -> tuple[Finding, ...]:
    """What the record alone asks to clarify."""
    asked = (
        log.ask(questions[row.text("question")], case, row)
        for table, questions in CASE_TABLES.items()
        for row in case.regimen.table(table).rows
        if row.flag("without_order")
    )
    return tuple(finding for finding in asked if finding is not None)


def _discharge(call: Call, log: _Log) -> list[Advice]:
    """encounter-discharge: toxicity that is not over, then the observation of the last dose."""
    case = without_an_order(call)
    stops, confirmations = _stops_and_confirmations(case, log)
    holds = toxicity.holding(case, confirmations + _collect(case, "hold", log), ())
    found = [f for f in (*stops, *holds) if discharge.is_unresolved(call, f)]
    found += [f for f in _without_order(case, log) if f.row.text("question") == step_up.NEUROLOGICAL_SIGN]
    line = case.line("discharge with a toxicity that is not over")
    advice = [_to_advice(case, replace(f, lines=(*f.lines, line), expected=())) for f in found]
    dose = discharge.observed(call)
    told = None if dose is None else _first(dose, "discharge", discharge.QUESTIONS, call, log)
    return advice if dose is None or told is None else [*advice, _to_advice(dose.case, told)]


def _on_visits(call: Call, log: _Log) -> list[Advice]:
    """appointment-book: each proposed infusion in the order of its day, against the doses given and those before it."""
    if not call.state.visits and not any(unknown.what == VISIT for unknown in call.state.unknowns):
        return []
    advice: list[Advice] = []
    try:
        waiting = [(booking.as_order(visit, n), visit.day, False) for n, visit in enumerate(call.state.visits)]
        waiting.sort(key=lambda item: (item[1].latest, item[1].earliest, item[0].entry))
        for case in map(booking.at_the_due_amount, _in_turn(call, waiting)):
            advice += _on_visit(case, log)
    except Exception:  # the history itself raised: nothing about these visits could be assessed
        log.failed[HISTORY] = None
    orders = tuple(dict.fromkeys(visit.reference for visit in call.state.visits))
    return advice + _record_advice(call, orders, log, at_orders=False)


def _on_visit(case: Case, log: _Log) -> list[Advice]:
    """What ended the drug, and no day then; else what withholds it now, what is to be asked first, and another day."""
    stops, confirmations = _stops_and_confirmations(case, log)
    if stops:
        return [_to_advice(case, replace(booking.not_yet(case, stop), expected=())) for stop in stops]
    found = confirmations + _collect(case, "hold", log)
    holds = [finding for finding in found if finding.row.text("indicator") == INDICATORS[0]]
    asked = [f for f in _without_order(case, log) if f.row.text("question") in MAY_END_TREATMENT]
    against = [booking.not_yet(case, finding) for finding in (*toxicity.holding(case, holds, ()), *asked)]
    told = None if case.position is None else _first(case, "booking", booking.QUESTIONS, case.call, log)
    return [_to_advice(case, finding) for finding in (*against, *([told] if told is not None else []))]


# --- gaps, and the order of cards ------------------------------------------------------------------------------


def _record_advice(
    call: Call,
    orders: tuple[str, ...],
    log: _Log,
    *,
    needs: frozenset[str] | None = None,
    at_orders: bool = True,
) -> list[Advice]:
    """All gaps of the call as one advice of the worst indicator; the leading row's summary, every row's line.

    `needs`: only gaps in these. `at_orders`: whether it is orders that are judged.
    """
    rows = [
        row
        for row in call.regimen.table("record").rows
        if gaps.is_asked(row, at_orders=at_orders) and (needs is None or gaps.need_of(row) in needs)
    ]
    found = [f for row in rows if (f := log.ask(gaps.QUESTIONS[row.text("question")], call, row)) is not None]
    failed = gaps.rule_failed(call, tuple(log.failed))
    if failed is not None:
        log.fired[failed.row.id] = None
        found.insert(0, failed)
    if not found:
        return []
    lead = min(found, key=lambda finding: INDICATORS.index(finding.row.text("indicator")))
    row = lead.row
    return [
        Advice(
            topic=row.text("topic"),
            action=row.text("action"),
            indicator=row.text("indicator"),
            row=row,
            order=order,
            slots=dict(lead.slots) | {"name": call.regimen.name},
            because=tuple(b for finding in found for b in finding.because),
            lines=tuple(gaps.as_line(finding) for finding in found),
            rows=tuple(finding.row for finding in found if finding is not lead),
        )
        for order in (orders or ("",))
    ]


def _stand_in_said(call: Call, advice: Sequence[Advice], log: _Log) -> Sequence[Advice]:
    """Where doses were taken from orders, every card says so."""
    if HISTORY in log.failed or not call.history.stand_in:
        return advice
    row = next(row for row in call.regimen.table("lines").rows if row.text("about") == "doses taken from orders")
    return [replace(one, lines=(Line(row=row, slots=one.slots), *one.lines)) for one in advice]


def _rank(advice: Advice) -> int:
    return INDICATORS.index(advice.indicator)
