"""`/quality` through the whole application: who sees what, how it is answered, what it says when there is nothing."""

from __future__ import annotations

import csv
import io
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import requests
import time_machine
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

import app
from cds_service.settings import read_settings
from cds_service.store import Store
from tests.auth.hospital import hospital, settings_for
from tests.auth.tokens import CALLED, NOW, PUBLIC_URL, bearer, claims, profile, token
from tests.feedback.bodies import accepted, overridden
from tests.feedback.test_store import SIGN, entry
from tests.pages.test_quality_figures import at, call
from tests.support.running import running

PAGE: Final = f"{PUBLIC_URL}/quality"
BROWSER: Final = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
AFAR: Final = {"environ_base": {"REMOTE_ADDR": "10.0.0.7"}}
ADDRESSES: Final = ("/quality", "/quality.csv", "/quality-reasons.csv")


@pytest.fixture(autouse=True)
def _at_nine() -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        yield


def demonstration(url: str, **changes: str) -> FlaskClient:
    return app.build(read_settings(changes), store=Store(url)).test_client()


@pytest.fixture
def file(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'cds.sqlite3'}"


def of_two_clients(url: str) -> None:
    """The EHR: one card of R2, accepted. Another client: one of OBS-1, overridden."""
    store = Store(url)
    store.add_decisions(
        [call("d1", at(5), "c1", client="EHR"), call("d2", at(6), "c2", row="OBS-1", client="Other & <Sons>")]
    )
    store.add_feedback([entry(accepted(card="c1"))], service=SIGN, at=at(6), client="EHR")
    store.add_feedback([entry(overridden(card="c2"))], service=SIGN, at=at(6), client="Other & <Sons>")


def for_the_page(**changes: Any) -> dict[str, str]:
    return bearer(token(claims(aud=PAGE) | changes))


def rows_of(response: TestResponse) -> list[list[str]]:
    assert response.status_code == 200
    return list(csv.reader(io.StringIO(response.text)))[1:]


# --- who sees it ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ADDRESSES)
def test_whoever_sits_at_the_machine_sees_it_and_nobody_else_does(file: str, address: str) -> None:
    client = demonstration(file)
    assert client.get(address).status_code == 200
    refused = [
        client.get(address, **AFAR),
        client.get(address, headers={"X-Forwarded-For": "10.0.0.7"}),
        client.get(address, headers={"Forwarded": "for=10.0.0.7"}),
        client.get(address, headers={"X-Real-IP": "127.0.0.1"}),
        client.get(address, headers={"Host": "rebound.example"}),
        client.get(address, headers={"Host": "localhost:9999"}),
        client.get(address, headers={"Origin": "https://evil.example"}),
        client.get(address, headers=for_the_page(), **AFAR),
    ]
    assert [response.status_code for response in refused] == [401] * 8
    assert {response.headers["WWW-Authenticate"] for response in refused} == {"Bearer"}


def test_the_refusal_is_that_of_every_call(tmp_path: Path) -> None:
    client = hospital(tmp_path)
    of_a_call = client.post("/cds-services/tarlatamab-order-sign", json={})
    refused = [client.get(address, **AFAR) for address in ADDRESSES]
    assert {response.data for response in refused} == {of_a_call.data}
    assert {response.mimetype for response in refused} == {"application/json"}


def test_a_browser_that_is_refused_gets_words_and_the_same_status(file: str) -> None:
    refused = demonstration(file).get("/quality", headers=BROWSER, **AFAR)
    assert (refused.status_code, refused.mimetype) == (401, "text/html")
    assert refused.headers["WWW-Authenticate"] == "Bearer"
    assert "it needs a JSON Web Token of a registered client" in refused.text


def test_a_client_with_a_token_for_the_page_sees_it_from_afar(tmp_path: Path) -> None:
    client = hospital(tmp_path)
    for address in ADDRESSES:
        assert client.get(address, headers=for_the_page(), **AFAR).status_code == 200
    assert client.get("/quality", headers=for_the_page(aud=f"{PAGE}/"), **AFAR).status_code == 200


def test_a_token_that_is_not_good_for_the_page_opens_nothing_not_even_at_the_machine(tmp_path: Path) -> None:
    client = hospital(tmp_path, profile(audience_aliases=["https://alias.example"]))
    used = for_the_page()
    assert client.get("/quality", headers=used).status_code == 200
    seconds = int(NOW.timestamp())
    refused = {
        "used": used,
        "expired": for_the_page(iat=seconds - 300, exp=seconds - 61),
        "a call's": bearer(token(claims(aud=CALLED))),
        "all services'": bearer(token(claims(aud=f"{PUBLIC_URL}/cds-services"))),
        "an alias": bearer(token(claims(aud="https://alias.example"))),
        "unknown issuer": for_the_page(iss="https://other.example"),
        "other key": bearer(token(claims(aud=PAGE), number=2)),
        "none": {"Authorization": "Bearer abc"},
        "no bearer": {"Authorization": "Basic abc"},
    }
    assert {name: client.get("/quality", headers=headers).status_code for name, headers in refused.items()} == (
        dict.fromkeys(refused, 401)
    )
    not_quite = for_the_page(iat=seconds - 300, exp=seconds - 59)  # within the leeway of 60 s
    assert client.get("/quality", headers=not_quite).status_code == 200


