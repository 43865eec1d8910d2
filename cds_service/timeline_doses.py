"""The doses of a timeline: given, ordered, due and until when, and how long each is watched. The engine counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Final

from cds_service.cards import filled
from cds_service.engine.advice import Assessment
from cds_service.engine.booking import at_the_due_amount
from cds_service.engine.case import Call, Case
from cds_service.engine.course import Position, first_row, position_after
from cds_service.engine.discharge import FIRST_DAYS_AT_HOME, Observed, later, observed_dose
from cds_service.engine.history import NEVER_GIVEN, DoseKind, GivenDose, planned_orders
from cds_service.engine.rulebook import NOT_TO_BE_GIVEN
from cds_service.engine.toxicity import AFTER_TREATMENT, end_of_protection
from cds_service.engine.words import clock_text, day_text, mg_text
from cds_service.knowledge.regimen import Regimen
from cds_service.timeline_marks import Kind, Lane, Mark
from fhir_mappings.facts import Administration, MaybeWhen, OrderedDose, When

GIVEN: Final = {
    DoseKind.STEP: Kind.STEP,
    DoseKind.TREATMENT: Kind.TREATMENT,
    DoseKind.EXPOSURE_ONLY: Kind.EXPOSURE,
}
DAY_NOT_KNOWN: Final = "day not known"


# --- given -----------------------------------------------------------------------------------------------------


def given(call: Call) -> Iterator[Mark]:
    """Every dose that the record shows as given, or leaves open that it was."""
    is_sure = not call.history.uncertain
    for dose, position in zip(call.history.doses, positions(call.history.doses, call.regimen), strict=True):
        yield _given(dose, position if is_sure or not position else f"{position}?")
    placed = {reference for dose in call.history.doses for reference in dose.references}
    for row in call.state.administrations:
        if row.reference not in placed and row.status != "entered-in-error":
            yield _not_placed(row)
    yield from _claims(call, placed)


def positions(doses: Sequence[GivenDose], regimen: Regimen) -> Iterator[str]:
    """The place in the schedule of each dose; "" for an exposure only, and while no step dose is on record."""
    treatment_doses: int | None = None
    for dose in doses:
        match dose.kind:
            case DoseKind.STEP:
                treatment_doses = 0
                yield first_row(regimen).text("position")
            case DoseKind.TREATMENT if treatment_doses is not None:
                yield position_after(treatment_doses, regimen)
                treatment_doses += 1
            case _:
                yield ""


def _given(dose: GivenDose, position: str) -> Mark:
    kind = Kind.FROM_ORDER if dose.assumed else GIVEN[dose.kind]
    return Mark(
        lane=Lane.DOSES,
        kind=kind,
        label=_short(dose),
        place=position,
        says=_given_text(dose, position, kind),
        first=dose.day.earliest,
        last=dose.day.latest,
        start_known=dose.day.is_certain,
        references=dose.references,
    )


def _short(dose: GivenDose) -> str:
    return "? mg" if dose.mg is None else mg_text(dose.mg)


def _given_text(dose: GivenDose, position: str, kind: Kind) -> str:
    what = mg_text(dose.mg)
    said = [f"{what} from an order or claim" if kind is Kind.FROM_ORDER else f"{what} given"]
    said.append(_on(dose.day))
    if position:
        said.append(f", {position.rstrip('?')}{' (position not certain)' if position.endswith('?') else ''}")
    elif dose.is_completed:
        said.append(", position not known: no step dose before it on record")
    if kind is Kind.FROM_ORDER:
        said.append("; that it was given is not confirmed")
    elif not dose.is_completed:
        said.append("; not a completed dose of the regimen")
    if dose.parts:
        said.append(f"; the sum of {len(dose.parts)} rows of that day")
    return _sentence(said)


def _on(day: MaybeWhen) -> str:
    if not isinstance(day, When):
        return f", {DAY_NOT_KNOWN}"
    if day.is_certain:
        return f" on {day_text(day)}{clock_text(day)}"
    return f", {DAY_NOT_KNOWN}: between {day.earliest.isoformat()} and {day.latest.isoformat()}"


def _sentence(parts: Sequence[str]) -> str:
    return "".join(parts) + "."


def _not_placed(row: Administration) -> Mark:
    """A row that is no dose of the history: called off, still to come, or of no readable day."""
    amount = mg_text(row.amount.mg)
    mark = Mark(lane=Lane.DOSES, kind=Kind.EXPOSURE, label="", says="", references=(row.reference,))
    if row.status in NEVER_GIVEN:
        return replace(mark, says=f"{amount} recorded as not given{_on(row.start)}.")
    if not isinstance(row.start, When):
        return replace(mark, says=f"{amount} given, {DAY_NOT_KNOWN}: it has no place on the axis.")
    return replace(
        mark,
        label=f"? {amount}",
        says=f"{amount} recorded as {row.status or 'given'}{_on(row.start)}, a day still to come: confirm its date.",
        first=row.start.earliest,
        last=row.start.latest,
        start_known=False,
    )


def _claims(call: Call, placed: set[str]) -> Iterator[Mark]:
    """Claims of a day on which no dose is on record, and claims without a day."""
    days = {dose.day.earliest for dose in call.history.doses}
    for claim in call.state.claims:
        day = claim.day if isinstance(claim.day, When) else None
        if claim.reference in placed or (day is not None and day.earliest in days):
            continue
        yield Mark(
            lane=Lane.DOSES,
            kind=Kind.FROM_ORDER,
            label="claim",
            says=f"A claim for the drug{_on(claim.day)}; that a dose was given is not confirmed.",
            first=day.earliest if day is not None else None,
            last=day.latest if day is not None else None,
            start_known=False,
            references=(claim.reference,),
        )


# --- ordered, proposed -------------------------------------------------------------------------------------------


def ordered(call: Call, assessment: Assessment) -> Iterator[Mark]:
    """Drafts of the call, orders of the record still to be given, past ones of which no dose is known, and visits."""
    drafts = tuple(o for o in call.state.orders if o.in_draft_orders and o.status not in NOT_TO_BE_GIVEN)
    planned = planned_orders(call.state, call.history, call.today)
    for order in drafts:
        yield _ordered(order, "Draft order", call.today, assessment)
    for order in planned:
        yield _ordered(order, "Order on record", call.today, assessment)
    for order in _past(call, {order.order for order in planned}):
        yield _ordered(order, "Active order of a past day, no dose on record for it", call.today, assessment)
    for visit in call.state.visits:
        yield Mark(
            lane=Lane.DOSES,
            kind=Kind.PLANNED,
            label="visit",
            says=f"Infusion proposed{_on(visit.day)}.",
            first=visit.day.earliest,
            last=visit.day.latest,
            start_known=visit.day.is_certain,
            references=(visit.reference,),
        )


def _past(call: Call, planned: set[str]) -> Iterator[OrderedDose]:
    given = frozenset().union(*(dose.requests for dose in call.history.doses))
    days = {dose.day.earliest for dose in call.history.doses}
    for order in call.state.orders:
        is_open = not order.in_draft_orders and order.status in {"active", ""}
        known = order.order in given | planned or not isinstance(order.day, When) or order.day.earliest in days
        if is_open and not known:
            yield order


def _ordered(order: OrderedDose, what: str, today: date, assessment: Assessment) -> Mark:
    day = order.day if isinstance(order.day, When) else None
    assumed = "; no readable day: taken as today" if day is None else ""
    note = f" {order.day_note}" if order.day_note else ""
    expected = _expected(order, assessment)
    return Mark(
        lane=Lane.DOSES,
        kind=Kind.PLANNED,
        label="? mg" if order.amount.mg is None else mg_text(order.amount.mg),
        says=f"{what}: {mg_text(order.amount.mg)}{_on(order.day) if day is not None else assumed}{expected}.{note}",
        first=day.earliest if day is not None else today,
        last=day.latest if day is not None else today,
        start_known=day is not None and day.is_certain,
        references=(order.order,),
    )


def _expected(order: OrderedDose, assessment: Assessment) -> str:
    """What is due in its place, where the assessment says so."""
    for advice in assessment.advice:
        if advice.expected is not None and (advice.order, advice.part) == (order.order, order.part):
            return f"; due is {advice.expected.dose}, {advice.expected.position}"
    return ""


# --- due, and until when -----------------------------------------------------------------------------------------


def due(case: Case, position: Position | None, *, is_held: bool) -> Iterator[Mark]:
    """The next dose with its due day, the days on which it may be given, and the last one before a restart."""
    if position is None:
        return
    yield from _limit(case, position)
    window = None if position.number == 1 else _window(case, position, is_held=is_held)
    if window is not None:
        yield window
    yield _due(case, position, is_held=is_held)


def _last_day(case: Case) -> When | None:
    last = case.course.last_completed
    return None if last is None else last.day


def _due(case: Case, position: Position, *, is_held: bool) -> Mark:
    last = _last_day(case)
    is_certain = position.number == 1 or last is None or last.is_certain
    spread = timedelta(0) if is_certain or last is None else last.latest - last.earliest
    when = due_when(position, case.call.today)
    why = " The course restarts." if position.is_restart else ""
    lifted = "If the hold is lifted, due" if is_held else "Due"
    doubt = "" if is_certain else " The day of the last dose is not known: counted the more cautious way."
    return Mark(
        lane=Lane.DUE,
        kind=Kind.DUE,
        label=f"{position.due} due{' if lifted' if is_held else ''}",
        place=position.name,
        says=f"{lifted} {when}: {position.due}, {position.name}.{why}{doubt}",
        first=position.due_on - spread,
        last=position.due_on,
        start_known=is_certain,
        rows=(position.row.id,),
    )


def due_when(position: Position, today: date) -> str:
    """`from today` for a first or restarted dose, else `on` its day, or `since` it once that is over."""
    if position.number == 1:
        return "from today"
    return f"{'since' if position.due_on < today else 'on'} {position.due_on.isoformat()}"


def _window(case: Case, position: Position, *, is_held: bool) -> Mark | None:
    """From the first day that is not too early to the last before a restart; None where that is no span."""
    waiting = timedelta(days=at_the_due_amount(case).earliest_after)
    first = max(dose.day.latest + waiting for dose in case.course.doses)
    last = position.limit_day
    if last is not None and last < first:
        return None
    until = "; no source in force says until when" if last is None else f" to {last.isoformat()}"
    lifted = "If the hold is lifted, " if is_held else ""
    return Mark(
        lane=Lane.DUE,
        kind=Kind.WINDOW,
        label="",
        says=f"{lifted}{position.due} may be given from {first.isoformat()} (not too early){until}.",
        first=first,
        last=last or max(first, position.due_on),
        end_known=last is not None,
    )


def _limit(case: Case, position: Position) -> Iterator[Mark]:
    is_past = position.delay is not None and position.delay.flag("restart")
    last = _last_day(case)
    if position.limit_day is None or last is None or (position.is_restart and not is_past):
        return
    day = position.limit_day.isoformat()
    counted = "" if last.is_certain else " Counted from the earliest day that the last dose may be of."
    said = f"The last day before a restart was {day}: it is past." if is_past else f"Last day before a restart: {day}."
    yield Mark(
        lane=Lane.DUE,
        kind=Kind.LIMIT,
        label="last day before restart",
        says=said + counted,
        first=position.limit_day,
        last=position.limit_day,
        start_known=last.is_certain,
        rows=(position.delay.id,) if position.delay is not None else (),
    )


# --- observation, and protection after the last dose ---------------------------------------------------------------


def watched(call: Call) -> Iterator[Mark]:
    """How long the first doses of the present course, and the last dose, are observed."""
    for place in _watched_places(call):
        observed = observed_dose(call, place)
        yield _observation(observed)
        home = _near_care(observed)
        if home is not None:
            yield home


def _watched_places(call: Call) -> list[int]:
    """The doses from the latest step dose on with the hours of the step-up, as far as there are any, and the last."""
    doses = call.course.doses
    steps = [place for place, dose in enumerate(doses) if dose.kind is DoseKind.STEP]
    start = steps[-1] if steps else 0
    rows = (row for row in call.regimen.table("observation").rows if row.flag("step_up"))
    first_doses = sum(1 for _ in rows)
    places = range(start, min(start + first_doses, len(doses)))
    return sorted({*places, *([len(doses) - 1] if doses else [])})


def _observation(observed: Observed) -> Mark:
    dose, hours = observed.dose, observed.hours
    what = f"{mg_text(dose.mg)} of {day_text(dose.day)}"
    mark = Mark(
        lane=Lane.OBSERVATION,
        kind=Kind.OBSERVED,
        label="",
        says=f"{what}: the source gives no hours of observation.",
        references=dose.references,
        rows=(hours.row.id,),
    )
    if hours.span is None:
        return mark
    complete = f"complete from {observed.complete_from:%Y-%m-%d %H:%M} at the earliest"
    says = f"{what}: observed for {hours} h, {complete}, counted from {observed.counted_from}."
    return _timed(replace(mark, label=f"{hours} h", says=says), observed, later(observed.end, hours.high))


def _near_care(observed: Observed) -> Mark | None:
    """The first days with a caregiver near a hospital, in the words of their row."""
    rows = observed.case.regimen.table("discharge").rows
    row = next((row for row in rows if row.text("question") == FIRST_DAYS_AT_HOME), None)
    if row is None or not observed.is_step_up:
        return None
    hours = row.integer("home_hours")
    until = later(observed.start, hours)
    dose = observed.dose
    slots = {"until": f"{until:%Y-%m-%d %H:%M}", "ordered": mg_text(dose.mg), "day": day_text(dose.day)}
    mark = Mark(
        lane=Lane.OBSERVATION,
        kind=Kind.NEAR_CARE,
        label=f"{hours} h",
        says=filled(row.say["summary"], slots, markdown=False),
        references=dose.references,
        rows=(row.id,),
    )
    return _timed(mark, observed, until)


def _timed(mark: Mark, observed: Observed, ends: datetime) -> Mark:
    """The mark from the start of the dose to this moment; without a clock time neither is known to the hour.

    A dose of an uncertain day gives it no place.
    """
    if not observed.dose.day.is_certain:
        return replace(mark, says=f"{mark.says} The day of that dose is not known: counted from the latest it may be.")
    is_known, begins = observed.dose.day.instant is not None, observed.start
    return replace(
        mark,
        begins=begins,
        ends=ends,
        first=begins.date(),
        last=ends.date(),
        start_known=is_known,
        end_known=is_known,
    )


def protection(case: Case) -> Iterator[Mark]:
    """Until when contraception is advised, if the last exposure was the last: a further dose moves that day."""
    until, first = end_of_protection(case), case.call.history.first
    last = case.call.course.last_exposure
    if until is None or first is None or last is None:
        return
    line = case.line(AFTER_TREATMENT, until=until.isoformat())
    moved = " This day is past." if until < case.call.today else " A further dose moves this day."
    counted = "" if last.day.is_certain else " The day of the last dose is not known: counted from its latest."
    yield Mark(
        lane=Lane.PROTECTION,
        kind=Kind.PROTECTION,
        label=f"until {until.isoformat()}",
        says=filled(line.row.say[line.sentence], line.slots, markdown=False) + moved + counted,
        first=first.day.earliest,
        last=until,
        start_known=first.day.is_certain,
        end_known=last.day.is_certain,
        references=last.references,
        rows=(line.row.id,),
    )
