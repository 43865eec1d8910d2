"""Which doses has the patient had, and how certain is that?

Rows of the record become doses: copies of one dose are taken once, several rows of one day are summed and asked
about, completed orders stand in only where no administration is on record. What stays doubtful is said.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from enum import Enum
from functools import cached_property
from itertools import accumulate
from typing import Final

from cds_service.engine.advice import Because
from cds_service.engine.words import clock_text, day_text, mg_text
from cds_service.knowledge.regimen import Regimen
from fhir_mappings.facts import Administration, MaybeWhen, OrderedDose, Reading, TreatmentState, Unknown, When

NEVER_GIVEN: Final = frozenset({"not-done", "entered-in-error"})
FINISHED: Final = frozenset({"completed", "in-progress"})
NEED: Final = "medicationAdministrations"
COMPLETED: Final = frozenset({"completed"})
NO_STATUS: Final = frozenset({""})  # an order without a status may be completed: asked about, never counted on


class DoseKind(Enum):
    STEP = "step"
    TREATMENT = "treatment"
    EXPOSURE_ONLY = "exposure only"


@dataclass(frozen=True, kw_only=True)
class GivenDose:
    """One dose that reached the patient, or (projected) will have by then; completed unless EXPOSURE_ONLY.

    `parts` are the different doses of one day that it is the sum of.
    """

    day: When
    mg: Decimal | None
    kind: DoseKind
    references: tuple[str, ...]
    requests: frozenset[str] = frozenset()
    ended: When | None = None
    parts: tuple[GivenDose, ...] = ()
    projected: bool = False
    undated: bool = False
    assumed: bool = False

    @property
    def is_completed(self) -> bool:
        return self.kind is not DoseKind.EXPOSURE_ONLY

    def because(self, shows: str) -> tuple[Because, ...]:
        return tuple(Because(reference=reference, shows=shows) for reference in self.references)


@dataclass(frozen=True, kw_only=True)
class DoseDays:
    """The days of doses, sorted once to be asked many times whether one of them lies in a span."""

    doses: Sequence[GivenDose]

    @cached_property
    def _latest(self) -> list[date]:
        return sorted(dose.day.latest for dose in self.doses)

    @cached_property
    def _earliest(self) -> list[date]:
        """For each place of `_latest` the earliest day that a dose from there on may be of."""
        days = sorted((dose.day.latest, dose.day.earliest) for dose in self.doses)
        return list(accumulate((earliest for _, earliest in reversed(days)), min))[::-1]

    def any_in(self, first: date, last: date) -> bool:
        """Whether a dose was, or may have been, given from the first to the last day."""
        return self._any_from(bisect_left(self._latest, first), last)

    def any_after(self, day: date, last: date) -> bool:
        """Whether a dose was, or may have been, given after this day, up to the last."""
        return self._any_from(bisect_right(self._latest, day), last)

    def _any_from(self, place: int, last: date) -> bool:
        return place < len(self._latest) and self._earliest[place] <= last


@dataclass(frozen=True, kw_only=True)
class Doubt:
    """Why something about the doses must be asked, and the resources that raise the question.

    `shown` is what each of them shows, where that is not the question itself.
    """

    why: str
    references: tuple[str, ...] = ()
    shown: tuple[Because, ...] = ()

    def because(self) -> tuple[Because, ...]:
        return self.shown or tuple(Because(reference=reference, shows=self.why) for reference in self.references)


@dataclass(frozen=True, kw_only=True)
class History:
    """The doses on record in order of time. `uncertain` doubts leave the position unknown."""

    doses: tuple[GivenDose, ...]
    uncertain: tuple[Doubt, ...] = ()
    later_orders: tuple[Doubt, ...] = ()
    partial: tuple[Doubt, ...] = ()
    summed: tuple[Doubt, ...] = ()
    stand_in: tuple[GivenDose, ...] = ()
    well_read: bool = True

    @property
    def completed(self) -> tuple[GivenDose, ...]:
        return tuple(dose for dose in self.doses if dose.is_completed)

    @property
    def first(self) -> GivenDose | None:
        return self.doses[0] if self.doses else None

    def is_after_first(self, day: MaybeWhen) -> bool:
        """Whether something of this day came after the first exposure; what has no day did, if there was one."""
        if not self.doses or not isinstance(day, When):
            return bool(self.doses)
        first = self.doses[0].day
        if day.instant is not None and first.instant is not None:
            return day.instant > first.instant
        return day.latest >= first.earliest


def kind_of(mg: Decimal | None, regimen: Regimen) -> DoseKind:
    """Which regimen dose an amount is, within the local tolerance; anything else is an exposure only."""
    if mg is not None:
        low, high = regimen.numbers["completed_from"], regimen.numbers["completed_to"]
        for name, kind in (("step", DoseKind.STEP), ("treatment", DoseKind.TREATMENT)):
            if regimen.doses[name].mg * low <= mg <= regimen.doses[name].mg * high:
                return kind
    return DoseKind.EXPOSURE_ONLY


def _start(row: Administration) -> When | None:
    return row.start if isinstance(row.start, When) else None


def _span(day: When) -> tuple[date, date]:
    return day.earliest, day.latest


def _shared(row: Administration, start: When) -> list[Hashable]:
    """What copies of a row share, any of them: an identifier, or order and clock time, or clock time and amount.

    Always on one day.
    """
    day = _span(start)
    found: list[Hashable] = [(day, "reference", row.reference)]
    found += [(day, "identifier", identifier) for identifier in row.identifiers]
    if start.instant is not None:
        found.append((day, "amount", start.instant, row.amount.mg))
        if row.request:
            found.append((day, "order", start.instant, row.request))
    return found


def copies_of_one_dose(rows: Iterable[tuple[Administration, When]]) -> list[Sequence[Administration]]:
    """Which rows are copies of each other, be it by way of a third? Groups in the order of their last rows.

    Source: clinical-rules "Given doses" 2.
    """
    groups: dict[int, deque[Administration]] = {}  # by the number of the last row
    home: dict[Hashable, int] = {}  # the group that shares this
    joined: dict[int, int] = {}  # into which group another one went

    def group_of(number: int) -> int:
        while number in joined:
            joined[number] = number = joined.get(joined[number], joined[number])
        return number

    for number, (row, start) in enumerate(rows):
        shared = _shared(row, start)
        own: deque[Administration] = deque()
        for earlier in sorted({group_of(home[feature]) for feature in shared if feature in home}):
            own = _one_after_the_other(own, groups.pop(earlier))
            joined[earlier] = number
        own.append(row)
        groups[number] = own
        home.update((feature, number) for feature in shared)
    return list(groups.values())


def _one_after_the_other(one: deque[Administration], other: deque[Administration]) -> deque[Administration]:
    """The shorter is moved, so that many small groups cost no more than one large one."""
    if len(one) < len(other):
        other.extendleft(reversed(one))
        return other
    one.extend(other)
    return one


def _one_dose(copies: Sequence[Administration], regimen: Regimen) -> GivenDose:
    """Copies as one dose: completed only if no copy was stopped and the copies do not contradict each other."""
    amounts = {row.amount.mg for row in copies if row.amount.mg is not None}
    mg = min(amounts) if amounts else None
    statuses = {row.status for row in copies}
    finished = bool(statuses & FINISHED) and not statuses & {"stopped", "on-hold"}
    kinds = {kind_of(amount, regimen) for amount in amounts}
    kind = kinds.pop() if finished and len(kinds) == 1 else DoseKind.EXPOSURE_ONLY
    starts = [start for row in copies if (start := _start(row)) is not None]
    ends = [row.ended for row in copies if isinstance(row.ended, When)]
    return GivenDose(
        day=next((start for start in starts if start.instant is not None), starts[0]),
        mg=mg,
        kind=kind,
        references=tuple(dict.fromkeys(row.reference for row in copies)),
        requests=frozenset(row.request for row in copies if row.request),
        ended=max(ends, key=lambda end: end.latest) if ends else None,
    )


def _one_day(doses: Sequence[GivenDose], finished: bool, regimen: Regimen) -> GivenDose:
    """Different doses of one day as their sum: that day's completed dose if the sum is one, else an exposure only."""
    amounts = [dose.mg for dose in doses]
    total = None if None in amounts else sum((mg for mg in amounts if mg is not None), Decimal(0))
    return GivenDose(
        day=doses[0].day,
        mg=total,
        kind=kind_of(total, regimen) if finished else DoseKind.EXPOSURE_ONLY,
        references=tuple(reference for dose in doses for reference in dose.references),
        requests=frozenset().union(*(dose.requests for dose in doses)),
        ended=doses[-1].ended,
        assumed=any(dose.assumed for dose in doses),
        parts=tuple(doses),
    )


