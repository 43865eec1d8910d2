"""Histories of one patient from a seed: doses early, late, missed, copied, partial, begun again; toxicities; drafts.

A history is first a list of plain events on days counted back from today, so that the borders of the rules (the day
before, the day, the day after) are drawn often; then facts. The patient is otherwise the ordinary one: a man of 65 with
extensive-stage disease, normal results and everything read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from random import Random
from zoneinfo import ZoneInfo

from fhir_mappings.facts import (
    Administration,
    Amount,
    Analyte,
    CancerFinding,
    CancerRecord,
    Claim,
    Companion,
    CompanionKind,
    Course,
    DrugAllergy,
    Grade,
    GradeSource,
    LabResult,
    MaybeWhen,
    Need,
    NotRecorded,
    OrderedDose,
    OtherEngager,
    Person,
    Reading,
    Route,
    Scale,
    Sex,
    Syndrome,
    ToxicityRecord,
    TreatmentState,
    When,
)

ONE = Decimal(1)
TEN = Decimal(10)
ZONES = ("UTC", "America/New_York", "Asia/Tokyo", "Europe/Madrid")
BORDERS = (0, 1, 2, 5, 6, 7, 8, 12, 13, 14, 15, 20, 21, 22, 27, 28, 29, 30, 35, 60)


@dataclass(frozen=True, kw_only=True)
class History:
    """What was so, and the moment at which it is judged."""

    state: TreatmentState
    at: datetime
    zone: ZoneInfo

    @property
    def today(self) -> date:
        return self.at.astimezone(self.zone).date()


def histories(seed: int, count: int) -> Iterator[History]:
    random = Random(seed)
    for _ in range(count):
        yield history(random)


def history(random: Random) -> History:
    zone = ZoneInfo(random.choice(ZONES))
    today = date(2024, 1, 1) + timedelta(days=random.randrange(4 * 365))
    at = datetime.combine(today, time(random.randrange(24), random.randrange(60)), zone).astimezone(UTC)
    courses = Courses(random, today, zone)
    drafts = tuple(ordered(random, courses, today))
    return History(
        at=at,
        zone=zone,
        state=TreatmentState(
            patient=Person(reference="Patient/p", born=on(today - timedelta(days=65 * 365)), sex=Sex.MALE),
            needs=needs(random),
            orders=(*drafts, *orders_on_record(random, courses, today)),
            administrations=tuple(courses.rows),
            companions=companions(random, drafts, today),
            toxicities=tuple(toxicities(random, courses, today)),
            engagers=engagers(random, today),
            labs=tuple(results(random, courses, today)),
            cancer=cancer(today),
            claims=claims(random, today),
            allergies=(DrugAllergy(reference="AllergyIntolerance/a", name="the drug"),) if chance(random, 1) else (),
        ),
    )


def chance(random: Random, percent: int) -> bool:
    return random.randrange(100) < percent


def on(day: date, instant: datetime | None = None) -> When:
    return When(earliest=day, latest=day, instant=instant)


def needs(random: Random) -> dict[str, Need]:
    if not chance(random, 2):
        return {}
    reading = random.choice((Reading.PARTIAL, Reading.UNAVAILABLE))
    return {
        "medicationAdministrations": Need(key="medicationAdministrations", reading=reading, why="it could not be read")
    }


# --- doses given -------------------------------------------------------------------------------------------------


class Courses:
    """The rows of MedicationAdministration, made dose by dose, and the days on which something was given."""

    def __init__(self, random: Random, today: date, zone: ZoneInfo) -> None:
        self.random = random
        self.zone = zone
        self.rows: list[Administration] = []
        self.days: list[date] = []
        plan = list(self.plan())
        length = sum(gap for gap, _ in plan[1:])
        since = random.choice(BORDERS) if chance(random, 85) else random.randrange(80)
        day = today - timedelta(days=length + since)
        for place, (gap, mg) in enumerate(plan):
            day += timedelta(days=gap if place else 0)
            self.give(day, mg)

    def plan(self) -> Iterator[tuple[int, Decimal]]:
        """Gap and amount of each dose. After a gap beyond the limit, mostly begun again at 1 mg."""
        count = self.random.choice((0, 1, 1, 2, 2, 3, 3, 4, 5, 7, 9, 11, 13))
        k = -1
        for place in range(count):
            due = 7 if k <= 1 else 14
            gap = self.gap(due)
            limit = {-1: 99, 0: 14, 1: 21}.get(k, 28)
            again = gap > limit and chance(self.random, 85)
            is_step = chance(self.random, 95) if place == 0 else again or chance(self.random, 5)
            k = 0 if is_step else k + 1
            yield gap, ONE if is_step else TEN

    def gap(self, due: int) -> int:
        drawn = self.random.randrange(100)
        if drawn < 60:
            return due
        return max(1, due + self.random.choice((-3, -2, -1, 1, 2, 7)) if drawn < 80 else self.random.choice(BORDERS))

    def give(self, day: date, mg: Decimal) -> None:
        shape = self.random.randrange(100)
        self.days.append(day)
        if shape < 78:
            self.row(day, mg, "in-progress" if chance(self.random, 4) else "completed")
        elif shape < 82:
            self.copied(day, mg)
        elif shape < 85:
            self.row(day, self.random.choice((Decimal(4), Decimal("0.4"))), "stopped")
        elif shape < 87:
            self.row(day, mg, self.random.choice(("stopped", "on-hold", "unknown", "")))
        elif shape < 90:
            self.row(day, mg, self.random.choice(("not-done", "entered-in-error")))
        elif shape < 92:
            near = ("0.89", "0.9", "1.1", "1.11", "8.9", "9", "11", "11.1")
            self.row(day, Decimal(self.random.choice(near)), "completed")
        elif shape < 95:
            self.twice(day, mg)
        elif shape < 97:
            self.row(day, None, "completed")
        else:
            self.row(day, mg, "completed", clock=False)

    def row(
        self, day: date, mg: Decimal | None, status: str, *, clock: bool = True, hour: int = 9, name: str = ""
    ) -> None:
        place = len(self.rows) + 1
        instant = datetime.combine(day, time(hour), self.zone) if clock else None
        self.rows.append(
            Administration(
                reference=f"MedicationAdministration/a{place}",
                status=status,
                start=on(day, instant),
                amount=Amount(mg=mg, absent=mg is None),
                identifiers=frozenset({name}) if name else frozenset(),
            )
        )

    def copied(self, day: date, mg: Decimal) -> None:
        """One dose in two rows: the same identifier, or the same start and amount."""
        name = f"urn:x|{day}" if chance(self.random, 50) else ""
        self.row(day, mg, "completed", name=name)
        self.row(day, mg, "completed", name=name, hour=10 if name else 9)

    def twice(self, day: date, mg: Decimal) -> None:
        """Two rows of one day that are no copies."""
        first, second = self.random.choice(((Decimal(4), Decimal(6)), (mg, mg), (Decimal(4), Decimal(3))))
        self.row(day, first, "stopped" if first == 4 else "completed", hour=9)
        self.row(day, second, "completed", hour=14)


# --- orders ------------------------------------------------------------------------------------------------------


def ordered(random: Random, courses: Courses, today: date) -> Iterator[OrderedDose]:
    """One to four drafts. A second dose of one order is a part of it."""
    count = random.choice((1, 1, 1, 1, 1, 2, 3, 4))
    is_one_order = chance(random, 20)
    is_new = not courses.days
    day = today if chance(random, 70) else today + timedelta(days=random.choice(BORDERS))
    for place in range(count):
        planned = ONE if is_new and place == 0 else TEN
        mg = planned if chance(random, 75) else Decimal(random.choice(("1", "10", "5", "20", "0.9", "10.5")))
        yield OrderedDose(
            order="MedicationRequest/d1" if is_one_order else f"MedicationRequest/d{place + 1}",
            part=place if is_one_order else 0,
            entry=0 if is_one_order else place,
            in_draft_orders=True,
            status="draft",
            intent="order",
            day=NotRecorded if count == 1 and chance(random, 5) else on(day),
            amount=amount_ordered(random, mg),
            route=Route.INTRAVENOUS,
            minutes=Decimal(60),
            position_named=random.choice(("C1D1", "C1D8", "C4D1")) if chance(random, 3) else "",
        )
        day += timedelta(days=random.choice((7, 7, 14, 14, *BORDERS)))


def amount_ordered(random: Random, mg: Decimal) -> Amount:
    drawn = random.randrange(100)
    if drawn < 2:
        return Amount(mg=None, doubt="the unit is missing", recorded="10")
    if drawn < 4:
        return Amount(mg=mg, doubt="found only in the text", recorded="10 mg in the text")
    return Amount(mg=mg)


def orders_on_record(random: Random, courses: Courses, today: date) -> Iterator[OrderedDose]:
    if chance(random, 8):
        yield recorded("planned", "active", today + timedelta(days=random.choice((3, 7, 14, 21))), TEN)
    if chance(random, 2):
        yield recorded("overdue", "active", today - timedelta(days=random.choice((1, 7, 30))), TEN)
    if chance(random, 1):
        yield recorded("stopped", "stopped", today - timedelta(days=20), TEN, stopped_for_toxicity=True)
    if chance(random, 4):
        yield recorded("completed", "completed", today - timedelta(days=random.choice((1, 7, 14, 29))), TEN)
    if not courses.days and chance(random, 20):
        yield recorded("first", "completed", today - timedelta(days=random.choice((40, 21, 15, 14, 7))), ONE)


def recorded(name: str, status: str, day: date, mg: Decimal, *, stopped_for_toxicity: bool = False) -> OrderedDose:
    return OrderedDose(
        order=f"MedicationRequest/{name}",
        status=status,
        intent="order",
        day=on(day),
        amount=Amount(mg=mg),
        route=Route.INTRAVENOUS,
        minutes=Decimal(60),
        status_reason="toxicity" if stopped_for_toxicity else "",
        stopped_for_toxicity=stopped_for_toxicity,
    )


def claims(random: Random, today: date) -> tuple[Claim, ...]:
    if not chance(random, 3):
        return ()
    return (Claim(reference="Procedure/claim", day=on(today - timedelta(days=random.choice((1, 8, 15, 40))))),)


def companions(random: Random, drafts: tuple[OrderedDose, ...], today: date) -> tuple[Companion, ...]:
    """Undated ones, ones of the first draft's day only, or none of one kind."""
    kinds = list(CompanionKind) if chance(random, 80) else [random.choice(list(CompanionKind))]
    day: MaybeWhen = drafts[0].day if chance(random, 30) else NotRecorded
    return tuple(
        Companion(
            reference=f"MedicationRequest/{kind.value}",
            kind=kind,
            in_draft_orders=True,
            name=kind.value,
            day=day,
            route=Route.INTRAVENOUS,
            dexamethasone_mg=Decimal(8) if kind is CompanionKind.STEROID else None,
            litres=Decimal(1) if kind is CompanionKind.SALINE else None,
            minutes=Decimal(270) if kind is CompanionKind.SALINE else NotRecorded,
        )
        for kind in kinds
    )


