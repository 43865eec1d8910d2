"""The store on a real SQLite file and a real PostgreSQL server: repeats, unknown cards, two writers, the report."""

import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Executable, NullPool, create_engine, select, text

from cds_service.errors import SettingError, StoreUnavailable
from cds_service.feedback import Feedback, Rejected
from cds_service.report import COLUMNS
from cds_service.store import Decision, Shown, Store, in_utc, main
from cds_service.tables import FEEDBACK
from tests.feedback.bodies import accepted, overridden

AT = datetime(2026, 1, 20, 9, 10, tzinfo=UTC)
SIGN = "tarlatamab-order-sign"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "cds.sqlite3"


@pytest.fixture
def file_store(file: Path) -> Store:
    return Store(f"sqlite:///{file}")


@pytest.fixture
def store(url: str) -> Store:
    return Store(url)


def shown(card: str, row: str = "R2", **changes: Any) -> Shown:
    attributes: dict[str, Any] = {
        "card": card,
        "service": SIGN,
        "hook": "order-sign",
        "leading_row": row,
        "topic": "dose",
        "action": "restart-step-up",
        "indicator": "critical",
        "knowledge": "tarlatamab 2026.1",
        "shown_at": AT,
    }
    return Shown(**attributes | changes)


def decided(*cards: Shown, **changes: Any) -> Decision:
    """A call that got these cards; an earlier one with the same `id` is the same."""
    attributes: dict[str, Any] = {
        "id": "-".join(card.card for card in cards)[:100] or "d0",
        "decided_at": AT,
        "service": SIGN,
        "hook_instance": "h1",
        "status": 200,
        "knowledge": "tarlatamab 2026.1",
        "row_ids": ("R2", "OBS-1"),
        "unknowns": {"Condition": 1},
        "milliseconds": 3.4,
        "cards": cards,
    }
    return Decision(**attributes | changes)


def entry(body: dict[str, Any]) -> Feedback:
    return Feedback.model_validate(body)


def rows(url: str, query: str | Executable) -> list[tuple[Any, ...]]:
    """What another program finds in the database."""
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query) if isinstance(query, str) else query)]


# --- opening ------------------------------------------------------------------------------------------------


def test_nothing_is_opened_before_it_is_used(file_store: Store, file: Path) -> None:
    assert not file.exists()


