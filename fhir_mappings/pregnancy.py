"""Pregnancy by status, condition and test."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from fhir_mappings.answers import answer_of, said_in
from fhir_mappings.chart import Resource
from fhir_mappings.conditions import holding, recorded_day
from fhir_mappings.elements import Clinic, objects, reference_of
from fhir_mappings.facts import MaybeWhen, NotRecorded, PregnancyFinding, PregnancyRecord, Unknown
from fhir_mappings.observations import day_of, is_said_absent, subject_of, value_of
from fhir_mappings.quantities import measured, quantity_in_text
from fhir_mappings.terminology import value_set

_STATUSES: Final = {
    "pregnant": PregnancyFinding.PREGNANT,
    "not-pregnant": PregnancyFinding.NOT_PREGNANT,
    "positive-test": PregnancyFinding.POSITIVE_TEST,
    "negative-test": PregnancyFinding.NEGATIVE_TEST,
    "uncertain": PregnancyFinding.UNCERTAIN,
}
_TESTS: Final = {
    "positive": PregnancyFinding.POSITIVE_TEST,
    "negative": PregnancyFinding.NEGATIVE_TEST,
    "uncertain": PregnancyFinding.UNCERTAIN,
}
_REASSURING: Final = (PregnancyFinding.NOT_PREGNANT, PregnancyFinding.NEGATIVE_TEST)
_SUSPICIOUS: Final = (PregnancyFinding.PREGNANT, PregnancyFinding.POSITIVE_TEST)


def pregnancy_observed(observation: Resource, clinic: Clinic) -> PregnancyRecord | None:
    """A pregnancy status or test result; None if the Observation is neither, or says that its value is absent."""
    subject = subject_of(observation.get("code"), value_set("pregnancy", "status", "test"))
    if subject is None or is_said_absent(observation):
        return None
    value = value_of(observation)
    finding = _status(value) if subject.meaning == "status" else _test_result(observation, value)
    return PregnancyRecord(reference=reference_of(observation), finding=finding, day=day_of(observation, clinic))


def _status(value: Any) -> PregnancyFinding:
    known = value_set("pregnancy", *_STATUSES, "none")
    found = said_in(value, known, trust_displays=False)
    finding = _STATUSES.get(found.meaning) if found else None
    if finding is None:
        displayed = said_in(value, known, trust_displays=True)
        finding = _STATUSES.get(displayed.meaning) if displayed else None
        finding = finding if finding in _SUSPICIOUS else None
    if finding is None and (value is True or answer_of(value) == "positive"):
        finding = PregnancyFinding.PREGNANT
    if finding is None and (value is False or answer_of(value) == "negative"):
        finding = PregnancyFinding.NOT_PREGNANT
    return finding or PregnancyFinding.UNCERTAIN


def _test_result(observation: Resource, value: Any) -> PregnancyFinding:
    answer = answer_of(value)
    if value is True or value is False:
        answer = "positive" if value else "negative"
    if not answer and isinstance(value, str | Mapping):
        answer = _by_amount(value)
    interpreted = next((a for entry in objects(observation.get("interpretation")) if (a := answer_of(entry))), "")
    if not answer or (answer == "uncertain" and interpreted == "positive"):
        answer = interpreted
    return _TESTS.get(answer, PregnancyFinding.UNCERTAIN)


def _by_amount(value: Any) -> str:
    """An hCG amount against the local limits."""
    found = measured(quantity_in_text(value) if isinstance(value, str) else value, "hcg")
    limits = value_set("test-results", "limits").meaning("limits")[0]
    below, from_ = limits.number("negative-below"), limits.number("positive-from")
    if found.value is None or below is None or from_ is None:
        return ""
    return _between(found.value, found.comparator, below, from_)


def _between(amount: Decimal, comparator: str, below: Decimal, from_: Decimal) -> str:
    if (amount < below and comparator in ("", "<", "<=")) or (amount == below and comparator == "<"):
        return "negative"
    if amount >= from_ and comparator in ("", ">", ">="):
        return "positive"
    return "uncertain"


def pregnancy_condition(condition: Resource, clinic: Clinic) -> PregnancyRecord | None:
    """A pregnancy, or a pregnancy test's outcome, by a Condition; unsure ones are UNCERTAIN."""
    known = value_set("pregnancy", *_STATUSES, "none")
    found = said_in(condition.get("code"), known, trust_displays=True)
    finding = _STATUSES.get(found.meaning) if found else None
    if found is None or finding is None:
        return None
    if finding in _REASSURING and said_in(condition.get("code"), known, trust_displays=False) is None:
        return None
    held, day = holding(condition, clinic), recorded_day(condition, clinic)
    if not held.is_confirmed:
        finding = PregnancyFinding.UNCERTAIN
    end: MaybeWhen = held.end
    if not held.is_open and end is NotRecorded:
        end = Unknown(what="Condition", why="it has ended; the day is not recorded", reference=reference_of(condition))
    return PregnancyRecord(reference=reference_of(condition), finding=finding, day=day, end=end)
