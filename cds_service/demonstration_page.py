"""The test bench on `/`, the FHIR server of its patients, and why an answer says what it says. Demo mode only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from typing import Any, Final, TypeAlias
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, request

from cds_service import card_html, pages, services, wire
from cds_service.demonstration import fhir_store, patients
from cds_service.demonstration.fhir_store import FhirStore, Refused
from cds_service.openapi import FHIR_JSON, JSON
from cds_service.why import why

FHIR: Final = "/demo/fhir"
COMPLETE: Final = "v1"
"""The patient for whom everything is ordered as it should be: what the bench adds to a call is copied from there."""

Explained = Callable[[str, Callable[[services.Answer], Response]], Response]
"""(service id, what to make of its answer) → the response: the body is read, limited and refused as a real call."""

Drawn: TypeAlias = Callable[[Callable[[bytes], Response]], Response]
"""What to make of a body of JSON → the response: the body is limited and refused as that of a real call."""


@dataclass(frozen=True, kw_only=True)
class Demonstration:
    """What the bench shows: its patients, moved to the service's own today.

    `root` is the path under which the service is reached, "" or "/base".
    """

    patients: tuple[patients.Patient, ...]
    clock: Callable[[], datetime]
    zone: ZoneInfo
    root: str = ""
    needs_token: bool = False

    def today(self) -> date:
        return self.clock().astimezone(self.zone).date()


def demonstration(
    shown: Demonstration, entries: Sequence[wire.Service], explained: Explained, drawn: Drawn
) -> Blueprint:
    """The routes of the bench; `entries` are the services that it offers to call."""
    bench = Blueprint("demonstration", __name__)

    @lru_cache(maxsize=2)
    def on(today: date) -> tuple[patients.Patient, ...]:
        return tuple(patient.on(today) for patient in shown.patients)

    def store() -> FhirStore:
        records = [resource for patient in on(shown.today()) for resource in patient.record]
        return FhirStore(base=f"{request.host_url.rstrip('/')}{shown.root}{FHIR}", resources=records)

    @bench.get("/")
    def test_bench() -> Response:
        return pages.page(
            "test_bench.html",
            here="/",
            needs_token=shown.needs_token,
            services=entries,
            groups=grouped(shown.patients),
        )

    @bench.get("/demo/patients")
    def choices() -> Response:
        chosen = {patient.id: patient for patient in on(shown.today())}
        said = {
            "today": shown.today().isoformat(),
            "patients": {name: patients.as_choice(patient) for name, patient in chosen.items()},
            "order": chosen[COMPLETE].drafts[:1],
            "companions": chosen[COMPLETE].drafts[1:],
        }
        return Response(patients.encode(said), mimetype=JSON)

    @bench.get(f"{FHIR}/<kind>")
    def search(kind: str) -> Response:
        return _fhir(lambda: _searched(store(), kind, request.args.to_dict()))

    @bench.get(f"{FHIR}/<kind>/<identity>")
    def read(kind: str, identity: str) -> Response:
        return _fhir(lambda: store().read(kind, identity))

    @bench.post("/demo/cards")
    def draw() -> Response:
        return drawn(_cards)

    @bench.post("/demo/why/<service_id>")
    def explain(service_id: str) -> Response:
        return explained(service_id, lambda answer: _why(answer, store(), shown.root))

    return bench


def grouped(shown: Sequence[patients.Patient]) -> Mapping[str, Sequence[patients.Patient]]:
    """The patients by their groups, both in the order of the list."""
    groups: dict[str, list[patients.Patient]] = {}
    for patient in shown:
        groups.setdefault(patient.group, []).append(patient)
    return groups


def _cards(body: bytes) -> Response:
    return pages.page("cards.html", cards=card_html.read(body), detail=card_html.detail, can_act=True)


def _why(answer: services.Answer, store: FhirStore, root: str) -> Response:
    found = why(answer.grounds.assessment) if answer.grounds else None
    named = [one["reference"] for advice in found["advice"] for one in advice["evidence"]] if found else []
    held = {f"{one['resourceType']}/{one['id']}" for one in store.resources}
    links = {reference: f"{root}{FHIR}/{reference}" for reference in named if reference in held}
    return pages.page("why.html", found=found, links=links)


def _searched(store: FhirStore, kind: str, parameters: Mapping[str, str]) -> fhir_store.Resource:
    return fhir_store.capability_statement(store.base) if kind == "metadata" else store.search(kind, parameters)


def _fhir(produce: Callable[[], Any]) -> Response:
    try:
        return Response(patients.encode(produce()), mimetype=FHIR_JSON)
    except Refused as error:
        return Response(patients.encode(fhir_store.outcome(str(error))), status=error.status, mimetype=FHIR_JSON)
