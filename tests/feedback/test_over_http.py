"""Feedback, records and /metrics of the running service, over real connections and a real SQLite file."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.feedback.bodies import EPIC, SANDBOX_OVERRIDE, accepted, overridden

ROOT = Path(__file__).resolve().parent.parent.parent
CALL = json.loads((ROOT / "examples" / "order-sign-late-second-dose.json").read_text(encoding="utf-8"))
SIGN = "/cds-services/tarlatamab-order-sign"
NO_DATABASE = "no database " * 100


@dataclass(frozen=True, kw_only=True)
class Server:
    """A running service, its database and what it has written to its log."""

    base: str
    process: "subprocess.Popen[bytes]"
    file: Path
    log: Path

    def post(self, address: str, body: Any) -> requests.Response:
        return requests.post(self.base + address, json=body, timeout=20)

    def feedback(self, *entries: Any, address: str = f"{SIGN}/feedback") -> dict[str, int]:
        """The receipt of these entries, which are taken."""
        answer = self.post(address, {"feedback": list(entries)})
        assert answer.status_code == 200, answer.text
        receipt: dict[str, int] = answer.json()["extension"]["org.tarlatamab-cds.feedback"]
        return receipt

    def cards(self, hook_instance: str) -> list[str]:
        """The uuids of the cards that a call gets."""
        answer = self.post(SIGN, CALL | {"hookInstance": hook_instance})
        assert answer.status_code == 200
        return [card["uuid"] for card in answer.json()["cards"]]

    def metrics(self) -> str:
        answer = requests.get(f"{self.base}/metrics", timeout=10)
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        return answer.text

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.file, timeout=10)) as connection:
            return connection.execute(query).fetchall()


@contextmanager
def serving(file: Path, log: Path) -> Iterator[Server]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("CDS_")}
    settings = {"CDS_NOW": "2026-01-20T09:00:00Z", "CDS_DATABASE_URL": f"sqlite:///{file}"}
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "app.py", "--port", "0"],
            cwd=ROOT,
            env=inherited | settings,
            stdout=subprocess.PIPE,
            stderr=stderr,
        )
    try:
        assert process.stdout is not None
        ready = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline().decode())
        assert ready is not None, log.read_text(encoding="utf-8")
        yield Server(base=ready[0], process=process, file=file, log=log)
    finally:
        process.kill()
        process.communicate(timeout=60)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("store")
    with serving(folder / "cds.sqlite3", folder / "log") as running:
        yield running


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def nothing_empty(value: Any) -> bool:
    """Whether a reply holds no null, "", [] or {} (C2)."""
    if isinstance(value, dict | list):
        return bool(value) and all(map(nothing_empty, value.values() if isinstance(value, dict) else value))
    return value is not None and value != ""


# --- C87, C1, C2, C92: every service takes it, at every spelling of its address ---------------------------------------


@pytest.mark.parametrize(
    "spelling", ["/cds-services/{}/feedback", "/cds-services//{}/feedback", "/cds-services/{}/feedback/"]
)
def test_every_service_of_the_discovery_takes_feedback(server: Server, spelling: str) -> None:
    for service in requests.get(f"{server.base}/cds-services", timeout=10).json()["services"]:
        answer = server.post(spelling.format(service["id"]), {"feedback": []})
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert answer.json() == {
            "extension": {"org.tarlatamab-cds.feedback": {"received": 0, "recorded": 0, "repeated": 0, "rejected": 0}}
        }
        assert nothing_empty(answer.json())


def test_a_browser_may_ask_before_it_sends_feedback(server: Server) -> None:
    answer = requests.options(f"{server.base}{SIGN}/feedback", timeout=10)
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Headers"] == "Authorization, Content-Type"


@pytest.mark.parametrize(
    ("address", "body", "status", "said"),
    [
        (
            "/cds-services/unknown/feedback",
            {"feedback": []},
            404,
            "There is no service with this id: GET /cds-services lists those that there are.",
        ),
        (f"{SIGN}/feedback", {}, 400, "feedback: required, and missing"),
        (f"{SIGN}/feedback", {"feedback": {}}, 400, "feedback: must be a list"),
        (f"{SIGN}/feedback", [], 400, "the body must be a JSON object"),
    ],
)
def test_a_broken_envelope_or_an_unknown_service_is_refused(
    server: Server, address: str, body: Any, status: int, said: str
) -> None:
    answer = server.post(address, body)
    assert answer.status_code == status
    assert answer.json()["resourceType"] == "OperationOutcome"
    assert answer.json()["issue"][0]["diagnostics"] == said
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


# --- C88-C91, C94: what is kept ---------------------------------------------------------------------------------------


def test_cards_that_were_sent_are_on_record_without_the_patient(server: Server) -> None:
    cards = server.cards("on-record")
    until(lambda: {card for (card,) in server.rows("SELECT card FROM card_shown")} >= set(cards))
    records = server.rows(f"SELECT * FROM card_shown WHERE card = '{cards[0]}'")
    assert len(records) == 1
    assert records[0][2:9] == (
        *("tarlatamab-order-sign", "order-sign", "R2", "dose", "restart-step-up", "critical"),
        records[0][8],
    )
    assert records[0][8].startswith("tarlatamab ")
    assert CALL["context"]["patientId"] not in str(server.rows("SELECT * FROM card_shown"))


def test_a_call_is_on_record_with_its_rows_its_cards_and_what_was_done_with_them(server: Server) -> None:
    cards = server.cards("decided")
    assert server.feedback(accepted(card=cards[0]))["recorded"] == 1
    until(lambda: server.rows("SELECT count(*) FROM decision WHERE hook_instance = 'decided'") == [(1,)])
    [(status, knowledge, fired)] = server.rows(
        "SELECT status, knowledge, row_ids FROM decision WHERE hook_instance = 'decided'"
    )
    assert (status, json.loads(fired)[0]) == (200, "R2")
    assert knowledge.startswith("tarlatamab ")
    joined = server.rows(
        "SELECT decision_card.card, feedback.outcome FROM decision JOIN decision_card ON decision = decision.id "
        "LEFT JOIN feedback ON feedback.client = decision.client AND feedback.card = decision_card.card "
        "WHERE hook_instance = 'decided'"
    )
    assert dict(joined) == dict.fromkeys(cards) | {cards[0]: "accepted"}
    assert server.post(SIGN, {}).status_code == 400
    until(lambda: server.rows("SELECT count(*) FROM decision WHERE status = 400")[0][0] > 0)
    assert CALL["context"]["patientId"] not in str(server.rows("SELECT * FROM decision"))


def test_feedback_sent_twice_is_one_row(server: Server) -> None:
    card = server.cards("twice")[0]
    assert server.feedback(overridden(card=card)) == {"received": 1, "recorded": 1, "repeated": 0, "rejected": 0}
    assert server.feedback(overridden(card=card)) == {"received": 1, "recorded": 0, "repeated": 1, "rejected": 0}
    assert server.rows(f"SELECT outcome, reason_code FROM feedback WHERE card = '{card}'") == [
        ("overridden", "declined")
    ]


def test_one_bad_entry_does_not_sink_a_batch_and_is_kept_too(server: Server) -> None:
    cards = [*server.cards("mixed-1"), *server.cards("mixed-2")]
    batch = [accepted(card=card) for card in cards]
    receipt = server.feedback(*batch, accepted(card="mixed", outcome="marker-outcome"), accepted(card="unheard of"))
    assert receipt == {
        "received": len(cards) + 2,
        "recorded": len(cards) + 1,
        "repeated": 0,
        "rejected": 1,
        "mistakes": [f"feedback[{len(cards)}].outcome: must be accepted or overridden"],
    }
    assert server.rows("SELECT mistake FROM feedback_rejected WHERE entry LIKE '%marker-outcome%'") == [("outcome",)]
    assert server.rows("SELECT outcome FROM feedback WHERE card = 'unheard of'") == [("accepted",)]


def test_a_card_acted_on_years_later_is_no_mistake(server: Server) -> None:
    card = server.cards("late")[0]
    assert server.feedback(accepted(card=card, outcomeTimestamp="2031-01-20T09:00:00Z"))["recorded"] == 1


@pytest.mark.parametrize("body", [EPIC, SANDBOX_OVERRIDE], ids=["Epic", "the sandbox"])
def test_what_real_clients_send_is_taken_whole(server: Server, body: dict[str, Any]) -> None:
    receipt = server.feedback(*body["feedback"], address="/cds-services/tarlatamab-order-select/feedback")
    assert receipt["recorded"] == len(body["feedback"])


# --- C94, C109: free text stays in the store --------------------------------------------------------------------------


def test_comments_reasons_and_ids_of_a_client_are_stored_and_never_logged_or_counted(server: Server) -> None:
    card = server.cards("phi")[0]
    reason = {
        "reason": {"code": "marker-code", "system": "marker-system", "display": "marker-display"},
        "userComment": "marker-comment: Mrs Example",
        "extension": {"marker-extension": "x"},
    }
    server.feedback(
        overridden(card=card, overrideReason=reason, acceptedSuggestions=[{"id": "marker-suggestion"}]),
        overridden(card="marker-card", overrideReason=reason),
        overridden(card="marker-card", outcome="marker-outcome", overrideReason=reason),
        {"marker-member": 1},
    )
    assert server.post(f"{SIGN}/feedback", {"marker-member": 1}).status_code == 400
    assert server.rows(f"SELECT comment FROM feedback WHERE card = '{card}'") == [("marker-comment: Mrs Example",)]
    written, counted = server.log.read_text(encoding="utf-8"), server.metrics()
    assert '"event":"feedback"' in written
    for text in (written, counted):
        assert "marker" not in text
        assert card not in text
        assert CALL["context"]["patientId"] not in text
    line = json.loads(written.splitlines()[-2])
    assert line.pop("milliseconds") >= 0
    assert line.pop("time").endswith("Z")
    assert line == {
        "event": "feedback",
        "service": "tarlatamab-order-sign",
        "client": "",
        "status": 200,
        "received": 4,
        "recorded": 2,
        "repeated": 0,
        "rejected": 2,
        "outcomes": {"R2 overridden": 1, "unknown card overridden": 1},
        "mistakes": {"outcome": 1, "card": 1},
    }


# --- /metrics ---------------------------------------------------------------------------------------------------------


def value(metrics: str, name: str) -> float:
    """The value of the sample that begins so; 0 where there is none yet."""
    found = re.search(rf"^{re.escape(name)} (\S+)$", metrics, re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_metrics_count_calls_cards_and_feedback_by_row(server: Server) -> None:
    names = [
        'cds_calls_total{service="tarlatamab-order-sign",status="200"}',
        'cds_calls_total{service="tarlatamab-order-sign",status="400"}',
        'cds_call_milliseconds_count{service="tarlatamab-order-sign"}',
        'cds_cards_total{indicator="critical",row="R2",topic="dose"}',
        'cds_feedback_total{outcome="accepted",row="R2"}',
        'cds_feedback_calls_total{service="tarlatamab-order-sign",status="200"}',
        'cds_feedback_rejected_total{mistake="entry"}',
        'cds_unknowns_total{kind="Condition"}',
        "cds_records_lost_total",
    ]
    before = server.metrics()
    card = server.cards("counted")[0]
    until(lambda: server.rows(f"SELECT count(*) FROM card_shown WHERE card = '{card}'") == [(1,)])
    server.feedback(accepted(card=card), accepted(card=card), "counted once")
    server.feedback(accepted(card=card), "counted once")
    server.post(SIGN, {})
    unreadable = {"resource": {"resourceType": "Condition", "id": "x", "subject": 7}}
    prefetch = CALL["prefetch"]
    conditions = {"resourceType": "Bundle", "entry": [*prefetch["conditions"].get("entry", []), unreadable]}
    server.post(SIGN, CALL | {"prefetch": prefetch | {"conditions": conditions}})
    after = server.metrics()
    assert [value(after, name) - value(before, name) for name in names] == [2, 1, 3, 2, 1, 2, 1, 1, 0]


# --- C89: at the same time, and through whatever happens --------------------------------------------------------------


def test_two_processes_on_one_file_take_the_same_feedback_at_once_and_keep_it_once(tmp_path: Path) -> None:
    file = tmp_path / "cds.sqlite3"
    with ExitStack() as stack:
        servers = [stack.enter_context(serving(file, tmp_path / f"log{number}")) for number in range(2)]
        entries = [accepted(card=f"card {number}") for number in range(10)]

        def send(number: int) -> int:
            some = entries[number % 10 :] + entries[: number % 10]
            return servers[number % 2].feedback(*some)["recorded"]

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(send, range(40))) == 10
        assert servers[0].rows("SELECT count(*), count(DISTINCT card) FROM feedback") == [(10, 10)]


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_feedback_that_was_acknowledged_survives_the_kill_of_its_process(tmp_path: Path) -> None:
    file = tmp_path / "cds.sqlite3"
    acknowledged: list[str] = []
    with serving(file, tmp_path / "log") as server, ThreadPoolExecutor(4) as pool:

        def send(number: int) -> None:
            try:
                server.feedback(accepted(card=f"card {number}"))
            except (requests.RequestException, AssertionError):
                return
            acknowledged.append(f"card {number}")
            if len(acknowledged) == 40:
                server.process.send_signal(signal.SIGKILL)

        list(pool.map(send, range(200)))
    assert 40 <= len(acknowledged) < 200
    with closing(sqlite3.connect(file)) as connection:
        kept = {card for (card,) in connection.execute("SELECT card FROM feedback")}
    assert kept >= set(acknowledged)


def test_without_a_store_advice_goes_on_feedback_is_refused_and_both_recover(tmp_path: Path) -> None:
    file, log = tmp_path / "cds.sqlite3", tmp_path / "log"
    file.write_text(NO_DATABASE, encoding="utf-8")
    with serving(file, log) as server:
        cards = server.cards("no store")
        assert cards
        answer = server.post(f"{SIGN}/feedback", {"feedback": [overridden(overrideReason={"userComment": "marker"})]})
        assert answer.status_code == 503
        assert answer.headers["Retry-After"] == "30"
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert answer.json()["resourceType"] == "OperationOutcome"
        assert answer.json()["issue"][0]["code"] == "transient"
        assert 'cds_feedback_calls_total{service="tarlatamab-order-sign",status="503"} 1.0' in server.metrics()
        file.unlink()
        assert server.feedback(overridden(card=cards[0]))["recorded"] == 1
        until(lambda: {card for (card,) in server.rows("SELECT card FROM card_shown")} == set(cards))
        written = log.read_text(encoding="utf-8")
    assert '"event":"store","state":"unavailable","error":"DatabaseError"' in written
    assert "marker" not in written


def test_advice_does_not_wait_for_a_store_that_somebody_has_locked(server: Server) -> None:
    server.cards("before the lock")
    with closing(sqlite3.connect(server.file, timeout=10, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        started = time.monotonic()
        cards = [card for number in range(5) for card in server.cards(f"locked {number}")]
        assert time.monotonic() - started < 4  # the store itself would be waited for 5 s, for each of them
        other.execute("ROLLBACK")
    until(lambda: {card for (card,) in server.rows("SELECT card FROM card_shown")} >= set(cards))
    assert value(server.metrics(), "cds_records_lost_total") == 0


# --- several workers -------------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.name == "nt", reason="gunicorn needs fork")
def test_workers_that_end_write_their_cards_first_and_their_counters_can_be_read_together(tmp_path: Path) -> None:
    file, counters = tmp_path / "cds.sqlite3", tmp_path / "counters"
    counters.mkdir()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("CDS_")}
    settings = {"CDS_DATABASE_URL": f"sqlite:///{file}", "PROMETHEUS_MULTIPROC_DIR": str(counters)}
    command = [sys.executable, "-m", "gunicorn", "app:create_app()", "--bind", "127.0.0.1:0", "--workers", "2"]
    with subprocess.Popen(command, cwd=ROOT, env=inherited | settings, stderr=subprocess.PIPE) as process:
        try:
            assert process.stderr is not None
            lines = iter(process.stderr.readline, b"")
            base = next(found[1] for line in lines if (found := re.search(r"at: (http://\S+)", line.decode())))
            cards: list[str] = []
            for number in range(12):  # each over a connection of its own, for whichever worker takes it
                answer = requests.post(base + SIGN, json=CALL | {"hookInstance": str(number)}, timeout=20)
                cards += [card["uuid"] for card in answer.json()["cards"]]
            counted = requests.get(f"{base}/metrics", timeout=10).text
        finally:
            process.terminate()
            process.communicate(timeout=28)  # after 30 s gunicorn ends by force
    assert value(counted, 'cds_calls_total{service="tarlatamab-order-sign",status="200"}') == 12
    assert value(counted, "cds_records_lost_total") == 0
    with closing(sqlite3.connect(file)) as connection:
        assert {card for (card,) in connection.execute("SELECT card FROM card_shown")} == set(cards)
