"""Which medication a resource is about, wherever it says so, and whether that is the drug of this service."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any, Final

from fhir_mappings.chart import Resource
from fhir_mappings.elements import (
    CodeableConcept,
    Coding,
    all_texts,
    codings,
    concepts,
    contained,
    objects,
    own_texts,
    part,
    read_concept,
    reference,
    words,
)
from fhir_mappings.terminology import Concept, ValueSet, normalised, value_set
from fhir_mappings.versions import INGREDIENTS
from fhir_mappings.wording import clauses, says

_INLINE: Final = ("medicationCodeableConcept", "medicationReference", "medication")
_CALLED: Final = ("code", "medicationCodeableConcept", "medication", "product")
_TITLED: Final = ("title", "description")
_POINTS_ON: Final = frozenset({"reference", "display", "concept"})
"""Members of what is no plain CodeableConcept: a Reference, R5's CodeableReference."""
_DEEPEST_INGREDIENT: Final = 3


class Recognition(Enum):
    """Whether a resource is about the drug. NONE: it states no medication at all."""

    DRUG = "drug"
    OTHER = "other"
    UNREADABLE = "unreadable"
    NONE = "none"


@dataclass(frozen=True, kw_only=True)
class Medication:
    """What a resource says of its medication: the codings found (product, ingredients) and the names.

    `is_stated` is False when it names none at all; `definition` is the Medication resource, if there is one.
    """

    codings: tuple[Coding, ...] = ()
    names: tuple[str, ...] = ()
    is_stated: bool = False
    definition: Resource | None = None

    @cached_property
    def kind(self) -> Recognition:
        """Whether it is the drug: `kind_of`, told once."""
        return _kind_of(self)

    @cached_property
    def known_as(self) -> dict[ValueSet, Concept | None]:
        """What it is in the value sets that it was looked up in."""
        return {}


def medication_of(resource: Resource, medications: Mapping[str, Resource]) -> Medication:
    """The medication of an order or administration: inline, contained, in the Bundle, fetched, or its ingredients."""
    inline = resource.get("medicationCodeableConcept")
    if isinstance(inline, dict) and inline.keys().isdisjoint(_POINTS_ON) and resource.keys().isdisjoint(_INLINE[1:]):
        return read_concept(inline).answer(_named_by, value_set("drug"))
    return _looked_up(resource, medications)


def _named_by(concept: CodeableConcept, _: ValueSet) -> Medication:
    return _medication(concept.codings, concept.own_texts)


def _looked_up(resource: Resource, medications: Mapping[str, Resource]) -> Medication:
    stated = [resource[name] for name in _INLINE if resource.get(name) is not None]
    concepts: list[Any] = []
    names: list[str] = []
    definition: Resource | None = None
    for value in stated:
        found = _definition(resource, value, medications)
        definition = definition or found
        names += _displays(value)
        concepts += [
            None if isinstance(value, str) and reference(value) else value,
            part(value, "concept"),
            *(_of_definition(found, medications) if found else ()),
        ]
    coded = tuple(coding for concept in concepts if concept is not None for coding in codings(concept))
    names += [text for concept in concepts if concept is not None for text in own_texts(concept)]
    return _medication(coded, names, is_stated=bool(stated), definition=definition)


def _medication(
    coded: tuple[Coding, ...], names: Iterable[str], *, is_stated: bool = True, definition: Resource | None = None
) -> Medication:
    every = (*names, *(coding.display for coding in coded))
    return Medication(
        codings=tuple(coding for coding in coded if coding.code),
        names=tuple(dict.fromkeys(name for name in every if name and normalised(name))),
        is_stated=is_stated,
        definition=definition,
    )


def _definition(resource: Resource, value: Any, medications: Mapping[str, Resource]) -> Resource | None:
    pointer = reference(value) or reference(part(value, "reference"))
    if pointer.startswith("#"):
        return contained(resource, pointer)
    found = medications.get(pointer) if pointer else None
    return found if isinstance(found, Mapping) else None


def _displays(value: Any) -> Iterator[str]:
    """The display of a Reference, also of one inside R5's CodeableReference."""
    for entry in objects(value):
        yield words(entry.get("display"))
        yield words(part(entry, "reference", "display"))


