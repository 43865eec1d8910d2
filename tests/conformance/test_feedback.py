"""Feedback as clients send it (section G of the checklist)."""

from __future__ import annotations

import logging
import sqlite3
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import pytest
from flask.testing import FlaskClient

from app import build
from cds_service.settings import read_settings
from tests.conformance.calls import SIGN, cards, order_sign

FEEDBACK: Final = f"{SIGN}/feedback"
SUGGESTION: Final = "e56e1945-20b3-4393-8503-a1a20fd73152"
REASON: Final = {
    "code": "patrefuse",
    "system": "http://terminology.hl7.org/CodeSystem/non-adherence-reason-codes",
    "display": "Refused by the patient",
}
COMMENT: Final = "marker-comment of a clinician"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "feedback.sqlite3"


@pytest.fixture
def client(database: Path) -> FlaskClient:
    opened = import_module("cds_service.store").Store(f"sqlite:///{database}")
    return build(read_settings({"CDS_NOW": "2026-01-20T09:00:00Z"}), store=opened).test_client()


def accepted(**changes: Any) -> dict[str, Any]:
    entry = {
        "card": "4e0a3a1e-3283-4575-ab82-028d55fe2719",
        "outcome": "accepted",
        "acceptedSuggestions": [{"id": SUGGESTION}],
        "outcomeTimestamp": "2026-01-20T09:05:00Z",
    }
    return {name: value for name, value in (entry | changes).items() if value is not ...}


def overridden(**changes: Any) -> dict[str, Any]:
    return accepted(outcome="overridden", acceptedSuggestions=...) | changes


def send(client: FlaskClient, *entries: Any, address: str = FEEDBACK) -> int:
    return client.post(address, json={"feedback": list(entries)}).status_code


def rows(database: Path) -> int:
    """How many rows of feedback are kept."""
    with sqlite3.connect(database) as connection:
        names = [name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")]
        counts = [
            connection.execute(f'select count(*) from "{name}"').fetchone()[0] for name in names if "feedback" in name
        ]
    connection.close()
    assert counts
    return sum(counts)


@pytest.mark.conforms("C87")
def test_every_service_takes_feedback_and_an_unknown_one_does_not(client: FlaskClient) -> None:
    discovery = client.get("/cds-services").get_json()
    for service in discovery["services"]:
        assert send(client, accepted(), address=f"/cds-services/{service['id']}/feedback") == 200
    assert send(client, accepted(), address="/cds-services/unknown/feedback") == 404


@pytest.mark.conforms("C88")
@pytest.mark.parametrize(
    "entry",
    [
        accepted(),
        overridden(overrideReason={"reason": REASON}),
        overridden(overrideReason={"userComment": COMMENT}),
        overridden(overrideReason={"reason": REASON, "userComment": COMMENT}),
        overridden(),
    ],
)
def test_what_the_specification_allows_is_accepted(client: FlaskClient, entry: dict[str, Any]) -> None:
    assert send(client, entry) == 200


@pytest.mark.conforms("C88", "C92")
@pytest.mark.parametrize("body", [[], {}, {"feedback": {}}, {"feedback": "x"}, {"feedback": None}, "x", 7])
def test_a_body_that_is_no_envelope_is_refused(client: FlaskClient, body: Any) -> None:
    assert client.post(FEEDBACK, json=body).status_code == 400


@pytest.mark.conforms("C89")
def test_a_batch_counts_each_entry_and_a_repeat_counts_nothing(client: FlaskClient, database: Path) -> None:
    known = cards(client, order_sign())[0]["uuid"]
    batch = [accepted(card=known), overridden(card="another", overrideReason={"reason": REASON})]
    assert send(client, *batch) == 200
    first = rows(database)
    assert send(client, *batch) == 200
    assert send(client, batch[0]) == 200
    assert rows(database) == first == 2


@pytest.mark.conforms("C90")
def test_feedback_may_come_years_later_and_after_other_feedback(client: FlaskClient) -> None:
    assert send(client, overridden(outcomeTimestamp="2020-01-20T09:05:00Z")) == 200
    assert send(client, accepted(outcomeTimestamp="2031-01-20T09:05:00.123Z")) == 200


@pytest.mark.conforms("C91")
@pytest.mark.parametrize(
    "entry",
    [
        overridden(overrideReason={"reason": {"code": "never-issued"}}),
        overridden(overrideReason={"reason": {"code": "x", "system": "urn:oid:1.2.3"}}),
        overridden(card="card/17 of no uuid", overrideReason={"reason": REASON}),
    ],
)
def test_codes_and_cards_that_were_never_issued_are_accepted(client: FlaskClient, entry: dict[str, Any]) -> None:
    assert send(client, entry) == 200


@pytest.mark.conforms("C92")
@pytest.mark.parametrize("bad", [7, {}, {"card": "x"}, accepted(outcome="ignored"), accepted(outcomeTimestamp="soon")])
def test_a_bad_entry_among_good_ones_costs_only_itself(client: FlaskClient, database: Path, bad: Any) -> None:
    assert send(client, accepted(), bad, accepted(card="another")) == 200
    assert rows(database) >= 2


@pytest.mark.conforms("C94")
def test_epics_spelling_is_read_and_no_comment_reaches_the_log(
    client: FlaskClient, database: Path, caplog: pytest.LogCaptureFixture
) -> None:
    reason = {"reason": REASON, "userComment": COMMENT, "extension": {"com.epic.override": {"a": 1}}}
    with caplog.at_level(logging.DEBUG):
        assert send(client, overridden(overrideReasons=reason)) == 200
    assert rows(database) == 1
    assert "marker-comment" not in caplog.text
