"""What came under one prefetch key, or as a FHIR server's answer: its resources, and how far they are all there are.

Whatever shape comes, nothing here raises, and what is no resource is said.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from cds_service.fhir_answer import next_link
from cds_service.prefetch import Template
from fhir_mappings.chart import Resource
from fhir_mappings.elements import items, part, words
from fhir_mappings.facts import Reading

QUERY_FAILED: Final = "the EHR reports that the query failed"
_TYPE_AND_ID: Final = re.compile(r"(?:^|/)([A-Z][A-Za-z]{2,63})/([A-Za-z0-9._-]{1,128})(?:/_history/[^/]*)?/?$")
_FAILED: Final = frozenset({"error", "fatal"})
_MOST_NESTED: Final = 4
_WORST_LAST: Final = (Reading.COMPLETE, Reading.PARTIAL, Reading.UNAVAILABLE)


@dataclass(kw_only=True)
class Contents:
    """The resources found, each with its `fullUrl`, and what else was seen.

    `broken` holds the reference ("" if none) of each entry that is no resource. `next` is the link to what is missing
    after `pages`, the Bundles read here.
    `may_be_asked` is True where the value is not an answer at all, so that the FHIR server may be asked instead.
    """

    resources: list[tuple[Resource, str]] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    reading: Reading = Reading.COMPLETE
    why: str = ""
    next: str = ""
    pages: Sequence[Resource] = ()
    may_be_asked: bool = False

    def lacks(self, reading: Reading, why: str) -> None:
        """What was read is at best this much; the first reason of the worst reading is kept."""
        if _WORST_LAST.index(reading) > _WORST_LAST.index(self.reading):
            self.reading, self.why = reading, why


def contents(value: Any, wanted: Template) -> Contents:
    """What a prefetch value holds. `null` and an empty Bundle are complete: the query found nothing (C34, C35)."""
    found = Contents()
    if value is None:
        return found
    if isinstance(value, list):
        return _bare_list(found, value, wanted)
    if not isinstance(value, dict):
        return _no_answer(found, "the prefetched value is no FHIR resource")
    kind = value.get("resourceType")
    if kind == "Bundle" or (kind is None and "entry" in value):
        return bundle_contents([value], wanted)
    if kind is None and isinstance(value.get("resource"), dict):  # the form before CDS Hooks 1.0
        return contents(value["resource"], wanted)
    if not words(kind):
        return _no_answer(found, "the prefetched value is no FHIR resource")
    if kind == "OperationOutcome":
        return _bare_outcome(found, value)
    found.resources.append((value, ""))
    return _bare_resource(found, words(kind), wanted)


def bundle_contents(pages: Sequence[Resource], wanted: Template) -> Contents:
    """What the pages of one Bundle hold together, and whether they are all that it says there are.

    A page of a read by id may be the resource itself; an OperationOutcome may stand in for any page.
    """
    found = Contents(pages=pages)
    matches = 0
    for page in pages:
        if page.get("resourceType") == "OperationOutcome":
            _bare_outcome(found, page)
        elif page.get("resourceType") in (None, "Bundle"):
            matches += _read_page(found, page, wanted)
        else:
            found.resources.append((page, ""))
    if pages:
        found.next = next_link(pages[-1])
    _judge_completeness(found, pages, matches, wanted)
    _judge_kinds(found, wanted)
    return found


def entries(bundle: Mapping[str, Any]) -> Iterable[Any]:
    """The entries of a Bundle, also where an object stands in place of the list."""
    return items(bundle.get("entry"))


def proposed(given: Iterable[Any], depth: int = 0) -> Iterator[Any]:
    """The entries of what a call proposes; those of a Bundle among them take its place.

    Unknown: a Bundle that is nested deeper than is read stays itself an entry, and nobody can take it for an order.
    """
    for entry in given:
        resource = resource_of(entry)
        if resource is not None and resource["resourceType"] == "Bundle" and depth < _MOST_NESTED:
            yield from proposed(entries(resource), depth + 1)
        else:
            yield entry


def resource_of(entry: Any) -> Resource | None:
    """The resource of an entry, or the entry itself where it is one."""
    if not isinstance(entry, dict):
        return None
    inside = entry.get("resource")
    if isinstance(inside, dict) and _is_a_type(words(inside.get("resourceType"))):
        return inside
    return entry if _is_a_type(words(entry.get("resourceType"))) else None


def _is_a_type(kind: str) -> bool:
    """Whether this is spelt as FHIR's resource types are."""
    return kind[:1].isupper() and kind.isalpha()


def place_of(entry: Any) -> str:
    """`Type/id` as the `fullUrl` of an entry has it, "" if it has none."""
    return _place_in(full_url_of(entry))


