"""How much one call may hold, and how many calls of one client may be open at once. Counted here, refused in words.

Each number is what a heavy record needs, times three; the time that a call at the limit takes is in docs/evidence.md.
A call beyond a limit is refused as a whole: nothing is cut off, and no limit ever becomes an answer without cards.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from cds_service.errors import Mistake, RequestError, TooManyCalls, TooMuch

MOST_NESTED: Final = 100
"""Levels of objects and lists. Real records have about 15, a questionnaire's answers 40; readers of them recurse."""

MOST_RESOURCES: Final = 50_000
"""Entries and resources of one call. A month of intensive care after ten years of history is some 17,000."""

MOST_VALUES: Final = 2_000_000
"""JSON values of one call: members of objects and entries of lists. Those 17,000 resources have some 640,000."""

MOST_PROPOSED: Final = 500
"""Draft orders, appointments or selections. A large admission set is some 150 orders."""

MOST_PROPOSED_DOSES: Final = 500
"""Doses of the drug in all drafts together. A plan for two years of treatment is some 50."""

MOST_PROPOSED_VALUES: Final = 50_000
"""JSON values of the context: a hundred for each of so many drafts."""

CALLS_AT_ONCE: Final = 32
"""Of one client in one process. One EHR of a large hospital has one or two open at a time."""

TOO_DEEP: Final = Mistake(path="", what="the JSON is nested too deeply", code="too-costly")


def values_in(root: Any) -> int:
    """The JSON values in a decoded one: members of its objects and entries of its lists, at all levels.

    Raises: RequestError if it nests deeper than MOST_NESTED. Nothing here recurses, however deep it is.
    """
    return _values(_levels(root))


def resources_in(root: Any) -> int:
    """Objects with a `resourceType`, or entries of Bundles if those are more. Raises: RequestError as above."""
    return _resources(_levels(root))


def _values(levels: Iterable[list[Any]]) -> int:
    return sum([len(node) for level in levels for node in level])


def _resources(levels: Iterable[list[Any]]) -> int:
    objects = [node for level in levels for node in level if type(node) is dict]
    typed = sum(["resourceType" in node for node in objects])
    bundled = [node["entry"] for node in objects if "entry" in node]
    return max(typed, sum([len(entries) for entries in bundled if type(entries) is list]))


def _levels(root: Any) -> list[list[Any]]:
    """The root, the objects and lists in it, then those in these, and so on. Decoded JSON has no other mapping."""
    levels = [[root]]
    while levels[-1]:
        if len(levels) > MOST_NESTED:
            raise RequestError(TOO_DEEP)
        inside: list[Any] = []
        for node in levels[-1]:
            inside += node.values() if type(node) is dict else node
        levels.append([node for node in inside if type(node) is dict or type(node) is list])
    return levels


def check_size(call: Mapping[str, Any]) -> None:
    """Is this call one that can be assessed in good time?

    Raises: TooMuch, naming what there is too much of and how much is taken; RequestError where it nests too deeply.
    """
    levels = _levels(call)
    values = _values(levels)
    for path, number in _proposed(call.get("context")):
        _at_most(MOST_PROPOSED, number, "entries", path)
    if values <= min(MOST_RESOURCES, MOST_PROPOSED_VALUES):  # as nearly every call: then nothing else can be too much
        return
    _at_most(MOST_VALUES, values, "JSON values", "")
    _at_most(MOST_RESOURCES, max(_resources(levels), _listed(call)), "resources", "")
    _at_most(MOST_PROPOSED_VALUES, values_in([call.get("context")]), "JSON values", "context")


def _proposed(context: Any) -> Iterator[tuple[str, int]]:
    """How many draft orders, appointments and selections there are."""
    for name in ("draftOrders", "appointments", "selections"):
        value = context.get(name) if isinstance(context, dict) else None
        found = value.get("entry") if isinstance(value, dict) else value
        if isinstance(found, list):
            yield f"context.{name}", len(found)


def _listed(call: Mapping[str, Any]) -> int:
    """A list in place of a Bundle has as many resources as it has entries."""
    prefetch = call.get("prefetch")
    values = prefetch.values() if isinstance(prefetch, dict) else ()
    return sum([len(value) for value in values if isinstance(value, list)])


def check_record(number: int) -> None:
    """Can so many resources, sent and read, be assessed in good time? Raises: TooMuch."""
    _at_most(MOST_RESOURCES, number, "resources", "")


def check_doses(number: int) -> None:
    """Can so many doses of the drug in draft orders be assessed in good time? Raises: TooMuch."""
    _at_most(MOST_PROPOSED_DOSES, number, "doses of the drug", "context.draftOrders")


def _at_most(most: int, number: int, of_what: str, path: str) -> None:
    if number > most:
        raise TooMuch(Mistake(path=path, what=f"more than {most:,} {of_what}: it was not assessed", code="too-costly"))


class CallsAtOnce:
    """How many calls each client has open in this process."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def one_of(self, client: str) -> Iterator[None]:
        """One call of this client, open as long as this lasts. Raises: TooManyCalls."""
        with self._lock:
            if self._open[client] >= self._most:
                raise TooManyCalls(self._most)
            self._open[client] += 1
        try:
            yield
        finally:
            with self._lock:
                self._open[client] -= 1
                if not self._open[client]:
                    del self._open[client]
