"""The whole way: order-sign calls answered from a real FHIR R4 server instead of a prefetch."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, Final

import pytest
from flask import Flask

import app
from cds_service.settings import read_settings
from tests.support.fhir_server import READS_ALL, READS_NO_OBSERVATIONS, RealFhirServer
from tests.vignettes.build import Case, load_vignettes
from tests.vignettes.compare import kind

pytestmark = pytest.mark.fhir_server

Card = Mapping[str, Any]

MAIN_PATHS: Final = {
    "V1": "first dose",
    "V2": "first order is 10 mg",
    "V4": "no premedication",
    "V5b": "restart after 1 mg",
    "V7b": "restart after C1D15",
    "V11": "too early",
    "V14": "CRS grade 1 active",
    "V17a": "CRS grade 3 resolved",
    "V19": "CRS grade 4",
    "V20a": "ICANS grade 1, ICE score",
    "V20b": "ICANS grade 2, resolved",
    "V23": "ICANS again after grade 3",
    "V24": "ICANS grade 4 in a text",
    "V25a": "pregnant",
    "V25b": "pregnancy unknown",
    "V26a": "breastfeeding",
    "V28a": "under 18",
    "V29a": "liver, stop",
    "V29d": "kidney",
    "V30g": "infusion stopped early",
    "V30j": "another lung cancer",
    "V30l": "adverse event",
    "V31": "the ordinary day",
    "V34b": "neutropenia",
    "V63a": "pneumonia",
    "V69b": "other drafts",
}
CASES: Final = {case.id: case for case in load_vignettes() if "reading" not in case.given}
"""Every vignette but those of records that could not be read."""
AT_ONCE: Final = 40
WITHOUT_OBSERVATIONS: Final = ("V5b", "V14", "V19", "V28a", "V31")


@functools.cache
def application(now: str, timezone: str, sources: str) -> Flask:
    settings = {
        "CDS_MODE": "demo",
        "CDS_NOW": now,
        "CDS_TIMEZONE": timezone,
        "CDS_SOURCES": sources,
        "CDS_FHIR_BUDGET_MS": "30000",
    }
    return app.build(read_settings(settings))


def cards_for(case: Case, body: Mapping[str, Any]) -> list[Card]:
    client = application(case.now.isoformat(), case.timezone, case.sources).test_client()
    reply = client.post(f"/cds-services/{case.service}", json=body)
    assert reply.status_code == 200, reply.get_data(as_text=True)
    cards: list[Card] = reply.get_json()["cards"]
    return cards


def without_prefetch(case: Case, server: RealFhirServer, client: str = READS_ALL) -> dict[str, Any]:
    authorization = {
        "access_token": server.token(client),
        "token_type": "Bearer",
        "expires_in": 300,
        "scope": "system/*.rs",
        "subject": "cds-service",
    }
    return {**case.request(prefetch=False, fhir_server=server.url), "fhirAuthorization": authorization}


def without_uuid(cards: Sequence[Card]) -> list[dict[str, Any]]:
    """Cards as compared: uuids are made anew for nothing but their own sake."""
    suggestions = [[{**suggestion, "uuid": ""} for suggestion in card.get("suggestions", [])] for card in cards]
    return [{**card, "uuid": "", "suggestions": made} for card, made in zip(cards, suggestions, strict=True)]


@pytest.fixture(scope="module")
def loaded(fhir_server: RealFhirServer) -> RealFhirServer:
    """The records of all patients side by side: whatever leaks between them changes a card."""
    cases = list(CASES.values())
    for start in range(0, len(cases), AT_ONCE):
        fhir_server.load(resource for case in cases[start : start + AT_ONCE] for resource in case.resources())
    return fhir_server


def test_every_main_path_is_there() -> None:
    assert set(MAIN_PATHS) <= set(CASES)


@pytest.mark.conforms("C41")
@pytest.mark.parametrize("name", CASES)
def test_without_any_prefetch_the_same_cards_come_as_with_all_of_it(loaded: RealFhirServer, name: str) -> None:
    case = CASES[name]
    expected = cards_for(case, case.request())
    assert sorted(map(kind, expected)) == sorted(card.kind for card in case.then)
    assert without_uuid(cards_for(case, without_prefetch(case, loaded))) == without_uuid(expected)


@pytest.mark.conforms("C44", "C55")
@pytest.mark.parametrize("name", WITHOUT_OBSERVATIONS)
def test_a_token_that_may_not_read_observations_gives_the_rest_and_says_what_is_missing(
    loaded: RealFhirServer, name: str
) -> None:
    case = CASES[name]
    cards = cards_for(case, without_prefetch(case, loaded, READS_NO_OBSERVATIONS))
    by_kind = {kind(card): card for card in cards}
    assert ("record", "cannot-assess", "warning") in by_kind
    assert set(by_kind) == {card.kind for card in case.then} | {("record", "cannot-assess", "warning")}
    said = by_kind["record", "cannot-assess", "warning"]["detail"]
    assert "the FHIR server does not allow this to be read (403)" in said.replace("\\", "")


@pytest.mark.conforms("C43", "C44")
def test_with_a_refused_token_nothing_can_be_assessed_and_no_patient_is_named(loaded: RealFhirServer) -> None:
    case = CASES["V31"]
    body = without_prefetch(case, loaded)
    body["fhirAuthorization"]["access_token"] = "expired"
    client = application(case.now.isoformat(), case.timezone, case.sources).test_client()
    reply = client.post(f"/cds-services/{case.service}", json=body)
    assert reply.status_code == 412
    text = reply.get_data(as_text=True)
    assert all(key in text for key in ("conditions", "medicationRequests", "medicationAdministrations"))
    assert "the FHIR server did not accept the access token (401)" in text
    assert case.patient_id not in text
    assert "expired" not in text


def test_what_is_not_prefetched_is_read_beside_what_is(loaded: RealFhirServer) -> None:
    case = CASES["V19"]
    whole = case.request()
    body = without_prefetch(case, loaded)
    body["prefetch"] = {key: value for key, value in whole["prefetch"].items() if key != "conditions"}
    assert without_uuid(cards_for(case, body)) == without_uuid(cards_for(case, whole))
