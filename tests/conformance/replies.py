"""What every reply of the service keeps, whatever it was asked: checked on each one that a test receives.

The schema is that of the specification (tests/cds_hooks); the rest is what a schema says badly or not at all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import jsonschema_rs

SCHEMA: Final = Path(__file__).resolve().parents[1] / "cds_hooks" / "response.schema.json"
SERVICES: Final = "/cds-services"
QUALITY: Final = "/quality"
"""A page for people: it refuses a browser in HTML, and every other client as all addresses do."""

_CALL: Final = re.compile(r"/cds-services/+[^/]+/?")
_REVERSE_DOMAIN: Final = re.compile(r"[a-z][a-z0-9-]*(\.[a-z0-9-]+)+")
_CORS: Final = {
    "Access-Control-Allow-Methods": {"GET", "POST", "OPTIONS"},
    "Access-Control-Allow-Headers": {"Authorization", "Content-Type"},
}


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One answer, as a client sees it. `path` is that of the request; header names may come in any case."""

    method: str
    path: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300

    @property
    def is_json(self) -> bool:
        return self.headers.get("Content-Type", "").partition(";")[0].strip() == "application/json"


def check(reply: Reply) -> None:
    """Raises: AssertionError naming everything that is wrong with the reply."""
    found = list(mistakes(reply))
    assert not found, f"{reply.method} {reply.path} got {reply.status}: {'; '.join(found)}"


def mistakes(reply: Reply) -> Iterator[str]:
    """What a client could not rely on in this reply; nothing where all is well."""
    if reply.path.startswith("/demo/fhir/"):
        return  # the demonstration's FHIR server, which refuses in FHIR's own media type
    if reply.path == "/smart" or reply.path.startswith("/smart/"):
        return  # the SMART app, which is for people: it leads on, and refuses in pages
    if not reply.path.startswith(SERVICES) and (reply.is_success or reply.path.startswith("/health/")):
        return  # pages, figures and probes, which are not CDS Hooks
    if reply.path == QUALITY and reply.headers.get("Content-Type", "").startswith("text/html"):
        return
    yield from _headers(reply)
    if reply.method in {"HEAD", "OPTIONS"}:
        return
    if not reply.is_json:
        if reply.body or not reply.is_success:
            yield "is not application/json (C1, C43)"
        return
    body = json.loads(reply.body)
    yield from _empties(body, top=True)
    yield from _of_its_kind(reply, body)


def _of_its_kind(reply: Reply, body: Any) -> Iterator[str]:
    if not reply.is_success:
        yield from _outcome(body)
    elif reply.method == "POST" and _CALL.fullmatch(reply.path):
        yield from _by_schema("response", _in_version_2(body))
        yield from _cards(body)
    elif reply.path.rstrip("/") == SERVICES:
        yield from _by_schema("discovery", body)


def _in_version_2(value: Any) -> Any:
    """The reply with removals as 2.0 writes them, which the schema has: 1.x names the target in `resource` (C77)."""
    if isinstance(value, list):
        return [_in_version_2(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("type") == "delete" and isinstance(value.get("resource"), str) and "resourceId" not in value:
        return {"resourceId" if name == "resource" else name: item for name, item in value.items()}
    return {name: _in_version_2(item) for name, item in value.items()}


def _headers(reply: Reply) -> Iterator[str]:
    if "Access-Control-Allow-Origin" not in reply.headers:
        if "Origin" not in reply.headers.get("Vary", ""):
            yield "Access-Control-Allow-Origin is missing (C111)"  # only a list of origins may leave one out
    elif reply.headers["Access-Control-Allow-Origin"] == "*" and "Access-Control-Allow-Credentials" in reply.headers:
        yield "any origin may send credentials (C111)"
    for name, needed in _CORS.items():
        if not needed <= {part.strip() for part in reply.headers.get(name, "").split(",")}:
            yield f"{name} does not name {', '.join(sorted(needed))} (C111)"


def _empties(value: Any, place: str = "", *, top: bool = False) -> Iterator[str]:
    """Places of null, "", [] and {} (C2); a FHIR resource has rules of its own."""
    if value is None or value in ({}, []) or (isinstance(value, str) and not value.strip()):
        yield f"{place or 'the body'} is empty (C2)"
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _empties(item, f"{place}[{number}]")
    elif isinstance(value, dict):
        for name, item in value.items():
            if name != "resource" and not (top and name in {"cards", "services"} and item == []):
                yield from _empties(item, f"{place}.{name}" if place else name)
        yield from _extension(value.get("extension", {}), place, top=top)


def _extension(extension: Any, place: str, *, top: bool) -> Iterator[str]:
    """Names of vendors (C85, C118). The reference client reads `systemActions` from the extension of a reply."""
    if not isinstance(extension, dict):
        yield f"{place}.extension is no object (C118)"
        return
    for name in extension:
        if not _REVERSE_DOMAIN.fullmatch(name) and not (top and name == "systemActions"):
            yield f"{place}.extension.{name} is no reverse-domain name (C85)"


@cache
def _validator(name: str) -> jsonschema_rs.Draft202012Validator:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    return jsonschema_rs.Draft202012Validator(schema | {"$ref": f"#/$defs/{name}"})


def _by_schema(name: str, body: Any) -> Iterator[str]:
    for error in _validator(name).iter_errors(body):
        yield f"breaks the schema at {'.'.join(map(str, error.instance_path))}: {error.message}"


def _cards(body: Any) -> Iterator[str]:
    """What is to be the only one of its kind."""
    cards = [card for card in body.get("cards", ()) if isinstance(card, dict)]
    suggestions = [one for card in cards for one in card.get("suggestions", ())]
    uuids = [one["uuid"] for one in (*cards, *suggestions) if "uuid" in one]
    if len(set(uuids)) != len(uuids):
        yield "a uuid stands twice (C65, C71)"
    for card in cards:
        recommended = sum(one.get("isRecommended", False) for one in card.get("suggestions", ()))
        if recommended > 1 and card.get("selectionBehavior") != "any":
            yield "several suggestions are recommended where one can be chosen (C70)"


def _outcome(body: Any) -> Iterator[str]:
    if not isinstance(body, dict) or body.get("resourceType") != "OperationOutcome":
        yield "is no OperationOutcome (C43)"
    elif not body.get("issue") or any(not {"severity", "code"} <= one.keys() for one in body["issue"]):
        yield "its OperationOutcome has no issue with severity and code (C43)"
