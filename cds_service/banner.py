"""Whose record is shown? Name, birth date and id of a Patient, read tolerantly, so that people recognise them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cds_service.cards import visible

DATE: Final = re.compile(r"\d{4}(-\d\d(-\d\d)?)?")
USES: Final = ("official", "usual")
"""Of several names these are shown first."""

LONGEST: Final = 120


@dataclass(frozen=True, kw_only=True)
class Banner:
    """`name` and `born` are "" where the record does not say them; text of the record, to be escaped."""

    id: str
    name: str = ""
    born: str = ""


def banner(patient: Mapping[str, Any]) -> Banner:
    """Who this is. An unreadable name or birth date is none."""
    born = patient.get("birthDate")
    is_date = isinstance(born, str) and DATE.fullmatch(born) is not None
    return Banner(id=_line(patient.get("id")), name=_name(patient.get("name")), born=str(born) if is_date else "")


def _name(names: Any) -> str:
    found = [name for name in _listed(names) if isinstance(name, Mapping) and name.get("use") != "old"]
    found.sort(key=lambda name: USES.index(name["use"]) if name.get("use") in USES else len(USES))
    return next((text for name in found if (text := _one(name))), "")


def _one(name: Mapping[str, Any]) -> str:
    """`text`, or the given names and the family name; DSTU2 has a list of family names."""
    parts = (*_listed(name.get("given")), *_listed(name.get("family")))
    return _line(name.get("text")) or _line(" ".join(map(_line, parts)))


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _line(text: Any) -> str:
    line = visible(text) if isinstance(text, str) else ""
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
