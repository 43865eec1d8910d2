"""What was decided at each call and what was done with it: in the store, without the patient, found again."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import NullPool, create_engine, text

from cds_service import wire
from cds_service.errors import NothingReadable
from cds_service.recorder import Recorder
from cds_service.services import Answer, Offer, milliseconds
from cds_service.store import Store, main, plain_id
from cds_service.web import create_web
from tests.feedback.bodies import accepted, overridden
from tests.feedback.test_store import AT, SIGN, decided, entry, rows, shown
from tests.test_web_http import KNOWLEDGE, PATIENT, no_cards, order_sign
from tests.test_web_http import entry as service


def fails(call: wire.HookRequest) -> Answer:
    raise KeyError(PATIENT)


def has_nothing(call: wire.HookRequest) -> Answer:
    raise NothingReadable({"conditions": "not sent"})


@pytest.fixture
def told(url: str) -> Iterator[Callable[..., list[tuple[Any, ...]]]]:
    """Sends one call to a service that answers so; what is then in the table."""
    recorder = Recorder(Store(url), on_loss=lambda number: pytest.fail("lost"))

    def send(answer: Callable[[wire.HookRequest], Answer], body: Any, **options: Any) -> list[tuple[Any, ...]]:
        offer = Offer(entry=service("order-sign"), answer=answer, knowledge="v1")
        web = create_web((offer,), knowledge=KNOWLEDGE, max_body_bytes=20_000, recorder=recorder)
        web.test_client().post("/cds-services/tarlatamab-order-sign", json=body, **options)
        recorder.close()
        return rows(url, "SELECT client, service, hook_instance, status, knowledge, row_ids, unknowns FROM decision")

    yield send
    recorder.close()


INSTANCE = "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea"


@pytest.mark.parametrize(
    ("answer", "body", "expected"),
    [
        (no_cards, order_sign(), (INSTANCE, 200, "v1", '["DOSE-1"]', '{"Observation":2}')),
        (no_cards, {}, ("", 400, "v1", "[]", "{}")),
        (has_nothing, order_sign(), (INSTANCE, 412, "v1", "[]", "{}")),
        (fails, order_sign(), (INSTANCE, 500, "v1", "[]", "{}")),
    ],
    ids=["without cards", "unreadable", "without data", "failed"],
)
def test_every_call_is_on_record_also_one_without_cards_and_one_that_failed(
    told: Callable[..., list[tuple[Any, ...]]], answer: Any, body: Any, expected: tuple[Any, ...]
) -> None:
    assert told(answer, body) == [("", "tarlatamab-order-sign", *expected)]


def test_no_decision_holds_anything_of_the_patient(told: Callable[..., Any], url: str) -> None:
    told(fails, order_sign(hookInstance=f"visit of {PATIENT}"))
    [everything] = rows(url, "SELECT * FROM decision")
    assert PATIENT not in str(everything)
    assert everything[4].startswith("sha256:")


@pytest.mark.parametrize("kept", ["a", "A-1_b.c:2", "x" * 200, ""])
def test_an_id_is_kept(kept: str) -> None:
    assert plain_id(kept) == kept


@pytest.mark.parametrize("other", ["x" * 201, "Mrs Example", "a\n", "ä", "a/b", "\x00"])
def test_what_may_be_no_id_is_kept_as_a_digest(other: str) -> None:
    assert plain_id(other).startswith("sha256:")
    assert len(plain_id(other)) == 71


def test_a_decision_written_twice_is_one_and_a_retry_is_another_with_the_same_card(url: str) -> None:
    store = Store(url)
    first, retry = decided(shown("c1"), id="d1"), decided(shown("c1"), id="d2")
    store.add_decisions([first, first])
    store.add_decisions([first, retry])
    assert rows(url, "SELECT id FROM decision ORDER BY id") == [("d1",), ("d2",)]
    assert rows(url, "SELECT decision, card FROM decision_card ORDER BY decision") == [("d1", "c1"), ("d2", "c1")]
    assert rows(url, "SELECT card FROM card_shown") == [("c1",)]


@pytest.fixture
def history(url: str) -> str:
    """Three calls: with two cards of which one was overridden, one without cards, one that failed."""
    store = Store(url)
    with_cards = decided(shown("c1", client="ehr"), shown("c2", "OBS-1", client="ehr"), id="d1", client="ehr")
    without = decided(id="d2", decided_at=AT.replace(minute=11), hook_instance="h2", row_ids=(), unknowns={})
    failed = decided(id="d3", decided_at=AT.replace(minute=12), hook_instance="Mrs X", status=500, row_ids=())
    store.add_decisions([failed, without, with_cards])
    given = [
        accepted(card="c1", outcomeTimestamp="2026-01-20T09:15:00Z"),
        overridden(card="c1", outcomeTimestamp="2026-01-20T09:20:00+00:00"),
    ]
    store.add_feedback([entry(body) for body in given], service=SIGN, at=AT, client="ehr")
    store.add_feedback([entry(accepted(card="c2"))], service=SIGN, at=AT, client="another")
    return url


def listed(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, str]]:
    assert main(["decisions", "--csv", *arguments]) == 0
    return list(csv.DictReader(io.StringIO(capsys.readouterr().out)))


def test_the_list_says_what_was_decided_and_the_last_thing_done_with_it(
    history: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = listed(capsys, "--database", history)
    assert [(line["hookInstance"], line["card"], line["outcome"]) for line in lines[:3]] == [
        ("h1", "c1", "overridden"),
        ("h1", "c2", ""),  # another client's feedback is on another card
        ("h2", "", ""),
    ]
    assert lines[0] == {
        "at": "2026-01-20T09:10:00.000+00:00",
        "client": "ehr",
        "service": SIGN,
        "hookInstance": "h1",
        "status": "200",
        "knowledge": "tarlatamab 2026.1",
        "rows": "R2 OBS-1",
        "unknowns": "Condition:1",
        "milliseconds": "3.4",
        "card": "c1",
        "leading row": "R2",
        "outcome": "overridden",
        "outcome at": "2026-01-20T09:20:00+00:00",
        "reason": "Patient declined",
    }
    assert (lines[3]["status"], lines[3]["rows"]) == ("500", "")


@pytest.mark.parametrize(("instance", "found"), [("h1", 2), ("Mrs X", 1), ("h3", 0)])
def test_a_call_is_found_by_its_hook_instance_also_where_only_a_digest_was_kept(
    history: str, capsys: pytest.CaptureFixture[str], instance: str, found: int
) -> None:
    assert len(listed(capsys, "--database", history, "--hook-instance", instance)) == found


def test_the_last_decisions_are_the_latest(history: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert [line["status"] for line in listed(capsys, "--database", history, "--last", "1")] == ["500"]
    assert [line["hookInstance"] for line in listed(capsys, "--database", history, "--last", "3")][:2] == ["h1", "h1"]


def test_the_table_for_people_has_the_same_lines(history: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decisions", "--database", history]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:4] == ["at", "client", "service", "hookInstance"]
    assert len(lines) == 2 + 4
    assert lines[2].endswith("Patient declined")


def test_the_decisions_of_no_database_end_with_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decisions", "--database", "sqlite:////no/such/file"]) == 2
    assert capsys.readouterr().err == "no decisions: there is no such database file\n"


def test_a_report_of_thousands_of_calls_is_a_matter_of_seconds(url: str) -> None:
    store = Store(url)
    store.add_decisions([decided(shown(f"c{number}"), id=f"d{number}") for number in range(2_000)])
    started = milliseconds()
    assert len(store.decisions(last=5_000)) == 2_000
    assert milliseconds() - started < 5_000
    assert json.loads(rows(url, "SELECT row_ids FROM decision LIMIT 1")[0][0]) == ["R2", "OBS-1"]


def test_what_the_documents_delete_is_what_is_older(history: str) -> None:
    operations = (Path(__file__).resolve().parent.parent.parent / "docs" / "operations.md").read_text(encoding="utf-8")
    statements = re.findall(r"^ {4}(DELETE FROM .*);$", operations, re.MULTILINE)
    statements += re.findall(r"`(UPDATE feedback SET .*?);`", operations)
    assert len(statements) == 6
    engine = create_engine(history, poolclass=NullPool)
    for day, left in (("2026-01-20", 3), ("2026-01-21", 0)):
        with engine.begin() as connection:
            for statement in statements:
                connection.execute(text(statement.replace("2026-01-01", day)))
        assert rows(history, "SELECT count(*) FROM decision") == [(left,)]
        for table in ("decision_card", "card_shown", "feedback"):
            assert (rows(history, f"SELECT count(*) FROM {table}") == [(0,)]) == (left == 0)
