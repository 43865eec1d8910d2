"""What a coded or textual answer says, in the words of a value set."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fhir_mappings.elements import all_texts, codings, own_texts
from fhir_mappings.terminology import Concept, ValueSet, normalised, value_set
from fhir_mappings.wording import Standing, statements


def said_in(concept: Any, known: ValueSet, *, trust_displays: bool) -> Concept | None:
    """What a concept says here: by code, else by its own words; by displays of codes only where that is cautious.

    Beside a code that is `by-words` all words count, and before it: alone it says no more than its cautious meaning.
    """
    by_code = _by_code(concept, known)
    if by_code is not None and not _is_by_words(by_code):
        return by_code
    texts = all_texts(concept) if trust_displays or by_code is not None else own_texts(concept)
    return next((s.concept for s in statements(texts, known) if s.standing is Standing.SAID), by_code)


def answer_of(value: Any) -> str:
    """positive, negative, uncertain or "": a yes-or-no answer by code or as a whole text."""
    known = value_set("test-results", "positive", "negative", "uncertain")
    by_code = _by_code(value, known)
    if by_code is not None and not _is_by_words(by_code):
        return by_code.meaning
    found = _exactly(own_texts(value) if by_code is None else all_texts(value), known)
    if found is None and by_code is None:
        found = _exactly(all_texts(value), value_set("test-results", "positive"))
    answer = found or by_code
    return answer.meaning if answer else ""


def _exactly(texts: Iterable[str], known: ValueSet) -> Concept | None:
    """The term that one of the texts is as a whole."""
    return next((c for text in texts if (c := known.exactly(normalised(text))) is not None), None)


def _by_code(concept: Any, known: ValueSet) -> Concept | None:
    """The first coding that the value set knows; one that is `by-words` only where no other is known."""
    found = [c for coding in codings(concept) if coding.code and (c := known.coded(coding.system, coding.code))]
    return next((c for c in found if not _is_by_words(c)), found[0] if found else None)


def _is_by_words(concept: Concept) -> bool:
    return bool(concept.properties.get("by-words"))
