"""The SMART app, launched as an EHR does it, in a real browser: cookies, redirects and policy are the browser's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest
from flask import Flask
from playwright.sync_api import Page, expect
from werkzeug.serving import make_server

import app
from cds_service.settings import read_settings
from tests.browser.chromium import barriers, picture
from tests.smart.browser import known, registration, smart_file
from tests.smart.conftest import COURSE, NOBODY, case, ehr, fhir_server, loaded
from tests.smart.conftest import started as started
from tests.smart.stand_in import StandIn

__all__ = ["ehr", "fhir_server", "loaded"]

pytestmark = pytest.mark.fhir_server


@contextmanager
def registered(folder: Path, ehr: StandIn) -> Iterator[str]:
    """The app on a free port, registered with the EHR for that address."""
    server = make_server("127.0.0.1", 0, Flask("not ready"), threaded=True)
    base = f"http://127.0.0.1:{server.port}"
    known(ehr, base)
    given = {
        "CDS_SMART": str(smart_file(folder, registration(ehr))),
        "CDS_NOW": "2026-02-10T15:00:00-05:00",
        "CDS_TIMEZONE": "America/New_York",
        "CDS_FHIR_BUDGET_MS": "20000",
        "CDS_PUBLIC_URL": base,
    }
    server.app = app.build(read_settings(given))
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield base
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


def test_an_ehr_launch_ends_at_the_patients_timeline_and_cards(page: Page, ehr: StandIn, tmp_path: Path) -> None:
    patient = case(COURSE).patient_id
    with registered(tmp_path, ehr) as base:
        page.goto(f"{base}/smart/launch?iss={ehr.iss}&launch={ehr.launch(patient)}")
        expect(page.locator(".patient")).to_contain_text("Erika Example")
        expect(page.locator("svg[role=img]")).to_be_visible()
        expect(page.locator(".card").first).to_be_visible()
        assert "code=" not in page.url
        assert barriers(page) == []
        picture(page, "smart-app", whole=True)
        page.emulate_media(color_scheme="dark")
        assert barriers(page) == []


def test_a_standalone_launch_begins_at_the_choice_of_the_ehr(page: Page, ehr: StandIn, tmp_path: Path) -> None:
    ehr.chosen = NOBODY
    with registered(tmp_path, ehr) as base:
        page.goto(f"{base}/smart")
        assert barriers(page) == []
        page.get_by_role("link", name="Example EHR").click()
        expect(page.locator("main")).to_contain_text("No tarlatamab on record")


def test_a_reload_shows_no_record_again(page: Page, ehr: StandIn, tmp_path: Path, heard: list[str]) -> None:
    with registered(tmp_path, ehr) as base:
        page.goto(f"{base}/smart/launch?iss={ehr.iss}&launch={ehr.launch(case(COURSE).patient_id)}")
        expect(page.locator(".patient")).to_be_visible()
        page.reload()
        expect(page.locator(".patient")).to_have_count(0)
        assert "Erika" not in page.content()
        assert barriers(page) == []
    heard.clear()  # the status of the refusal
