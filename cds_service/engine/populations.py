"""Is there a reason in the patient: fertility, pregnancy, lactation, kidney, liver, age, indication, progression?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date
from decimal import ROUND_DOWN, Decimal
from typing import Final

from cds_service.engine.advice import Because, Finding, Line
from cds_service.engine.case import Case
from cds_service.engine.course import months_after
from cds_service.engine.grading import (
    age_days,
    estimated_gfr,
    is_above,
    is_above_normal,
    is_below,
    result_day,
    result_text,
)
from cds_service.engine.words import day_text, listed
from cds_service.knowledge.regimen import Range, Row
from fhir_mappings.facts import (
    Analyte,
    CancerFinding,
    FeedingFinding,
    FeedingRecord,
    FertilityFinding,
    LabResult,
    MaybeWhen,
    OrganFinding,
    PregnancyFinding,
    PregnancyRecord,
    Sex,
    When,
)

Question = Callable[[Case, Row], Finding | None]
PREGNANT: Final = frozenset({PregnancyFinding.PREGNANT, PregnancyFinding.POSITIVE_TEST})
NOT_PREGNANT: Final = frozenset({PregnancyFinding.NOT_PREGNANT, PregnancyFinding.NEGATIVE_TEST})
INFERTILE: Final = frozenset({FertilityFinding.NO_UTERUS, FertilityFinding.STERILISED, FertilityFinding.MENOPAUSE})
SCLC: Final = frozenset(
    {CancerFinding.SMALL_CELL, CancerFinding.SMALL_CELL_EXTENSIVE, CancerFinding.SMALL_CELL_LIMITED}
)


def _applies(case: Case, row: Row) -> bool:
    """Rows for first and restarted doses are silent at later ones."""
    return case.is_start or not row.flag("restart_only")


def _latest(when: MaybeWhen) -> date:
    return when.latest if isinstance(when, When) else date.min


def _earliest(when: MaybeWhen) -> date:
    return when.earliest if isinstance(when, When) else date.min


def full_years(born: date, on: date) -> int:
    return on.year - born.year - ((on.month, on.day) < (born.month, born.day))


def ages_on(born: MaybeWhen, on: When) -> Range | None:
    """The ages that a birth date leaves open on a day; None where it is not known."""
    if not isinstance(born, When):
        return None
    return Range(at_least=full_years(born.latest, on.earliest), at_most=full_years(born.earliest, on.latest))


def _overlap(one: Range, other: Range) -> bool:
    low = max(one.at_least or 0, other.at_least or 0)
    high = min(x for x in (one.at_most, other.at_most, 200) if x is not None)
    return low <= high


# --- pregnancy and contraception -------------------------------------------------------------------------------


def of_reproductive_potential(case: Case, ages: Range) -> bool:
    """Whether a pregnancy is possible as far as the record tells: unknown sex or age counts as possible.

    Source: clinical-rules "Populations"; D-21.
    """
    findings = {record.finding for record in case.state.fertility}
    pregnant_ever = any(record.finding in PREGNANT for record in case.state.pregnancy)
    has_uterus = FertilityFinding.UTERUS_EVIDENCE in findings or pregnant_ever
    if case.state.patient.sex is Sex.MALE and not has_uterus:
        return False
    if findings & INFERTILE:
        return False
    age = ages_on(case.state.patient.born, case.on)
    return age is None or _overlap(age, ages)


def _is_open(record: PregnancyRecord, case: Case) -> bool:
    return not isinstance(record.end, When) or record.end.latest > case.call.today


def _standing(case: Case) -> list[PregnancyRecord]:
    """Records of pregnancy that no later end, status or negative test has closed."""
    against = [record.day for record in _against(case)]
    return [
        record
        for record in case.state.pregnancy
        if record.finding in PREGNANT
        and _is_open(record, case)
        and not (isinstance(record.day, When) and any(_earliest(day) > record.day.latest for day in against))
    ]


def _is_contradicted(record: PregnancyRecord, case: Case) -> bool:
    """A negative finding of the same day beside it, or one where either has no day: which is later cannot be told."""
    against = [other.day for other in case.state.pregnancy if other.finding in NOT_PREGNANT]
    if not isinstance(record.day, When):
        return bool(against)
    return any(not isinstance(day, When) or day.latest == record.day.latest for day in against)


def _is_recent(record: PregnancyRecord, case: Case, days: int) -> bool:
    """Recent enough to go on; a record without a day is taken as recent, the more cautious end."""
    return not isinstance(record.day, When) or (case.call.today - record.day.latest).days <= days


def _pregnancy_because(records: Iterable[PregnancyRecord]) -> tuple[Because, ...]:
    return tuple(Because(reference=r.reference, shows=f"{r.finding.value}, {day_text(r.day)}") for r in records)


def _sure_pregnancies(case: Case, days: int) -> list[PregnancyRecord]:
    return [r for r in _standing(case) if _is_recent(r, case, days) and not _is_contradicted(r, case)]


def pregnant(case: Case, row: Row) -> Finding | None:
    """Is a pregnancy on record that can still go on, and that nothing contradicts?"""
    sure = _sure_pregnancies(case, row.integer("within_days"))
    if not sure:
        return None
    newest_record = max(sure, key=lambda record: _latest(record.day))
    what = "positive test, " if newest_record.finding is PregnancyFinding.POSITIVE_TEST else ""
    onset = what + day_text(newest_record.day)
    found = f"On record: {listed(f'{r.finding.value} on {day_text(r.day)}' for r in sure)}."
    return case.found(row, because=_pregnancy_because(sure), onset=onset, found=found)


def _unclear_since(case: Case, row: Row) -> list[PregnancyRecord]:
    """Unclear findings of a pregnancy that is possible, newer than what speaks against it; before a start asked anyway.

    A finding without a day counts as the newest.
    """
    if case.is_start or not of_reproductive_potential(case, row.range("ages")):
        return []
    against = max((r.day.latest for r in _against(case) if isinstance(r.day, When)), default=date.min)
    unclear = [r for r in case.state.pregnancy if r.finding is PregnancyFinding.UNCERTAIN and _is_open(r, case)]
    recent = [r for r in unclear if _is_recent(r, case, row.integer("within_days"))]
    return [r for r in recent if not isinstance(r.day, When) or r.day.latest > against]


def _against(case: Case) -> list[PregnancyRecord | FeedingRecord]:
    """What speaks against a pregnancy: a status, a negative test, a delivery."""
    deliveries = [record for record in case.state.feeding if record.finding is FeedingFinding.DELIVERY]
    return [*(record for record in case.state.pregnancy if record.finding in NOT_PREGNANT), *deliveries]


def pregnancy_doubtful(case: Case, row: Row) -> Finding | None:
    """Is a pregnancy on record that is too old to go on and was never closed, contradicted, or an unclear one?"""
    days = row.integer("within_days")
    records = _standing(case)
    if _sure_pregnancies(case, days):
        return None
    if records and any(_is_contradicted(record, case) for record in records):
        what = "the record contradicts itself"
    elif records:
        what = f"older than {days} days and never closed"
    else:
        records, what = _unclear_since(case, row), "the newest status on record is unclear"
    if not records:
        return None
    found = f"On record: {listed(f'{r.finding.value} on {day_text(r.day)}' for r in records)}."
    return case.found(row, because=_pregnancy_because(records), what=what, found=found)


def _known_not_pregnant(case: Case, days: int) -> bool:
    """A negative finding of the last days, and no unclear one after it."""
    unclear = [_latest(r.day) for r in case.state.pregnancy if r.finding is PregnancyFinding.UNCERTAIN]
    return any(
        record.finding in NOT_PREGNANT
        and isinstance(record.day, When)
        and (case.on.latest - record.day.earliest).days <= days
        and all(day <= record.day.latest for day in unclear)
        for record in case.state.pregnancy
    )


def pregnancy_not_known(case: Case, row: Row) -> Finding | None:
    """Is a pregnancy possible, and no status or negative test recent enough?"""
    if not _applies(case, row) or not of_reproductive_potential(case, row.range("ages")) or _standing(case):
        return None
    if _known_not_pregnant(case, row.integer("within_days")):
        return None
    older = [r for r in case.state.pregnancy if r.finding not in PREGNANT]
    found = (
        f"Older or unclear: {listed(f'{r.finding.value} on {day_text(r.day)}' for r in older)}."
        if older
        else "No status and no test is on record."
    )
    return case.found(row, because=_pregnancy_because(older), found=found)


def _effective_methods(case: Case) -> list[str]:
    return [r.name for r in case.state.fertility if r.finding is FertilityFinding.EFFECTIVE_CONTRACEPTION]


def _to_advise(case: Case, row: Row) -> bool:
    """Not to a patient who is known to be pregnant; an old record that nobody closed is no such knowledge."""
    days = [r.integer("within_days") for r in case.regimen.table("population").rows if r.text("question") == PREGNANCY]
    pregnant_now = bool(_sure_pregnancies(case, max(days, default=0)))
    return of_reproductive_potential(case, row.range("ages")) and not pregnant_now


def _until(case: Case, row: Row) -> str:
    return months_after(case.on.latest, row.integer("after_months")).isoformat()


def contraception_missing(case: Case, row: Row) -> Finding | None:
    """Is contraception to be advised, and no effective method on record?"""
    if not _applies(case, row) or not _to_advise(case, row) or _effective_methods(case):
        return None
    others = [r for r in case.state.fertility if r.finding is FertilityFinding.OTHER_CONTRACEPTION]
    found = f"On record: {listed(r.name for r in others)}." if others else "No method is on record."
    because = tuple(Because(reference=r.reference, shows=r.name) for r in others)
    return case.found(row, because=because, until=_until(case, row), found=found)


def contraception_on_record(case: Case, row: Row) -> Finding | None:
    """Is contraception to be advised, with an effective method on record?"""
    methods = _effective_methods(case)
    if not _applies(case, row) or not _to_advise(case, row) or not methods:
        return None
    because = tuple(
        Because(reference=r.reference, shows=r.name)
        for r in case.state.fertility
        if r.finding is FertilityFinding.EFFECTIVE_CONTRACEPTION
    )
    return case.found(row, because=because, until=_until(case, row), what=listed(methods))


# --- lactation -------------------------------------------------------------------------------------------------

FEEDING_STATUS: Final = frozenset(
    {FeedingFinding.BREASTFEEDING, FeedingFinding.NOT_BREASTFEEDING, FeedingFinding.UNCERTAIN}
)


def _newest_status(case: Case, findings: frozenset[FeedingFinding] = FEEDING_STATUS) -> FeedingRecord | None:
    """The newest feeding status; of one day, breastfeeding before anything else."""
    own = [record for record in case.state.feeding if record.finding in findings]
    return max(own, key=lambda r: (_latest(r.day), r.finding is FeedingFinding.BREASTFEEDING), default=None)


def _within(when: MaybeWhen, months: int, today: date) -> bool:
    """Recent enough to count; a record without a day counts, the more cautious end."""
    return not isinstance(when, When) or months_after(when.latest, months) >= today


def _feeding_because(records: Iterable[FeedingRecord]) -> tuple[Because, ...]:
    return tuple(Because(reference=r.reference, shows=f"{r.finding.value}, {day_text(r.day)}") for r in records)


def breastfeeding(case: Case, row: Row) -> Finding | None:
    """Is the newest feeding status breastfeeding, and recent? An unclear one after it ends nothing."""
    status = _newest_status(case, FEEDING_STATUS - {FeedingFinding.UNCERTAIN})
    if status is None or status.finding is not FeedingFinding.BREASTFEEDING:
        return None
    if not _within(status.day, row.integer("within_months"), case.call.today):
        return None
    found = f"On record: breastfeeding, {day_text(status.day)}."
    return case.found(row, because=_feeding_because([status]), until=_until(case, row), found=found)


def _is_old_or_unclear(status: FeedingRecord, months: int, today: date) -> bool:
    if status.finding is FeedingFinding.BREASTFEEDING:
        return not _within(status.day, months, today)
    return status.finding is FeedingFinding.UNCERTAIN


def breastfeeding_not_known(case: Case, row: Row) -> Finding | None:
    """Is the feeding status old or unclear, or was there a delivery with the feeding not known?"""
    if not _applies(case, row):
        return None
    months, today, status = row.integer("within_months"), case.call.today, _newest_status(case)
    deliveries = [
        r for r in case.state.feeding if r.finding is FeedingFinding.DELIVERY and _within(r.day, months, today)
    ]
    if status is not None and _is_old_or_unclear(status, months, today):
        asked = [status]
    else:
        asked = [d for d in deliveries if status is None or _latest(status.day) < _latest(d.day)]
    if not asked:
        return None
    found = f"On record: {listed(f'{r.finding.value} on {day_text(r.day)}' for r in asked)}."
    return case.found(row, because=_feeding_because(asked), found=found)


# --- kidney, liver, age ----------------------------------------------------------------------------------------


def _is_new(day: MaybeWhen, case: Case) -> bool:
    """Newer than the last dose."""
    last = case.call.course.last_exposure
    return last is None or not isinstance(day, When) or day.latest > last.day.latest


def _organs(case: Case, *findings: OrganFinding) -> list[tuple[Because, MaybeWhen]]:
    return [
        (Because(reference=organ.reference, shows=organ.finding.value), organ.day)
        for organ in case.state.organs
        if organ.finding in findings
    ]


def _renal_evidence(case: Case, row: Row) -> list[tuple[Because, MaybeWhen]]:
    found = _organs(case, OrganFinding.KIDNEY_STAGE_4_OR_5, OrganFinding.DIALYSIS)
    for analyte in (Analyte.EGFR, Analyte.CREATININE_CLEARANCE):
        result = _recent_or_undated(case, analyte, row.integer("within_days"))
        if result is not None and is_below(result, row.number("below")):
            found.append((_lab_because(result), result.day))
    computed = _computed_gfr(case, row)
    return found + ([computed] if computed is not None else [])


def _recent(case: Case, analyte: Analyte, days: int) -> LabResult | None:
    result = case.call.newest.get(analyte)
    return result if result is not None and age_days(result, case.call.today) <= days else None


def _recent_or_undated(case: Case, analyte: Analyte, days: int) -> LabResult | None:
    """A result without a readable day may be of today: it can warn, but it reassures nobody."""
    result = case.call.newest.get(analyte)
    is_undated = result is not None and not isinstance(result.day, When)
    return result if is_undated else _recent(case, analyte, days)


def _lab_because(result: LabResult) -> Because:
    shows = f"{result.analyte.value} {result_text(result)} on {day_text(result.day)}"
    return Because(reference=result.reference, shows=shows)


def _computed_gfr(case: Case, row: Row) -> tuple[Because, MaybeWhen] | None:
    """CKD-EPI 2021 from a creatinine that is newer than any reported eGFR or clearance."""
    creatinine = _recent_or_undated(case, Analyte.CREATININE, row.integer("within_days"))
    age = ages_on(case.state.patient.born, case.on)
    if creatinine is None or creatinine.value is None or not creatinine.value or age is None or age.at_most is None:
        return None
    reported = [_recent(case, a, row.integer("within_days")) for a in (Analyte.EGFR, Analyte.CREATININE_CLEARANCE)]
    if any(r is not None and result_day(r) >= result_day(creatinine) for r in reported):
        return None
    adult = next(r.integer("years") for r in case.regimen.table("population").rows if r.has("years"))
    if age.at_most < adult:
        return None
    gfr = estimated_gfr(creatinine.value, age.at_most, case.state.patient.sex)
    if gfr >= row.number("below"):
        return None
    figure = gfr.quantize(Decimal("0.1"), rounding=ROUND_DOWN)  # 29.96 must not read as 30
    source = f"creatinine {result_text(creatinine)} on {day_text(creatinine.day)}"
    shows = f"eGFR {figure} by CKD-EPI 2021 from {source}"
    return Because(reference=creatinine.reference, shows=shows), creatinine.day


def _organ_finding(case: Case, row: Row, evidence: list[tuple[Because, MaybeWhen]]) -> Finding | None:
    """A card at a first or restarted dose or on a result newer than the last dose."""
    if not evidence or not (case.is_start or any(_is_new(day, case) for _, day in evidence)):
        return None
    because = tuple(b for b, _ in evidence)
    return case.found(
        row, because=because, what=because[0].shows, found=f"On record: {listed(b.shows for b in because)}."
    )


def severe_renal(case: Case, row: Row) -> Finding | None:
    """Is severe renal impairment on record?"""
    return _organ_finding(case, row, _renal_evidence(case, row))


def _hepatic_evidence(case: Case, row: Row) -> list[tuple[Because, MaybeWhen]]:
    found = _organs(case, OrganFinding.CHILD_PUGH_B_OR_C)
    bilirubin = _recent_or_undated(case, Analyte.BILIRUBIN, row.integer("within_days"))
    if bilirubin is None:
        return found
    without_range = bilirubin.upper_normal is None and is_above(bilirubin, row.number("above"))
    if is_above_normal(bilirubin, row.number("above_uln")) or without_range:
        found.append((_lab_because(bilirubin), bilirubin.day))
    return found


def hepatic_impairment(case: Case, row: Row) -> Finding | None:
    """Is moderate or severe hepatic impairment (NCI-ODWG by bilirubin, or Child-Pugh B or C) on record?"""
    return _organ_finding(case, row, _hepatic_evidence(case, row))


def not_certain_of_age(case: Case, row: Row) -> Finding | None:
    """Is the patient under age on the planned day, or not certain to be of age?"""
    if not _applies(case, row) or not case.call.was_read("patient"):
        return None
    ages, years, born = ages_on(case.state.patient.born, case.on), row.integer("years"), case.state.patient.born
    if ages is not None and ages.at_least is not None and ages.at_least >= years:
        return None
    if ages is None:
        what, found = "no birth date is on record", "No readable birth date is on record."
    elif ages.at_most is not None and ages.at_most < years:
        what, found = f"under {years} years on {day_text(case.on)}", f"Born {day_text(born)}."
    else:
        what, found = f"not certain to be {years} on {day_text(case.on)}", f"Born {day_text(born)}."
    because = (
        (Because(reference=case.state.patient.reference, shows=f"birth date {day_text(born)}"),)
        if case.state.patient.reference
        else ()
    )
    return case.found(row, because=because, what=what, found=found)


# --- indication and progression --------------------------------------------------------------------------------


def _cancer(case: Case, *findings: CancerFinding) -> list[tuple[Because, MaybeWhen]]:
    return [
        (Because(reference=r.reference, shows=f"{r.name or r.finding.value}, {day_text(r.day)}"), r.day)
        for r in case.state.cancer
        if r.finding in findings
    ]


def indication_absent(case: Case, row: Row) -> Finding | None:
    """Is no small-cell lung cancer on record, and no lung cancer that could be one?"""
    if not _applies(case, row) or _cancer(case, *SCLC):
        return None
    others = _cancer(case, CancerFinding.NOT_SMALL_CELL)
    if not others and (_cancer(case, CancerFinding.LUNG_UNSPECIFIED) or not case.call.was_read("conditions")):
        return None
    because = tuple(b for b, _ in others)
    found = f"On record: {listed(b.shows for b in because)}." if others else "No lung cancer is on record."
    return case.found(row, because=because, found=found)


def indication_incomplete(case: Case, row: Row) -> Finding | None:
    """Does the record leave histology, stage, platinum or progression open?"""
    if not _applies(case, row):
        return None
    sclc = _cancer(case, *SCLC)
    lung = _cancer(case, CancerFinding.LUNG_UNSPECIFIED)
    if not sclc and (not lung or _cancer(case, CancerFinding.NOT_SMALL_CELL)):
        return None
    open_points = _open_points(case, bool(sclc))
    if not open_points:
        return None
    because = tuple(b for b, _ in (*sclc, *lung))
    return case.found(
        row, because=because, what=listed(open_points), found=f"On record: {listed(b.shows for b in because)}."
    )


def _open_points(case: Case, has_histology: bool) -> list[str]:
    points: list[str] = []
    extensive, limited = (
        _cancer(case, CancerFinding.SMALL_CELL_EXTENSIVE),
        _cancer(case, CancerFinding.SMALL_CELL_LIMITED),
    )
    if not has_histology:
        points.append("lung cancer without histology")
    if limited and not extensive:
        points.append("limited stage is on record")
    platinum = _cancer(case, CancerFinding.PLATINUM)
    if not platinum:
        if case.call.was_read("medicationRequests", "medicationAdministrations", "procedures"):
            points.append("no platinum chemotherapy on record")
    elif not _progressed_after(case, platinum) and case.call.was_read("observations", "conditions"):
        points.append("no progression on or after platinum on record")
    return points


def _progressed_after(case: Case, platinum: list[tuple[Because, MaybeWhen]]) -> bool:
    """Progression on or after the first platinum, also during it (D-3); without a day it is taken as after."""
    start = min((_earliest(day) for _, day in platinum), default=date.min)
    return any(not isinstance(day, When) or day.latest >= start for _, day in _cancer(case, CancerFinding.PROGRESSION))


def progression_since(case: Case, row: Row) -> Finding | None:
    """Was progression recorded after the last dose given?"""
    last = case.call.course.last_exposure
    if last is None:
        return None
    since = [
        (b, day)
        for b, day in _cancer(case, CancerFinding.PROGRESSION)
        if isinstance(day, When) and day.latest > last.day.latest
    ]
    if not since:
        return None
    because = tuple(b for b, _ in since)
    onset = day_text(max((day for _, day in since), key=lambda day: day.latest))
    return case.found(row, because=because, onset=onset, found=f"On record: {listed(b.shows for b in because)}.")


def _undated_progression(case: Case) -> list[Because]:
    """Progression of an unknown day: asked about in a line, for before the first dose it is the indication."""
    if case.call.course.last_exposure is None:
        return []
    return [b for b, day in _cancer(case, CancerFinding.PROGRESSION) if not isinstance(day, When)]


PREGNANCY: Final = "pregnant"
PROGRESSED: Final = "progression after the last dose"
MAY_END_TREATMENT: Final = frozenset({PREGNANCY, PROGRESSED})
"""What is asked about before another dose is so much as booked."""
QUESTIONS: Final[Mapping[str, Question]] = {
    PREGNANCY: pregnant,
    "pregnancy never closed or contradictory": pregnancy_doubtful,
    "pregnancy status not known": pregnancy_not_known,
    "no effective contraception on record": contraception_missing,
    "effective contraception on record": contraception_on_record,
    "breastfeeding": breastfeeding,
    "breastfeeding not known": breastfeeding_not_known,
    "severe renal impairment": severe_renal,
    "moderate or severe hepatic impairment": hepatic_impairment,
    "not certain to be of age": not_certain_of_age,
    "no small-cell lung cancer on record": indication_absent,
    "indication not complete on record": indication_incomplete,
    PROGRESSED: progression_since,
}


def population_lines(case: Case) -> tuple[Line, ...]:
    """What later doses still say in one line: contraception, and organ impairment already assessed."""
    lines: list[Line] = []
    for row in case.regimen.table("population").rows:
        question = row.text("question")
        if question == "effective contraception on record" and not case.is_start and _to_advise(case, row):
            lines.append(Line(row=row, slots=case.slots | {"until": _until(case, row)}))
        evidence = []
        if question == "severe renal impairment":
            evidence = _renal_evidence(case, row)
        elif question == "moderate or severe hepatic impairment":
            evidence = _hepatic_evidence(case, row)
        if evidence and _organ_finding(case, row, evidence) is None:
            lines.append(Line(row=row, slots=case.slots | {"what": evidence[0][0].shows}))
        undated = _undated_progression(case) if question == PROGRESSED else []
        if undated:
            lines.append(Line(row=row, slots=case.slots | {"what": listed(b.shows for b in undated)}))
    return (*lines, *_not_assessable(case))


def _not_assessable(case: Case) -> list[Line]:
    rows = {row.text("question"): row for row in case.regimen.table("population").rows}
    missing: list[str] = []
    renal, hepatic = rows.get("severe renal impairment"), rows.get("moderate or severe hepatic impairment")
    kidney = (Analyte.EGFR, Analyte.CREATININE_CLEARANCE, Analyte.CREATININE)
    if renal is not None and not any(_recent(case, a, renal.integer("within_days")) for a in kidney):
        missing.append(f"kidney function (no result of the last {renal.integer('within_days')} days)")
    if hepatic is not None and _recent(case, Analyte.BILIRUBIN, hepatic.integer("within_days")) is None:
        missing.append(f"hepatic impairment (no bilirubin of the last {hepatic.integer('within_days')} days)")
    return [case.line("organ function missing", what=listed(missing))] if missing else []