# --- toxicities --------------------------------------------------------------------------------------------------


def toxicities(random: Random, courses: Courses, today: date) -> Iterator[ToxicityRecord]:
    count = random.choice((0, 0, 0, 1, 1, 1, 2, 2, 3, 4, 6))
    common = (Syndrome.CRS,) * 5 + (Syndrome.NEUROTOXICITY,) * 4 + (Syndrome.INFECTION, Syndrome.FEBRILE_NEUTROPENIA)
    before: ToxicityRecord | None = None
    for place in range(count):
        if before is not None and chance(random, 40):
            record = related(random, before, place, today)
        else:
            record = toxicity(random, random.choice(common), place, onset(random, courses, today), today)
        before = record
        yield record


def engagers(random: Random, today: date) -> tuple[OtherEngager, ...]:
    if not chance(random, 3):
        return ()
    day = today - timedelta(days=random.choice((9, 40, 100, 700)))
    return (OtherEngager(reference="Procedure/engager", name="another engager", day=on(day)),)


def onset(random: Random, courses: Courses, today: date) -> date:
    if courses.days and chance(random, 75):
        return min(today, random.choice(courses.days) + timedelta(days=random.choice((-1, 0, 0, 1, 1, 2, 3, 5))))
    return today - timedelta(days=random.choice((0, 1, 2, 6, 7, 8, 9, 15, 30, 90)))