def _by_time(dose: GivenDose) -> tuple[date, date, str]:
    clock = dose.day.instant.isoformat() if dose.day.instant is not None else ""
    return dose.day.latest, dose.day.earliest, clock


def _administered(rows: Iterable[tuple[Administration, When]], regimen: Regimen) -> list[GivenDose]:
    """The doses of these rows, each with its start: copies taken once, those of one certain day summed."""
    days: dict[Hashable, list[tuple[GivenDose, bool]]] = {}
    for number, copies in enumerate(copies_of_one_dose(rows)):
        dose = _one_dose(copies, regimen)
        finished = any(row.status in FINISHED for row in copies)
        days.setdefault(dose.day.earliest if dose.day.is_certain else number, []).append((dose, finished))
    return [
        day[0][0] if len(day) == 1 else _one_day([dose for dose, _ in day], any(done for _, done in day), regimen)
        for day in days.values()
    ]


def _names_of(rows: Iterable[Administration]) -> frozenset[str]:
    return frozenset(row.request for row in rows if row.request)


def _orders_on_record(state: TreatmentState, retracted: frozenset[str], statuses: frozenset[str]) -> list[OrderedDose]:
    """Orders of the record with one of these statuses that no row calls not given."""
    return [
        order
        for order in state.orders
        if not order.in_draft_orders and order.status in statuses and order.order not in retracted
    ]


