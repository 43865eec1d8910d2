"""D0, the planned day of each dose of an order (clinical rules, Days 2 and 3)."""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from fhir_mappings.chart import Resource
from fhir_mappings.dates import first_when, on, when
from fhir_mappings.elements import Clinic, code_of, items, number, part, reference_of, words
from fhir_mappings.facts import MaybeWhen, NotRecorded, When
from fhir_mappings.versions import WRITTEN

_DAYS = {"d": 1, "wk": 7}
_MONTHS = {"mo": 1, "a": 12}


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A day and what was assumed to name it, "" if nothing."""

    day: MaybeWhen
    note: str = ""


def planned_days(order: Resource, dosage: Any, clinic: Clinic, *, is_draft: bool) -> tuple[Planned, ...]:
    """The days of one dosage: one for each event, or the one of its bounds, or the one of the order.

    A draft's day is never before today. Unknown: a day is there and could not be read.
    """
    timing = part(dosage, "timing")
    kind, origin = words(order.get("resourceType")), reference_of(order)
    events = tuple(
        when(event, clinic.zone, kind, origin) for event in items(part(timing, "event")) if event is not None
    )
    if events and (is_draft or any(isinstance(event, When) for event in events)):
        return tuple(_of_draft(event, clinic) if is_draft else Planned(day=event) for event in events)
    begins = part(timing, "repeat", "boundsPeriod", "start")
    if begins is None:
        begins = part(order, "effectiveDosePeriod", "start")  # R5
    start = when(begins, clinic.zone, kind, origin)
    if start is not NotRecorded and (is_draft or isinstance(start, When)):
        return (_next_occurrence(start, timing, clinic) if is_draft else Planned(day=start),)
    unread = next(iter(events), start)
    return (Planned(day=NotRecorded if is_draft else _day_of_completed(order, unread, clinic)),)


def _day_of_completed(order: Resource, unread: MaybeWhen, clinic: Clinic) -> MaybeWhen:
    """A completed order without a readable day is taken for one of the day it was written."""
    written = first_when(order, clinic.zone, *WRITTEN)
    return written if code_of(order.get("status")) == "completed" and isinstance(written, When) else unread


def _of_draft(day: MaybeWhen, clinic: Clinic) -> Planned:
    """Today in place of a past day; a range that has begun begins today."""
    if not isinstance(day, When) or day.earliest >= clinic.today:
        return Planned(day=day)
    if day.latest >= clinic.today:
        begun = When(earliest=clinic.today, latest=day.latest, recorded=day.recorded)
        return Planned(day=begun, note=f"planned day {day.recorded} is taken as not before today")
    return Planned(day=on(clinic.today), note=f"planned day {day.latest.isoformat()} is past: taken as today")


def _next_occurrence(start: MaybeWhen, timing: Any, clinic: Clinic) -> Planned:
    """The first repetition on or after today; today where the order does not repeat or its bounds are over."""
    planned = _of_draft(start, clinic)
    if not planned.note or not isinstance(start, When) or not start.is_certain:
        return planned
    following = _repetition(start.earliest, part(timing, "repeat"), clinic.today)
    end = when(part(timing, "repeat", "boundsPeriod", "end"), clinic.zone)
    if following is None or (isinstance(end, When) and following > end.latest):
        return planned
    return Planned(day=on(following), note=f"next repetition of the order that began {start.earliest.isoformat()}")


def _repetition(start: date, repeat: Any, today: date) -> date | None:
    period = number(part(repeat, "period"))
    unit = code_of(part(repeat, "periodUnit")) or code_of(part(repeat, "periodUnits"))
    frequency = number(part(repeat, "frequency"))
    if period is None or period <= 0 or period != int(period) or frequency not in (None, 1):
        return None
    if unit in _DAYS:
        length = int(period) * _DAYS[unit]
        return _within_calendar(start, -(-(today - start).days // length) * length)
    if unit in _MONTHS:
        length = int(period) * _MONTHS[unit]
        passed = (today.year - start.year) * 12 + today.month - start.month
        rounds = passed // length
        return next((d for d in (_months_on(start, (rounds + i) * length) for i in (0, 1)) if d and d >= today), None)
    return None


def _within_calendar(start: date, days: int) -> date | None:
    try:
        return start + timedelta(days=days)
    except OverflowError:
        return None


def _months_on(start: date, months: int) -> date | None:
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    if year > date.max.year:
        return None
    return date(year, month + 1, min(start.day, monthrange(year, month + 1)[1]))
