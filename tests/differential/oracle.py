"""The decision table a second time: plain and slow, from facts, written from the rules' text and not from the engine.

What each dose of the drafts gets for the topics of TOPICS, and what is due instead. The quotations are from
`clinical-rules.md` where nothing else is named. Where that text can be read in two ways, `[reading: …]` names the
reading taken, which READINGS in `differences.py` explains. Only certain days are understood: a partial date is no case
of this oracle.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from fhir_mappings.facts import (
    Administration,
    Analyte,
    Companion,
    CompanionKind,
    Course,
    LabResult,
    MaybeWhen,
    NotRecordedType,
    OrderedDose,
    Reading,
    Syndrome,
    ToxicityRecord,
    TreatmentState,
    When,
)

TOPICS = frozenset(
    ("dose", "crs", "neurotoxicity", "cytopenia", "infection", "hepatotoxicity", "monitoring", "premedication")
)
ONE = Decimal(1)
TEN = Decimal(10)
Card = tuple[str, str, str]
"""Topic, action, indicator."""


@dataclass(frozen=True, kw_only=True)
class Due:
    dose: Decimal
    position: str
    day: date


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The cards of one dose of the drafts, and what is due, as cards of each kind tell it.

    Without `due` where the history is in doubt. `if_lifted` is told by HOLD cards, `after_waiting` by row 4's.
    """

    cards: frozenset[Card]
    due: Due | None = None
    if_lifted: Due | None = None
    after_waiting: Due | None = None


@dataclass(frozen=True, kw_only=True)
class Given:
    """All that was given on one day. `mg` is None where it cannot be read. `rows` that are no copies of each other."""

    day: date
    mg: Decimal | None
    completed: bool
    rows: int = 1
    projected: bool = False


@dataclass(frozen=True, kw_only=True)
class Doses:
    """The doses up to one moment. `in_doubt`: no rows 5 to 7. `unseen`: days of completed orders after the last."""

    given: tuple[Given, ...]
    in_doubt: bool
    unseen: tuple[date, ...] = ()

    @property
    def completed(self) -> list[Given]:
        return [g for g in self.given if g.completed]

    @property
    def last(self) -> Given | None:
        return self.completed[-1] if self.completed else None

    @property
    def exposure_days(self) -> list[date]:
        return sorted([g.day for g in self.given] + list(self.unseen))

    @property
    def in_course(self) -> int:
        """k: "completed 10 mg doses since (without any 1 mg on record: all of them)"."""
        k = 0
        for one in self.completed:
            k = 0 if is_about(one.mg, ONE) else k + 1
        return k

    @property
    def is_restarted_from_later(self) -> bool:
        """Whether this is "a course restarted from k≥2"."""
        k, before = 0, 0
        for one in self.completed:
            if is_about(one.mg, ONE):
                before, k = k, 0
            else:
                k += 1
        return before >= 2

    def follows(self, day: date) -> bool:
        """Whether a dose was completed on a day after this one."""
        return any(g.day > day for g in self.completed)

    def plus(self, day: date, mg: Decimal | None) -> Doses:
        more = Given(day=day, mg=mg, completed=is_a_dose(mg), projected=True)
        return replace(self, given=tuple(sorted((*self.given, more), key=lambda g: g.day)))


def judge(state: TreatmentState, at: datetime, zone: ZoneInfo) -> dict[tuple[str, int], Answer]:
    """For each dose of the drafts (order, part): its cards and what is due."""
    today = at.astimezone(zone).date()
    given = doses_given(state, today)
    toxicities = Toxicities(state, given, today)
    answers: dict[tuple[str, int], Answer] = {}
    projected = given
    waiting = [o for o in state.orders if o.in_draft_orders or is_planned(o, state, given, today)]
    while waiting:
        order = next_in_turn(waiting, projected, toxicities, today)
        waiting.remove(order)
        day = planned_day(order, today)
        if order.in_draft_orders:
            answers[order.order, order.part] = answer(order, state, projected, toxicities, today)
        if day not in projected.exposure_days:  # [reading: a second order of one day is not given]
            projected = projected.plus(day, amount_projected(order, projected, toxicities, day))
    return answers


