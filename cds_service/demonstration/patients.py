"""The patients of the test bench: what a vignette tells, moved so that its day is today.

patients.json is written from the vignettes by `python -m tests.demonstration`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec

from cds_service.json_numbers import number_or_text

FILE: Final = Path(__file__).with_name("patients.json")
DAY: Final = re.compile(r"(\d{4}-\d\d-\d\d)(T.*)?", re.DOTALL)
Resource = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Patient:
    """One example: who it is, what is asked, and the call with which the question comes up.

    `day` is the one that the story calls today. `drafts` and `visits` are proposed by the call; `record` is what the
    FHIR server holds, the Patient first.
    """

    id: str
    group: str
    name: str
    question: str
    hook: str
    day: date
    drafts: tuple[Resource, ...]
    visits: tuple[Resource, ...]
    record: tuple[Resource, ...]

    def on(self, today: date) -> Patient:
        """The same story with its day moved to `today`; times of the day stay."""
        by = today - self.day
        return replace(
            self,
            day=today,
            drafts=tuple(shifted(self.drafts, by)),
            visits=tuple(shifted(self.visits, by)),
            record=tuple(shifted(self.record, by)),
        )


def shifted(said: Any, by: timedelta) -> Any:
    """The same with every day and moment in it moved; days of a month or a year alone stay."""
    match said:
        case Mapping():
            return {name: shifted(part, by) for name, part in said.items()}
        case list() | tuple():
            return [shifted(part, by) for part in said]
        case str() if (found := DAY.fullmatch(said)) is not None:
            return (date.fromisoformat(found[1]) + by).isoformat() + (found[2] or "")
        case _:
            return said


def load(file: Path = FILE) -> tuple[Patient, ...]:
    """All examples, in the order of the list."""
    return tuple(_patient(said) for said in msgspec.json.Decoder(float_hook=number_or_text).decode(file.read_bytes()))


def _patient(said: Mapping[str, Any]) -> Patient:
    return Patient(
        id=said["id"],
        group=said["group"],
        name=said["name"],
        question=said["question"],
        hook=said["hook"],
        day=date.fromisoformat(said["day"]),
        drafts=tuple(said["drafts"]),
        visits=tuple(said["visits"]),
        record=tuple(said["record"]),
    )


def as_choice(patient: Patient) -> Mapping[str, Any]:
    """What the page needs to offer a patient: all but the record, which stays on the FHIR server."""
    texts = {name: getattr(patient, name) for name in ("id", "group", "name", "question", "hook")}
    return {**texts, "day": patient.day.isoformat(), "drafts": patient.drafts, "visits": patient.visits}


def encode(said: Any) -> bytes:
    """As JSON, with decimals as they were written."""
    return msgspec.json.Encoder(decimal_format="number").encode(said)
