"""A grid of plain situations: what two versions of the knowledge are compared on, beside the vignettes.

Made of facts, from the borders that the versions' own tables draw: each history of doses at each distance from its last
dose, with either dose ordered; and each circumstance (a toxicity, a result, a sign, a status, a gap in the reading) at
the distances that matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from cds_service.engine.case import Occasion
from cds_service.engine.requirements import NEEDS
from cds_service.knowledge.regimen import Dose, Range, Regimen, Row
from fhir_mappings.facts import (
    Administration,
    Amount,
    Analyte,
    CancerFinding,
    CancerRecord,
    Companion,
    CompanionKind,
    Course,
    FeedingFinding,
    FeedingRecord,
    Grade,
    GradeSource,
    LabResult,
    MaybeWhen,
    Need,
    NotRecorded,
    OrderedDose,
    OrganFinding,
    OrganRecord,
    Person,
    PregnancyFinding,
    PregnancyRecord,
    Reading,
    Route,
    Scale,
    Sex,
    Support,
    SupportKind,
    Syndrome,
    ToxicityRecord,
    TreatmentState,
    Vital,
    VitalSign,
    When,
)

ZONE: Final = ZoneInfo("UTC")
AT: Final = datetime(2026, 2, 10, 15, tzinfo=UTC)
MOST_DOSES: Final = 4
_SHORT: Final = Decimal("0.001")
"""How far beyond a threshold a result lies, as a part of it."""


@dataclass(frozen=True, kw_only=True)
class Situation:
    """One patient and one call: in a prescriber's words, and as facts. `at` is the moment of the call."""

    words: str
    state: TreatmentState
    at: datetime = AT
    zone: ZoneInfo = ZONE
    selections: frozenset[str] | None = None
    details_may_be_missing: bool = False
    occasion: Occasion = Occasion.ORDERS


@dataclass(frozen=True, kw_only=True)
class _Circumstance:
    """Something beside the doses. `facts` are fields of the state that replace those of the ordinary patient."""

    words: str
    facts: Mapping[str, Any] = field(default_factory=dict)


def grid(*regimens: Regimen) -> Iterator[Situation]:
    """The situations that the borders of these versions' tables tell apart; the doses are those of the first."""
    ordinary = _Circumstance(words="")
    for given in range(MOST_DOSES + 1):
        for days in _distances(regimens) if given else (0,):
            for ordered in _doses(regimens[0]):
                yield _situation(regimens[0], given, days, ordered, ordinary)
    for given in range(MOST_DOSES):
        for days in _due(regimens[0]) if given else (0,):
            for circumstance in _circumstances(days if given else 0, regimens):
                yield _situation(regimens[0], given, days, _due_dose(regimens[0], given), circumstance)


# --- doses -------------------------------------------------------------------------------------------------------


def _doses(regimen: Regimen) -> tuple[Dose, ...]:
    return regimen.doses["step"], regimen.doses["treatment"]


def _due_dose(regimen: Regimen, given: int) -> Dose:
    return regimen.doses["treatment" if given else "step"]


def _distances(regimens: Sequence[Regimen]) -> list[int]:
    """The days on both sides of every border in the schedule and delay tables."""
    borders = set(_due(*regimens))
    for regimen in regimens:
        for row in regimen.table("delay").rows:
            borders |= set(_ends(row.range("days_since")))
    return sorted({days for border in borders for days in (border - 1, border, border + 1) if days > 0})


def _ends(drawn: Range) -> Iterator[int]:
    yield from (end for end in (drawn.at_least, drawn.at_most) if end is not None)


def _due(*regimens: Regimen) -> list[int]:
    rows = [row for regimen in regimens for row in regimen.table("schedule").rows]
    return sorted({row.integer("due_after_days") for row in rows} - {0})


def _days_of_doses(regimen: Regimen, given: int, last: date) -> list[date]:
    """The days of doses given on schedule, the last one on `last`."""
    days = [last]
    for treatment_doses in range(given - 2, -1, -1):
        row = _schedule_row(regimen, treatment_doses)
        days.append(days[-1] - timedelta(days=row.integer("due_after_days")))
    return days[::-1]


def _schedule_row(regimen: Regimen, treatment_doses: int) -> Row:
    rows = regimen.table("schedule").rows
    return next(r for r in rows if r.has("treatment_doses") and treatment_doses in r.range("treatment_doses"))


