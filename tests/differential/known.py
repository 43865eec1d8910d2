"""Where records of one event contradict each other and the rules' words leave room: there the two may differ.

The engine then asks, or holds, where the second implementation takes one record's word, or the other way round; what
was found wrong once is pinned in `test_differential.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import Final

from fhir_mappings.facts import Course, NotRecorded, Syndrome, ToxicityRecord, TreatmentState, When


def end_not_known_beside_another_record(state: TreatmentState) -> bool:
    """A grade 3 neurotoxicity of several records, one of them without its end: its improvement is lost or denied."""
    neuro = of_syndrome(state, Syndrome.NEUROTOXICITY)
    is_endless = any(r.course is not Course.OPEN and not isinstance(r.end, When) for r in neuro)
    return len(neuro) > 1 and is_endless and any(grade(r) >= 3 for r in neuro)


def milder_on_the_day_of_another_record(state: TreatmentState) -> bool:
    """A grade 0 or 1 of the same day closes a toxicity or documents its fall, also if it was seen hours before it."""
    for syndrome in (Syndrome.CRS, Syndrome.NEUROTOXICITY):
        records = of_syndrome(state, syndrome)
        mild = [r for r in records if r.grade is not NotRecorded and grade(r) <= 1]
        others = [(one, other) for one in mild for other in records if one.grade != other.grade]
        if any(day_of(one) == day_of(other) for one, other in others):
            return True
    return False


def without_end_beside_a_resolved_one(state: TreatmentState) -> bool:
    """What knows no end is closed by a record that ended when it began, or began before it and ended who knows when."""
    for syndrome in (Syndrome.CRS, Syndrome.NEUROTOXICITY):
        courses = {r.course for r in of_syndrome(state, syndrome)}
        if courses & {Course.OUTCOME_MISSING, Course.POINT} and Course.RESOLVED in courses:
            return True
    return False


def day_of(record: ToxicityRecord) -> date | None:
    return record.onset.earliest if isinstance(record.onset, When) else None


def of_syndrome(state: TreatmentState, syndrome: Syndrome) -> list[ToxicityRecord]:
    return [r for r in state.toxicities if r.syndrome is syndrome]


def grade(record: ToxicityRecord) -> int:
    return 0 if record.grade is NotRecorded else record.grade.value


KNOWN: Final[Mapping[str, Callable[[TreatmentState], bool]]] = {
    "milder on the day of another record": milder_on_the_day_of_another_record,
    "end not known beside another record": end_not_known_beside_another_record,
    "without end beside a resolved one": without_end_beside_a_resolved_one,
}


def known_as(state: TreatmentState) -> str:
    """The name of the shape that explains a difference, "" if none does."""
    return next((name for name, holds in KNOWN.items() if holds(state)), "")
