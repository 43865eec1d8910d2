"""Cards lead to the app where it can be launched, and nowhere else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

import app
from cds_service.settings import read_settings
from cds_service.smart_registrations import AppLinks
from tests.smart.browser import smart_file

ROOT = Path(__file__).resolve().parents[2]
CALL = json.loads((ROOT / "examples" / "order-sign-late-second-dose.json").read_text(encoding="utf-8"))
EHR = {"name": "Example EHR", "iss": "https://ehr.example/fhir", "client_id": "cds"}


def client(folder: Path, *registrations: dict[str, Any]) -> FlaskClient:
    settings = {"CDS_NOW": "2026-01-20T09:00:00Z", "CDS_PUBLIC_URL": "https://cds.example/base"}
    if registrations:
        settings["CDS_SMART"] = str(smart_file(folder, *registrations))
    return app.build(read_settings(settings)).test_client()


def cards(service: FlaskClient, fhir_server: str | None) -> list[dict[str, Any]]:
    said = {} if fhir_server is None else {"fhirServer": fhir_server}
    answer = service.post("/cds-services/tarlatamab-order-sign", json=CALL | said)
    assert answer.json is not None
    found: list[dict[str, Any]] = answer.json["cards"]
    assert found
    return found


@pytest.mark.conforms("C80", "C81", "C82")
def test_every_card_of_a_call_from_a_registered_server_leads_to_the_launch_of_the_app(tmp_path: Path) -> None:
    for card in cards(client(tmp_path, EHR), "https://ehr.example:443/fhir/"):
        assert card["links"] == [
            {
                "label": "Treatment timeline and current advice",
                "url": "https://cds.example/base/smart/launch",
                "type": "smart",
                "appContext": f'{{"row":"{card["source"]["topic"]["code"]}"}}',
            }
        ]


@pytest.mark.parametrize("fhir_server", [None, "https://ehr.example/fhir2", "https://other.example/fhir", "nonsense"])
def test_no_card_leads_to_an_app_that_could_not_be_launched_there(fhir_server: str | None, tmp_path: Path) -> None:
    assert all("links" not in card for card in cards(client(tmp_path, EHR), fhir_server))


def test_without_a_registration_there_is_no_link_and_no_app(tmp_path: Path) -> None:
    service = client(tmp_path)
    assert all("links" not in card for card in cards(service, "https://ehr.example/fhir"))
    for path in ("/smart", "/smart/launch", "/smart/redirect", "/smart/jwks.json"):
        assert service.get(path).status_code == 404


def test_but_for_its_link_a_card_is_the_same_with_and_without_the_app(tmp_path: Path) -> None:
    linked = cards(client(tmp_path, EHR), "https://ehr.example/fhir")
    assert [{k: v for k, v in card.items() if k != "links"} for card in linked] == cards(
        client(tmp_path), "https://ehr.example/fhir"
    )


def test_a_server_that_is_no_address_is_none_of_the_registered_ones() -> None:
    links = AppLinks(launch_url="https://cds.example/smart/launch", issuers=("https://ehr.example/fhir",))
    assert links.of("https://ehr.example/fhir") == "https://cds.example/smart/launch"
    assert links.of("") is None
    assert links.of("ftp://ehr.example/fhir") is None
