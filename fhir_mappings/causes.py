"""Whether a record names the drug, or only another drug or cause, as the cause of a toxicity."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from fhir_mappings.chart import Resource
from fhir_mappings.drugs import Recognition, kind_of, medication_of, mentions_the_drug
from fhir_mappings.elements import all_texts, contained, extension_value, extensions, objects, part, reference, words
from fhir_mappings.terminology import normalised, value_set

Recognised: TypeAlias = Callable[[str], Recognition | None]


def cause_in(resource: Resource, texts: tuple[str, ...], recognised: Recognised) -> bool | None:
    """Whether a record names the drug (True), or only another (False), as its cause; None if neither."""
    due = [extension_value(found) for found in extensions(resource, "condition-dueTo", "dueTo")]
    causes = [_cause(value, recognised) for value in due]
    named = [*texts, *(text for value in due for text in all_texts(value))]
    if True in causes or any(mentions_the_drug(text) for text in named):
        return True
    others = any(value_set("other-drugs").mentions(normalised(text)) for text in named)
    return False if others or False in causes else None


def _cause(value: Any, recognised: Recognised) -> bool | None:
    """Whether a named cause is the drug; None where it cannot be told."""
    texts = (*all_texts(value), words(part(value, "display")))
    if any(mentions_the_drug(text) for text in texts):
        return True
    found = recognised(reference(value)) if reference(value) else None
    if found is Recognition.DRUG:
        return True
    return False if found is Recognition.OTHER or any(normalised(text) for text in texts) else None


def suspected_in(event: Resource, texts: tuple[str, ...], recognised: Recognised) -> bool | None:
    """Whether suspectEntity or the texts name the drug, or only another."""
    causes: list[bool | None] = []
    for entity in objects(event.get("suspectEntity")):
        instance = entity.get("instance") or entity.get("instanceReference") or entity.get("instanceCodeableConcept")
        pointer = reference(instance)
        inner = contained(event, pointer) if pointer.startswith("#") else None
        causes.append(_contained_cause(inner) if inner is not None else _cause(instance, recognised))
    if True in causes or any(mentions_the_drug(text) for text in texts):
        return True
    return False if False in causes else None


def _contained_cause(inner: Resource) -> bool | None:
    stated = (
        inner
        if words(inner.get("resourceType")) != "Medication"
        else {"medicationReference": {"reference": "Medication/x"}}
    )
    found = kind_of(medication_of(stated, {"Medication/x": inner}))
    return {Recognition.DRUG: True, Recognition.OTHER: False}.get(found)
