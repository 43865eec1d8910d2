"""Fields of recorded facts, blanked one at a time; and whether the answer then says what it no longer knows."""

from __future__ import annotations

import copy
import functools
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

import yaml

from tests.properties.calls import CASES, NAMES, RANK, answer, kinds, recorded, reference, request, usual
from tests.vignettes.compare import Card, advice

EXCEPTIONS: Final = Path(__file__).with_name("silent_blanks.yaml")
DELETED: Final = "deleted"
WAYS: Final[Mapping[str, Any]] = {DELETED: None, "empty": "", "null": None, "object": {}, "word": "zq9x"}
"""How a field is blanked: taken away, "", null, {}, or a word that nobody knows."""
SAID: Final = re.compile(r"not recorded|not used|(could not|cannot) be read|not known|no result|missing", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Blank:
    """One field of one resource of a vignette's call, and how it is blanked."""

    case: str
    resource: str
    path: tuple[str | int, ...]
    way: str

    @property
    def place(self) -> str:
        """Where in which type, list indexes left out: "Observation.component.*.code"."""
        steps = ("*" if isinstance(step, int) else step for step in self.path)
        return ".".join((self.resource.partition("/")[0], *steps))

    def call(self) -> dict[str, Any]:
        body = request(self.case)
        holder: Any = next(found for found in recorded(body) if reference(found) == self.resource)
        for step in self.path[:-1]:
            holder = holder[step]
        if self.way == DELETED:
            del holder[self.path[-1]]
        else:
            holder[self.path[-1]] = copy.deepcopy(WAYS[self.way])
        return body


def paths(said: Any, above: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every member and every entry inside, from the outside inwards."""
    parts: Any = said.items() if isinstance(said, dict) else enumerate(said) if isinstance(said, list) else ()
    for step, part in parts:
        yield (*above, step)
        yield from paths(part, (*above, step))


@functools.cache
def facts(case: str) -> Mapping[str, tuple[tuple[str | int, ...], ...]]:
    """The resources of the prefetch that a card of the case names as evidence, each with all paths in it."""
    named = {entry["reference"] for card in usual(case) for entry in advice(card).get("evidence", ())}
    return {reference(found): tuple(paths(found)) for found in recorded(request(case)) if reference(found) in named}


@functools.cache
def with_facts() -> tuple[str, ...]:
    """The cases with a critical or warning card and a fact of the record that a card rests on."""
    return tuple(name for name in NAMES if any(map(is_grave, usual(name))) and facts(name))


def blanks(case: str) -> Iterator[Blank]:
    for resource, places in facts(case).items():
        for path in places:
            yield from (Blank(case=case, resource=resource, path=path, way=way) for way in WAYS)


# --- is it said? -------------------------------------------------------------------------------------------------


def is_grave(card: Card) -> bool:
    return RANK[card["indicator"]] > 0


def grave(cards: Sequence[Card]) -> Counter[str]:
    return Counter(kinds([card for card in cards if is_grave(card)]))


def lines(cards: Sequence[Card]) -> set[str]:
    return {line for card in cards for line in (card["summary"], *card["detail"].split("\n"))}


def silenced(blank: Blank) -> tuple[str, ...]:
    """The topics of the critical and warning cards that the blank takes away without a word; () if all is well.

    All is well if none goes; or if another critical or warning card comes; or if a line that was not there before
    names the resource or its type, or says that something is not recorded or could not be read.
    """
    before, after = usual(blank.case), answer(CASES[blank.case], blank.call())
    gone = grave(before) - grave(after)
    if not gone or grave(after) - grave(before):
        return ()
    kind = blank.resource.partition("/")[0]
    new = lines(after) - lines(before)
    if any(SAID.search(line) or blank.resource in line or f"{kind}:" in line for line in new):
        return ()
    return tuple(sorted({card.partition("/")[0] for card in gone}))


# --- what may be silent --------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Allowed:
    """Blanks that may be silent: where, in which ways, for cards of which topics, why, and a case where one is."""

    places: tuple[str, ...]
    ways: tuple[str, ...]
    topics: tuple[str, ...]
    reason: str
    example: str

    def allows(self, blank: Blank, topics: Sequence[str]) -> bool:
        return self.is_about(blank) and (not self.topics or set(topics) <= set(self.topics))

    def is_about(self, blank: Blank) -> bool:
        return blank.way in self.ways and any(is_place(blank.place, place) for place in self.places)


def is_place(place: str, pattern: str) -> bool:
    """`*` in a pattern stands for any letters; "Observation.component…" for the field and all inside it."""
    whole = pattern.removesuffix("…")
    if whole != pattern:
        return place == whole or place.startswith(f"{whole}.")
    return fnmatchcase(place, pattern)


@functools.cache
def exceptions() -> tuple[Allowed, ...]:
    said = yaml.safe_load(EXCEPTIONS.read_text(encoding="utf-8"))
    return tuple(
        Allowed(
            places=tuple(one["places"]),
            ways=tuple(one.get("ways", WAYS)),
            topics=tuple(one.get("topics", ())),
            reason=one["reason"],
            example=one["example"],
        )
        for one in said
    )


def unexpected(blank: Blank) -> str:
    """What is wrong with the answer to this blank; "" if nothing is."""
    topics = silenced(blank)
    if not topics or any(one.allows(blank, topics) for one in exceptions()):
        return ""
    return f"{', '.join(topics)} fell silent: {json.dumps([blank.case, blank.resource, blank.place, blank.way])}"