def _situation(regimen: Regimen, given: int, days: int, ordered: Dose, beside: _Circumstance) -> Situation:
    today = AT.date()
    doses = [_due_dose(regimen, place) for place in range(given)]
    on = _days_of_doses(regimen, given, today - timedelta(days=days)) if given else []
    history = f"{' and '.join(map(str, doses))} given, the last {days} days ago" if given else "no dose yet"
    usual: dict[str, Any] = {
        "patient": Person(reference="Patient/p1", born=_day(today - timedelta(days=65 * 365)), sex=Sex.MALE),
        "orders": (_order(ordered, today),),
        "administrations": tuple(
            _given(place, dose, day) for place, (dose, day) in enumerate(zip(doses, on, strict=True))
        ),
        "companions": _companions(today),
        "labs": _labs(today),
        "cancer": _cancer(today),
    }
    return Situation(
        words="; ".join(part for part in (history, f"{ordered} ordered", beside.words) if part),
        state=TreatmentState(**(usual | dict(beside.facts))),
    )


def _day(day: date) -> When:
    return When(earliest=day, latest=day)


def _order(dose: Dose, day: date) -> OrderedDose:
    return OrderedDose(
        order="MedicationRequest/draft",
        entry=0,
        in_draft_orders=True,
        status="draft",
        intent="order",
        day=_day(day),
        amount=Amount(mg=dose.mg),
        route=Route.INTRAVENOUS,
        minutes=Decimal(60),
    )


def _given(place: int, dose: Dose, day: date) -> Administration:
    reference = f"MedicationAdministration/dose-{place + 1}"
    return Administration(reference=reference, status="completed", start=_day(day), amount=Amount(mg=dose.mg))


def _companions(day: date) -> tuple[Companion, ...]:
    steroid = Companion(
        reference="MedicationRequest/dexamethasone",
        kind=CompanionKind.STEROID,
        in_draft_orders=True,
        name="dexamethasone",
        day=_day(day),
        route=Route.INTRAVENOUS,
        dexamethasone_mg=Decimal(8),
    )
    saline = Companion(
        reference="MedicationRequest/saline",
        kind=CompanionKind.SALINE,
        in_draft_orders=True,
        name="sodium chloride 0.9 %",
        day=_day(day),
        route=Route.INTRAVENOUS,
        litres=Decimal(1),
        minutes=Decimal(270),
    )
    return steroid, saline


def _labs(today: date, *others: LabResult) -> tuple[LabResult, ...]:
    """Normal results of two days ago, but for those of the analytes given."""
    usual = {
        Analyte.NEUTROPHILS: "3.2",
        Analyte.PLATELETS: "210",
        Analyte.HAEMOGLOBIN: "12",
        Analyte.ALT: "20",
        Analyte.AST: "20",
        Analyte.BILIRUBIN: "0.6",
        Analyte.EGFR: "80",
    }
    replaced = {other.analyte for other in others}
    day = today - timedelta(days=2)
    return (*(_lab(name, Decimal(v), day) for name, v in usual.items() if name not in replaced), *others)


_UPPER: Final = {Analyte.ALT: Decimal(40), Analyte.AST: Decimal(40), Analyte.BILIRUBIN: Decimal("1.2")}


def _lab(analyte: Analyte, value: Decimal, day: date) -> LabResult:
    return LabResult(
        reference=f"Observation/{analyte.name.lower()}",
        analyte=analyte,
        day=_day(day),
        value=value,
        upper_normal=_UPPER.get(analyte),
    )


def _cancer(today: date) -> tuple[CancerRecord, ...]:
    findings = {CancerFinding.SMALL_CELL_EXTENSIVE: 300, CancerFinding.PLATINUM: 250, CancerFinding.PROGRESSION: 120}
    return tuple(
        CancerRecord(reference=f"Condition/{f.name.lower()}", finding=f, day=_day(today - timedelta(days=days)))
        for f, days in findings.items()
    )


# --- circumstances -------------------------------------------------------------------------------------------------


def _circumstances(days: int, regimens: Sequence[Regimen]) -> Iterator[_Circumstance]:
    """`days` since the last dose, 0 before the first."""
    today = AT.date()
    last = today - timedelta(days=days)
    yield from _toxicities(last, today)
    yield from _results(today, regimens)
    yield from _signs(today, regimens)
    yield from _people(today)
    yield _Circumstance(words="no premedication ordered", facts={"companions": ()})
    for key in sorted(NEEDS):
        need = Need(key=key, reading=Reading.UNAVAILABLE, why="it could not be read")
        yield _Circumstance(words=f"{key} could not be read", facts={"needs": {key: need}})


