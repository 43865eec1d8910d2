"""What all Observations share: their status, day and value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fhir_mappings.chart import Resource
from fhir_mappings.dates import first_when
from fhir_mappings.elements import Clinic, CodeableConcept, code_of, in_set, objects, read_concept
from fhir_mappings.facts import MaybeWhen
from fhir_mappings.terminology import Concept, ValueSet, normalised

_DROPPED: Final = ("entered-in-error", "cancelled", "registered")


def is_usable(observation: Resource) -> bool:
    """Whether a result may be used: not erroneous, cancelled, or not made yet."""
    return code_of(observation.get("status")) not in _DROPPED


def is_preliminary(observation: Resource) -> bool:
    return code_of(observation.get("status")) in ("preliminary", "unknown")


def day_of(observation: Resource, clinic: Clinic) -> MaybeWhen:
    """When it was observed; when it was issued only if nothing else is said."""
    return first_when(observation, clinic.zone, "effectiveDateTime", "effectivePeriod", "effectiveInstant", "issued")


def value_of(holder: Mapping[str, Any]) -> Any:
    """The value[x] of an Observation or component; None without one."""
    found = holder.get("valueQuantity")
    if found is not None:
        return found
    return next((value for name, value in holder.items() if name.startswith("value") and value is not None), None)


def is_said_absent(holder: Mapping[str, Any]) -> bool:
    """Whether it says why it has no value."""
    return holder.get("dataAbsentReason") is not None and value_of(holder) is None


def is_panel(observation: Resource) -> bool:
    """Whether it has components in place of a value."""
    return "component" in observation and value_of(observation) is None and bool(objects(observation["component"]))


def holders(observation: Resource) -> tuple[Mapping[str, Any], ...]:
    """The Observation itself and its components: each has a code and perhaps a value."""
    components = observation.get("component")
    return (observation,) if components is None else (observation, *objects(components))


def subject_of(concept: Any, known: ValueSet) -> Concept | None:
    """What is observed: by code, else by a name that is the whole of one of the concept's own texts."""
    return read_concept(concept).answer(_subject_in, known)


def _subject_in(concept: CodeableConcept, known: ValueSet) -> Concept | None:
    named = (known.exactly(normalised(text)) for text in concept.own_texts)
    return in_set(concept, known) or next((found for found in named if found is not None), None)
