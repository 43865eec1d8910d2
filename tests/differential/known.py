"""Where the engine is known to be wrong: the shapes of histories in which it may differ until it is mended.

Each has its minimal history, and what should come, as an expected failure in `test_differential.py`: the mend of the
engine makes that test pass, and then the test and the shape here go.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import date
from typing import Final

from fhir_mappings.facts import Course, NotRecorded, Syndrome, ToxicityRecord, TreatmentState, When


def results_of_one_day(state: TreatmentState) -> bool:
    """Two results of an analyte on its newest day: the engine takes the one received last, not the worse one."""
    days = Counter((r.analyte, r.day.earliest) for r in state.labs if isinstance(r.day, When))
    return any(count > 1 for count in days.values())


def end_not_known_beside_another_record(state: TreatmentState) -> bool:
    """A grade 3 neurotoxicity of several records, one of them without its end: its improvement is lost or denied."""
    neuro = of_syndrome(state, Syndrome.NEUROTOXICITY)
    is_endless = any(r.course is not Course.OPEN and not isinstance(r.end, When) for r in neuro)
    return len(neuro) > 1 and is_endless and any(grade(r) >= 3 for r in neuro)


def open_without_grade_beside_a_graded_one(state: TreatmentState) -> bool:
    """An open record without a grade takes the grade of another record of its episode, and so becomes a warning."""
    for syndrome in (Syndrome.CRS, Syndrome.NEUROTOXICITY):
        records = of_syndrome(state, syndrome)
        is_open = any(r.course is Course.OPEN and r.grade is NotRecorded for r in records)
        if is_open and any(r.grade is not NotRecorded for r in records):
            return True
    return False


def milder_on_the_day_of_another_record(state: TreatmentState) -> bool:
    """A grade 0 or 1 of the same day closes a toxicity or documents its fall, also if it was seen hours before it."""
    for syndrome in (Syndrome.CRS, Syndrome.NEUROTOXICITY):
        records = of_syndrome(state, syndrome)
        mild = [r for r in records if r.grade is not NotRecorded and grade(r) <= 1]
        others = [(one, other) for one in mild for other in records if one.grade != other.grade]
        if any(day_of(one) == day_of(other) for one, other in others):
            return True
    return False


def absent_after_an_end(state: TreatmentState) -> bool:
    """A grade 0 after a resolved record moves the end of that record to its own day."""
    for syndrome in (Syndrome.CRS, Syndrome.NEUROTOXICITY):
        records = of_syndrome(state, syndrome)
        is_absent = any(r.grade is not NotRecorded and grade(r) == 0 for r in records)
        if is_absent and any(r.course is Course.RESOLVED for r in records):
            return True
    return False


def without_end_beside_a_resolved_one(state: TreatmentState) -> bool:
    """What knows no end is closed by a record that ended when it began, or began before it and ended who knows when."""
    for syndrome in (Syndrome.CRS, Syndrome.NEUROTOXICITY):
        courses = {r.course for r in of_syndrome(state, syndrome)}
        if courses & {Course.OUTCOME_MISSING, Course.POINT} and Course.RESOLVED in courses:
            return True
    return False


def unconfirmed_after_a_confirmed_one(state: TreatmentState) -> bool:
    """A later unconfirmed neurotoxicity hides the STOP that rests on confirmed ones before it."""
    neuro = of_syndrome(state, Syndrome.NEUROTOXICITY)
    confirmed = [r for r in neuro if r.confirmed]
    return len(confirmed) < len(neuro) and any(grade(r) >= 3 for r in confirmed)


def day_of(record: ToxicityRecord) -> date | None:
    return record.onset.earliest if isinstance(record.onset, When) else None


def of_syndrome(state: TreatmentState, syndrome: Syndrome) -> list[ToxicityRecord]:
    return [r for r in state.toxicities if r.syndrome is syndrome]


def grade(record: ToxicityRecord) -> int:
    return 0 if record.grade is NotRecorded else record.grade.value


KNOWN: Final[Mapping[str, Callable[[TreatmentState], bool]]] = {
    "milder on the day of another record": milder_on_the_day_of_another_record,
    "absent after an end": absent_after_an_end,
    "results of one day": results_of_one_day,
    "end not known beside another record": end_not_known_beside_another_record,
    "without end beside a resolved one": without_end_beside_a_resolved_one,
    "open without grade beside a graded one": open_without_grade_beside_a_graded_one,
    "unconfirmed after a confirmed one": unconfirmed_after_a_confirmed_one,
}


def known_as(state: TreatmentState) -> str:
    """The name of the shape that explains a difference, "" if none does."""
    return next((name for name, holds in KNOWN.items() if holds(state)), "")