def amount_projected(order: OrderedDose, doses: Doses, toxicities: Toxicities, day: date) -> Decimal | None:
    """ "each at the amount that was due"; in doubt as ordered. [reading: after a hold of CRS grade 3]"""
    return order.amount.mg if doses.in_doubt else due_at(doses, toxicities, day, if_lifted=True).dose


def next_in_turn(waiting: Sequence[OrderedDose], doses: Doses, toxicities: Toxicities, today: date) -> OrderedDose:
    """ "in order of D0 … Two drafts for one day: the one with the due amount comes first"."""
    first = min(planned_day(o, today) for o in waiting)
    of_day = [o for o in waiting if planned_day(o, today) == first]
    on_record = [o for o in of_day if not o.in_draft_orders]  # "a clash with a planned order is said on the draft"
    due = None if doses.in_doubt else due_at(doses, toxicities, first).dose
    return next((o for o in (*on_record, *of_day) if o in on_record or o.amount.mg == due), of_day[0])


def is_planned(order: OrderedDose, state: TreatmentState, given: Doses, today: date) -> bool:
    """ "active orders of the drug whose day is today or later and not yet given (no exposure names the order or falls
    on its day) join the projection"."""
    if order.status != "active" or not isinstance(order.day, When) or order.day.earliest < today:
        return False
    named = any(a.request == order.order for a in state.administrations if is_exposure(a))
    return not named and order.day.earliest not in given.exposure_days


def planned_day(order: OrderedDose, today: date) -> date:
    return max(today, order.day.earliest) if isinstance(order.day, When) else today


# --- given doses -------------------------------------------------------------------------------------------------


def is_exposure(row: Administration) -> bool:
    return row.status in {"completed", "in-progress", "stopped", "on-hold", "unknown", ""}


def is_about(mg: Decimal | None, amount: Decimal) -> bool:
    """ "90–110 % of 1 mg or of 10 mg"."""
    return mg is not None and amount * Decimal("0.9") <= mg <= amount * Decimal("1.1")


def is_a_dose(mg: Decimal | None) -> bool:
    return is_about(mg, ONE) or is_about(mg, TEN)


def certain(day: MaybeWhen) -> date:
    assert isinstance(day, When), "histories have certain days only"
    assert day.earliest == day.latest, "histories have certain days only"
    return day.earliest


def doses_given(state: TreatmentState, today: date) -> Doses:
    rows = [row for row in state.administrations if is_exposure(row)]
    given = tuple(on_one_day(day, rows) for day in sorted({certain(row.start) for row in rows}))
    was_read = is_fully_read(state)
    orders = [o for o in state.orders if o.status == "completed" and not o.in_draft_orders]
    unseen: tuple[date, ...] = ()
    if given and was_read:
        # "A completed order … later than the last exposure: row 8 … its day counts as an exposure"
        unseen = tuple(certain(o.day) for o in orders if certain(o.day) > given[-1].day)
        unseen += tuple(certain(c.day) for c in state.claims if certain(c.day) > given[-1].day)
    elif was_read:
        # "Only after a *successful* read … MedicationRequests with status `completed` stand in"
        not_done = {row.request for row in state.administrations if row.status == "not-done"}
        stand_ins = [o for o in orders if o.order not in not_done]
        given = tuple(stood_in(day, stand_ins) for day in sorted({certain(o.day) for o in stand_ins}))
        unseen = tuple(certain(c.day) for c in state.claims if given and certain(c.day) > given[-1].day)
    if not given:
        return Doses(given=(), in_doubt=not was_read or has_signs_of_doses(state, today))
    doses = Doses(given=given, in_doubt=False, unseen=unseen)
    nothing_readable = all(g.mg is None for g in given)
    odd_sum = any(g.rows > 1 and not g.completed and not doses.follows(g.day) for g in given)
    return replace(doses, in_doubt=not was_read or nothing_readable or odd_sum)


def is_fully_read(state: TreatmentState) -> bool:
    need = state.needs.get("medicationAdministrations")
    return need is None or need.reading is Reading.COMPLETE


def has_signs_of_doses(state: TreatmentState, today: date) -> bool:
    """ "none of the drug on record although the order's text names a later position ("C4D1"), or an active order of the
    drug has its day in the past, or a Procedure … coded as a claim (J9026) exists"."""
    named = any(o.in_draft_orders and o.position_named not in {"", "C1D1"} for o in state.orders)
    return (
        named
        or bool(state.claims)
        or any(
            o.status == "active" and not o.in_draft_orders and isinstance(o.day, When) and o.day.earliest < today
            for o in state.orders
        )
    )


