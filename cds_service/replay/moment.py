"""When an order was signed, and whether something with a date was known then. Pure: dates in, an answer out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from enum import Enum
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from cds_service.replay.assumptions import Assumption
from fhir_mappings.chart import Resource
from fhir_mappings.dates import first_when, when
from fhir_mappings.elements import code_of, objects, part, words
from fhir_mappings.facts import MaybeWhen, NotRecorded, NotRecordedType, Unknown, When
from fhir_mappings.versions import GIVEN, PERFORMED, RECORDED, WRITTEN

_MOMENT: Final = timedelta(microseconds=1)
NO_DATE: Final = "the order does not say when it was written"
UNREADABLE_DATE: Final = "the date of the order cannot be read"
NO_DAY: Final = "the order was written in a month or year, on no certain day"


class Known(Enum):
    """Whether something was known at a moment. UNCLEAR: its date leaves open on which side of the moment it lies."""

    YES = "yes"
    LATER = "later"
    UNCLEAR = "unclear"


@dataclass(frozen=True, kw_only=True)
class Moment:
    """When an order was signed: at one instant, or, where only its day is recorded, from `earliest` to `at`.

    Units: instants in `zone`. `at` is what the rules take for now.
    """

    earliest: datetime
    at: datetime
    zone: ZoneInfo

    @property
    def is_certain(self) -> bool:
        return self.earliest == self.at


def moment_of(order: Resource, zone: ZoneInfo) -> Moment | Unknown:
    """When this order was written.

    Unknown: it does not say, its date cannot be read, or it names no day.
    """
    written = first_when(order, zone, *WRITTEN)
    if isinstance(written, NotRecordedType):
        return Unknown(what="MedicationRequest", why=NO_DATE)
    if isinstance(written, Unknown):
        return Unknown(what="MedicationRequest", why=UNREADABLE_DATE)
    if written.instant is None and written.earliest != written.latest:
        return Unknown(what="MedicationRequest", why=NO_DAY)
    first, last = _bounds(written, zone)
    return Moment(earliest=first, at=last, zone=zone)


def known(date: When, moment: Moment) -> Known:
    """Whether what is dated so was known: at the very moment it was, an instant later it was not."""
    first, last = _bounds(date, moment.zone)
    if first > moment.at:
        return Known.LATER
    return Known.YES if last <= moment.earliest else Known.UNCLEAR


def _bounds(date: When, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """The first and the last instant that a date can mean."""
    if date.instant is not None:
        return date.instant, date.instant
    first = datetime.combine(date.earliest, time.min, zone)
    return first, datetime.combine(date.latest + timedelta(days=1), time.min, zone) - _MOMENT


@dataclass(frozen=True, kw_only=True)
class Dated:
    """The elements that say since when a resource is known: when it was recorded, else when it happened.

    `records_its_recording`: FHIR R4 has an element for the former, so that its absence leaves something to assume.
    """

    recorded: tuple[str, ...] = ()
    happened: tuple[str, ...] = ()
    records_its_recording: bool = False


_EFFECTIVE: Final = ("effectiveDateTime", "effectiveInstant", "effectivePeriod")
_ONSET: Final = ("onsetDateTime", "onsetPeriod")

SINCE: Final[Mapping[str, Dated]] = {
    "AdverseEvent": Dated(
        recorded=("recordedDate",),
        happened=("detected", "date", "occurrenceDateTime", "occurrencePeriod", "effectDateTime"),
        records_its_recording=True,
    ),
    "AllergyIntolerance": Dated(
        recorded=RECORDED, happened=(*_ONSET, "onset", "lastOccurrence"), records_its_recording=True
    ),
    "Condition": Dated(recorded=RECORDED, happened=_ONSET, records_its_recording=True),
    "MedicationAdministration": Dated(recorded=("recorded",), happened=GIVEN),
    "MedicationOrder": Dated(recorded=WRITTEN),
    "MedicationRequest": Dated(recorded=WRITTEN),
    "Observation": Dated(recorded=("issued",), happened=_EFFECTIVE, records_its_recording=True),
    "Procedure": Dated(recorded=("recorded",), happened=PERFORMED),
}
"""For each type that has a time. Source: the resource pages of hl7.org/fhir/R4, and for older and newer names R5's."""

