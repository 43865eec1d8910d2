"""The examples of the project as calls to change, the service in process, and what its cards say."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app import build
from cds_service.settings import read_settings

ROOT: Final = Path(__file__).resolve().parents[2]
SIGN: Final = "/cds-services/tarlatamab-order-sign"
SELECT: Final = "/cds-services/tarlatamab-order-select"
NEEDED: Final = ("conditions", "medicationRequests", "medicationAdministrations")
DRAFT: Final = "MedicationRequest/draft-tarlatamab"
PATIENT: Final = "example"
ADVICE: Final = "org.tarlatamab-cds.advice"
Card = Mapping[str, Any]


@cache
def application(**settings: str) -> Flask:
    """The whole service as `python app.py` builds it, on the day of the examples; it waits for a busy FHIR server."""
    return build(read_settings({"CDS_NOW": "2026-01-20T09:00:00Z", "CDS_FHIR_BUDGET_MS": "20000", **settings}))


@cache
def _example(name: str) -> Any:
    return json.loads((ROOT / "examples" / f"{name}.json").read_text(encoding="utf-8"))


def order_sign(**changes: Any) -> dict[str, Any]:
    """The example of a second dose 15 days after the first: a restart is due. A change to `...` leaves a member out."""
    call = copy.deepcopy(_example("order-sign-late-second-dose"))
    return {name: value for name, value in (call | changes).items() if value is not ...}


def order_select(**changes: Any) -> dict[str, Any]:
    """The example of an order whose dose is not chosen yet."""
    call = copy.deepcopy(_example("order-select-dose-not-chosen-yet"))
    return {name: value for name, value in (call | changes).items() if value is not ...}


def drafts(call: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The draft orders, to be changed in place."""
    return [entry["resource"] for entry in call["context"]["draftOrders"]["entry"]]


def prefetch(call: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    return {name: value for name, value in (call["prefetch"] | changes).items() if value is not ...}


def post(client: FlaskClient, call: Mapping[str, Any], **options: Any) -> TestResponse:
    return client.post(f"/cds-services/tarlatamab-{call['hook']}", json=call, **options)


def cards(client: FlaskClient, call: Mapping[str, Any]) -> list[Card]:
    """The cards of a call that is answered."""
    response = post(client, call)
    assert response.status_code == 200, response.text
    assert response.json is not None
    found: list[Card] = response.json["cards"]
    return found


def advice(card: Card) -> str:
    """`dose/restart-step-up critical`."""
    said = card["extension"][ADVICE]
    return f"{said['topic']}/{said['action']} {card['indicator']}"


def said(client: FlaskClient, call: Mapping[str, Any]) -> list[str]:
    return [advice(card) for card in cards(client, call)]
