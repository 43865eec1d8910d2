"""Toxicity grades: in extensions, codes, values and texts, each with its scale (knowledge, section 5.5)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Any, Final

from fhir_mappings.elements import (
    all_texts,
    coded,
    codings,
    extension_value,
    extensions,
    number,
    objects,
    own_texts,
    part,
    words,
)
from fhir_mappings.facts import Grade, GradeSource, Scale
from fhir_mappings.terminology import Concept, normalised, value_set
from fhir_mappings.wording import alternatives, with_ranges

_HIGHEST: Final = 5


@cache
def _numerals() -> dict[str, int]:
    return {term: grade for grade in range(_HIGHEST + 1) for term in value_set("grades", f"numeral-{grade}").terms}


@cache
def _graded_text() -> re.Pattern[str]:
    numeral = "|".join(sorted(_numerals(), key=len, reverse=True))
    word = alternatives(value_set("grades", "word"))
    return re.compile(rf"\b(?:{word})\s*(?P<low>{numeral})(?:\s+(?:to|or)\s+(?P<high>{numeral}))?\b(?!\.\d)")


def grade_in_text(texts: Iterable[str]) -> int | None:
    """The highest grade that the texts name ("gr. III", "G3", "grade 2-3"); None if none."""
    found = [
        max(_numerals()[match["low"]], _numerals()[match["high"] or match["low"]])
        for text in texts
        for match in _graded_text().finditer(with_ranges(text))
    ]
    return max(found, default=None)


def scale_in(texts: Iterable[str], otherwise: Scale = Scale.NOT_STATED, *, astct: Scale = Scale.NOT_STATED) -> Scale:
    """The scale that the texts name; `astct` is what ASTCT means for this syndrome."""
    named = {
        m.concept.meaning
        for t in texts
        for m in value_set("grades", "scale:ASTCT", "scale:CTCAE").mentions(normalised(t))
    }
    if named == {"scale:ASTCT"}:
        return astct
    return Scale.CTCAE if named == {"scale:CTCAE"} else otherwise


def grade_of_code(concept: Concept | None) -> Grade | None:
    """The grade that a toxicity's own code carries (D89.83x, G92.0x)."""
    value = concept.number("grade") if concept is not None else None
    if concept is None or value is None:
        return None
    return Grade(value=int(value), scale=Scale(concept.word("scale")), source=GradeSource.CONDITION_CODE)


def grade_in_extension(resource: Any) -> Grade | None:
    """The grade of the CTC AE profile, under either of its paths; the highest where there are several."""
    found = [
        value_grade(extension_value(e), GradeSource.ADVERSE_EVENT_GRADE)
        for e in extensions(resource, "ctcae-grade", "ae-grade")
    ]
    return max((grade for grade in found if grade), key=lambda grade: grade.value, default=None)


def value_grade(value: Any, source: GradeSource, *, scale: Scale = Scale.NOT_STATED) -> Grade | None:
    """A grade given as number, Quantity, concept or text; None if it is no grade."""
    known = coded(value, value_set("grades", *map(str, range(_HIGHEST + 1))))
    if known is not None:
        return Grade(value=int(known.meaning), scale=Scale(known.word("scale")), source=source)
    if source is GradeSource.ADVERSE_EVENT_GRADE:
        scale = Scale.CTCAE
    texts = (words(value),) if isinstance(value, str) else all_texts(value)
    in_text = grade_in_text(texts)
    if in_text is None:
        in_text = next((_numerals()[n] for n in map(normalised, texts) if n in _numerals()), None)
    if in_text is not None:
        return Grade(value=in_text, scale=scale_in(texts, scale, astct=scale), source=source)
    figure = number(value) if not objects(value) else number(part(value, "value"))
    bare = (
        figure
        if figure is not None
        else next((number(c.code) for c in codings(value) if number(c.code) is not None), None)
    )
    if bare is None or bare != int(bare) or not 0 <= bare <= _HIGHEST:
        return None
    return Grade(value=int(bare), scale=scale, source=source)


def grade_of_severity(severity: Any) -> Grade | None:
    """A severity as a lower bound: mild 1, moderate 2, severe 3, never 4."""
    known = value_set("grades", "severity-1", "severity-2", "severity-3")
    code = next(
        (c for c in (*(normalised(t) for t in own_texts(severity)), *(c.code.lower() for c in codings(severity))) if c),
        "",
    )
    found = coded(severity, known) or known.exactly(code)
    if found is None:
        found = next((m.concept for text in all_texts(severity) for m in known.mentions(normalised(text))), None)
    if found is None:
        return None
    value = int(found.meaning.rpartition("-")[2])
    return Grade(value=value, scale=Scale.NOT_STATED, source=GradeSource.SEVERITY, at_least=True)