_CORRECTED: Final = ("amended", "corrected")
_DOSE: Final = "MedicationAdministration"


@dataclass(frozen=True, kw_only=True)
class Found:
    """Whether a resource was known, and what had to be assumed to say so."""

    known: Known
    assumed: tuple[Assumption, ...] = ()


def knowledge_of(resource: Resource, moment: Moment) -> Found:
    """Whether this resource was there to be seen. One that has no time (Patient, Medication) always was.

    UNCLEAR never comes back: what the dates leave open is decided here, and said in `assumed`.
    """
    dated = SINCE.get(words(resource.get("resourceType")))
    if dated is None:
        return Found(known=Known.YES)
    recorded = _date_of(resource, dated.recorded, moment.zone)
    happened = _date_of(resource, dated.happened, moment.zone)
    if not isinstance(recorded, When):
        return _by_the_event(resource, happened, dated, moment)
    found = _decided(resource, recorded, moment)
    was_corrected = code_of(resource.get("status")) in _CORRECTED and isinstance(happened, When)
    if found.known is Known.LATER and was_corrected and not is_later(happened, moment):
        return Found(known=Known.LATER, assumed=(Assumption.CORRECTED_LEFT_OUT,))
    return found


def _by_the_event(resource: Resource, happened: MaybeWhen, dated: Dated, moment: Moment) -> Found:
    if not isinstance(happened, When):
        updated = last_updated(resource)
        is_old = updated is not None and updated <= moment.earliest
        return Found(known=Known.YES, assumed=() if is_old else (Assumption.UNDATED_KEPT,))
    found = _decided(resource, happened, moment)
    if found.known is Known.LATER or not dated.records_its_recording:
        return found
    return Found(known=found.known, assumed=(*found.assumed, Assumption.EVENT_DATE_USED))


def _decided(resource: Resource, date: When, moment: Moment) -> Found:
    """A dose follows its order, so one of the same day is taken as later; everything else as known.

    A dose of which only the month is known is history taken over from elsewhere: that is kept.
    """
    standing = known(date, moment)
    if standing is not Known.UNCLEAR:
        return Found(known=standing)
    if words(resource.get("resourceType")) == _DOSE and date.is_certain:
        return Found(known=Known.LATER, assumed=(Assumption.SAME_DAY_DOSE_LEFT_OUT,))
    return Found(known=Known.YES, assumed=(Assumption.SAME_DAY_KEPT,))


def _date_of(resource: Resource, names: Iterable[str], zone: ZoneInfo) -> MaybeWhen:
    """The first of these elements that can be read: a date, a Period's start, an Observation's Period's end."""
    for name in names:
        value = resource.get(name)
        if isinstance(value, dict | list):
            end = part(value, "end") if words(resource.get("resourceType")) == "Observation" else None
            value = end or part(value, "start")
        found = when(value, zone)
        if isinstance(found, When):
            return found
    return NotRecorded


def last_updated(resource: Resource) -> datetime | None:
    """When the server last wrote this version; None where it does not say so with an offset."""
    return _instant(words(part(resource.get("meta"), "lastUpdated")))


@lru_cache(maxsize=16_384)
def _instant(text: str) -> datetime | None:
    """Kept: a resource is asked once for every order of its patient."""
    try:
        updated = datetime.fromisoformat(text)
    except ValueError:
        return None
    return updated.astimezone(UTC) if updated.tzinfo is not None else None


def without_later_notes(resource: Resource, moment: Moment) -> Resource:
    """The resource without the annotations that were certainly written after the moment."""
    notes = objects(resource.get("note"))
    kept = [note for note in notes if not is_later(when(note.get("time"), moment.zone), moment)]
    return resource if len(kept) == len(notes) else {**resource, "note": kept}


def is_later(date: MaybeWhen, moment: Moment) -> bool:
    """Whether this date lies after the moment for certain."""
    return isinstance(date, When) and known(date, moment) is Known.LATER
