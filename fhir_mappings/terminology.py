"""Codes and words: what a coding or a text means, from the value sets beside this package.

A code counts by system and code, in any coding of a concept. Words count at word boundaries, without case and
punctuation. How a value set is written is told in `valuesets/README.md`.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any, Final, TypeAlias

_PROJECT: Final = "https://tarlatamab-cds.example.org"
_LONGEST_CODING: Final = 300
_TEXT: Final = f"{_PROJECT}/CodeSystem/text"
UCUM: Final = "http://unitsofmeasure.org"
_NDC: Final = "http://hl7.org/fhir/sid/ndc"
_ICD: Final = "http://hl7.org/fhir/sid/icd-10-cm"

Property: TypeAlias = str | bool | Decimal


@dataclass(frozen=True, kw_only=True)
class Concept:
    """One code or term of a value set: what it means, and the numbers it carries."""

    code: str
    meaning: str
    display: str = ""
    properties: Mapping[str, Property] = field(default_factory=dict)

    def number(self, name: str) -> Decimal | None:
        """The named number, None where the concept carries none."""
        value = self.properties.get(name)
        return value if isinstance(value, Decimal) else None

    def word(self, name: str) -> str:
        """The named text, "" where the concept carries none."""
        value = self.properties.get(name)
        return value if isinstance(value, str) else ""


@dataclass(frozen=True, kw_only=True)
class Mention:
    """A term found in a text, and where it stands in the normalised text."""

    concept: Concept
    start: int
    end: int


@dataclass(frozen=True, kw_only=True, eq=False)
class ValueSet:
    """The concepts of one file, by code and by wording. Each is made once, and is equal to itself only."""

    name: str
    only: tuple[str, ...]
    codes: Mapping[tuple[str, str], Concept]
    prefixes: Mapping[tuple[str, str], Concept]
    terms: Mapping[str, Concept]
    beginnings: Mapping[str, tuple[str, ...]]
    prefetch: tuple[str, ...]

    def coded(self, system: str, code: str) -> Concept | None:
        """What a coding means here. Systems that list every code of a concept by its beginning match by prefix."""
        return _coded(self, system, code) if len(system) + len(code) <= _LONGEST_CODING else None

    def knows(self, system: str) -> bool:
        """Whether this set holds codes of that system."""
        return any(known == system for known, _ in (*self.codes, *self.prefixes))

    def mentions(self, normalised: str) -> tuple[Mention, ...]:
        """The terms in a normalised text, longest first at each place, in order."""
        found: list[Mention] = []
        start = end = 0
        for word in normalised.split(" "):
            if start >= end and (term := self._term_at(normalised, word, start)):
                end = start + len(term)
                found.append(Mention(concept=self.terms[term], start=start, end=end))
            start += len(word) + 1
        return tuple(found)

    def _term_at(self, text: str, word: str, start: int) -> str:
        """The longest term that begins with this word at this place, "" if none."""
        for term in self.beginnings.get(word, ()):
            if text.startswith(term, start) and text[start + len(term) : start + len(term) + 1] in ("", " "):
                return term
        return ""

    def exactly(self, normalised: str) -> Concept | None:
        """The term that a normalised text is as a whole."""
        return self.terms.get(normalised)

    def meaning(self, name: str) -> tuple[Concept, ...]:
        """All concepts of one meaning, codes before terms."""
        return tuple(c for c in (*self.codes.values(), *self.terms.values()) if c.meaning == name)


@lru_cache(maxsize=8192)
def _coded(known: ValueSet, system: str, code: str) -> Concept | None:
    """Kept, for the codes of a chart come again and again."""
    uri = system_uri(system)
    keys = _keys(uri, code.strip())
    whole = (known.codes.get((uri, key)) for key in keys)
    beginnings = (known.prefixes.get((uri, key[:n])) for key in keys for n in range(len(key), 0, -1))
    return next((found for found in (*whole, *beginnings) if found is not None), None)


_NOT_WORD: Final = re.compile(r"[^a-z0-9.]+")
_ACCENTS: Final = re.compile("[\u0300-\u036f]")
_LONE_STOP: Final = re.compile(r"(?<![0-9])\.+|\.+(?![0-9])")
_SPACES: Final = re.compile(r"\s+")


@lru_cache(maxsize=2048)
def normalised(text: str) -> str:
    """Lower case, without accents and punctuation; a point inside a number stays."""
    plain = text.lower() if text.isascii() else _ACCENTS.sub("", unicodedata.normalize("NFKD", text).lower())
    return _SPACES.sub(" ", _LONE_STOP.sub(" ", _NOT_WORD.sub(" ", plain))).strip()


def spelling(unit: str) -> str:
    """A unit as spelled by people: compatibility forms joined, lower case, no spaces."""
    return _SPACES.sub("", unicodedata.normalize("NFKC", unit)).lower()


@lru_cache(maxsize=256)
def system_uri(system: str) -> str:
    """The URI this project knows a code system by; one that it does not know stays as it is."""
    return _aliases().get(system) or _aliases().get(system.rstrip("/")) or system.rstrip("/")


@cache
def _aliases() -> Mapping[str, str]:
    known = _read("code-systems")
    return {concept["code"]: include.meaning for include in known for concept in include.concepts}


def _keys(system: str, code: str) -> tuple[str, ...]:
    if system == _NDC:
        return _ndc_keys(code)
    if system == _ICD:
        return (code.upper().replace(".", ""),)
    return (code.upper(),)


def _ndc_keys(code: str) -> tuple[str, ...]:
    """Labeler and product in 9 digits, with or without dashes; 8 and 10 digits are 5-3 and 5-3-2, as ours are."""
    parts = code.split("-")
    digits = "".join(parts)
    if not digits.isdecimal():
        return ()
    if len(parts) > 1:
        return (parts[0].zfill(5) + parts[1].zfill(4),)
    if len(digits) in (8, 10):
        return (digits[:5] + digits[5:8].zfill(4),)
    return (digits[:9],) if len(digits) in (9, 11) else ()


@dataclass(frozen=True, kw_only=True)
class _Include:
    system: str
    meaning: str
    properties: Mapping[str, Property]
    concepts: tuple[Mapping[str, Any], ...]


def _properties(element: Mapping[str, Any]) -> dict[str, Property]:
    """The project's extensions of an include or a concept, by their last path segment."""
    found: dict[str, Property] = {}
    for extension in element.get("extension", ()):
        values = [value for key, value in extension.items() if key.startswith("value")]
        found[extension["url"].rpartition("/")[2]] = (
            Decimal(values[0]) if isinstance(values[0], int) and not isinstance(values[0], bool) else values[0]
        )
    return found