def toxicity(random: Random, syndrome: Syndrome, place: int, begun: date, today: date) -> ToxicityRecord:
    usual = (Course.OPEN, Course.OPEN, *(Course.RESOLVED,) * 6, Course.OUTCOME_MISSING)
    is_graded = syndrome in {Syndrome.CRS, Syndrome.NEUROTOXICITY}
    course = Course.POINT if is_graded and chance(random, 12) else random.choice(usual)
    end: MaybeWhen = NotRecorded
    if course is Course.RESOLVED:
        ended = begun + timedelta(days=random.choice((0, 1, 2, 3, 5, 6, 7, 8, 10, 15)))
        end = NotRecorded if chance(random, 12) else on(min(ended, today))
    value = random.choice((None, 1, 1, 2, 2, 3, 3, 3, 4) if chance(random, 60) else (None, 1, 2, 3))
    if course is Course.POINT:
        value = random.choice((0, 0, 1, 2, 3))
    return record_of(random, syndrome, place, value, begun, end, course)


def related(random: Random, before: ToxicityRecord, place: int, today: date) -> ToxicityRecord:
    """A record beside another one: a copy, one that begins when the other ends, or a recurrence some days later."""
    assert isinstance(before.onset, When)
    if chance(random, 15):  # a grave one, resolved on an unknown day, at the border of one event
        begun = before.onset.earliest + timedelta(days=random.choice((6, 7, 7, 8, 8, 9)))
        return record_of(random, before.syndrome, place, 3, min(begun, today), NotRecorded, Course.RESOLVED)
    anchor = before.end if isinstance(before.end, When) else before.onset
    begun = random.choice((before.onset.earliest, anchor.earliest, anchor.earliest))
    begun += timedelta(days=random.choice((0, 0, 1, 2, 3, 7, 8)))
    return toxicity(random, before.syndrome, place, min(begun, today), today)


