"""From a number to a grade or class: CTCAE laboratory grades, ASTCT hints from vital signs, kidney function.

Values are compared as they are, never rounded. A bound (`<15`) decides only where every value it allows decides alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Final

from cds_service.engine.words import day_text
from cds_service.knowledge.regimen import Regimen, Row
from fhir_mappings.facts import (
    Analyte,
    Bound,
    LabResult,
    MaybeWhen,
    Sex,
    SupportKind,
    TreatmentState,
    Vital,
    VitalSign,
    When,
)

UNITS: Final = {
    Analyte.NEUTROPHILS: "× 10⁹/L",
    Analyte.PLATELETS: "× 10⁹/L",
    Analyte.HAEMOGLOBIN: "g/dL",
    Analyte.ALT: "U/L",
    Analyte.AST: "U/L",
    Analyte.BILIRUBIN: "mg/dL",
    Analyte.CREATININE: "mg/dL",
    Analyte.EGFR: "mL/min/1.73 m²",
    Analyte.CREATININE_CLEARANCE: "mL/min",
}
VITAL_UNITS: Final = {
    Vital.TEMPERATURE: "°C",
    Vital.SYSTOLIC: "mmHg",
    Vital.OXYGEN_FLOW: "L/min",
    Vital.OXYGEN_SATURATION: "%",
}
_NO_CLOCK: Final = datetime.min.replace(tzinfo=UTC)
_BEFORE_ALL: Final = (date.min, _NO_CLOCK)
HIGH_IS_WORSE: Final = frozenset({Analyte.ALT, Analyte.AST, Analyte.BILIRUBIN, Analyte.CREATININE})
IN_MULTIPLES: Final = frozenset({Analyte.ALT, Analyte.AST, Analyte.BILIRUBIN})


def is_below(result: LabResult, threshold: Decimal) -> bool:
    """Whether the true value is certainly below the threshold (exactly at it is not)."""
    if result.value is None or result.bound is Bound.ABOVE:
        return False
    return result.value < threshold or (result.bound is Bound.BELOW and result.value <= threshold)


def is_above(result: LabResult, threshold: Decimal) -> bool:
    """Whether the true value is certainly above the threshold (exactly at it is not)."""
    if result.value is None or result.bound is Bound.BELOW:
        return False
    return result.value > threshold or (result.bound is Bound.ABOVE and result.value >= threshold)


def is_above_normal(result: LabResult, times: Decimal) -> bool:
    """Whether the result is above this many times the upper end of its own range; False without a range."""
    return result.upper_normal is not None and is_above(result, result.upper_normal * times)


def grade_of(result: LabResult, regimen: Regimen) -> int:
    """The worst CTCAE grade that a row of `lab_grades` gives the result; 0 where none holds."""
    row = grading_row(result, regimen)
    return row.integer("grade") if row is not None else 0


def grading_row(result: LabResult, regimen: Regimen) -> Row | None:
    """The row of `lab_grades` that gives the result its worst CTCAE grade; None where none holds.

    Source: CTCAE v5, knowledge 4.3.
    """
    held = [row for row in _rows_about(result.analyte, regimen) if _holds(row, result)]
    return max(held, key=lambda row: row.integer("grade"), default=None)


def _rows_about(analyte: Analyte, regimen: Regimen) -> tuple[Row, ...]:
    return regimen.table("lab_grades").rows_where("analyte", analyte.value)


def _holds(row: Row, result: LabResult) -> bool:
    if row.has("below"):
        return is_below(result, row.number("below"))
    return is_above_normal(result, row.number("above_uln"))


def needs_range(result: LabResult, regimen: Regimen) -> bool:
    """Whether the grade of this result cannot be told for want of an upper normal."""
    return result.upper_normal is None and any(row.has("above_uln") for row in _rows_about(result.analyte, regimen))


def result_text(result: LabResult) -> str:
    """`0.8 × 10⁹/L`, `4.8 mg/dL (4.00×ULN)`; with `<` or `>` where it is a bound."""
    if result.value is None:
        return f"{result.analyte.value}: {result.refused}"
    bound = "" if result.bound is Bound.EXACT else result.bound.value
    text = f"{bound}{result.value.normalize():f} {UNITS[result.analyte]}"
    if result.upper_normal and result.analyte in IN_MULTIPLES:
        text += f" ({(result.value / result.upper_normal).quantize(Decimal('0.01'))}×ULN)"
    return text + (" (preliminary)" if result.preliminary else "")


def graded_text(result: LabResult, regimen: Regimen) -> str:
    """`0.8 × 10⁹/L (CTCAE grade 3)`; without a grade where no row gives one."""
    grade = grade_of(result, regimen)
    return result_text(result) + (f" (CTCAE grade {grade})" if grade else "")


def result_day(result: LabResult) -> date:
    """The latest day the result can be of; the beginning of time for a result without a day."""
    return result.day.latest if isinstance(result.day, When) else date.min


def _newest_key(result: LabResult) -> tuple[date, datetime]:
    """Of one day, a result with a clock time is newer than one without."""
    day = result.day
    return (day.latest, day.instant or _NO_CLOCK) if isinstance(day, When) else _BEFORE_ALL


def newest(own: Iterable[LabResult]) -> LabResult | None:
    """The newest usable result of one analyte; of equals the worse one, and the later one in the record."""
    found: LabResult | None = None
    moment = _BEFORE_ALL
    for result in own:
        if result.value is None:
            continue
        key = _newest_key(result)
        if found is None or key > moment or (key == moment and _badness(result) >= _badness(found)):
            found, moment = result, key
    return found


def newest_of_each(results: Mapping[Analyte, Iterable[LabResult]]) -> dict[Analyte, LabResult]:
    """The same for every analyte that has a usable one."""
    found = {analyte: newest(own) for analyte, own in results.items()}
    return {analyte: result for analyte, result in found.items() if result is not None}


def _badness(result: LabResult) -> Decimal:
    value = result.value or Decimal(0)
    return value if result.analyte in HIGH_IS_WORSE else -value


def age_days(result: LabResult, today: date) -> int:
    return (today - result_day(result)).days


def refusals(own: Sequence[LabResult], regimen: Regimen) -> list[tuple[LabResult, str]]:
    """Of the results of one analyte those that cannot be used and that nothing newer replaces, each with the reason."""
    usable = newest(own)
    since = result_day(usable) if usable is not None else date.min
    refused = [(result, result.refused) for result in own if result.value is None and result_day(result) >= since]
    if usable is not None and usable.range_refused:
        refused.append((usable, usable.range_refused))
    elif usable is not None and needs_range(usable, regimen):
        refused.append((usable, f"{result_text(usable)}, no reference range: no grade can be told"))
    return refused


@dataclass(frozen=True, kw_only=True)
class CrsHint:
    """What vital signs and supports suggest: the worst grade, the findings behind it and the rows that grade them."""

    grade: int
    findings: tuple[tuple[str, str], ...]
    rows: tuple[Row, ...]


def crs_hint(state: TreatmentState, regimen: Regimen, since: When, not_before: datetime) -> CrsHint | None:
    """The ASTCT grade that signs after `since`, and not older than `not_before`, suggest; None without any.

    Never a diagnosis, and never above or below a clinician's grade.
    Source: ASTCT (Lee 2019), knowledge 4.1.
    """
    recent: dict[str, list[VitalSign]] = {}
    for vital in state.vitals:
        if _is_recent(vital.at, since, not_before):
            recent.setdefault(vital.vital.value, []).append(vital)
    signs = {
        row: _supports(row, state, since, not_before) if row.has("count_from") else _signs(row, recent)
        for row in regimen.table("crs_grades").rows
    }
    held = [row for row, found in signs.items() if found]
    if not held:
        return None
    findings = dict.fromkeys(sign for row in held for sign in signs[row])
    return CrsHint(grade=max(row.integer("grade") for row in held), findings=tuple(findings), rows=tuple(held))


def _supports(row: Row, state: TreatmentState, since: When, not_before: datetime) -> list[tuple[str, str]]:
    kind = SupportKind(row.text("sign"))
    supports = [s for s in state.supports if s.kind is kind and _is_recent(s.at, since, not_before)]
    names = {support.name.lower() for support in supports}
    enough = len(names) >= row.integer("count_from")
    return [(s.reference, f"{s.name} ({day_text(s.at)})") for s in supports] if enough else []


def _signs(row: Row, recent: Mapping[str, Sequence[VitalSign]]) -> list[tuple[str, str]]:
    sign = row.text("sign")
    return [
        (vital.reference, f"{sign} {vital.value.normalize():f} {VITAL_UNITS[vital.vital]} ({day_text(vital.at)})")
        for vital in recent.get(sign, ())
        if _beyond(row, vital.value)
    ]


def _beyond(row: Row, value: Decimal) -> bool:
    if row.has("at_least"):
        return value >= row.number("at_least")
    if row.has("below"):
        return value < row.number("below")
    return value > row.number("above")


def _is_recent(at: MaybeWhen, since: When, not_before: datetime) -> bool:
    """Whether a sign is of after the dose, and not too old; one without a day is taken as recent."""
    if not isinstance(at, When):
        return True
    if at.latest < not_before.date() or (at.instant is not None and at.instant < not_before):
        return False
    if at.instant is not None and since.instant is not None:
        return at.instant > since.instant
    return at.latest >= since.earliest


# CKD-EPI 2021 (race-free), constants of knowledge 4.4: kappa, alpha, sex factor.
CKD_EPI: Final = {
    Sex.FEMALE: (Decimal("0.7"), Decimal("-0.241"), Decimal("1.012")),
    Sex.MALE: (Decimal("0.9"), Decimal("-0.302"), Decimal("1")),
}


def estimated_gfr(creatinine: Decimal, age: int, sex: Sex) -> Decimal:
    """eGFR by CKD-EPI 2021; of the two formulas the lower result where the sex is not recorded.

    Units: creatinine mg/dL, age whole years, result mL/min/1.73 m².
    Source: knowledge 4.4.
    """
    sexes: Sequence[Sex] = (sex,) if sex in CKD_EPI else tuple(CKD_EPI)
    return min(_ckd_epi(creatinine, age, *CKD_EPI[one]) for one in sexes)


def _ckd_epi(creatinine: Decimal, age: int, kappa: Decimal, alpha: Decimal, factor: Decimal) -> Decimal:
    ratio, one = creatinine / kappa, Decimal(1)
    below, above = Decimal(min(ratio, one)) ** alpha, Decimal(max(ratio, one)) ** Decimal("-1.200")
    return Decimal(142) * below * above * Decimal("0.9938") ** age * factor