def _toxicities(last: date, today: date) -> Iterator[_Circumstance]:
    onset = last + timedelta(days=1)
    for syndrome in Syndrome:
        for value in (None, 1, 2, 3, 4):
            worded = f"{syndrome.value} {'without a grade' if value is None else f'grade {value}'}"
            active = _toxicity(syndrome, value, onset, NotRecorded)
            yield _Circumstance(words=f"{worded} since the day after the last dose", facts={"toxicities": (active,)})
            for end in sorted({onset + timedelta(days=1), today - timedelta(days=1)}):
                resolved = _toxicity(syndrome, value, onset, _day(max(onset, end)))
                lasted = (max(onset, end) - onset).days
                yield _Circumstance(words=f"{worded}, resolved after {lasted} days", facts={"toxicities": (resolved,)})


def _toxicity(syndrome: Syndrome, value: int | None, onset: date, end: MaybeWhen) -> ToxicityRecord:
    return ToxicityRecord(
        reference=f"Condition/{syndrome.name.lower()}",
        syndrome=syndrome,
        grade=NotRecorded
        if value is None
        else Grade(value=value, scale=Scale.NOT_STATED, source=GradeSource.CONDITION_CODE),
        onset=_day(onset),
        end=end,
        course=Course.OPEN if end is NotRecorded else Course.RESOLVED,
        label=syndrome.value,
    )


def _results(today: date, regimens: Sequence[Regimen]) -> Iterator[_Circumstance]:
    """A result of two days ago just beyond each threshold of the laboratory grades, and one at it."""
    for analyte, threshold, is_below in sorted(set(_thresholds(regimens)), key=lambda t: (t[0].value, t[1])):
        beyond = threshold * (1 - _SHORT if is_below else 1 + _SHORT)
        for value, said in ((threshold, "is"), (beyond, "is just below" if is_below else "is just above")):
            result = _lab(analyte, value, today - timedelta(days=2))
            words = f"{analyte.value} {said} {threshold.normalize():f}"
            yield _Circumstance(words=words, facts={"labs": _labs(today, result)})


def _thresholds(regimens: Sequence[Regimen]) -> Iterator[tuple[Analyte, Decimal, bool]]:
    for regimen in regimens:
        for row in regimen.table("lab_grades").rows:
            analyte = Analyte(row.text("analyte"))
            if row.has("below"):
                yield analyte, row.number("below"), True
            else:
                yield analyte, row.number("above_uln") * _UPPER[analyte], False


def _signs(today: date, regimens: Sequence[Regimen]) -> Iterator[_Circumstance]:
    """A vital sign of this morning beyond each threshold of the CRS grades, and each support once."""
    now = When(earliest=today, latest=today, instant=AT - timedelta(hours=6))
    for regimen in regimens[:1]:
        for row in regimen.table("crs_grades").rows:
            sign = row.text("sign")
            if row.has("count_from"):
                support = Support(reference="Procedure/support", kind=SupportKind(sign), name=sign, at=now)
                yield _Circumstance(words=f"{sign} this morning", facts={"supports": (support,)})
            else:
                value = _beyond(row)
                vital = VitalSign(reference="Observation/vital", vital=Vital(sign), at=now, value=value)
                yield _Circumstance(words=f"{sign} {value.normalize():f} this morning", facts={"vitals": (vital,)})


def _beyond(row: Row) -> Decimal:
    if row.has("at_least"):
        return row.number("at_least")
    return row.number("below") * (1 - _SHORT) if row.has("below") else row.number("above") * (1 + _SHORT)


def _people(today: date) -> Iterator[_Circumstance]:
    recent = _day(today - timedelta(days=3))
    woman = Person(reference="Patient/p1", born=_day(today - timedelta(days=30 * 366)), sex=Sex.FEMALE)
    child = Person(reference="Patient/p1", born=_day(today - timedelta(days=17 * 365)), sex=Sex.MALE)
    yield _Circumstance(words="a patient of 17 years", facts={"patient": child})
    yield _Circumstance(words="a woman of 30, pregnancy status not recorded", facts={"patient": woman})
    for status in PregnancyFinding:
        record = PregnancyRecord(reference="Observation/pregnancy", finding=status, day=recent)
        words = f"a woman of 30, {status.value} three days ago"
        yield _Circumstance(words=words, facts={"patient": woman, "pregnancy": (record,)})
    for fed in FeedingFinding:
        feeding = FeedingRecord(reference="Observation/feeding", finding=fed, day=recent)
        words = f"a woman of 30, {fed.value} three days ago"
        yield _Circumstance(words=words, facts={"patient": woman, "feeding": (feeding,)})
    for organ in OrganFinding:
        record_ = OrganRecord(reference="Condition/organ", finding=organ, day=recent)
        yield _Circumstance(words=organ.value, facts={"organs": (record_,)})
    for cancer in CancerFinding:
        only = CancerRecord(reference="Condition/cancer", finding=cancer, day=recent)
        yield _Circumstance(words=f"only {cancer.value} on record", facts={"cancer": (only,)})
