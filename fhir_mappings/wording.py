"""What a free text says of a thing it names: that it is there, that it is denied, or that it is over.

The words are data (valuesets/wording.json). A denial reaches only over filler words and further terms of the same kind,
within one clause: "no CRS or ICANS" denies both, "no fever. ICANS grade 3" denies nothing of ICANS.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from functools import cache, lru_cache

from fhir_mappings.terminology import Concept, Mention, ValueSet, normalised, value_set


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
    return tuple(
        _statement(mention, *_joined(text), known) for text in texts for mention in known.mentions(_joined(text)[0])
    )


def _statement(mention: Mention, text: str, bounds: tuple[tuple[int, int], ...], known: ValueSet) -> Statement:
    start = next(start for start, end in reversed(bounds) if start <= mention.start)
    end = next(end for _, end in bounds if end >= mention.end)
    return Statement(
        concept=mention.concept,
        standing=_standing(text[start : mention.start], text[mention.end : end], known),
        clause=text[start:end],
    )


def affirmed(texts: Iterable[str], known: ValueSet) -> tuple[Statement, ...]:
    """The statements that the thing is there now: neither denied nor past nor over."""
    return tuple(found for found in statements(texts, known) if found.standing is Standing.SAID)


def says(clause: str, kind: str) -> bool:
    """Whether a normalised clause has a word of this kind."""
    return re.search(rf"\b(?:{_alternatives(kind)})\b", clause) is not None


def _standing(left: str, right: str, known: ValueSet) -> Standing:
    """What stands before and after a term in its clause says whether the thing is denied or over."""
    before, after = _context(known.name, known.only)
    if before["denied-before"].search(left) or after["denied-after"].match(right):
        return Standing.DENIED
    if before["ended-before"].search(left):
        return Standing.PAST
    if after["ended-after"].match(right):
        return Standing.OVER
    return Standing.SAID


def alternatives(known: ValueSet) -> str:
    """The terms of a value set as a regular expression, longest first."""
    return "|".join(re.escape(term) for term in sorted(known.terms, key=lambda term: (-len(term), term)))


@cache
def _alternatives(kind: str) -> str:
    return alternatives(value_set("wording", kind))


@cache
def _context(name: str, only: tuple[str, ...]) -> tuple[dict[str, re.Pattern[str]], dict[str, re.Pattern[str]]]:
    between = f"(?:{_alternatives('filler')}|{alternatives(value_set(name, *only))})"
    graded = f"(?:{_alternatives('filler')}|{_alternatives('graded')}|[0-9.]+)"
    before = {
        kind: re.compile(rf"\b(?:{_alternatives(kind)})(?: {between})* $") for kind in ("denied-before", "ended-before")
    }
    after = {
        kind: re.compile(rf"(?: {graded})* (?:{_alternatives(kind)})\b") for kind in ("denied-after", "ended-after")
    }
    return before, after