def _stand_ins(orders: Sequence[OrderedDose], regimen: Regimen, today: date) -> list[GivenDose]:
    """Completed orders as doses; several of one day are taken as their sum, and asked about."""
    days: dict[tuple[date, date], list[GivenDose]] = {}
    for order in orders:
        if not isinstance(order.day, When) or order.day.earliest > today:
            continue
        dose = GivenDose(
            day=order.day,
            mg=order.amount.mg,
            kind=kind_of(order.amount.mg, regimen),
            references=(order.order,),
            requests=frozenset({order.order}),
            assumed=True,
        )
        days.setdefault(_span(dose.day), []).append(dose)
    return [day[0] if len(day) == 1 else _one_day(day, finished=True, regimen=regimen) for day in days.values()]


def _reading_doubts(state: TreatmentState, exposed: Sequence[Administration], today: date) -> list[Doubt]:
    doubts: list[Doubt] = []
    need = state.needs.get(NEED)
    if need is not None and need.reading is not Reading.COMPLETE:
        said = "could not be read" if need.reading is Reading.UNAVAILABLE else "were read only in part"
        doubts.append(Doubt(why=f"Administrations {said}: {need.why}." if need.why else f"Administrations {said}."))
    unreadable = [unknown for unknown in state.unknowns if _hides_a_dose(unknown)]
    if unreadable:
        doubts.append(
            Doubt(
                why="An administration on record could not be read.",
                references=tuple(unknown.reference for unknown in unreadable if unknown.reference),
            )
        )
    still_to_come = [row for row in exposed if (start := _start(row)) is not None and start.earliest > today]
    if still_to_come:
        shown = tuple(
            Because(reference=row.reference, shows=f"{mg_text(row.amount.mg)}, {row.status}, {day_text(row.start)}")
            for row in still_to_come
        )
        doubts.append(Doubt(why="A dose on record has a day that is still to come: confirm its date.", shown=shown))
    undated = [row for row in exposed if _start(row) is None]
    if undated:
        doubts.append(
            Doubt(why="A dose on record has no readable day.", references=tuple(row.reference for row in undated))
        )
    return doubts


