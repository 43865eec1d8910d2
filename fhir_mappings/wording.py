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
from functools import cache, lru_cache

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
    """Each clause is looked at once, however many terms it has."""
    starts, ends = [start for start, _ in bounds], [end for _, end in bounds]
    contexts: dict[tuple[int, int], _Context] = {}
    for mention in known.mentions(text):
        start = starts[bisect_right(starts, mention.start) - 1]
        end = ends[bisect_left(ends, mention.end)]
        if (start, end) not in contexts:
            contexts[start, end] = _context(text[start:end], known)
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
    """The places of a clause up to which words before it reach, and those from which words after it are reached."""

    clause: str
    denied_before: frozenset[int]
    ended_before: frozenset[int]
    denied_after: frozenset[int]
    ended_after: frozenset[int]

    def standing(self, start: int, end: int) -> Standing:
        """What stands before and after the term at this place says whether the thing is denied or over."""
        following = end + 1
        if start in self.denied_before or following in self.denied_after:
            return Standing.DENIED
        if start in self.ended_before:
            return Standing.PAST
        if following in self.ended_after:
            return Standing.OVER
        return Standing.SAID


def _context(clause: str, known: ValueSet) -> _Context:
    return _Context(
        clause=clause,
        denied_before=_reached_from(clause, value_set("wording", "denied-before"), known),
        ended_before=_reached_from(clause, value_set("wording", "ended-before"), known),
        denied_after=_reaching(clause, value_set("wording", "denied-after")),
        ended_after=_reaching(clause, value_set("wording", "ended-after")),
    )


def _reached_from(clause: str, opening: ValueSet, known: ValueSet) -> frozenset[int]:
    """Where a word begins that an opening term reaches, over filler words and further terms of the same kind.

    One pass: a text that splits into terms in many ways is read once and not once for each way.
    """
    filler = value_set("wording", "filler")
    reached: set[int] = set()
    for start, word in _words(clause):
        reached.update(end + 1 for end in _ends(clause, start, word, opening))
        if start in reached:
            reached.update(end + 1 for end in _ends(clause, start, word, filler, known))
    return frozenset(reached)


def _reaching(clause: str, ending: ValueSet) -> frozenset[int]:
    """Where a word begins from which an ending term is reached, over filler words and grades; one pass from the end."""
    between = value_set("wording", "filler"), value_set("wording", "graded")
    reaching: set[int] = set()
    for start, word in reversed(tuple(_words(clause))):
        if any(True for _ in _ends(clause, start, word, ending)):
            reaching.add(start)
            continue
        ends = (start + len(word),) if _is_figure(word) else _ends(clause, start, word, *between)
        if any(end + 1 in reaching for end in ends):
            reaching.add(start)
    return frozenset(reaching)


def _words(clause: str) -> Iterator[tuple[int, str]]:
    start = 0
    for word in clause.split(" "):
        yield start, word
        start += len(word) + 1


def _ends(clause: str, start: int, word: str, *known: ValueSet) -> Iterator[int]:
    """The ends of all terms that begin with this word at this place."""
    for each in known:
        for term in each.beginnings.get(word, ()):
            end = start + len(term)
            if clause.startswith(term, start) and clause[end : end + 1] in ("", " "):
                yield end


def _is_figure(word: str) -> bool:
    return not word.strip("0123456789.")