def test_opening_makes_the_tables_and_writers_do_not_block_readers(file_store: Store, file: Path) -> None:
    file_store.open()
    file_store.open()
    tables = [
        name
        for (name,) in rows(f"sqlite:///{file}", "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
    ]
    assert tables == [
        *("alembic_version", "card_shown", "decision", "decision_card"),
        *("feedback", "feedback_rejected", "token_seen"),
    ]
    assert rows(f"sqlite:///{file}", "PRAGMA journal_mode") == [("wal",)]


@pytest.mark.skipif(os.name == "nt", reason="there are no such permissions")
def test_nobody_else_on_the_machine_can_read_what_clinicians_wrote(file_store: Store, file: Path) -> None:
    file_store.add_decisions([decided(shown("c1"))])
    assert {path.stat().st_mode & 0o077 for path in file.parent.iterdir()} == {0}


@pytest.mark.parametrize(
    "url", ["sqlite:////no/such/folder/x", "sqlite:///:memory:", "sqlite://", "nonsense", "no+such://x"]
)
def test_a_url_that_cannot_hold_a_store_is_a_wrong_setting(url: str) -> None:
    with pytest.raises(SettingError, match=r"^CDS_DATABASE_URL names "):
        Store(url)


def test_a_file_that_is_no_database_is_told_without_its_words_and_one_day_may_be_one(
    file_store: Store, file: Path
) -> None:
    file.write_text("no database " * 100, encoding="utf-8")
    with pytest.raises(StoreUnavailable) as failed:
        file_store.open()
    assert str(failed.value) == "DatabaseError"
    file.unlink()
    file_store.add_decisions([decided(shown("c1"))])
    assert file_store.rows_of({"c1"}) == {"c1": "R2"}


def test_a_file_that_was_removed_is_made_again(file_store: Store, file: Path) -> None:
    file_store.add_decisions([decided(shown("c1"))])
    for path in file.parent.iterdir():
        path.unlink()
    with pytest.raises(StoreUnavailable):
        file_store.add_decisions([decided(shown("c2"))])
    file_store.add_decisions([decided(shown("c2"))])
    assert file_store.rows_of({"c1", "c2"}) == {"c2": "R2"}


# --- writing ------------------------------------------------------------------------------------------------


def test_a_card_sent_again_is_one_card(store: Store, url: str) -> None:
    store.add_decisions([decided(shown("c1"), shown("c1"))])
    store.add_decisions([decided(shown("c1", row="OTHER"))])
    assert rows(url, "SELECT card, leading_row, hook, client FROM card_shown") == [("c1", "R2", "order-sign", "")]


def test_the_same_feedback_twice_is_one_row(store: Store, url: str) -> None:
    first = store.add_feedback([entry(accepted()), entry(accepted())], service=SIGN, at=AT)
    again = store.add_feedback([entry(accepted())], service=SIGN, at=AT)
    assert (first.recorded, first.repeated) == ({("unknown card", "accepted"): 1}, 1)
    assert (again.recorded, again.repeated) == ({}, 1)
    assert rows(url, "SELECT count(*) FROM feedback") == [(1,)]


def test_feedback_counts_for_the_leading_row_of_its_card(store: Store) -> None:
    store.add_decisions([decided(shown("c1", row="R2"), shown("c2", row="OBS-1"))])
    given = [entry(accepted(card="c1")), entry(overridden(card="c2")), entry(overridden(card="c3"))]
    kept = store.add_feedback(given, service=SIGN, at=AT)
    assert kept.recorded == {("R2", "accepted"): 1, ("OBS-1", "overridden"): 1, ("unknown card", "overridden"): 1}


def test_a_card_of_one_client_is_unknown_to_another(store: Store) -> None:
    store.add_decisions([decided(shown("c1", client="one"))])
    kept = store.add_feedback([entry(accepted(card="c1"))], service=SIGN, at=AT, client="other")
    assert kept.recorded == {("unknown card", "accepted"): 1}


def test_everything_that_came_is_kept(store: Store, url: str) -> None:
    reason = {"reason": {"code": "x", "system": "s", "display": "d"}, "userComment": "c", "extension": {"e": 1}}
    body = overridden(card="c1", overrideReason=reason, acceptedSuggestions=[{"id": "s1"}])
    store.add_feedback([entry(body)], service=SIGN, at=AT)
    columns = "service, card, outcome, suggestions, reason_system, reason_code, reason_display, comment, extension"
    assert rows(url, f"SELECT {columns} FROM feedback") == [
        (SIGN, "c1", "overridden", '["s1"]', "s", "x", "d", "c", '{"e":1}')
    ]
    [times] = rows(url, select(FEEDBACK.c.outcome_at, FEEDBACK.c.received_at))
    assert [in_utc(time) for time in times] == [AT.replace(minute=5), AT]


def test_an_entry_that_could_not_be_read_is_kept_once(store: Store, url: str) -> None:
    bad = Rejected(mistake="outcome", path="feedback[0].outcome", entry='{"card":"c1"}')
    assert store.add_feedback([bad], service=SIGN, at=AT).rejected == {"outcome": 1}
    assert store.add_feedback([bad], service=SIGN, at=AT).rejected == {}
    assert rows(url, "SELECT mistake, entry FROM feedback_rejected") == [("outcome", '{"card":"c1"}')]


def test_a_batch_larger_than_one_transaction_is_kept_whole(store: Store, url: str) -> None:
    given = [entry(accepted(card=f"c{number}")) for number in range(1_001)]
    store.add_decisions([decided(*(shown(f"c{number}") for number in range(1_001)))])
    assert store.add_feedback(given, service=SIGN, at=AT).recorded == {("R2", "accepted"): 1_001}
    assert rows(url, "SELECT count(*) FROM feedback") == [(1_001,)]


def test_many_writers_at_once_on_a_new_database_lose_nothing_and_write_nothing_twice(url: str) -> None:
    stores = [Store(url) for _ in range(8)]

    def write(number: int) -> int:
        given = [entry(accepted(card=f"c{card}")) for card in range(20)]
        kept = stores[number].add_feedback(given, service=SIGN, at=AT)
        return sum(kept.recorded.values())

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(write, range(8))) == 20
    assert rows(url, "SELECT count(*) FROM feedback") == [(20,)]