def on_one_day(day: date, rows: Iterable[Administration]) -> Given:
    """ "Other rows of one day … a sum of 1 or 10 mg is the completed dose of that day, any other is exposure only"."""
    apart: list[list[Administration]] = []
    for row in (r for r in rows if certain(r.start) == day):
        same = [group for group in apart if any(are_copies(row, other) for other in group)]
        apart = [group for group in apart if group not in same] + [[row, *(r for group in same for r in group)]]
    total = summed([group[0].amount.mg for group in apart])
    is_through = len(apart) > 1 or any(row.status in {"completed", "in-progress"} for row in apart[0])
    return Given(day=day, mg=total, completed=is_through and is_a_dose(total), rows=len(apart))


def stood_in(day: date, orders: Iterable[OrderedDose]) -> Given:
    """Completed orders of one day, "each on its own day"; several are other rows of one day."""
    amounts = [o.amount.mg for o in orders if certain(o.day) == day]
    return Given(day=day, mg=summed(amounts), completed=is_a_dose(summed(amounts)), rows=len(amounts))


def summed(amounts: Sequence[Decimal | None]) -> Decimal | None:
    known = [mg for mg in amounts if mg is not None]
    return sum(known, Decimal(0)) if len(known) == len(amounts) else None


def are_copies(one: Administration, other: Administration) -> bool:
    """ "share an identifier, or `request` and start, or start and amount (a start needs a clock time)"."""
    if one.identifiers & other.identifiers:
        return True
    starts = (one.start, other.start)
    clock = [s.instant for s in starts if isinstance(s, When) and s.instant is not None]
    if len(clock) < 2 or clock[0] != clock[1]:
        return False
    return (bool(one.request) and one.request == other.request) or one.amount.mg == other.amount.mg


# --- position ----------------------------------------------------------------------------------------------------


def restart_for_delay(doses: Doses, day: date) -> bool:
    """Row 6 without its "ordered" part: "14 days (k=0), 21 (k=1), 28 (k≥2)"."""
    last = doses.last
    limit = {0: 14, 1: 21}.get(doses.in_course, 28)
    return not doses.in_doubt and last is not None and (day - last.day).days > limit


def is_restart_due(doses: Doses, toxicities: Toxicities, day: date) -> bool:
    if doses.last is None:
        return False
    return restart_for_delay(doses, day) or toxicities.restart_for_crs(doses)


def due_at(doses: Doses, toxicities: Toxicities, day: date, *, if_lifted: bool = False) -> Due:
    """ "none yet → C1D1; k=0 → C1D8; k=1 → C1D15; k≥2 → cycle 2+⌊(k−2)/2⌋, day 1 if k is even, else day 15" and
    "last completed dose + 7 days (k=0, 1) or + 14 (k≥2; and k=1 of a course restarted from k≥2 …)".

    `if_lifted`: with a CRS grade 3 that is active taken as resolved. [reading: after a hold of CRS grade 3]
    """
    last, k = doses.last, doses.in_course
    begun_again = any(g.projected and g.mg == ONE for g in doses.given)
    lifted = if_lifted and toxicities.is_severe_crs_active() and not begun_again
    if last is None or lifted or is_restart_due(doses, toxicities, day):
        return Due(dose=ONE, position="C1D1", day=day)  # [reading: the due day of a first or restarted dose]
    days = 14 if k >= 2 or (k == 1 and doses.is_restarted_from_later) else 7
    name = {0: "C1D8", 1: "C1D15"}.get(k, f"C{2 + (k - 2) // 2}D{1 if k % 2 == 0 else 15}")
    return Due(dose=TEN, position=name, day=last.day + timedelta(days=days))


def due_after_waiting(doses: Doses, toxicities: Toxicities, day: date) -> Due:
    """What is due on the day that row 4 waits for. [reading: what a card that says wait expects]"""
    due = due_at(doses, toxicities, day)
    bound = 7 if due.dose == ONE or doses.in_course <= 1 else 14
    until = max(due.day, doses.exposure_days[-1] + timedelta(days=bound))
    return replace(due_at(doses, toxicities, until), day=until)


# --- the table ---------------------------------------------------------------------------------------------------


