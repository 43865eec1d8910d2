"""The vignettes' calls, answered in process: the bytes that the service would send, and the cards in them."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from cds_service import wire
from cds_service.engine.rulebook import Rulebook
from cds_service.fhir_client import FhirClient
from cds_service.knowledge import loader
from cds_service.knowledge.regimen import Sources
from cds_service.services import Answer, DrugReview, offers
from tests.vignettes.build import Case, load_vignettes
from tests.vignettes.compare import Card, kind

CASES: Final[Mapping[str, Case]] = {case.id: case for case in load_vignettes()}
NAMES: Final = tuple(CASES)
RANK: Final = {"info": 0, "warning": 1, "critical": 2}
BUDGET_MS: Final = 1_000
"""For no read: everything a vignette needs is prefetched."""

Body = dict[str, Any]
Json = Any


@functools.cache
def _rulebook(sources: str) -> Rulebook:
    return Rulebook(loader.load(sources=Sources(sources)))


def reply(case: Case, body: Mapping[str, Any], *, now: datetime | None = None, zone: str = "") -> bytes:
    """The body of the service's answer to this call of the case, at its own moment and in its own zone if none is said.

    Raises: NothingReadable where the service would answer 412.
    """
    at = case.now if now is None else now
    call = wire.read_request(json.dumps(body).encode(), case.hook)
    with FhirClient(budget_ms=BUDGET_MS) as fhir:
        review = DrugReview(
            rulebook=_rulebook(case.sources), fhir=fhir, zone=ZoneInfo(zone or case.timezone), clock=lambda: at
        )
        return wire.encode(answer_of(review, call).response)


def answer_of(review: DrugReview, call: wire.HookRequest) -> Answer:
    """The answer of the service of this call's hook."""
    return next(offer.answer(call) for offer in offers(review) if offer.entry.hook == call.hook)


def answer(case: Case, body: Mapping[str, Any], *, now: datetime | None = None, zone: str = "") -> list[Card]:
    """The cards of the answer."""
    found: list[Card] = json.loads(reply(case, body, now=now, zone=zone))["cards"]
    return found


@functools.cache
def request_text(name: str) -> str:
    return json.dumps(CASES[name].request())


def request(name: str) -> Body:
    """A fresh copy of the case's call, to be changed."""
    body: Body = json.loads(request_text(name))
    return body


@functools.cache
def usual(name: str) -> tuple[Card, ...]:
    """The cards of the call as the vignette has it."""
    return tuple(answer(CASES[name], request(name)))


def without_uuid(cards: Sequence[Card]) -> str:
    """The cards as text, byte for byte, but for their uuid."""
    return json.dumps([{name: part for name, part in card.items() if name != "uuid"} for card in cards], indent=1)


def worst(cards: Sequence[Card]) -> int:
    """The rank of the worst indicator; -1 without a card."""
    return max((RANK[card["indicator"]] for card in cards), default=-1)


def kinds(cards: Sequence[Card]) -> list[str]:
    return ["/".join(kind(card)) for card in cards]


# --- the resources of a call ---------------------------------------------------------------------------------------


def bundles(body: Body) -> Iterator[tuple[str, list[Json]]]:
    """Every prefetch Bundle that has entries, with its key."""
    for key, value in body["prefetch"].items():
        if isinstance(value, dict) and value.get("resourceType") == "Bundle" and value.get("entry"):
            yield key, value["entry"]


def recorded(body: Body) -> Iterator[dict[str, Any]]:
    """Every resource of the prefetch."""
    for value in body["prefetch"].values():
        if isinstance(value, dict) and value.get("resourceType") not in {"Bundle", "OperationOutcome"}:
            yield value
    for _, entries in bundles(body):
        yield from (entry["resource"] for entry in entries if "resource" in entry)


def reference(resource: Mapping[str, Any]) -> str:
    return f"{resource.get('resourceType')}/{resource.get('id')}"