def _hides_a_dose(unknown: Unknown) -> bool:
    return unknown.what == "MedicationAdministration" and not unknown.foreign


def _later_position(position: str, regimen: Regimen) -> bool:
    first = regimen.table("schedule").rows[0].text("position")
    return position not in {"", first}


def _missing_history(state: TreatmentState, regimen: Regimen, today: date, retracted: frozenset[str]) -> list[Doubt]:
    """Signs of earlier doses although none is on record. An order whose dose is recorded as not given is no sign."""
    doubts: list[Doubt] = []
    for order in state.orders:
        if order.in_draft_orders and _later_position(order.position_named, regimen):
            doubts.append(
                Doubt(
                    why=f"The order names {order.position_named}, but no dose is on record.", references=(order.order,)
                )
            )
        is_past = isinstance(order.day, When) and order.day.latest < today
        if not order.in_draft_orders and order.status in {"active", ""} and is_past and order.order not in retracted:
            doubts.append(
                Doubt(
                    why=f"An active order has its day in the past ({day_text(order.day)}), but no dose is on record.",
                    references=(order.order,),
                )
            )
    claims = [claim.reference for claim in state.claims]
    claims += [order.order for order in state.orders if _is_claim_of_a_dose(order, today)]
    if claims:
        doubts.append(Doubt(why="A claim for the drug is on record, but no dose.", references=tuple(claims)))
    return doubts


def _is_claim_of_a_dose(order: OrderedDose, today: date) -> bool:
    """Whether an order is coded as a claim, and is not one of a dose that is still to come or was called off."""
    is_to_come = order.status == "active" and isinstance(order.day, When) and order.day.latest >= today
    return order.is_claim and not (order.in_draft_orders or is_to_come or order.status in {"cancelled", "draft"})


def _doubtful_stand_ins(orders: Sequence[OrderedDose], today: date) -> list[Doubt]:
    """Completed orders that cannot stand in for want of a day that has come: the dose is not known, and not absent."""
    undated = tuple(order.order for order in orders if not isinstance(order.day, When))
    to_come = tuple(order.order for order in orders if isinstance(order.day, When) and order.day.earliest > today)
    doubts = {
        "A completed order of the drug has no readable day.": undated,
        "A completed order of the drug has a day that is still to come: confirm its date.": to_come,
    }
    return [Doubt(why=why, references=references) for why, references in doubts.items() if references]


def _after(
    last: GivenDose, orders: Sequence[OrderedDose], state: TreatmentState, named: frozenset[str]
) -> list[GivenDose]:
    """Completed orders and claims of a later day than the last exposure: each a possible dose."""
    days = [(order.order, order.day) for order in orders if order.order not in named]
    days += [(claim.reference, claim.day) for claim in state.claims]
    return [
        GivenDose(day=day, mg=None, kind=DoseKind.EXPOSURE_ONLY, references=(reference,), assumed=True)
        for reference, day in days
        if isinstance(day, When) and day.latest > last.day.latest
    ]


def _dose_text(dose: GivenDose) -> str:
    return f"{mg_text(dose.mg)} on {day_text(dose.day)}{clock_text(dose.day)}"