def answer(order: OrderedDose, state: TreatmentState, doses: Doses, toxicities: Toxicities, today: date) -> Answer:
    day = planned_day(order, today)
    stops = toxicities.stops()
    holds = toxicities.holds(is_restart_due=not doses.in_doubt and is_restart_due(doses, toxicities, day))
    dose_cards = table(order, state, doses, toxicities, day)
    if stops:
        cards = {(topic, "discontinue", "critical") for topic in stops}
    elif is_critical(holds):
        # "Beside it only critical `dose` cards, population and `record` cards"
        cards = {card for card in holds if is_critical({card})}
        cards |= {card for card in dose_cards if card[0] == "dose" and is_critical({card})}
    else:
        cards = holds | dose_cards | premedication(state, doses, toxicities, day)
    if doses.in_doubt:
        return Answer(cards=frozenset(cards))
    return Answer(
        cards=frozenset(cards),
        due=due_at(doses, toxicities, day),
        if_lifted=due_at(doses, toxicities, day, if_lifted=True),
        after_waiting=due_after_waiting(doses, toxicities, day) if doses.exposure_days else None,
    )


def is_critical(cards: Iterable[Card]) -> bool:
    return any(indicator == "critical" for _, _, indicator in cards)


def table(order: OrderedDose, state: TreatmentState, doses: Doses, toxicities: Toxicities, day: date) -> set[Card]:
    """ "the first row that matches, with the stated companions"."""
    mg = order.amount.mg
    wait = row_4(mg, doses, toxicities, day)
    beside = row_8_beside_others(state, doses)
    doubtful = {("dose", "clarify", "warning")} if mg is not None and order.amount.doubt else set()
    unreadable = unreadable_amount(mg, doses, toxicities, day)
    is_crs_restart = mg not in {None, ONE} and toxicities.restart_for_crs(doses)
    crs = {("crs", "restart-step-up", "warning")} if is_crs_restart else set()
    if mg is not None and mg > TEN:
        return {("dose", "change-dose", "critical")} | wait | crs | beside | doubtful
    if wait:
        return wait | crs | beside | doubtful | unreadable
    # "An amount from text … is also judged by rows 3 to 10 as if ordered": `doubtful` is no match that ends the search
    found = rows_5_and_6(mg, doses, day) or crs or row_8(doses, toxicities) | unreadable
    if not found and not beside:
        found = rows_9_and_10(mg, doses, toxicities, day)
    return found | beside | doubtful | monitoring(doses, toxicities)


def row_4(mg: Decimal | None, doses: Doses, toxicities: Toxicities, day: date) -> set[Card]:
    """ "an exposure on D0, always; or days since last exposure < lower bound − 1: critical on the same day, while k≤1,
    or with nothing completed; else warning"."""
    if not doses.exposure_days:
        return set()
    since = (day - doses.exposure_days[-1]).days
    is_early_phase = doses.in_course <= 1 or doses.last is None
    lower = 7 if is_early_phase or (mg == ONE and is_restart_due(doses, toxicities, day)) else 14
    if since > 0 and since >= lower - 1:
        return set()
    return {("dose", "wait", "critical" if since == 0 or is_early_phase else "warning")}


def rows_5_and_6(mg: Decimal | None, doses: Doses, day: date) -> set[Card]:
    if mg is None or mg == ONE or doses.in_doubt:
        return set()
    if doses.last is None:
        return {("dose", "change-dose", "critical")}
    return {("dose", "restart-step-up", "critical")} if restart_for_delay(doses, day) else set()


def row_8_beside_others(state: TreatmentState, doses: Doses) -> set[Card]:
    """ "an earlier order stopped for toxicity, or allergy … (critical, and then it stands beside rows 3 to 7)"; and the
    doubts of "Given doses" 5. [reading: a history in doubt beside rows 3 and 4]"""
    warned_off = bool(state.allergies) or any(o.stopped_for_toxicity for o in state.orders)
    is_asked = doses.in_doubt or warned_off or bool(doses.unseen)
    return {("dose", "clarify", "critical")} if is_asked else set()


def unreadable_amount(mg: Decimal | None, doses: Doses, toxicities: Toxicities, day: date) -> set[Card]:
    """ "with no amount at all … row 8 names the due amount (critical if that is 1 mg)"."""
    if mg is not None:
        return set()
    is_first = not doses.in_doubt and due_at(doses, toxicities, day).dose == ONE
    return {("dose", "clarify", "critical" if is_first else "warning")}


