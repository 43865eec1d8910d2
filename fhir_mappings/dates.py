"""FHIR dates and times with their precision, as days in the clinic's zone."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterable
from datetime import date, datetime, timedelta, timezone
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

from fhir_mappings.chart import Resource
from fhir_mappings.elements import Clinic, part, reference_of, words
from fhir_mappings.facts import MaybeWhen, NotRecorded, Unknown, When

_DATE_TIME: Final = re.compile(
    r"(?P<year>\d{4})(?:-(?P<month>\d\d)(?:-(?P<day>\d\d)"
    r"(?:[T ](?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:\.\d+)?)?(?P<offset>Z|z|[+-]\d\d:?\d\d)?)?)?)?",
    re.ASCII,
)
_LONGEST: Final = 200
_YEARS: Final = range(1850, 2200)
"""Years that a record can speak of. Others are mistakes or stand for "never", and leave no room to count days from."""
UNREAD: Final = "its date could not be read"
_PERIODS: Final = (dict, list)
DATE_IN_TEXT: Final = re.compile(r"(?<![\d-])(?:19|20)\d\d-\d\d(?:-\d\d)?(?![\d-])")


def when(value: Any, zone: ZoneInfo, what: str = "date", origin: str = "") -> MaybeWhen:
    """A FHIR date, dateTime or instant as a day or a range of days in the clinic's zone.

    Units: calendar days. A year or a month spans its days. An offset other than Z that puts the instant on another day
    than the zone spans both days.
    Unknown: no FHIR date at all, a day that no calendar has, or one centuries away.
    """
    if value is None:
        return NotRecorded
    return read_when(value, zone) or Unknown(what=what, why=UNREAD, reference=origin)


def read_when(value: Any, zone: ZoneInfo) -> When | None:
    """The same of a value that is there; None where it is no date that can be read."""
    return _when(value.strip(), zone) if isinstance(value, str) and len(value) < _LONGEST else None


@lru_cache(maxsize=4096)
def _when(text: str, zone: ZoneInfo) -> When | None:
    """Kept, for the results of one draw and the records of one visit share their time."""
    found = _DATE_TIME.fullmatch(text)
    try:
        return _read(found, text, zone) if found else None
    except (ValueError, OverflowError):
        return None


def _read(found: re.Match[str], text: str, zone: ZoneInfo) -> When:
    year, month, day = int(found["year"]), int(found["month"] or 0), int(found["day"] or 0)
    if year not in _YEARS:
        raise ValueError("no year of this record")
    if not found["month"]:
        return When(earliest=date(year, 1, 1), latest=date(year, 12, 31), recorded=text)
    if not found["day"]:
        return When(earliest=date(year, month, 1), latest=date(year, month, monthrange(year, month)[1]), recorded=text)
    if not found["hour"]:
        return When(earliest=date(year, month, day), latest=date(year, month, day), recorded=text)
    written = datetime(  # noqa: DTZ001 - the zone follows
        year, month, day, int(found["hour"]), int(found["minute"]), min(int(found["second"] or 0), 59)
    )
    offset = found["offset"]
    instant = written.replace(tzinfo=_offset(offset) if offset else zone).astimezone(zone)
    here, there = instant.date(), written.date() if offset not in ("Z", "z") else instant.date()
    return When(earliest=min(here, there), latest=max(here, there), instant=instant, recorded=text)


def _offset(text: str) -> timezone:
    if text in ("Z", "z"):
        return timezone(timedelta(0))
    distance = timedelta(hours=int(text[1:3]), minutes=int(text[-2:]))
    return timezone(-distance if text[0] == "-" else distance)


def on(day: date) -> When:
    """A certain day without a clock time."""
    return When(earliest=day, latest=day)


def first_when(resource: Resource, zone: ZoneInfo, *names: str) -> MaybeWhen:
    """The first of these elements that is there: a date, or a Period's start."""
    for name in names:
        value = resource.get(name)
        if isinstance(value, _PERIODS):
            value = part(value, "start")
        if value is not None:
            return read_when(value, zone) or _unread(resource)
    return NotRecorded


def _unread(resource: Resource) -> Unknown:
    return Unknown(what=words(resource.get("resourceType")), why=UNREAD, reference=reference_of(resource))


def end_of(resource: Resource, clinic: Clinic, names: Iterable[str]) -> MaybeWhen:
    """The end of the first of these Periods that has one."""
    for name in names:
        if (end := part(resource.get(name), "end")) is not None:
            return read_when(end, clinic.zone) or _unread(resource)
    return NotRecorded


def is_over(end: MaybeWhen, clinic: Clinic) -> bool:
    """Whether something with this end is over by now, for certain: a partial end that may still come is not."""
    if not isinstance(end, When):
        return False
    if end.instant is not None:
        return end.instant <= clinic.at
    return end.latest <= clinic.today