def full_url_of(entry: Any) -> str:
    return words(entry.get("fullUrl")) if isinstance(entry, dict) else ""


def with_id(resource: Resource, full_url: str) -> Resource:
    """The resource with the id that its entry's `fullUrl` gives it, where it has none of its own."""
    if words(resource.get("id")):
        return resource
    kind, _, identity = _place_in(full_url).partition("/")
    return {**resource, "id": identity} if identity and kind == resource["resourceType"] else resource


def _place_in(full_url: str) -> str:
    found = _TYPE_AND_ID.search(full_url)
    return f"{found[1]}/{found[2]}" if found else ""


def _read_page(found: Contents, page: Resource, wanted: Template, depth: int = 0) -> int:
    """Sort the entries of one page; the number of entries that answer the query."""
    matches = 0
    for entry in entries(page):
        resource = resource_of(entry)
        if resource is None:
            found.broken.append(place_of(entry))
            found.lacks(Reading.PARTIAL, "an entry of the answer is no FHIR resource")
        elif resource["resourceType"] == "OperationOutcome":
            _entry_outcome(found, resource)
            continue
        elif resource["resourceType"] == "Bundle" and depth < _MOST_NESTED:
            _read_page(found, resource, wanted, depth + 1)
            if next_link(resource):
                found.lacks(Reading.PARTIAL, "a Bundle inside the answer is cut short")
        else:
            found.resources.append((resource, full_url_of(entry)))
        matches += _is_match(entry, resource, wanted)
    return matches


def _is_match(entry: Any, resource: Resource | None, wanted: Template) -> bool:
    """Whether the entry answers the query, rather than accompany what does; by its type where it does not say so."""
    mode = part(entry["search"], "mode") if isinstance(entry, dict) and "search" in entry else None
    if isinstance(mode, str):
        return mode not in ("include", "outcome")
    return resource is None or wanted.asks_for(resource["resourceType"])


def _judge_completeness(found: Contents, pages: Sequence[Resource], matches: int, wanted: Template) -> None:
    """Is anything missing that no next link leads to?"""
    if found.next or not pages:
        return
    total = pages[0].get("total")
    if isinstance(total, int) and not isinstance(total, bool):
        if total > matches:
            found.lacks(Reading.PARTIAL, "the answer is cut short: it holds fewer entries than it counts")
    elif "link" not in pages[-1] and wanted.page_size is not None and matches >= wanted.page_size:
        found.lacks(Reading.PARTIAL, "the answer may be cut short: it is as long as it may be and has no total")


def _judge_kinds(found: Contents, wanted: Template) -> None:
    """Is this an answer to something else?"""
    kinds = {resource["resourceType"] for resource, _ in found.resources}
    if kinds and not any(map(wanted.asks_for, kinds)):
        found.lacks(Reading.UNAVAILABLE, "the answer holds other resources than those asked for")
        found.may_be_asked = True


def _bare_list(found: Contents, value: list[Any], wanted: Template) -> Contents:
    _read_page(found, {"entry": value}, wanted)
    if not found.resources:
        return _no_answer(found, "the prefetched value is no FHIR resource")
    found.lacks(Reading.PARTIAL, "the prefetched value is a list instead of a Bundle: it may not be all there is")
    found.may_be_asked = True
    _judge_kinds(found, wanted)
    return found


def _bare_resource(found: Contents, kind: str, wanted: Template) -> Contents:
    if not wanted.asks_for(kind):
        return _no_answer(found, "the prefetched value is another resource than the one asked for")
    if not wanted.is_read:
        found.lacks(
            Reading.PARTIAL, "the prefetched value is one resource instead of a Bundle: it may not be all there is"
        )
        found.may_be_asked = True
    return found


def _no_answer(found: Contents, why: str) -> Contents:
    found.lacks(Reading.UNAVAILABLE, why)
    found.may_be_asked = True
    return found


def _entry_outcome(found: Contents, outcome: Resource) -> None:
    """An OperationOutcome beside the data: only an error says that the query failed (C36)."""
    if _severities(outcome) & _FAILED:
        found.lacks(Reading.UNAVAILABLE, QUERY_FAILED)


def _bare_outcome(found: Contents, outcome: Resource) -> Contents:
    """An OperationOutcome in place of the data: a mere information means "none", a warning leaves that open."""
    severities = _severities(outcome)
    if severities & _FAILED or not severities:
        found.lacks(Reading.UNAVAILABLE, QUERY_FAILED)
    elif severities != {"information"}:
        found.lacks(Reading.PARTIAL, "the EHR answers with a warning instead of data")
    return found


def _severities(outcome: Resource) -> set[str]:
    return {words(part(issue, "severity")).lower() or "error" for issue in items(outcome.get("issue"))}