# --- the report ---------------------------------------------------------------------------------------------


def report(arguments: Sequence[str], capsys: pytest.CaptureFixture[str]) -> list[str]:
    assert main(["report", *arguments]) == 0
    return capsys.readouterr().out.splitlines()


@pytest.fixture
def committee(store: Store, url: str) -> str:
    """R2: four cards, two overridden, one accepted after all, one ignored. OBS-1: one card, ignored."""
    store.add_decisions([decided(*(shown(f"c{number}") for number in range(1, 5)))])
    store.add_decisions([decided(shown("c5", row="OBS-1", topic="monitoring", action="monitor"))])
    given = [
        overridden(card="c1"),
        overridden(card="c2", overrideReason={"userComment": "marker-comment"}),
        overridden(card="c3", outcomeTimestamp="2026-01-20T09:00:00Z"),
        accepted(card="c3", outcomeTimestamp="2026-01-20T09:01:00Z"),
        overridden(card="elsewhere"),
    ]
    store.add_feedback([entry(body) for body in given], service=SIGN, at=AT)
    bad = Rejected(mistake="entry", path="feedback[0]", entry="7")
    store.add_feedback([bad], service=SIGN, at=AT)
    return url


def test_the_report_says_for_each_row_how_its_cards_were_received(
    committee: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = report(["--database", committee], capsys)
    assert lines[0].split()[:7] == ["row", "topic", "action", "shown", "accepted", "overridden", "ignored"]
    assert lines[2].split()[:10] == ["R2", "dose", "restart-step-up", "4", "1", "2", "1", "25.0", "50.0", "25.0"]
    assert lines[2].endswith("(comment only) (1); Patient declined (1)")
    assert lines[3].split() == ["OBS-1", "monitoring", "monitor", "1", "0", "0", "1", "0.0", "0.0", "100.0"]
    assert lines[-1] == "Feedback on cards not on record: 1. Entries not readable: 1."
    assert "marker-comment" not in "".join(lines)


def test_the_report_as_csv_has_the_same_cells(committee: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert report(["--database", committee, "--csv"], capsys) == [
        ",".join(COLUMNS),
        "R2,dose,restart-step-up,4,1,2,1,25.0,50.0,25.0,(comment only) (1); Patient declined (1)",
        "OBS-1,monitoring,monitor,1,0,0,1,0.0,0.0,100.0,",
    ]


def test_a_reason_can_neither_steer_a_terminal_nor_be_a_formula(
    store: Store, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    store.add_decisions([decided(shown("c1"))])
    reason = {"reason": {"display": "=1+1\x1b[2J\n" + "x" * 100}}
    store.add_feedback([entry(overridden(card="c1", overrideReason=reason))], service=SIGN, at=AT)
    text = "\n".join(report(["--database", url, "--csv"], capsys))
    assert ",'=1+1 [2J xxx" in text
    assert "\x1b" not in text
    assert "x" * 60 not in text


def test_an_empty_store_gives_a_table_without_rows(store: Store, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    store.open()
    assert report(["--database", url], capsys)[2] == ""


@pytest.mark.parametrize("url", ["sqlite:////no/such/file.sqlite3", "nonsense"])
def test_a_report_on_a_database_that_is_not_there_ends_with_code_2_and_makes_none(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", "--database", url]) == 2
    assert capsys.readouterr().err.startswith("no report: ")


def test_the_report_can_be_asked_for_as_the_documents_say(committee: str) -> None:
    command = [sys.executable, "-m", "cds_service.store", "report", "--database", committee]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.startswith("row ")
