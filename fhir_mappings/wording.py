"""What a free text says of a thing it names: that it is there, that it is denied, or that it is over.

The words are data (valuesets/wording.json). A denial reaches only over filler words and further terms of the same kind,
within one clause: "no CRS or ICANS" denies both, "no fever. ICANS grade 3" denies nothing of ICANS.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cache, cached_property, lru_cache
from itertools import accumulate

from fhir_mappings.terminology import Concept, ValueSet, normalised, value_set


class Standing(Enum):
    """How a text speaks of a thing."""

    SAID = "said"
    DENIED = "denied"
    PAST = "past"  # "history of ..."
    OVER = "over"  # "... resolved"


@dataclass(frozen=True, kw_only=True)
class Statement:
    """A term in a clause of a text, and how it is spoken of. `clause` is normalised."""

    concept: Concept
    standing: Standing
    clause: str


_CLAUSE_END = re.compile(r"[;\n]+|,(?!\s*(?:or|nor)\b)(?!\d)|\.\s+(?=[A-Z])(?!(?:I{1,3}|IV|V)\b)|\bbut\b")
_RANGE = re.compile(r"(?<=[0-9IVX])\s*[-/–—]\s*(?=[0-9IVX])")


@lru_cache(maxsize=2048)
def clauses(text: str) -> tuple[str, ...]:
    """The clauses of a text, normalised, without empty ones."""
    return tuple(found for found in (with_ranges(clause) for clause in _CLAUSE_END.split(text)) if found)


def with_ranges(text: str) -> str:
    """A text normalised, with "to" in place of the dash or slash between two numbers: "grade 2-3" is "grade 2 to 3"."""
    return normalised(_RANGE.sub(" to ", text))


@lru_cache(maxsize=2048)
def _joined(text: str) -> tuple[str, tuple[tuple[int, int], ...]]:
    """The clauses of a text in one string, and where each begins and ends in it.

    A term may reach over a comma ("kidney disease, stage 4"); what is said of it may not.
    """
    bounds: list[tuple[int, int]] = []
    start = 0
    for clause in clauses(text):
        bounds.append((start, start + len(clause)))
        start += len(clause) + 1
    return " ".join(clauses(text)), tuple(bounds)


def statements(texts: Iterable[str], known: ValueSet) -> tuple[Statement, ...]:
    """What the texts say of the terms of this value set, in order."""
    return tuple(found for text in texts for found in _statements(*_joined(text), known))


def _statements(text: str, bounds: tuple[tuple[int, int], ...], known: ValueSet) -> Iterator[Statement]:
    """Each clause is looked at once, however many terms it has; most texts have no word that begins one."""
    if known.beginnings.keys().isdisjoint(text.split(" ")):
        return
    starts, ends = [start for start, _ in bounds], [end for _, end in bounds]
    contexts: dict[tuple[int, int], _Context] = {}
    for mention in known.mentions(text):
        start = starts[bisect_right(starts, mention.start) - 1]
        end = ends[bisect_left(ends, mention.end)]
        if (start, end) not in contexts:
            contexts[start, end] = _Context(clause=text[start:end], known=known)
        context = contexts[start, end]
        yield Statement(
            concept=mention.concept,
            standing=context.standing(mention.start - start, mention.end - start),
            clause=context.clause,
        )


def affirmed(texts: Iterable[str], known: ValueSet) -> tuple[Statement, ...]:
    """The statements that the thing is there now: neither denied nor past nor over."""
    return tuple(found for found in statements(texts, known) if found.standing is Standing.SAID)


@lru_cache(maxsize=512)
def says(clause: str, kind: str) -> bool:
    """Whether a normalised clause has a word of this kind. Kept, for each term of a clause asks the same of it."""
    return re.search(rf"\b(?:{_alternatives(kind)})\b", clause) is not None


def alternatives(known: ValueSet) -> str:
    """The terms of a value set as a regular expression, longest first."""
    return "|".join(re.escape(term) for term in sorted(known.terms, key=lambda term: (-len(term), term)))


@cache
def _alternatives(kind: str) -> str:
    return alternatives(value_set("wording", kind))


# --- what stands before and after a term ------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Context:
    """A clause, and what its words before and after a term of this value set say of it."""

    clause: str
    known: ValueSet

    def standing(self, start: int, end: int) -> Standing:
        """What stands before and after the term at this place says whether the thing is denied or over."""
        following = end + 1
        if start in self._reached_from("denied-before") or following in self._reaching("denied-after"):
            return Standing.DENIED
        if start in self._reached_from("ended-before"):
            return Standing.PAST
        return Standing.OVER if following in self._reaching("ended-after") else Standing.SAID

    @cached_property
    def _words(self) -> tuple[tuple[int, str], ...]:
        words = self.clause.split(" ")
        starts = accumulate((len(word) + 1 for word in words), initial=0)
        return tuple(zip(starts, words, strict=False))

    @cached_property
    def _places(self) -> dict[str, set[int]]:
        return {}

    def _reached_from(self, kind: str) -> set[int]:
        """Where a word begins that a term of this kind reaches, over filler words and further terms of the value set.

        One pass: a text that splits into terms in many ways is read once, and not once for each way.
        """
        if kind not in self._places:
            opening, filler = value_set("wording", kind).beginnings, value_set("wording", "filler").beginnings
            reached: set[int] = set()
            for start, word in self._words:
                if word in opening:
                    reached.update(self._after_terms(start, opening[word]))
                if start in reached:
                    further = (*filler.get(word, ()), *self.known.beginnings.get(word, ()))
                    reached.update(self._after_terms(start, further))
            self._places[kind] = reached
        return self._places[kind]

    def _reaching(self, kind: str) -> set[int]:
        """Where a word begins from which a term of this kind is reached, over filler words and grades; from the end."""
        if kind not in self._places:
            ending, between = value_set("wording", kind).beginnings, value_set("wording", "filler", "graded").beginnings
            reaching: set[int] = set()
            for start, word in reversed(self._words):
                if word in ending and self._after_terms(start, ending[word]):
                    reaching.add(start)
                elif reaching:
                    further = (word,) if _is_figure(word) else between.get(word, ())
                    if any(place in reaching for place in self._after_terms(start, further)):
                        reaching.add(start)
            self._places[kind] = reaching
        return self._places[kind]

    def _after_terms(self, start: int, terms: Iterable[str]) -> list[int]:
        """Where the next word begins after each of these terms that stands at this place."""
        clause = self.clause
        return [
            end + 1
            for term in terms
            if clause.startswith(term, start) and clause[(end := start + len(term)) : end + 1] in ("", " ")
        ]


def _is_figure(word: str) -> bool:
    return not word.strip("0123456789.")
