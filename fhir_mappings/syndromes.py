"""Which syndromes a record names, by code or by what its texts say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from fhir_mappings.drugs import mentions_the_drug
from fhir_mappings.elements import all_texts, coded
from fhir_mappings.facts import Scale, Syndrome, ToxicityRecord, Unknown
from fhir_mappings.terminology import Concept, ValueSet, value_set
from fhir_mappings.wording import Standing, Statement, says, statements

Found: TypeAlias = ToxicityRecord | Unknown

SYNDROMES: Final[Mapping[str, Syndrome]] = {
    "crs": Syndrome.CRS,
    "neurotoxicity": Syndrome.NEUROTOXICITY,
    "possible-neurotoxicity": Syndrome.POSSIBLE_NEUROTOXICITY,
    "infection": Syndrome.INFECTION,
    "febrile-neutropenia": Syndrome.FEBRILE_NEUTROPENIA,
    "neutropenia": Syndrome.NEUTROPENIA,
    "thrombocytopenia": Syndrome.THROMBOCYTOPENIA,
    "anaemia": Syndrome.ANAEMIA,
    "liver": Syndrome.LIVER,
}
ASTCT: Final = {Syndrome.CRS: Scale.ASTCT_CRS, Syndrome.NEUROTOXICITY: Scale.ASTCT_ICANS}


@dataclass(frozen=True, kw_only=True)
class Named:
    """A syndrome that a record names: by code, or by a statement in its text."""

    syndrome: Syndrome
    code: Concept | None = None
    statement: Statement | None = None


def known_toxicities() -> ValueSet:
    return value_set("toxicities")


def named_in(concept: Any) -> tuple[Named, ...]:
    """The syndromes a record names, each once; its code before its texts; a possible one only where no cause is named.

    The displays of codes count as text here: reading them can only make the advice more cautious.
    """
    found: dict[Syndrome, Named] = {}
    code = coded(concept, known_toxicities())
    if code is not None and code.meaning in SYNDROMES:
        found[SYNDROMES[code.meaning]] = Named(syndrome=SYNDROMES[code.meaning], code=code)
    for statement in statements(all_texts(concept), known_toxicities()):
        syndrome = SYNDROMES.get(statement.concept.meaning)
        if syndrome is None or statement.standing is Standing.DENIED or _has_another_cause(syndrome, statement):
            continue
        earlier = found.get(syndrome)
        if earlier is None or (earlier.statement and earlier.statement.standing is not Standing.SAID):
            found[syndrome] = Named(syndrome=syndrome, statement=statement)
    if Syndrome.NEUROTOXICITY in found:
        found.pop(Syndrome.POSSIBLE_NEUROTOXICITY, None)
    if Syndrome.FEBRILE_NEUTROPENIA in found:
        found.pop(Syndrome.NEUTROPENIA, None)
    return tuple(found.values())


def _has_another_cause(syndrome: Syndrome, statement: Statement) -> bool:
    if syndrome is not Syndrome.POSSIBLE_NEUROTOXICITY:
        return False
    return says(statement.clause, "cause") and not mentions_the_drug(statement.clause)


def label_of(concept: Any) -> str:
    """What a record calls itself: its text, else what its code is called."""
    known = coded(concept, known_toxicities())
    return next(iter(all_texts(concept)), known.display if known else "")[:120]
