"""Whatever a stranger posts to be drawn as cards ends in a right status, in good time, and never as markup."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app import build
from cds_service import card_html
from cds_service.settings import read_settings

CARD: Final[Mapping[str, Any]] = {
    "uuid": "7c5b1f0e-0f0b-4c1e-9a53-7b8f6a1d2c30",
    "summary": "Withhold tarlatamab.",
    "indicator": "critical",
    "source": {"label": "Example", "url": "https://example.org/label"},
}
HOSTILE: Final = '"><script>alert(1)</script><img src=x onerror=alert(1)>'


WRONG: Final[tuple[Mapping[str, Any], ...]] = (
    {"indicator": "harmless"},
    {"detail": 1},
    {"source": {}},
    {"source": {"label": "x", "url": "javascript:alert(1)"}},
    {"suggestions": {}},
    {"overrideReasons": ["x"]},
)


@pytest.fixture
def bench() -> FlaskClient:
    return build(read_settings({"CDS_NOW": "2027-03-03T12:00:00Z"})).test_client()


def posted(bench: FlaskClient, *cards: Any) -> TestResponse:
    return bench.post("/demo/cards", json={"cards": cards})


def test_a_card_is_drawn_with_what_it_offers_and_asks(bench: FlaskClient) -> None:
    offer = {"label": "Remove the order", "uuid": "a", "isRecommended": True, "actions": [{"type": "delete"}]}
    reason = {"code": "c", "system": "s", "display": "The patient declines"}
    answer = posted(bench, {**CARD, "detail": "**Why**", "suggestions": [offer], "overrideReasons": [reason]})
    assert (answer.status_code, answer.mimetype) == (200, "text/html")
    assert "<strong>Why</strong>" in answer.text
    assert '<a href="https://example.org/label"' in answer.text
    assert '<button type="button" class="main" data-suggestion="a">Remove the order</button>' in answer.text
    assert '<option value="c" data-system="s">The patient declines</option>' in answer.text


def test_no_text_of_a_card_becomes_markup(bench: FlaskClient) -> None:
    offer = {"label": HOSTILE, "uuid": HOSTILE}
    reason = {"code": HOSTILE, "system": HOSTILE, "display": HOSTILE}
    answer = posted(
        bench,
        {
            **CARD,
            "uuid": HOSTILE,
            "summary": HOSTILE,
            "detail": f"{HOSTILE}\n[x](javascript:alert(1))",
            "source": {"label": HOSTILE},
            "suggestions": [offer],
            "overrideReasons": [reason],
        },
    )
    assert answer.status_code == 200
    assert "<script" not in answer.text
    assert "<img" not in answer.text
    assert "<a " not in answer.text


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b'{"cards": null}',
        b'{"cards": "abc"}',
        b'{"cards": [1]}',
        b'{"cards": [{}]}',
        b'{"cards": [{"summary": "\xff"}]}',
        b'{"cards": [{"summary": "\\ud800"}]}',
        b"[" * 100_000,
        b'{"x": ' + b"[" * 100_000,
        *(msgspec.json.encode({"cards": [{**CARD, **wrong}]}) for wrong in WRONG),
    ],
)
def test_what_are_no_cards_is_refused_with_400(body: bytes, bench: FlaskClient) -> None:
    answer = bench.post("/demo/cards", data=body, content_type="application/json")
    assert answer.status_code == 400
    assert answer.get_json()["resourceType"] == "OperationOutcome"


def test_a_form_of_another_site_draws_nothing_here(bench: FlaskClient) -> None:
    """Such a form can send text/plain without asking, and its card would stand under this service's address."""
    assert bench.post("/demo/cards", data='{"cards": []}', content_type="text/plain").status_code == 415


def test_a_fault_of_ours_is_logged_without_a_word_of_the_cards(
    bench: FlaskClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: bytes) -> None:
        raise KeyError("Erika Example")

    monkeypatch.setattr(card_html, "read", fail)
    assert posted(bench, CARD).status_code == 500
    assert '"event":"cards","status":500,"error":"KeyError"' in caplog.text
    assert "Erika" not in caplog.text


@pytest.mark.parametrize(("number", "status"), [(200, 200), (201, 400)])
def test_at_most_200_cards_are_drawn(number: int, status: int, bench: FlaskClient) -> None:
    assert posted(bench, *[CARD] * number).status_code == status


@pytest.mark.parametrize(("length", "status"), [(25_000, 200), (25_001, 413)])
def test_details_of_more_than_50000_characters_are_not_drawn(length: int, status: int, bench: FlaskClient) -> None:
    """Markdown takes the square of its length: ten megabytes of `![` would have taken hours."""
    assert posted(bench, {**CARD, "detail": "a" * 25_000}, {**CARD, "detail": "a" * length}).status_code == status
