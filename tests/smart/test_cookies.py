"""What a browser keeps of a launch, who may frame the app, and what no page of it holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from cryptography.fernet import Fernet
from flask.testing import FlaskClient

import app
from cds_service.errors import SettingError
from cds_service.smart import id_of
from cds_service.store import Store
from tests.auth.hospital import settings_for
from tests.smart.browser import browser, known, smart_file
from tests.smart.conftest import COURSE, NOBODY, case
from tests.smart.stand_in import StandIn, parameters

pytestmark = pytest.mark.fhir_server


# --- cookies and frames -------------------------------------------------------------------------------------------


def production(folder: Path, **changes: Any) -> FlaskClient:
    """A hospital's service, whose EHR answers as the stand-in of https://ehr.example would."""
    said = {"name": "Example EHR", "iss": "https://ehr.example/fhir", "client_id": "cds"} | changes
    (folder / "keys").write_bytes(Fernet.generate_key())
    settings = settings_for(folder, CDS_SMART=str(smart_file(folder, said)), CDS_SECRET_KEY_FILE=str(folder / "keys"))
    return app.build(settings, store=Store(settings.database_url)).test_client()


@pytest.fixture
def at_ehr_example(monkeypatch: pytest.MonkeyPatch) -> None:
    """The configuration of an EHR that is not there."""
    said = {
        "authorization_endpoint": "https://login.example/authorize",
        "token_endpoint": "https://login.example/token",
        "code_challenge_methods_supported": ["S256"],
    }
    monkeypatch.setattr("cds_service.smart.key_fetcher", lambda _: lambda _url: json.dumps(said).encode())


@pytest.mark.usefixtures("at_ehr_example")
def test_in_production_a_launch_is_kept_in_a_cookie_of_this_host_alone_that_no_script_reads(tmp_path: Path) -> None:
    answer = production(tmp_path).get("/smart/launch?iss=https://ehr.example/fhir&launch=x")
    assert answer.headers["Location"].startswith("https://login.example/authorize?")
    (cookie,) = answer.headers.getlist("Set-Cookie")
    name, *attributes = cookie.split("; ")
    assert name.startswith("__Host-cds-smart-")
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax", "Max-Age=600"} <= set(attributes)
    assert not any(attribute.startswith("Domain") for attribute in attributes)
    assert "frame-ancestors 'self'" in answer.headers["Content-Security-Policy"]


@pytest.mark.usefixtures("at_ehr_example")
def test_only_the_registered_pages_of_the_ehr_may_frame_the_app_and_only_then_the_cookie_is_for_frames(
    tmp_path: Path,
) -> None:
    client = production(tmp_path, embedded_by=["https://ehr.example", "https://portal.example:8443"])
    answer = client.get("/smart/launch?iss=https://ehr.example/fhir&launch=x")
    (cookie,) = answer.headers.getlist("Set-Cookie")
    assert {"SameSite=None", "Secure", "Partitioned"} <= set(cookie.split("; "))
    policy = answer.headers["Content-Security-Policy"]
    assert policy.endswith("frame-ancestors 'self' https://ehr.example https://portal.example:8443")
    elsewhere = client.get("/smart/launch?iss=https://other.example/fhir&launch=x")
    assert elsewhere.headers["Content-Security-Policy"].endswith("frame-ancestors 'self'")


@pytest.mark.usefixtures("at_ehr_example")
def test_in_production_an_ehr_by_http_has_no_place_in_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = {
        "authorization_endpoint": "https://login.example/authorize",
        "token_endpoint": "http://login.example/token",
        "code_challenge_methods_supported": ["S256"],
    }
    monkeypatch.setattr("cds_service.smart.key_fetcher", lambda _: lambda _url: json.dumps(said).encode())
    assert production(tmp_path).get("/smart/launch?iss=https://ehr.example/fhir&launch=x").status_code == 502


def test_every_answer_of_the_app_is_kept_by_nobody_and_tells_nobody_where_it_was(ehr: StandIn, tmp_path: Path) -> None:
    known(ehr)
    window = browser(tmp_path, ehr)
    begun = window.open(f"/smart/launch?{urlencode({'iss': ehr.iss, 'launch': ehr.launch(NOBODY)})}")
    back = window.open(window.log_in(begun.headers["Location"]))
    for answer in (
        begun,
        back,
        window.open(back.headers["Location"]),
        window.open("/smart"),
        window.open("/smart/view/x"),
    ):
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "named",
    [
        "a",
        "a%3Db",
        "a%3D1%3B%20Domain%3Devil.example%3B%20x%3D",
        "a%3B",
        "a%0D%0AX:%20y",
        "a%20b",
        "%00",
        "%C3%A9",
        "0" * 33,
    ],
)
def test_no_cookie_is_named_by_the_address_of_a_stranger(named: str, ehr: StandIn, tmp_path: Path) -> None:
    """A link could plant a cookie of its own making in the user's browser, and a line break was a 500."""
    for public_url in ("http://127.0.0.1:8080", "https://cds.example"):
        answer = browser(tmp_path, ehr, CDS_PUBLIC_URL=public_url).app.get(f"/smart/view/{named}", base_url=public_url)
        assert answer.status_code == 410
        assert "Set-Cookie" not in answer.headers


def test_the_page_has_no_script_of_its_own_and_no_secret(ehr: StandIn, tmp_path: Path) -> None:
    known(ehr)
    window = browser(tmp_path, ehr)
    back = window.log_in(window.begin(ehr, launch=ehr.launch(case(COURSE).patient_id)))
    shown = window.open(window.arrive(back))
    assert "<script" not in shown.text
    for secret in (*ehr.given, parameters(back)["code"], parameters(back)["state"]):
        assert secret not in shown.text
        assert all(secret not in cookie for cookie in shown.headers.getlist("Set-Cookie"))


def test_a_cookie_of_another_service_or_kind_opens_nothing(ehr: StandIn, tmp_path: Path) -> None:
    known(ehr)
    window = browser(tmp_path, ehr)
    state = parameters(window.begin(ehr, launch=ehr.launch(NOBODY)))["state"]
    name, kept = window.cookie(state)
    assert window.open(f"/smart/view/{id_of(state)}").status_code == 410  # a launch is no arrival
    for changed in (kept[:-2] + "AA", Fernet(Fernet.generate_key()).encrypt(b"{}").decode(), "é", ""):
        window.keep(name, changed)
        assert window.returned(code="x", state=state).status_code == 400


def test_settings_of_production_ask_for_the_key(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"^CDS_SECRET_KEY_FILE is missing: it takes "):
        settings_for(tmp_path, CDS_SMART=str(smart_file(tmp_path, {})))