def _open_questions(doses: Sequence[GivenDose]) -> tuple[list[Doubt], list[Doubt], list[Doubt]]:
    """Doubts about doses that no completed dose follows: uncertain history, partial doses, summed days."""
    uncertain: list[Doubt] = []
    partial: list[Doubt] = []
    summed: list[Doubt] = []
    last_completed = max((index for index, dose in enumerate(doses) if dose.is_completed), default=0)
    for dose in doses[last_completed:]:
        if dose.parts:
            why = f"Several doses of one day, together {_dose_text(dose)}: one dose or several?"
            shown = tuple(b for part in dose.parts for b in part.because(_dose_text(part)))
            (summed if dose.is_completed else uncertain).append(Doubt(why=why, shown=shown))
        elif not dose.is_completed:
            why = f"{_dose_text(dose)} is on record, but is not a completed dose of the regimen."
            partial.append(Doubt(why=why, references=dose.references))
    return uncertain, partial, summed


def read_history(state: TreatmentState, regimen: Regimen, today: date) -> History:
    """The doses on record, and every doubt about them.

    Units: days in the clinic's zone.
    Unknown: a dose without a readable day, or administrations read in part, leave the history uncertain.
    Source: clinical-rules "Given doses" 1-6; knowledge section 6 (Given dose, Merge).
    """
    exposed = [row for row in state.administrations if row.status not in NEVER_GIVEN]
    retracted = _names_of(row for row in state.administrations if row.status in NEVER_GIVEN) - _names_of(exposed)
    reading = _reading_doubts(state, exposed, today)
    given = [(row, start) for row in exposed if (start := _start(row)) is not None and start.earliest <= today]
    doses = sorted(_administered(given, regimen), key=_by_time)
    completed_orders = _orders_on_record(state, retracted, COMPLETED)
    maybe_completed = _orders_on_record(state, retracted, COMPLETED | NO_STATUS)
    stand_in: list[GivenDose] = []
    if not exposed and not reading:
        stand_in = sorted(_stand_ins(completed_orders, regimen, today), key=_by_time)
        doses = stand_in
    uncertain, partial, summed = _open_questions(doses)
    if doses and all(dose.mg is None for dose in doses):
        references = tuple(reference for dose in doses for reference in dose.references)
        uncertain.append(Doubt(why="No dose on record has a readable amount.", references=references))
        partial = []
    if not exposed and not reading:
        uncertain += _doubtful_stand_ins(completed_orders, today)
    if not doses and not reading:
        uncertain += _missing_history(state, regimen, today, retracted)
    later = _after(doses[-1], maybe_completed, state, _names_of(exposed)) if doses and not reading else []
    known = {_span(dose.day) for dose in doses}
    later = [dose for dose in later if _span(dose.day) not in known]
    return History(
        doses=tuple(sorted([*doses, *later], key=_by_time)),
        uncertain=tuple(reading + uncertain),
        later_orders=tuple(
            Doubt(
                why=f"An order or claim is completed on {day_text(dose.day)}, after the last dose on record.",
                references=dose.references,
            )
            for dose in later
        ),
        partial=tuple(partial),
        summed=tuple(summed),
        stand_in=tuple(stand_in),
        well_read=not reading,
    )


def planned_orders(state: TreatmentState, history: History, today: date) -> tuple[OrderedDose, ...]:
    """Active orders of the record whose dose is still to come, each with its day.

    An order without a day is today's, unless it was written before the last dose: then it may be that dose's order.
    Source: clinical-rules "Given doses" 6.
    """
    drafts = {order.order for order in state.orders if order.in_draft_orders}
    given = frozenset().union(*(dose.requests for dose in history.doses))
    not_to_come, days = drafts | given, DoseDays(doses=history.doses)
    last = history.doses[-1].day.latest if history.doses else None
    planned: list[OrderedDose] = []
    for order in state.orders:
        if order.in_draft_orders or order.status != "active" or order.order in not_to_come:
            continue
        day = order.day
        if not isinstance(day, When):
            written = order.authored.latest if isinstance(order.authored, When) else None
            if last is not None and written is not None and written <= last:
                continue
            day = When(earliest=today, latest=today)
        if day.earliest < today or days.any_in(day.earliest, day.latest):
            continue
        planned.append(replace(order, day=day))
    return tuple(planned)
