"""What a coded or textual answer says, in the words of a value set."""

from __future__ import annotations

from typing import Any

from fhir_mappings.elements import all_texts, coded, own_texts
from fhir_mappings.terminology import Concept, ValueSet, normalised, value_set
from fhir_mappings.wording import Standing, statements


def said_in(concept: Any, known: ValueSet, *, trust_displays: bool) -> Concept | None:
    """What a concept says here: by code, else by its own words; by displays of codes only where that is cautious."""
    by_code = coded(concept, known)
    if by_code is not None:
        return by_code
    texts = all_texts(concept) if trust_displays else own_texts(concept)
    return next((s.concept for s in statements(texts, known) if s.standing is Standing.SAID), None)


def answer_of(value: Any) -> str:
    """positive, negative, uncertain or "": a yes-or-no answer by code or as a whole text."""
    known = value_set("test-results", "positive", "negative", "uncertain")
    found = coded(value, known)
    if found is None:
        found = next((c for text in own_texts(value) if (c := known.exactly(normalised(text))) is not None), None)
    if found is None:
        displayed = (known.exactly(normalised(text)) for text in all_texts(value))
        found = next((c for c in displayed if c is not None and c.meaning == "positive"), None)
    return found.meaning if found else ""