def test_a_token_for_the_page_is_good_for_no_call(tmp_path: Path) -> None:
    client = hospital(tmp_path)
    assert client.post("/cds-services/tarlatamab-order-sign", json={}, headers=for_the_page()).status_code == 401


def test_a_client_sees_its_own_figures_whatever_it_asks_for_and_the_machine_those_of_all(
    tmp_path: Path, file: str
) -> None:
    client = hospital(tmp_path)
    of_two_clients(file)
    for query in ("", "?client=*", "?client=Other+%26+%3CSons%3E", "?client="):
        own = rows_of(client.get(f"/quality.csv{query}", headers=for_the_page(), **AFAR))
        assert [line[0] for line in own] == ["R2"]
        page = client.get(f"/quality{query}", headers=for_the_page(), **AFAR).text
        assert "OBS-1" not in page
        assert "Sons" not in page
    assert [line[0] for line in rows_of(client.get("/quality.csv"))] == ["OBS-1", "R2"]
    chosen = rows_of(client.get("/quality.csv?client=Other+%26+%3CSons%3E"))
    assert [line[0] for line in chosen] == ["OBS-1"]


def test_the_machine_can_choose_a_client_and_a_client_cannot(tmp_path: Path, file: str) -> None:
    client = hospital(tmp_path)
    of_two_clients(file)
    assert '<option value="Other &amp; &lt;Sons&gt;">' in client.get("/quality").text
    assert "<select" in (own := client.get("/quality", headers=for_the_page()).text)
    assert 'name="client"' not in own


def test_who_looked_is_logged_and_a_refusal_with_its_reason(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    client = hospital(tmp_path)
    with caplog.at_level(logging.INFO, "cds_service"):
        client.get("/quality", headers=for_the_page())
        client.get("/quality", **AFAR)
    looked, refused = (json.loads(record.message) for record in caplog.records[-2:])
    assert (looked["event"], looked["client"], looked["status"]) == ("quality", "EHR", 200)
    assert (refused["event"], refused["status"], refused["refused"]) == ("quality", 401, "no token")
    assert 'cds_auth_failures_total{reason="no token"} 1.0' in client.get("/metrics").text


# --- what it shows ----------------------------------------------------------------------------------------------------


def test_the_page_has_the_figures_and_a_table_beside_each_plot(url: str) -> None:
    of_two_clients(url)
    page = demonstration(url).get("/quality?from=2026-01-01&to=2026-01-10").text
    words = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))
    assert "R2 dose restart-step-up 1 1 0 0 100.0 % 100.0 %" in words
    assert "OBS-1 dose restart-step-up 1 0 1 0 0.0 % 0.0 %" in words
    assert "2026-01-05 1 1 0 0" in words
    assert "OBS-1 restart-step-up (a reason that this service does not offer) 1 100.0 %" in words
    assert "Patient declined" not in page
    assert page.count('role="img"') == page.count('<svg class="plot"') == 4


def test_a_period_without_calls_says_so_and_shows_no_figure(url: str) -> None:
    page = demonstration(url).get("/quality").text
    assert "No calls in this period." in page
    assert "<table" not in page
    assert "100.0 %" not in page
    assert 'class="figure"' not in page


def test_a_period_with_calls_but_no_cards_says_that(url: str) -> None:
    Store(url).add_decisions([call("d1", at(5))])
    page = demonstration(url).get("/quality").text
    assert "No cards were shown in this period." in page
    assert "No calls in this period." not in page


@pytest.mark.parametrize(
    ("query", "since", "until"),
    [
        ("", "2025-12-22", "2026-01-20"),
        ("?days=7", "2026-01-14", "2026-01-20"),
        ("?days=30", "2025-12-22", "2026-01-20"),
        ("?days=90", "2025-10-23", "2026-01-20"),
        ("?from=2026-01-03&to=2026-01-03", "2026-01-03", "2026-01-03"),
        ("?from=2025-01-01&to=2026-01-01", "2025-01-01", "2026-01-01"),
    ],
)
def test_a_period_can_be_chosen(file: str, query: str, since: str, until: str) -> None:
    response = demonstration(file).get(f"/quality.csv{query}")
    assert response.headers["Content-Disposition"] == (
        f'attachment; filename="tarlatamab-cds-rows-{since}-{until}.csv"'
    )
    assert response.content_type == "text/csv; charset=utf-8"


