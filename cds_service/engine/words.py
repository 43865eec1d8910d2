"""How facts are put into the slots of a sentence: dates, doses, grades. No decision is made here."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from cds_service.engine.advice import Because
from cds_service.knowledge.regimen import Dose
from fhir_mappings.facts import Course, Grade, MaybeWhen, ToxicityRecord, When

NOT_KNOWN: Final = "not known"
NAMES_A_GRADE: Final = re.compile(r"grade\s*([0-5]|I{1,3}|IV|V)\b|\bG[0-5]\b", re.IGNORECASE)


def mg_text(mg: Decimal | None) -> str:
    """An amount for a sentence: `10 mg`, `0.4 mg`; "an unreadable amount" for None."""
    return "an unreadable amount" if mg is None else str(Dose(mg=mg))


def day_text(when: MaybeWhen) -> str:
    """A day for a sentence; a range says both ends, an unknown one says so."""
    if not isinstance(when, When):
        return "day not recorded"
    if when.is_certain:
        return when.earliest.isoformat()
    return f"{when.earliest.isoformat()} to {when.latest.isoformat()}"


def clock_text(when: MaybeWhen) -> str:
    """` at 09:00`, or nothing without a clock time."""
    if isinstance(when, When) and when.instant is not None:
        return f" at {when.instant:%H:%M}"
    return ""


def count_text(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def ordinal_text(number: int) -> str:
    """`12th`, `1st`, `22nd`."""
    if number % 100 in {11, 12, 13}:
        return f"{number}th"
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') }"


def listed(items: Iterable[str]) -> str:
    """`a, b and c`, each once, in order."""
    unique = list(dict.fromkeys(item for item in items if item))
    if len(unique) < 2:
        return "".join(unique)
    return ", ".join(unique[:-1]) + " and " + unique[-1]


def record_text(record: ToxicityRecord) -> str:
    """What one toxicity record shows, for the evidence: `CRS grade 2, onset 2026-01-10, resolved 2026-01-12`."""
    grade = record.grade
    said = [record.label or record.syndrome.value]
    if record.ice_score is not None:
        said.append(f"ICE score {record.ice_score}")
    elif isinstance(grade, Grade) and not NAMES_A_GRADE.search(said[0]):
        said.append(f"{'at least ' if grade.at_least else ''}grade {grade.value}")
    if record.course is Course.POINT:
        said.append(f"on {day_text(record.onset)}")
    else:
        ended = f"ended {day_text(record.end)}" if isinstance(record.end, When) else record.course.value
        said += [f"onset {day_text(record.onset)}", ended]
    if not record.confirmed:
        said.append("unconfirmed")
    return ", ".join(said)


def shows(records: Iterable[ToxicityRecord]) -> tuple[Because, ...]:
    return tuple(Because(reference=record.reference, shows=record_text(record)) for record in records)
