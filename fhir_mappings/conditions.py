"""Whether a Condition or another record holds: its statuses, its onset and its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fhir_mappings.chart import Resource
from fhir_mappings.dates import DATE_IN_TEXT, first_when, is_over, when
from fhir_mappings.elements import Clinic, all_texts, code_of, number, part, reference_of, words
from fhir_mappings.facts import MaybeWhen, NotRecorded
from fhir_mappings.terminology import normalised, value_set
from fhir_mappings.versions import RECORDED

_ERRONEOUS: Final = ("entered-in-error", "refuted")
_UNSURE: Final = ("unconfirmed", "provisional", "differential")
_OPEN: Final = ("active", "recurrence", "relapse")
# statuses of a Procedure that was not carried out
NOT_PERFORMED: Final = ("not-done", "entered-in-error", "preparation", "stopped")
_CLOSED: Final = ("inactive", "remission", "resolved")


@dataclass(frozen=True, kw_only=True)
class Holding:
    """How far a Condition holds.

    `is_stated` is False without a clinicalStatus of FHIR's. `is_open`: active, recurrence, relapse or missing, without
    abatement by now. `end` is the abatement, NotRecorded when unknown.
    Source: clinical rules, Toxicity records, Active.
    """

    is_open: bool
    is_stated: bool
    is_confirmed: bool
    onset: MaybeWhen
    end: MaybeWhen


def is_dropped(condition: Resource) -> bool:
    """Whether a Condition is refuted or entered in error."""
    return (
        code_of(condition.get("verificationStatus")) in _ERRONEOUS
        or code_of(condition.get("status")) in _ERRONEOUS  # DSTU2 says so of an allergy
    )


def holding(condition: Resource, clinic: Clinic) -> Holding:
    """How far a Condition holds at the clinic's now."""
    status = code_of(condition.get("clinicalStatus"))
    is_abated, end = _abatement(condition, clinic, is_said_open=status in _OPEN)
    return Holding(
        is_open=status not in _CLOSED and not is_abated,
        is_stated=status in (*_OPEN, *_CLOSED),
        is_confirmed=code_of(condition.get("verificationStatus")) not in _UNSURE,
        onset=_onset(condition, clinic),
        end=end,
    )


def _onset(condition: Resource, clinic: Clinic) -> MaybeWhen:
    found = first_when(condition, clinic.zone, "onsetDateTime", "onsetPeriod")
    if found is NotRecorded:
        found = date_in((words(condition.get("onsetString")),), clinic)
    return date_in(all_texts(condition.get("code")), clinic) if found is NotRecorded else found


def date_in(texts: tuple[str, ...], clinic: Clinic) -> MaybeWhen:
    """The one date that the texts name, also a partial one; NotRecorded with none or several."""
    found = {match for text in texts for match in DATE_IN_TEXT.findall(text)}
    return when(found.pop(), clinic.zone) if len(found) == 1 else NotRecorded


def _abatement(condition: Resource, clinic: Clinic, *, is_said_open: bool) -> tuple[bool, MaybeWhen]:
    """Whether it is over by now, and when it ended. An end without a day does not outweigh a status that says open."""
    kind, origin = words(condition.get("resourceType")), reference_of(condition)
    for value in (condition.get("abatementDateTime"), part(condition.get("abatementPeriod"), "end")):
        if value is not None:
            end = when(value, clinic.zone, kind, origin)
            return is_over(end, clinic), end
    text = words(condition.get("abatementString"))
    if text:
        end = date_in((text,), clinic)
        return (is_over(end, clinic) if end is not NotRecorded else not is_said_open and _says_over(text)), end
    return not is_said_open and _ended_undated(condition), NotRecorded


def _says_over(text: str) -> bool:
    """Whether a text says in so many words that something is over: "resolved", and not "not resolved" or "unknown"."""
    said = normalised(text)
    ended = value_set("wording", "ended-after", "ended-before").mentions(said)
    return bool(ended) and not value_set("wording", "ongoing").mentions(said)


def _ended_undated(condition: Resource) -> bool:
    """An end that is given as yes, or as an age with a number."""
    ages = (
        part(condition, "abatementAge"),
        part(condition, "abatementRange", "low"),
        part(condition, "abatementRange", "high"),
    )
    return condition.get("abatementBoolean") is True or any(number(part(age, "value")) is not None for age in ages)


def recorded_day(condition: Resource, clinic: Clinic) -> MaybeWhen:
    """The day a Condition speaks of: its onset, else the day it was recorded."""
    onset = first_when(condition, clinic.zone, "onsetDateTime", "onsetPeriod")
    return first_when(condition, clinic.zone, *RECORDED) if onset is NotRecorded else onset