def record_of(
    random: Random,
    syndrome: Syndrome,
    place: int,
    value: int | None,
    begun: date,
    end: MaybeWhen,
    course: Course,
) -> ToxicityRecord:
    kind = {Course.OUTCOME_MISSING: "AdverseEvent", Course.POINT: "Observation"}.get(course, "Condition")
    hour = datetime.combine(begun, time(random.choice((0, 1))), UTC) if course is Course.POINT else None
    return ToxicityRecord(
        reference=f"{kind}/t{place + 1}",
        syndrome=syndrome,
        grade=NotRecorded
        if value is None
        else Grade(value=value, scale=Scale.NOT_STATED, source=GradeSource.CONDITION_CODE),
        onset=on(begun, hour),
        end=end,
        course=course,
        confirmed=not chance(random, 8),
        label=syndrome.value,
    )


# --- results -----------------------------------------------------------------------------------------------------

NORMAL = {
    Analyte.NEUTROPHILS: "3.2",
    Analyte.PLATELETS: "210",
    Analyte.HAEMOGLOBIN: "12",
    Analyte.ALT: "20",
    Analyte.AST: "20",
    Analyte.BILIRUBIN: "0.6",
    Analyte.EGFR: "80",
}
UPPER = {Analyte.ALT: Decimal(40), Analyte.AST: Decimal(40), Analyte.BILIRUBIN: Decimal(1)}
LOW_OR_HIGH = {
    Analyte.NEUTROPHILS: ("1.0", "0.99", "0.5", "0.49", "0.4", "1.5"),
    Analyte.PLATELETS: ("50", "49", "25", "24", "80"),
    Analyte.HAEMOGLOBIN: ("8", "7.9", "6"),
    Analyte.ALT: ("120", "121", "200", "201", "800", "801"),
    Analyte.AST: ("120", "121", "200", "201", "800", "801"),
    Analyte.BILIRUBIN: ("1.5", "2", "2.01", "3", "3.01", "10", "10.1"),
}


def results(random: Random, courses: Courses, today: date) -> Iterator[LabResult]:
    """Normal results of two days ago; in some histories bad ones, of these days or before, in place of them."""
    bad = list(bad_results(random, courses, today)) if chance(random, 20) else []
    replaced = {analyte for analyte, _, _ in bad}
    usual = [(a, Decimal(v), today - timedelta(days=2)) for a, v in NORMAL.items() if a not in replaced]
    for place, (analyte, value, day) in enumerate((*usual, *bad)):
        yield LabResult(
            reference=f"Observation/l{place + 1}",
            analyte=analyte,
            day=on(day),
            value=value,
            upper_normal=UPPER.get(analyte),
        )


def bad_results(random: Random, courses: Courses, today: date) -> Iterator[tuple[Analyte, Decimal, date]]:
    for _ in range(random.choice((1, 1, 2, 3, 5))):
        analyte = random.choice(list(LOW_OR_HIGH))
        value = random.choice((*LOW_OR_HIGH[analyte], *LOW_OR_HIGH[analyte], NORMAL[analyte]))
        yield analyte, Decimal(value), today - timedelta(days=random.choice((0, 1, 2, 3, 4, 6, 7, 8, 9, 20, 40)))


def cancer(today: date) -> tuple[CancerRecord, ...]:
    findings = {CancerFinding.SMALL_CELL_EXTENSIVE: 300, CancerFinding.PLATINUM: 250, CancerFinding.PROGRESSION: 200}
    return tuple(
        CancerRecord(reference=f"Condition/{f.name.lower()}", finding=f, day=on(today - timedelta(days=days)))
        for f, days in findings.items()
    )