def row_8(doses: Doses, toxicities: Toxicities) -> set[Card]:
    """ "history contradictory (warning …)". A history in doubt is asked about by its critical card."""
    really = [g for g in doses.given if not g.projected]
    open_ = [g for g in really if not any(later.completed and later.day > g.day for later in really)]
    without_step = bool(doses.completed) and not any(is_about(g.mg, ONE) for g in doses.completed)
    is_asked = any(g.rows > 1 or not g.completed for g in open_) or without_step
    if (is_asked and not doses.in_doubt) or toxicities.is_ungraded(doses):
        return {("dose", "clarify", "warning")}
    return set()


def rows_9_and_10(mg: Decimal | None, doses: Doses, toxicities: Toxicities, day: date) -> set[Card]:
    is_no_dose = mg is not None and mg not in {ONE, TEN}
    is_less = mg == ONE and due_at(doses, toxicities, day).dose == TEN
    return {("dose", "change-dose", "warning")} if is_no_dose or is_less else set()


def monitoring(doses: Doses, toxicities: Toxicities) -> set[Card]:
    """ "The monitoring card also stands beside rows 5 to 10 where the position is known"."""
    if doses.in_doubt:
        return set()
    return {("monitoring", "monitor", "warning" if toxicities.is_after_brief_neurotoxicity(doses) else "info")}


def premedication(state: TreatmentState, doses: Doses, toxicities: Toxicities, day: date) -> set[Card]:
    """ "at n=1, 2 …, if dexamethasone … or saline … is neither in the drafts nor active"."""
    n = 1 if doses.last is None or is_restart_due(doses, toxicities, day) else doses.in_course + 2
    there = {c.kind for c in state.companions if serves(c, day)}
    return {("premedication", "order", "warning")} if n <= 2 and there != set(CompanionKind) else set()


def serves(companion: Companion, day: date) -> bool:
    """ "A dated companion serves its own day, an undated one all drafts of the call"."""
    return isinstance(companion.day, NotRecordedType) or certain(companion.day) == day


# --- toxicities --------------------------------------------------------------------------------------------------


def grade(record: ToxicityRecord) -> int | None:
    return None if isinstance(record.grade, NotRecordedType) else record.grade.value


def is_later(one: MaybeWhen, other: MaybeWhen) -> bool:
    """Later by the clock; without clock times, on a later day."""
    assert isinstance(one, When)
    assert isinstance(other, When)
    if one.instant is not None and other.instant is not None:
        return one.instant > other.instant
    return one.earliest > other.latest


def by_clock(record: ToxicityRecord) -> tuple[date, str]:
    assert isinstance(record.onset, When)
    return record.onset.earliest, record.onset.instant.isoformat() if record.onset.instant else ""


def is_above_1(record: ToxicityRecord) -> bool:
    """A grade above 1, or one that is not recorded."""
    return grade(record) not in {0, 1}


class Episode:
    """Records of one syndrome that are one event."""

    def __init__(
        self, records: Iterable[ToxicityRecord], toxicities: Toxicities, absences: Iterable[ToxicityRecord] = ()
    ) -> None:
        self.records = sorted(records, key=lambda r: certain(r.onset))
        self.absences = tuple(absences)
        self.onset = certain(self.records[0].onset)
        self.grade = max((value for r in self.records if (value := grade(r)) is not None), default=None)
        self.active = [r for r in self.records if toxicities.is_active(r) and not self.is_closed_by_another(r)]
        ends = [end for r in self.records if (end := toxicities.end(r)) is not None]
        self.end = None if self.active or not ends else max(ends)
        """The day it was over; None while active, or where no record says it."""

    def is_closed_by_another(self, record: ToxicityRecord) -> bool:
        """Whether a record that knows no end is closed by one that does. [reading: an adverse event without outcome]"""
        if record.course not in {Course.OUTCOME_MISSING, Course.POINT}:
            return False
        begun = certain(record.onset)
        resolved = [r for r in self.records if r.course is Course.RESOLVED]
        at_end = record.course is Course.POINT
        return any(
            certain(r.onset) >= begun
            or (isinstance(r.end, When) and (certain(r.end) > begun or (at_end and certain(r.end) == begun)))
            for r in resolved
        )

    def is_followed(self, doses: Doses) -> bool:
        """Whether a dose was completed "on a day after the episode ended (end unknown: after the day of onset)"."""
        return doses.follows(certain(self.records[-1].onset) if self.end is None else self.end)

    def confirmed_grade(self) -> int:
        return max((grade(r) or 0 for r in self.records if r.confirmed), default=0)


