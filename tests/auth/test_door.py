"""Whole calls through the door of a service that knows its clients: production, and a demonstration with profiles."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import time_machine
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from cds_service.errors import SettingError
from tests.auth.hospital import hospital
from tests.auth.tokens import (
    CALLED,
    NOW,
    PUBLIC_URL,
    bearer,
    claims,
    header,
    jwk,
    profile,
    token,
)
from tests.support.hostile_server import hostile_server
from tests.vignettes.build import load_vignettes

SIGN: Final = "/cds-services/tarlatamab-order-sign"
LATE: Final = next(case for case in load_vignettes() if case.id == "V3")


@pytest.fixture(autouse=True)
def _at_nine() -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        yield


def late_order(**changes: Any) -> dict[str, Any]:
    """A second dose that comes too late: it has a card with suggestions."""
    return LATE.request() | changes


def call(client: FlaskClient, made: str | None = None, **members: Any) -> TestResponse:
    headers = bearer(token() if made is None else made)
    return client.post(SIGN, json=late_order(**members), headers=headers)


# --- production ---------------------------------------------------------------------------------------------------


@pytest.mark.conforms("C95", "C96")
def test_in_production_a_registered_client_gets_cards_and_nobody_else_gets_in(tmp_path: Path) -> None:
    client = hospital(tmp_path)
    response = call(client)
    assert response.status_code == 200
    assert response.json is not None
    assert response.json["cards"]
    assert client.post(SIGN, json=late_order()).status_code == 401


@pytest.mark.conforms("C95", "C93")
def test_feedback_needs_a_token_of_its_own(tmp_path: Path) -> None:
    client = hospital(tmp_path)
    body: dict[str, Any] = {"feedback": []}
    assert client.post(f"{SIGN}/feedback", json=body).status_code == 401
    for audience in (CALLED, f"{CALLED}/feedback"):
        made = token(claims(aud=audience))
        assert client.post(f"{SIGN}/feedback", json=body, headers=bearer(made)).status_code == 200


@pytest.mark.conforms("C97", "C98", "C99", "C102", "C103", "C107")
def test_every_failure_of_a_token_is_the_same_bare_401(tmp_path: Path) -> None:
    client = hospital(tmp_path, profile(tenants=["east"]))
    good = claims(tenant="east")
    used = token(good)
    assert call(client, used).status_code == 200
    failures = {
        "none": "",
        "not a token": "abc",
        "used": used,
        "issuer": token(good | {"iss": "https://other.example"}),
        "kid": token(good, head=header(kid="other")),
        "typ": token(good, head=header(typ=...)),
        "signature": token(good, number=2, head=header()),
        "algorithm": token(good, algorithm="ES256", head=header(alg="ES256")),
        "claim": token({name: value for name, value in good.items() if name != "jti"}),
        "audience": token(good | {"aud": "https://elsewhere.example"}),
        "expired": token(good | {"exp": good["iat"] - 120, "iat": good["iat"] - 300}),
        "tenant": token(claims(tenant="west")),
    }
    answers = {name: call(client, made) for name, made in failures.items()}
    without = client.post(SIGN, json=late_order())
    assert {name: answer.status_code for name, answer in answers.items()} == dict.fromkeys(failures, 401)
    assert {answer.data for answer in answers.values()} == {without.data}
    assert {tuple(answer.headers) for answer in answers.values()} == {tuple(without.headers)}
    assert without.headers["WWW-Authenticate"] == "Bearer"
    assert without.json is not None
    assert without.json["issue"] == [
        {
            "severity": "error",
            "code": "login",
            "diagnostics": "The call is not authenticated: it needs a JSON Web Token of a registered client.",
        }
    ]


@pytest.mark.conforms("C107")
def test_who_is_not_let_in_is_not_read(tmp_path: Path) -> None:
    client = hospital(tmp_path)
    for body in (b"{", b"", b"[" * 9_999):
        assert client.post(SIGN, data=body, content_type="application/json").status_code == 401
        response = client.post(SIGN, data=body, content_type="application/json", headers=bearer(token()))
        assert response.status_code == 400


def test_what_holds_no_patient_is_open(tmp_path: Path) -> None:
    client = hospital(tmp_path)
    for address in ("/cds-services", "/knowledge", "/openapi.json", "/health/live", "/metrics"):
        assert client.get(address).status_code == 200, address


@pytest.mark.conforms("C105")
def test_a_token_that_was_used_for_a_call_is_not_good_for_feedback(tmp_path: Path) -> None:
    client, made = hospital(tmp_path), token(claims(aud=f"{PUBLIC_URL}/cds-services"))
    assert call(client, made).status_code == 200
    assert client.post(f"{SIGN}/feedback", json={"feedback": []}, headers=bearer(made)).status_code == 401


@pytest.mark.conforms("C108")
def test_the_log_names_client_and_reason_but_nothing_of_the_token(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    client = hospital(tmp_path)
    log = logging.getLogger("cds_service")
    with caplog.at_level(logging.INFO, logger="cds_service"):
        log.addHandler(caplog.handler)
        good, bad = token(claims(jti="id-of-the-token")), token(number=2, head=header())
        call(client, good)
        call(client, bad)
        call(client, token(claims(iss="https://stranger.example")))
        call(client, good)
        log.removeHandler(caplog.handler)
    lines = [json.loads(message) for message in dict.fromkeys(caplog.messages)]
    let_in, refused, stranger, again = (line for line in lines if line["event"] == "call")
    assert (let_in["client"], let_in["status"]) == ("EHR", 200)
    assert "claimed" not in let_in
    assert (refused["client"], refused["status"], refused["refused"]) == ("", 401, "signature")
    assert refused["claimed"] == "EHR"
    assert (stranger["client"], stranger["refused"]) == ("", "issuer")
    assert "claimed" not in stranger
    assert (again["refused"], again["claimed"]) == ("replay", "EHR")
    assert "stranger" not in caplog.text
    for secret in (*good.split("."), *bad.split("."), "id-of-the-token"):
        assert secret not in caplog.text


# --- the profile ----------------------------------------------------------------------------------------------------


def test_each_client_is_answered_as_it_understands_it(tmp_path: Path) -> None:
    one = profile(actions_per_suggestion="one", spec_version="1.0")
    many = profile(name="Other", iss="https://other.example", selection_behavior="at-most-one")
    client = hospital(tmp_path, one, many)
    first = call(client).json
    second = call(client, token(claims(iss="https://other.example"))).json
    assert first is not None
    assert second is not None
    assert all("uuid" not in card for card in first["cards"])
    assert all("uuid" in card for card in second["cards"])
    assert [card["summary"] for card in first["cards"]] == [card["summary"] for card in second["cards"]]
    assert {card.get("selectionBehavior") for card in second["cards"] if card.get("suggestions")} <= {"at-most-one"}


def test_a_client_may_count_days_in_a_zone_of_its_own(tmp_path: Path) -> None:
    far = profile(timezone="Pacific/Auckland")
    with time_machine.travel("2026-01-20T23:00:00Z", tick=False):
        at_home, far_away = (
            call(hospital(tmp_path, told), token(claims(NOW.replace(hour=23)))).json for told in (profile(), far)
        )
    assert at_home is not None
    assert far_away is not None
    days = [
        {card["extension"]["org.tarlatamab-cds.advice"]["asOf"] for card in answer["cards"]}
        for answer in (at_home, far_away)
    ]
    assert days == [{"2026-01-20"}, {"2026-01-21"}]


def without_prefetch(server: str) -> dict[str, Any]:
    return late_order(
        prefetch={},
        fhirServer=server,
        fhirAuthorization={
            "access_token": "secret-token",
            "token_type": "Bearer",
            "expires_in": 300,
            "scope": "patient/*.read",
            "subject": "cds-service",
        },
    )


def test_only_the_fhir_servers_of_the_profile_are_called(tmp_path: Path) -> None:
    with hostile_server() as listed, hostile_server() as other:
        client = hospital(tmp_path, profile(fhir_servers=[listed.url]), CDS_MODE="demo")
        refused = client.post(SIGN, json=without_prefetch(other.url), headers=bearer(token()))
        assert refused.status_code == 412
        assert "FHIR server address not allowed" in refused.text
        assert other.asked == []
        answered = client.post(SIGN, json=without_prefetch(f"{listed.url}/"), headers=bearer(token()))
        assert answered.status_code == 200
        assert {asked.headers["authorization"] for asked in listed.asked} == {"Bearer secret-token"}


@pytest.mark.conforms("C3")
def test_in_production_this_machine_is_never_called_whatever_the_profile_says(tmp_path: Path) -> None:
    with hostile_server() as server:
        address = server.url.replace("http://", "https://")
        client = hospital(tmp_path, profile(fhir_servers=[address]))
        refused = client.post(SIGN, json=without_prefetch(address), headers=bearer(token()))
        assert refused.status_code == 412
        assert server.connections == 0


@pytest.mark.conforms("C3")
@pytest.mark.parametrize(
    "change",
    [
        {"fhir_servers": ["http://ehr.example/fhir"]},
        {"jwks": ..., "jwks_url": "http://ehr.example/jwks.json"},
    ],
)
def test_in_production_addresses_without_encryption_stop_the_start(tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match="expected an https address"):
        hospital(tmp_path, profile(**change))


@pytest.mark.conforms("C113")
def test_in_production_the_issuer_of_the_reference_sandbox_is_never_trusted(tmp_path: Path) -> None:
    sandbox = profile(iss="https://sandbox.cds-hooks.org")
    with pytest.raises(SettingError, match="the private key of the reference sandbox"):
        hospital(tmp_path, sandbox)
    hospital(tmp_path, sandbox, CDS_MODE="demo")
    made = token(claims(iss="https://sandbox.cds-hooks.org"))
    assert call(hospital(tmp_path), made).status_code == 401


# --- CORS -------------------------------------------------------------------------------------------------------------


@pytest.mark.conforms("C111")
@pytest.mark.parametrize("path", ["/cds-services", SIGN, f"{SIGN}/feedback", "/nowhere"])
@pytest.mark.parametrize("method", ["OPTIONS", "GET", "POST"])
def test_only_the_pages_of_listed_origins_may_read_answers_and_errors(tmp_path: Path, path: str, method: str) -> None:
    client = hospital(tmp_path, profile(cors_origins=["https://ehr.example"]))
    listed = client.open(path, method=method, headers={"Origin": "https://ehr.example"})
    assert listed.headers["Access-Control-Allow-Origin"] == "https://ehr.example"
    assert listed.headers["Access-Control-Allow-Headers"] == "Authorization, Content-Type"
    for origin in ("https://evil.example", "https://ehr.example.evil.example", "null", "http://ehr.example"):
        unlisted = client.open(path, method=method, headers={"Origin": origin})
        assert "Access-Control-Allow-Origin" not in unlisted.headers
        assert unlisted.headers["Vary"] == "Origin"
    for answer in (listed, client.open(path, method=method)):
        assert answer.headers["Vary"] == "Origin"
        assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.conforms("C111")
def test_a_preflight_needs_no_token(tmp_path: Path) -> None:
    client = hospital(tmp_path, profile(cors_origins=["https://ehr.example"]))
    preflight = client.options(
        SIGN,
        headers={
            "Origin": "https://ehr.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization, content-type",
        },
    )
    assert preflight.status_code == 200
    assert preflight.headers["Access-Control-Allow-Methods"] == "GET, POST, OPTIONS"


# --- settings ---------------------------------------------------------------------------------------------------------


def test_a_demonstration_with_profiles_asks_for_tokens_too(tmp_path: Path) -> None:
    client = hospital(tmp_path, CDS_MODE="demo", CDS_NOW="2026-01-20T09:00:00Z")
    assert client.post(SIGN, json=late_order()).status_code == 401
    assert call(client).status_code == 200


def test_a_clock_that_stands_still_does_not_keep_old_tokens_good(tmp_path: Path) -> None:
    client = hospital(tmp_path, CDS_MODE="demo", CDS_NOW="2026-01-20T09:00:00Z")
    with time_machine.travel("2026-02-20T09:00:00Z", tick=False):
        assert call(client).status_code == 401
        assert call(client, token(claims(NOW.replace(month=2)))).status_code == 200


def test_a_private_key_among_the_pinned_ones_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="one of these is private"):
        hospital(tmp_path, profile(jwks={"keys": [jwk(d="c2VjcmV0")]}))
    with pytest.raises(SettingError, match="expected kty"):
        hospital(tmp_path, profile(jwks={"keys": [jwk(kid=...)]}))


def test_the_description_of_the_service_says_that_a_token_is_needed(tmp_path: Path) -> None:
    described = hospital(tmp_path).get("/openapi.json").json
    assert described is not None
    assert described["components"]["securitySchemes"]["client"]["bearerFormat"] == "JWT"
    operation = described["paths"][SIGN]["post"]
    assert operation["security"] == [{"client": []}]
    assert {"401", "503"} <= operation["responses"].keys()
    assert "security" not in described["paths"]["/cds-services"]["get"]


# --- the reference sandbox --------------------------------------------------------------------------------------------

SANDBOX_KEY: Final = {
    "kty": "EC",
    "use": "sig",
    "crv": "P-384",
    "kid": "44823f3d-0b01-4a6c-a80e-b9d3e8a7226f",
    "x": "dw_JGR8nB2I6XveNxUOl2qk699ZPLM2nYI5STSdiEl9avAkrm3CkfYMbrrjr8laB",
    "y": "Sm3mLE-n1zYNla_aiE3cb3nZsL51RbC7ysw3q8aJLxGm-hx79RPMYpITDjp7kgzy",
    "alg": "ES384",
}
"""As https://sandbox.cds-hooks.org publishes it."""

