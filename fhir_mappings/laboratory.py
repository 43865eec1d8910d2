"""Observation → laboratory results and vital signs, each in the unit that the facts name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from fhir_mappings.chart import Resource
from fhir_mappings.elements import Clinic, codings, number, objects, reference_of, unreadable, words
from fhir_mappings.facts import Analyte, Bound, LabResult, Unknown, Vital, VitalSign
from fhir_mappings.observations import (
    day_of,
    holders,
    is_panel,
    is_preliminary,
    is_said_absent,
    subject_of,
    value_of,
)
from fhir_mappings.quantities import Measured, measured, quantity_in_text
from fhir_mappings.terminology import Concept, value_set

ANALYTES: Final[Mapping[str, Analyte]] = {
    "neutrophils": Analyte.NEUTROPHILS,
    "platelets": Analyte.PLATELETS,
    "haemoglobin": Analyte.HAEMOGLOBIN,
    "alt": Analyte.ALT,
    "ast": Analyte.AST,
    "bilirubin": Analyte.BILIRUBIN,
    "creatinine": Analyte.CREATININE,
    "egfr": Analyte.EGFR,
    "creatinine-clearance": Analyte.CREATININE_CLEARANCE,
}
_VITALS: Final[Mapping[str, Vital]] = {
    "temperature": Vital.TEMPERATURE,
    "systolic": Vital.SYSTOLIC,
    "oxygen-flow": Vital.OXYGEN_FLOW,
    "oxygen-saturation": Vital.OXYGEN_SATURATION,
}
_BOUNDS: Final = {"": Bound.EXACT, "<": Bound.BELOW, "<=": Bound.BELOW, ">": Bound.ABOVE, ">=": Bound.ABOVE}


# --- laboratory -------------------------------------------------------------------------------------------------------


def laboratory_results(observation: Resource, clinic: Clinic) -> tuple[LabResult, ...]:
    """The results of an Observation or its components that a rule reads; one that says its value is absent is none.

    Units: beside each Analyte. A refused value stays as a result that says why.
    """
    known = value_set("laboratory-tests")
    found = [
        _result(observation, holder, concept, clinic)
        for holder in holders(observation)
        if (concept := subject_of(holder.get("code"), known)) is not None
        if not is_said_absent(holder) and not (holder is observation and is_panel(observation))
    ]
    return tuple(found)


def _result(observation: Resource, holder: Mapping[str, Any], concept: Concept, clinic: Clinic) -> LabResult:
    found = _measured_value(holder, concept.word("dimension"))
    refused = found.refused or _implausible(found.value, concept, "lowest", "highest")
    if found.comparator not in _BOUNDS:
        refused = refused or "its comparator is not known"
    upper, range_refused = _upper_normal(holder, concept) if "referenceRange" in holder else (None, "")
    return LabResult(
        reference=reference_of(observation),
        analyte=ANALYTES[concept.meaning],
        day=day_of(observation, clinic),
        value=None if refused else found.value,
        bound=_BOUNDS.get(found.comparator, Bound.EXACT),
        upper_normal=upper,
        preliminary=is_preliminary(observation),
        refused=refused,
        range_refused=range_refused,
        recorded=found.recorded,
    )


def _measured_value(holder: Mapping[str, Any], dimension: str) -> Measured:
    """valueQuantity, or a text or number that is nothing but a quantity."""
    value = value_of(holder)
    if value is None:
        return Measured(value=None, refused="it has no value")
    if objects(value):
        return measured(value, dimension)
    quantity = quantity_in_text(value) if isinstance(value, str) else {"value": number(value)}
    return measured(quantity, dimension) if quantity else Measured(value=None, refused="it is not a number")


def _implausible(value: Decimal | None, concept: Concept, low: str, high: str) -> str:
    lowest, highest = concept.number(low), concept.number(high)
    if value is None or lowest is None or highest is None or lowest <= value <= highest:
        return ""
    suspect = concept.word("suspect")
    return "it is implausible in its unit" + (f": perhaps it is in {suspect}" if suspect else "")


def _upper_normal(holder: Mapping[str, Any], concept: Concept) -> tuple[Decimal | None, str]:
    """The upper limit of normal, converted by its own unit, and why a range that is there was refused."""
    dimension = concept.word("dimension")
    found = [
        end
        for entry in objects(holder.get("referenceRange"))
        if _is_normal_range(entry) and (end := _upper_of(entry, dimension)) is not None
    ]
    usable = {end.value for end in found if end.value is not None}
    if len(usable) > 1:
        return None, "it has several upper limits"
    if not usable:
        return None, next((end.refused for end in found if end.refused), "")
    upper = usable.pop()
    implausible = _implausible(upper, concept, "range-lowest", "range-highest")
    return (None, implausible) if implausible else (upper, "")


_RANGE_KINDS: Final = ("type", "meaning")  # DSTU2 says meaning


def _is_normal_range(entry: Mapping[str, Any]) -> bool:
    if entry.keys().isdisjoint(_RANGE_KINDS):
        return True
    kinds = {coding.code.lower() for name in _RANGE_KINDS for coding in codings(entry.get(name))} - {""}
    return not kinds or "normal" in kinds


_RANGE_TEXT: Final = re.compile(  # of a stripped text, as `words` gives it
    r"(?:(?:<=?|≤|up to|to)\s*|\d+(?:[.,]\d+)?\s*(?:-|–|to)\s*)"
    r"(?P<high>\d+(?:[.,]\d+)?)\s*(?P<unit>[^\d\s].*)?\Z",
    re.IGNORECASE,
)


def _upper_of(entry: Mapping[str, Any], dimension: str) -> Measured | None:
    """The high end of one range; None for a range without a high end."""
    high = entry.get("high")
    if high is not None:
        return measured(high, dimension)
    found = _RANGE_TEXT.match(words(entry.get("text")))
    if not found:
        return None
    quantity = {"value": found["high"].replace(",", "."), "unit": (found["unit"] or "").strip("() ")}
    return measured(quantity, dimension)


# --- vital signs ------------------------------------------------------------------------------------------------------


def vital_signs(observation: Resource, clinic: Clinic) -> tuple[VitalSign | Unknown, ...]:
    """The vital signs of an Observation and its components.

    Units: beside each Vital. Unknown: a value that is missing without a word, unreadable or implausible.
    """
    known = value_set("vital-signs")
    found = [
        _vital(observation, holder, concept, clinic)
        for holder in holders(observation)
        if (concept := subject_of(holder.get("code"), known)) is not None and concept.meaning in _VITALS
        if not is_said_absent(holder) and not (holder is observation and is_panel(observation))
    ]
    return tuple(found)


def _vital(observation: Resource, holder: Mapping[str, Any], concept: Concept, clinic: Clinic) -> VitalSign | Unknown:
    found = _measured_value(holder, concept.word("dimension"))
    refused = found.refused or _implausible(found.value, concept, "lowest", "highest")
    if refused or found.value is None:
        return unreadable(observation, f"its {_VITALS[concept.meaning].value} could not be read: {refused}")
    return VitalSign(
        reference=reference_of(observation),
        vital=_VITALS[concept.meaning],
        at=day_of(observation, clinic),
        value=found.value,
    )