def _of_definition(definition: Resource, medications: Mapping[str, Resource], depth: int = 0) -> Iterator[Any]:
    yield definition.get("code")
    for ingredient in (entry for path in INGREDIENTS for entry in objects(part(definition, *path))):
        yield ingredient.get("itemCodeableConcept")
        yield part(ingredient, "item", "concept")
        item = ingredient.get("itemReference") or ingredient.get("item")
        inner = _definition(definition, item, medications)
        yield list(_displays(item))
        if inner is not None and depth < _DEEPEST_INGREDIENT:
            yield from _of_definition(inner, medications, depth + 1)


def known_as(medication: Medication, known: ValueSet) -> Concept | None:
    """What the medication is in this value set: by code, else by a name in its texts."""
    if known not in medication.known_as:
        medication.known_as[known] = _look_up(medication, known)
    return medication.known_as[known]


def _look_up(medication: Medication, known: ValueSet) -> Concept | None:
    for coding in medication.codings:
        if (found := known.coded(coding.system, coding.code)) is not None:
            return found
    return next((m.concept for name in medication.names for m in known.mentions(normalised(name))), None)


def kind_of(medication: Medication) -> Recognition:
    """Whether a medication is the drug.

    A name that is another's decides OTHER; so does a bare code of a system whose codes of the drug are all known.
    A bare code of another system (RxNorm, local) could be the drug's: UNREADABLE.
    Source: clinical rules, Given doses 7.
    """
    return medication.kind


def _kind_of(medication: Medication) -> Recognition:
    if not medication.is_stated:
        return Recognition.NONE
    if is_the_drug(medication):
        return Recognition.DRUG
    if medication.names:
        return Recognition.OTHER
    drug, others = value_set("drug"), (value_set("premedication"), value_set("other-drugs"))
    if any(drug.knows(coding.system) for coding in medication.codings):
        return Recognition.OTHER
    if any(known.coded(coding.system, coding.code) for known in others for coding in medication.codings):
        return Recognition.OTHER
    return Recognition.UNREADABLE


def is_the_drug(medication: Medication) -> bool:
    """Whether one of the codings is the drug's, or a name has the drug as its subject."""
    drug = value_set("drug", "drug", "claim")
    by_code = any(drug.coded(coding.system, coding.code) for coding in medication.codings)
    return by_code or any(names_the_drug(name) for name in medication.names)


def names_the_drug(text: str) -> bool:
    """Whether a text names the drug as its subject; not where it follows another drug's name as that one's purpose."""
    drug = value_set("drug", "drug")
    for clause in clauses(text):
        for mention in drug.mentions(clause):
            if not _is_purpose(clause[: mention.start]):
                return True
    return False


def asks_for_the_drug(order: Resource) -> bool:
    """Whether an order that is no medication order is called by the drug; not where it is of the time around a dose.

    Source: clinical rules, "What may never happen" 1.
    """
    called = [concept for name in _CALLED for concept in concepts(order, name)]
    names = [text for one in called for text in all_texts(one)] + [words(order.get(name)) for name in _TITLED]
    coded = tuple(coding for one in called for coding in codings(one))
    drug = value_set("drug", "drug")
    return is_the_drug(Medication(codings=coded, names=())) or any(
        not says(clause[: mention.start], "purpose")
        for name in names
        for clause in clauses(name)
        for mention in drug.mentions(clause)
    )


def mentions_the_drug(text: str) -> bool:
    """Whether a text names the drug at all."""
    return bool(value_set("drug", "drug").mentions(normalised(text)))


def _is_purpose(before: str) -> bool:
    """ "Steroid X before drug Y" is an order for X."""
    names_another = value_set("premedication").mentions(before) or value_set("other-drugs").mentions(before)
    return bool(names_another) and says(before, "purpose")


def is_claim(medication: Medication) -> bool:
    """Whether the drug is coded as a billing claim and by no other code of it."""
    known = value_set("drug", "drug", "claim")
    found = {
        concept.meaning
        for coding in medication.codings
        if (concept := known.coded(coding.system, coding.code)) is not None
    }
    return found == {"claim"}
