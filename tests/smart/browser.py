"""A browser with the app and the EHR's authorization server: it follows a launch step by step."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import requests
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

import app
from cds_service.errors import Trouble
from cds_service.settings import read_settings
from cds_service.smart import id_of
from cds_service.smart_words import SAID
from cds_service.store import Store
from tests.smart.stand_in import RegisteredClient, StandIn

PUBLIC: Final = "http://127.0.0.1:8080"
REDIRECT: Final = "/smart/redirect"


def registration(server: StandIn, **changes: Any) -> dict[str, Any]:
    """The app as a public client of the stand-in."""
    return {"name": "Example EHR", "iss": server.iss, "client_id": "tarlatamab-cds"} | changes


def known(server: StandIn, public_url: str = PUBLIC, **changes: Any) -> None:
    """Register the app at the stand-in."""
    client = RegisteredClient(**{"client_id": "tarlatamab-cds", "redirect_uri": f"{public_url}{REDIRECT}"} | changes)
    server.clients[client.client_id] = client


def smart_file(folder: Path, *registrations: Mapping[str, Any]) -> Path:
    file = folder / "smart.yaml"
    file.write_text(json.dumps({"issuers": list(registrations)}), encoding="utf-8")
    return file


@dataclass(kw_only=True)
class Browser:
    """One browser: its cookies are the app's, and it goes where it is sent."""

    app: FlaskClient
    public_url: str = PUBLIC
    places: list[str] = field(default_factory=list)
    """The addresses that it has shown."""

    def open(self, url: str) -> TestResponse:
        """Ask the app for this address, without following where it sends us."""
        parts = urlsplit(url)
        path = parts.path.removeprefix(urlsplit(self.public_url).path) + (f"?{parts.query}" if parts.query else "")
        self.places.append(url)
        return self.app.get(path, base_url=self.public_url)

    def begin(self, server: StandIn, **parameters: str) -> str:
        """Launch the app; the address at the authorization server that it sends us to."""
        answer = self.app.get("/smart/launch", query_string={"iss": server.iss} | parameters, base_url=self.public_url)
        assert answer.status_code == 303, answer.text
        return answer.headers["Location"]

    def returned(self, **said: str) -> TestResponse:
        """What the app answers to a redirect that says so."""
        return self.open(f"{self.public_url}{REDIRECT}?{urlencode(said)}")

    def cookie(self, state: str) -> tuple[str, str]:
        """Name and value of what is kept of this launch."""
        name = f"cds-smart-{id_of(state)}"
        kept = self.app.get_cookie(name, domain="127.0.0.1", path="/smart")
        assert kept is not None
        return name, kept.value

    def keep(self, name: str, value: str) -> None:
        """As a browser, or whoever copied the cookie, that does not let it expire."""
        self.app.set_cookie(name, value, domain="127.0.0.1", path="/smart")

    def log_in(self, url: str) -> str:
        """The user logs in and agrees: the address that the authorization server sends us back to."""
        answer = requests.get(url, allow_redirects=False, timeout=20)
        assert answer.status_code == 302, answer.text
        return answer.headers["Location"]

    def arrive(self, url: str) -> str:
        """Back at the app: the address of the page."""
        answer = self.open(url)
        assert answer.status_code == 303, answer.text
        return answer.headers["Location"]

    def launch(self, server: StandIn, **parameters: str) -> TestResponse:
        """All of it."""
        return self.open(self.arrive(self.log_in(self.begin(server, **parameters))))


def browser(folder: Path, server: StandIn, *registrations: Mapping[str, Any], **settings: str) -> Browser:
    """A browser at a demonstration that is registered so (as a public client if nothing is said)."""
    file = smart_file(folder, *(registrations or (registration(server),)))
    given = {
        "CDS_SMART": str(file),
        "CDS_NOW": "2026-02-10T15:00:00-05:00",
        "CDS_TIMEZONE": "America/New_York",
        "CDS_FHIR_BUDGET_MS": "20000",
        "CDS_DATABASE_URL": f"sqlite:///{folder / 'cds.sqlite3'}",
        "CDS_PUBLIC_URL": PUBLIC,
    } | settings
    read = read_settings(given)
    application = app.build(read, store=Store(read.database_url))
    return Browser(app=application.test_client(), public_url=given["CDS_PUBLIC_URL"])


def refusal(trouble: Trouble) -> str:
    """What a user is told of it."""
    return SAID[trouble][1]


def shows_nothing(text: str) -> bool:
    return "Erika" not in text and "No advice was given: this says nothing about the patient" in text