@pytest.mark.parametrize(
    ("query", "place"),
    [
        ("?days=8", "days"),
        ("?days=-1", "days"),
        ("?days=", "days"),
        ("?from=2026-01-03", "to"),
        ("?to=2026-01-03", "from"),
        ("?from=2026-01-04&to=2026-01-03", "to"),
        ("?from=2025-01-01&to=2026-01-02", "to"),
        ("?from=yesterday&to=2026-01-03", "from"),
        ("?from=0001-01-01&to=0001-01-03", "from"),
        ("?from=9999-12-30&to=9999-12-31", "from"),
        ("?service=elsewhere", "service"),
        ("?client=elsewhere", "client"),
        ("?client=%00", "client"),
    ],
)
def test_a_period_or_hook_that_is_none_is_refused_in_words(file: str, query: str, place: str) -> None:
    client = demonstration(file)
    for address in ADDRESSES:
        refused = client.get(address + query)
        assert refused.status_code == 400
        assert refused.json is not None
        assert refused.json["issue"][0]["expression"] == [place]
    page = client.get(f"/quality{query}", headers=BROWSER)
    assert (page.status_code, page.mimetype) == (400, "text/html")
    assert "elsewhere" not in page.text


def test_the_download_keeps_the_period_and_the_filter_of_the_page(file: str) -> None:
    of_two_clients(file)
    client = demonstration(file)
    page = client.get("/quality?days=30&service=tarlatamab-order-sign&client=EHR").text
    [address] = re.findall(r'href="(/quality\.csv[^"]*)"', page)
    assert address == "/quality.csv?from=2025-12-22&amp;to=2026-01-20&amp;service=tarlatamab-order-sign&amp;client=EHR"
    assert [line[0] for line in rows_of(client.get(address.replace("&amp;", "&")))] == ["R2"]


def test_the_policy_of_the_page_needs_no_exception(url: str) -> None:
    of_two_clients(url)
    response = demonstration(url).get("/quality")
    assert "style-src 'self'" in response.headers["Content-Security-Policy"]
    assert "unsafe" not in response.headers["Content-Security-Policy"]
    assert not re.search(r"<script|<style|\sstyle=|\son[a-z]+=|javascript:", response.text)
    assert response.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert response.headers["Cache-Control"] == "no-store"


def test_the_page_and_its_style_are_reached_under_the_public_path_by_a_client_and_directly_at_the_machine(
    tmp_path: Path,
) -> None:
    client = hospital(tmp_path)
    assert 'href="/base/static/quality.css"' in client.get("/quality", headers=for_the_page()).text
    assert 'href="/static/quality.css"' in client.get("/quality").text
    with client.get("/static/quality.css") as style:
        assert style.status_code == 200


# --- when it cannot ---------------------------------------------------------------------------------------------------


def test_a_store_that_is_down_is_said_with_503_and_no_figure(tmp_path: Path, file: str) -> None:
    client = demonstration(file)
    assert client.get("/quality").status_code == 200
    for path in tmp_path.iterdir():
        path.unlink()
    (tmp_path / "cds.sqlite3").write_text("no database " * 100, encoding="utf-8")
    page = client.get("/quality", headers=BROWSER)
    assert (page.status_code, page.mimetype, page.headers["Retry-After"]) == (503, "text/html", "30")
    assert "The store is not available: there are no figures now." in page.text
    assert "<table" not in page.text
    for address in ADDRESSES:
        refused = client.get(address)
        assert (refused.status_code, refused.mimetype) == (503, "application/json")


def test_without_a_store_there_is_no_page() -> None:
    assert app.build(read_settings({})).test_client().get("/quality").status_code == 404


def test_one_reader_at_a_time_in_a_process(file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Readers take the database's connections from orders and feedback: the second is told to come again."""
    store = Store(file)
    application = app.build(settings_for(tmp_path), store=store)
    counted = store.quality
    seen: list[Any] = []

    def and_another_meanwhile(*asked: Any) -> Any:
        if not seen:
            seen.append(None)
            seen.append(application.test_client().get("/quality"))
        return counted(*asked)

    monkeypatch.setattr(store, "quality", and_another_meanwhile)
    assert application.test_client().get("/quality").status_code == 200
    assert (seen[1].status_code, seen[1].headers["Retry-After"]) == (429, "1")
    assert application.test_client().get("/quality").status_code == 200


# --- as it is served --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 1], ids=["python app.py", "gunicorn"])
def test_a_served_page_is_open_at_the_machine_and_closed_to_a_rebound_name(file: str, workers: int) -> None:
    with running(file, workers=workers) as service:
        local = requests.get(f"{service.base}/quality", timeout=20)
        assert (local.status_code, "No calls in this period." in local.text) == (200, True)
        rebound = requests.get(f"{service.base}/quality", headers={"Host": "rebound.example"}, timeout=20)
        forwarded = requests.get(f"{service.base}/quality", headers={"X-Forwarded-For": "10.0.0.7"}, timeout=20)
        other_port = requests.get(f"{service.base}/quality", headers={"Host": "localhost"}, timeout=20)
        assert [answer.status_code for answer in (rebound, forwarded, other_port)] == [401, 401, 401]
