"""A FHIR server that can only be read, and only holds the demonstration's patients: the service asks it as any other.

It knows the searches that discovery's prefetch templates make. A parameter that it does not know is refused, never
passed over: a filter that is not applied would show more, or less, than was asked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

Resource = Mapping[str, Any]
TYPES: Final = frozenset(
    {
        "Patient",
        "Condition",
        "MedicationRequest",
        "MedicationAdministration",
        "Observation",
        "Procedure",
        "AdverseEvent",
        "AllergyIntolerance",
    }
)
MOST: Final = 1000
"""Entries of one answer; no example holds so many."""


class Refused(Exception):
    """The question is none that this server answers. `status` is that of HTTP."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


@dataclass(frozen=True, kw_only=True)
class FhirStore:
    """The records of all patients, and under which address they are found."""

    base: str
    resources: Sequence[Resource]

    def read(self, kind: str, identity: str) -> Resource:
        """Raises: Refused where there is none."""
        for resource in self.resources:
            if resource["resourceType"] == kind and resource["id"] == identity:
                return resource
        raise Refused(404, "there is no such resource")

    def search(self, kind: str, parameters: Mapping[str, str]) -> Resource:
        """A searchset with all that match. Raises: Refused."""
        if kind not in TYPES:
            raise Refused(404, "this type is not served")
        wanted = {name: text for name, text in parameters.items() if name not in {"_sort", "_count"}}
        for name in wanted:
            if name not in FILTERS:
                raise Refused(400, "this search parameter is not served")
        found = [
            resource
            for resource in self.resources
            if resource["resourceType"] == kind and all(FILTERS[name](resource, wanted[name]) for name in wanted)
        ]
        return self._searchset(
            _sorted(found, parameters.get("_sort", ""))[: _count(parameters.get("_count"))], len(found)
        )

    def _searchset(self, found: Sequence[Resource], total: int) -> Resource:
        entries = [
            {"fullUrl": f"{self.base}/{one['resourceType']}/{one['id']}", "resource": one, "search": {"mode": "match"}}
            for one in found
        ]
        bundle: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset", "total": total}
        return {**bundle, "entry": entries} if entries else bundle


def _count(text: str | None) -> int:
    if text is None:
        return MOST
    if re.fullmatch("[0-9]{1,9}", text) is None:
        raise Refused(400, "_count takes a number")
    return min(int(text), MOST)


def _sorted(found: Sequence[Resource], by: str) -> Sequence[Resource]:
    if not by:
        return found
    if by != "-date":
        raise Refused(400, "only _sort=-date is served")
    return sorted(found, key=lambda one: str(one.get("effectiveDateTime", "")), reverse=True)


def _is_of(resource: Resource, patient: str) -> bool:
    whose = resource.get("subject", resource.get("patient", {}))
    return bool(whose.get("reference") == f"Patient/{patient.removeprefix('Patient/')}")


def _codes(concept: Any) -> set[str]:
    codings = concept.get("coding", []) if isinstance(concept, Mapping) else []
    plain = {coding["code"] for coding in codings if "code" in coding}
    return plain | {f"{coding['system']}|{coding['code']}" for coding in codings if {"code", "system"} <= coding.keys()}


def _has_code(resource: Resource, tokens: str) -> bool:
    return not _codes(resource.get("code")).isdisjoint(tokens.split(","))


def _has_category(resource: Resource, tokens: str) -> bool:
    return any(not _codes(one).isdisjoint(tokens.split(",")) for one in resource.get("category", []))


FILTERS: Final[Mapping[str, Callable[[Resource, str], bool]]] = {
    "patient": _is_of,
    "subject": _is_of,
    "code": _has_code,
    "category": _has_category,
    "_id": lambda resource, identity: bool(resource["id"] == identity),
}


def capability_statement(base: str) -> Resource:
    """What the server can do, for a client that asks first."""
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": "2026-11-26",
        "kind": "instance",
        "implementation": {"description": "Made-up patients of a demonstration, read only", "url": base},
        "fhirVersion": "4.0.1",
        "format": ["json"],
        "rest": [
            {
                "mode": "server",
                "resource": [
                    {"type": kind, "interaction": [{"code": "read"}, {"code": "search-type"}]} for kind in sorted(TYPES)
                ],
            }
        ],
    }


def outcome(why: str) -> Resource:
    """The body of a refusal."""
    return {
        "resourceType": "OperationOutcome",
        "issue": [{"severity": "error", "code": "not-supported", "diagnostics": why}],
    }