@cache
def _file_of(name: str) -> str:
    """The file of a value set: its name; "drug" is the one that says so, for no program names a drug."""
    if name != "drug":
        return f"{name}.json"
    return next(file for file in _files() if _properties(_resource(file)).get("role") == name)


def _files() -> list[str]:
    every = (entry.name for entry in (files("fhir_mappings") / "valuesets").iterdir())
    return sorted(name for name in every if name.endswith(".json"))


def value_set_resources() -> tuple[Mapping[str, Any], ...]:
    """Every value set as the FHIR resource that its file is, in the order of their names."""
    return tuple(_resource(file) for file in _files())


def _resource(file: str) -> Any:
    text = (files("fhir_mappings") / "valuesets" / file).read_text(encoding="utf-8")
    return json.loads(text, parse_float=Decimal)


def _read(name: str) -> tuple[_Include, ...]:
    resource = _resource(_file_of(name))
    return tuple(
        _Include(
            system=include["system"],
            meaning=str(properties["meaning"]),
            properties=properties,
            concepts=tuple(include["concept"]),
        )
        for include in resource["compose"]["include"]
        for properties in (_properties(include),)
    )


def _concepts(name: str) -> Iterator[tuple[_Include, Concept]]:
    for include in _read(name):
        for entry in include.concepts:
            properties = {**include.properties, **_properties(entry)}
            yield (
                include,
                Concept(
                    code=entry["code"],
                    meaning=str(properties["meaning"]),
                    display=entry.get("display", ""),
                    properties=properties,
                ),
            )


@cache
def value_set(name: str, *only: str) -> ValueSet:
    """The value set of that file, or those of its concepts that have one of these meanings, read once.

    Raises: FileNotFoundError, KeyError: the package is damaged; tests load every file.
    """
    return _collected(name, only, (pair for pair in _concepts(name) if not only or pair[1].meaning in only))


@cache
def anything_in(*names: str) -> ValueSet:
    """All concepts of several value sets at once, to tell by one look whether any of them could be meant.

    What a concept means is lost where two sets name the same thing.
    """
    return _collected("+".join(names), (), (pair for name in names for pair in _concepts(name)))


def _collected(name: str, only: tuple[str, ...], pairs: Iterable[tuple[_Include, Concept]]) -> ValueSet:
    codes: dict[tuple[str, str], Concept] = {}
    prefixes: dict[tuple[str, str], Concept] = {}
    terms: dict[str, Concept] = {}
    prefetch: list[str] = []
    for include, concept in pairs:
        if include.system == _TEXT:
            terms[normalised(concept.code)] = concept
            continue
        if concept.properties.get("prefetch"):
            prefetch.append(f"{include.system}|{concept.code}")
        target = prefixes if concept.properties.get("prefix") else codes
        for key in _keys(include.system, concept.code):
            target[(include.system, key)] = concept
    beginnings: dict[str, tuple[str, ...]] = {}
    for term in sorted(terms, key=lambda term: (-len(term), term)):
        first = term.split(" ")[0]
        beginnings[first] = (*beginnings.get(first, ()), term)
    return ValueSet(
        name=name,
        only=only,
        codes=codes,
        prefixes=prefixes,
        terms=terms,
        beginnings=beginnings,
        prefetch=tuple(prefetch),
    )


@dataclass(frozen=True, kw_only=True)
class UnitOfMeasure:
    """How a number in this unit becomes one in its dimension's unit."""

    factor: Decimal
    divisor: Decimal
    offset: Decimal

    def converted(self, value: Decimal) -> Decimal:
        """The value in the dimension's unit, exact where the arithmetic is."""
        return (value - self.offset) * self.factor / self.divisor


@dataclass(frozen=True, kw_only=True)
class Units:
    """The units of one dimension, by UCUM code and by spelling."""

    ucum: Mapping[str, UnitOfMeasure]
    spellings: Mapping[str, UnitOfMeasure]


@cache
def units(dimension: str) -> Units:
    """The units that a quantity of this dimension may have (valuesets/units.json)."""
    ucum: dict[str, UnitOfMeasure] = {}
    spellings: dict[str, UnitOfMeasure] = {}
    for include, concept in _concepts("units"):
        if concept.meaning != dimension:
            continue
        unit = UnitOfMeasure(
            factor=concept.number("factor") or Decimal(1),
            divisor=concept.number("divisor") or Decimal(1),
            offset=concept.number("offset") or Decimal(0),
        )
        if include.system == UCUM:
            ucum[concept.code] = unit
        else:
            spellings[spelling(concept.code)] = unit
    return Units(ucum=ucum, spellings=spellings)