class Toxicities:
    """The toxicities of the drug, judged by now against the doses really given."""

    def __init__(self, state: TreatmentState, given: Doses, today: date) -> None:
        self.given = given
        self.today = today
        self.absent_on: dict[int, date] = {}
        self.ours = [r for r in state.toxicities if self.is_ours(r, state)]
        self.labs = [r for r in state.labs if self.is_after_exposure(certain(r.day))]
        self.crs = self.episodes(Syndrome.CRS)
        self.neurotoxicity = self.episodes(Syndrome.NEUROTOXICITY)

    def is_ours(self, record: ToxicityRecord, state: TreatmentState) -> bool:
        """ "Not ours only if onset is on a day before the first dose on record and that dose is 1 mg, or if … another
        engager is on record before the onset". [reading: after another engager]"""
        onset = certain(record.onset)
        first = self.given.given[0] if self.given.given else None
        if first is not None and onset >= first.day:
            return True
        if any(certain(engager.day) <= onset for engager in state.engagers):
            return False
        return first is None or not (first.completed and is_about(first.mg, ONE))

    def is_after_exposure(self, day: date) -> bool:
        """ "after the first exposure". [reading: results of the day of the first exposure]"""
        days = self.given.exposure_days
        return bool(days) and day >= days[0]

    def end(self, record: ToxicityRecord) -> date | None:
        """The day on which the record says it was over; of one that knows no end, the day of "a later grade 0"."""
        return certain(record.end) if isinstance(record.end, When) else self.absent_on.get(id(record))

    def is_active(self, record: ToxicityRecord) -> bool:
        if record.course is Course.RESOLVED:
            return False
        return record.course is Course.OPEN or self.end(record) is None

    def episodes(self, syndrome: Syndrome) -> list[Episode]:
        """[reading: a grade 0]"""
        found: list[Episode] = []
        for record in sorted((r for r in self.ours if r.syndrome is syndrome), key=by_clock):
            if grade(record) == 0:
                for earlier in found[-1].records if found else ():
                    if earlier.course in {Course.POINT, Course.OUTCOME_MISSING} and is_later(
                        record.onset, earlier.onset
                    ):
                        self.absent_on.setdefault(id(earlier), certain(record.onset))
                found[-1:] = [Episode(e.records, self, (*e.absences, record)) for e in found[-1:]]
            elif found and self.belongs(certain(record.onset), found[-1]):
                found[-1] = Episode((*found[-1].records, record), self, found[-1].absences)
            else:
                found.append(Episode((record,), self))
        return found

    def belongs(self, onset: date, episode: Episode) -> bool:
        """ "onsets ≤7 days apart or overlapping, with neither a completed dose nor a whole resolved day between them …
        A record that begins when another ends is the same episode"."""
        before = certain(episode.records[-1].onset)
        if any(before < g.day <= onset for g in self.given.completed):
            return False
        if episode.active:
            return True
        if episode.end is None:
            return (onset - before).days <= 7
        return (onset - episode.end).days < 2  # "begins when another ends": on that day or the next

    # --- STOP

    def stops(self) -> set[str]:
        """ "A STOP that rests on an unconfirmed … record is a critical HOLD": the confirmed ones."""
        confirmed = {id(e): e.confirmed_grade() for e in (*self.crs, *self.neurotoxicity)}
        new = [e for e in self.neurotoxicity if any(r.confirmed for r in e.records)]
        return self.stopping(confirmed, new) | self.stopping_results() | self.infections_of_grade_4(confirmed=True)

    def stops_to_confirm(self) -> set[str]:
        recorded = {id(e): e.grade or 0 for e in (*self.crs, *self.neurotoxicity)}
        return self.stopping(recorded, self.neurotoxicity) | self.infections_of_grade_4(confirmed=False)

    def stopping(self, worst: dict[int, int], new: Sequence[Episode]) -> set[str]:
        topics = set()
        if any(worst[id(e)] >= 4 for e in self.crs) or sum(worst[id(e)] >= 3 for e in self.crs) >= 2:
            topics.add("crs")
        serious = [e for e in self.neurotoxicity if worst[id(e)] >= 3]
        has_returned = any(later.onset > e.onset for e in serious for later in new)
        if any(worst[id(e)] >= 4 for e in serious) or has_returned or any(self.has_lasted(e) for e in serious):
            topics.add("neurotoxicity")
        return topics

    def has_lasted(self, episode: Episode) -> bool:
        """ "neurotoxicity G3 still >G1 more than 7 days after onset (counted to *now* …)".
        [reading: the onset of a grade 3 that began milder]"""
        improved = self.improved_on(episode)
        is_open = any(r.course is Course.OPEN for r in episode.records if is_above_1(r))
        if improved is None and (is_open or any(r.course is Course.POINT for r in episode.active)):
            improved = self.today
        return improved is not None and (improved - episode.onset).days > 7

    def improved_on(self, episode: Episode) -> date | None:
        """The day from which ≤G1 is documented: by an observation after what was above; if nothing above is open, by
        the last end of what was above, or by a milder record after it."""
        above = [r for r in episode.records if is_above_1(r)]
        is_open = any(r.course is Course.OPEN for r in above)
        milder = [r for r in (*episode.records, *episode.absences) if r not in above]
        days = [
            certain(r.onset)
            for r in milder
            if (r.course is Course.POINT or not is_open) and all(is_later(r.onset, worse.onset) for worse in above)
        ]
        ends = [end for r in above if (end := self.end(r)) is not None]
        return min(days + ([max(ends)] if ends and not is_open else []), default=None)

    def stopping_results(self) -> set[str]:
        topics = set()
        if any(is_liver_above(r, 20, 10) for r in self.labs) or self.is_hys_law():
            topics.add("hepatotoxicity")
        if self.is_recurrent(Analyte.NEUTROPHILS, "0.5", "1.0") or self.is_recurrent(Analyte.PLATELETS, "25", "50"):
            topics.add("cytopenia")
        return topics

    def is_hys_law(self) -> bool:
        """ "ALT or AST >3×ULN together with bilirubin >2×ULN … ≤3 days apart"."""
        enzymes = [r for r in self.labs if r.analyte in {Analyte.ALT, Analyte.AST} and is_above(r, 3)]
        bilirubin = [r for r in self.labs if r.analyte is Analyte.BILIRUBIN and is_above(r, 2)]
        return any(abs((certain(e.day) - certain(b.day)).days) <= 3 for e in enzymes for b in bilirubin)

    def is_recurrent(self, analyte: Analyte, grade_4_below: str, grade_2_from: str) -> bool:
        """ "recurrent (≤G2 between two) G4"."""
        results = [(certain(r.day), r.value) for r in self.labs if r.analyte is analyte and r.value is not None]
        low = [day for day, value in results if value < Decimal(grade_4_below)]
        good = [day for day, value in results if value >= Decimal(grade_2_from)]
        return any(first < day < second for first in low for day in good for second in low)

    def infections_of_grade_4(self, *, confirmed: bool) -> set[str]:
        there = any(
            (grade(r) or 0) >= 4 and r.confirmed is confirmed and self.is_after_exposure(certain(r.onset))
            for r in self.ours
            if r.syndrome is Syndrome.INFECTION
        )
        return {"infection"} if there else set()

    # --- HOLD

    def holds(self, *, is_restart_due: bool) -> set[Card]:
        cards = {(topic, "withhold", "critical") for topic in self.stops_to_confirm()}
        for topic, episodes in (("crs", self.crs), ("neurotoxicity", self.neurotoxicity)):
            cards |= {(topic, "withhold", found) for e in episodes if (found := self.active(e))}
        cards |= {("neurotoxicity", "withhold", found) for e in self.neurotoxicity if (found := self.end_unknown(e))}
        return cards | self.holding_results() | self.holding_infections(is_restart_due=is_restart_due)

    def active(self, episode: Episode) -> str:
        """ "Active CRS or neurotoxicity of any grade, unknown included"; the indicator, "" if it is not active."""
        if not episode.active:
            return ""
        return "warning" if all(self.may_be_left_open(r, episode) for r in episode.active) else "critical"

    def may_be_left_open(self, record: ToxicityRecord, episode: Episode) -> bool:
        """ "An AdverseEvent without outcome or end, a grade Observation without a later grade 0, or a still-open G1–2
        record, all older than the last completed dose … G3 still open stays critical"."""
        last = self.given.last
        if last is None or certain(record.onset) >= last.day:
            return False
        return record.course is not Course.OPEN or (grade(record) in {1, 2} and episode.grade in {1, 2})

    def end_unknown(self, episode: Episode) -> str:
        """ "Neurotoxicity G3 resolved with unknown end …: critical HOLD; with a completed dose since: warning"."""
        if (episode.grade or 0) < 3 or episode.active or self.improved_on(episode) is not None:
            return ""
        return "warning" if episode.is_followed(self.given) else "critical"

    def holding_results(self) -> set[Card]:
        """ "the newest per analyte, ≤7 days old (older and bad: `…/withhold`, warning)"; the worst of one day."""
        cards = set()
        for result in self.labs:
            newest = max(certain(r.day) for r in self.labs if r.analyte is result.analyte)
            topic = holding_topic(result)
            if topic and certain(result.day) == newest:
                cards.add((topic, "withhold", "warning" if (self.today - newest).days > 7 else "critical"))
        return cards

    def holding_infections(self, *, is_restart_due: bool) -> set[Card]:
        """ "infection (acute and active: any grade while k≤1, G3 later), febrile neutropenia".
        [reading: an infection while a restart is due]"""
        cards = set()
        is_step_up = self.given.in_course <= 1 or is_restart_due
        for record in self.ours:
            if (
                grade(record) == 0
                or not self.is_active(record)
                or not record.acute
                or not self.is_after_exposure(certain(record.onset))
            ):
                continue
            if record.syndrome is Syndrome.FEBRILE_NEUTROPENIA:
                cards.add(("cytopenia", "withhold", "critical"))
            if record.syndrome is Syndrome.INFECTION and (is_step_up or (grade(record) or 0) >= 3):
                cards.add(("infection", "withhold", "critical"))
        return cards

    # --- what the table asks

    def restart_for_crs(self, doses: Doses) -> bool:
        """Row 7 without its "ordered" part."""
        if doses.in_doubt:
            return False
        return any((e.grade or 0) >= 3 and not e.active and not e.is_followed(doses) for e in self.crs)

    def is_severe_crs_active(self) -> bool:
        return any((e.grade or 0) >= 3 and e.active for e in self.crs)

    def is_ungraded(self, doses: Doses) -> bool:
        """ "CRS or neurotoxicity resolved without a grade, no dose since"."""
        both = (*self.crs, *self.neurotoxicity)
        return any(e.grade is None and not e.active and not e.is_followed(doses) for e in both)

    def is_after_brief_neurotoxicity(self, doses: Doses) -> bool:
        """ "Neurotoxicity G3 ended within 7 days, no dose since"."""
        serious = [e for e in self.neurotoxicity if (e.grade or 0) >= 3 and not e.active]
        brief = [e for e in serious if self.improved_on(e) is not None and not self.has_lasted(e)]
        return any(not e.is_followed(doses) for e in brief)


# --- results -----------------------------------------------------------------------------------------------------


def is_above(result: LabResult, times: int) -> bool:
    """Whether the result is above so many times its own range's upper end."""
    return result.value is not None and result.upper_normal is not None and result.value > result.upper_normal * times


def is_liver_above(result: LabResult, enzymes: int, bilirubin: int) -> bool:
    if result.analyte in {Analyte.ALT, Analyte.AST}:
        return is_above(result, enzymes)
    return result.analyte is Analyte.BILIRUBIN and is_above(result, bilirubin)


def holding_topic(result: LabResult) -> str:
    """ "neutrophils or platelets G3–4, Hb <8 g/dL, liver G3"."""
    low = {Analyte.NEUTROPHILS: Decimal("1.0"), Analyte.PLATELETS: Decimal(50), Analyte.HAEMOGLOBIN: Decimal(8)}
    if result.analyte in low:
        return "cytopenia" if result.value is not None and result.value < low[result.analyte] else ""
    return "hepatotoxicity" if is_liver_above(result, 5, 3) else ""