SANDBOX_TOKEN: Final = (
    "eyJhbGciOiJFUzM4NCIsImprdSI6Imh0dHBzOi8vc2FuZGJveC5jZHMtaG9va3Mub3JnLy53ZWxsLWtub3duL2p3a3MuanNvbiIsImtp"
    "ZCI6IjQ0ODIzZjNkLTBiMDEtNGE2Yy1hODBlLWI5ZDNlOGE3MjI2ZiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJodHRwczovL3NhbmRib3g"
    "uY2RzLWhvb2tzLm9yZyIsImF1ZCI6Imh0dHA6Ly9sb2NhbGhvc3Q6ODA4MC9jZHMtc2VydmljZXMvdGFybGF0YW1hYi1vcmRlci1zaWd"
    "uIiwiZXhwIjoxNzY4ODk5OTAxLCJpYXQiOjE3Njg4OTk2MDEsImp0aSI6IjBkNmNmNGJmLTJiMGEtNGE1Mi05ZDNmLTBmNGQ3ZjZmMmY"
    "2ZSJ9.RV78xGTGC1KUA7qIXJ9yv8y4LAG3ESapinD3OYG311CRxz1wEjYsw8x09EWb_jtuFtB3vf1ybaDUaeyCiJ3DBzUCkqus_a73qK"
    "p4kFx6W8KpVEPKgQMXN-63rLbXpAL0"
)
"""Signed with its published private key: issued at 2026-01-20T09:00:01Z, for five minutes, for localhost:8080."""


@pytest.mark.conforms("C104", "C112")
@pytest.mark.parametrize(
    ("called_at", "status"),
    [
        ("2026-01-20T09:00:00.600Z", 200),  # it rounds up: its token is issued a moment later than it is sent
        ("2026-01-20T09:06:00Z", 200),
        ("2026-01-20T09:06:01Z", 401),
    ],
)
def test_the_sandbox_gets_in_where_a_demonstration_lists_it(tmp_path: Path, called_at: str, status: int) -> None:
    sandbox = profile(name="Sandbox", iss="https://sandbox.cds-hooks.org", jwks={"keys": [SANDBOX_KEY]})
    client = hospital(tmp_path, sandbox, CDS_MODE="demo", CDS_PUBLIC_URL="http://localhost:8080")
    with time_machine.travel(called_at, tick=False):
        assert call(client, SANDBOX_TOKEN).status_code == status
        assert call(client, SANDBOX_TOKEN).status_code == 401
