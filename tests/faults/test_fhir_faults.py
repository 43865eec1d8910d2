"""The FHIR server misbehaves under a service that answers: what the user sees, in time, and the next call is well."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import requests

from tests.support import hostile_server as hostile
from tests.support.bombs import packed_blanks
from tests.support.hostile_server import Behaviour, answers, hostile_server, searchset
from tests.support.running import CALL, SIGN, Running, running

BUDGET_MS: Final = 3_000
SLACK_SECONDS: Final = 4.0
"""What a busy machine may add; a call that does not keep to its budget takes twenty seconds."""

ANOTHER: Final = searchset(
    {
        "resourceType": "MedicationAdministration",
        "id": "a9",
        "status": "completed",
        "medicationCodeableConcept": {"text": "tarlatamab"},
        "subject": {"reference": "Patient/somebody-else"},
        "effectiveDateTime": "2026-01-19T09:00:00Z",
        "dosage": {"dose": {"value": 10, "unit": "mg"}},
    }
)
FAULTS: Final[dict[str, tuple[Behaviour, str]]] = {
    "hangs": (hostile.hangs, "did not answer in time"),
    "drips": (hostile.drips_its_body, "did not answer in time"),
    "resets": (hostile.resets, "connection to the FHIR server failed"),
    "breaks off": (hostile.breaks_off, "connection to the FHIR server failed"),
    "answers 500": (hostile.fails_with(500), "the FHIR server failed (5xx)"),
    "answers HTML": (answers(b"<html><body>Log in</body></html>"), "is not the FHIR resource asked for"),
    "pages for ever": (hostile.pages_for_ever, "has too many pages"),
    "sends a bomb": (
        answers(packed_blanks(200), 200, "Content-Encoding: gzip"),
        "answer is too large",
    ),
    "never ends": (hostile.never_ends, "FHIR server"),
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder: Path = tmp_path_factory.mktemp("faults")
    with running(f"sqlite:///{folder / 'cds.sqlite3'}", CDS_FHIR_BUDGET_MS=str(BUDGET_MS)) as served:
        yield served


def fetching(server: str) -> dict[str, Any]:
    """The call without prefetch: everything is asked of this server."""
    access = {"access_token": "t", "token_type": "Bearer", "expires_in": 300, "scope": "patient/*.rs", "subject": "cds"}
    return CALL | {"prefetch": {}, "fhirServer": server, "fhirAuthorization": access}


def timed(served: Running, call: dict[str, Any]) -> tuple[requests.Response, float]:
    started = time.monotonic()
    answer = requests.post(served.base + SIGN, json=call, timeout=30)
    return answer, time.monotonic() - started


def record_cards(answer: requests.Response) -> list[dict[str, Any]]:
    advice = "org.tarlatamab-cds.advice"
    return [card for card in answer.json()["cards"] if card["extension"][advice]["topic"] == "record"]


def is_well(served: Running) -> None:
    """The next call, which needs no server, is answered rightly and at once."""
    answer, seconds = timed(served, CALL)
    assert "Restart at 1 mg" in answer.json()["cards"][0]["summary"]
    assert seconds < SLACK_SECONDS


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_one_read_is_a_critical_card_in_time_and_the_next_call_is_well(service: Running, fault: str) -> None:
    behaviour, said = FAULTS[fault]
    with hostile_server(MedicationAdministration=behaviour) as server:
        answer, seconds = timed(service, fetching(server.url))
        assert answer.status_code == 200
        assert seconds < BUDGET_MS / 1000 + SLACK_SECONDS
        cards = record_cards(answer)
        assert "critical" in {card["indicator"] for card in cards}
        assert any(said in card["summary"] + card.get("detail", "") for card in cards)
        is_well(service)


def test_another_patients_doses_are_not_used_and_said(service: Running) -> None:
    with hostile_server(MedicationAdministration=answers(ANOTHER)) as server:
        answer, _ = timed(service, fetching(server.url))
        assert answer.status_code == 200
        assert "a9" not in "".join(card["summary"] for card in answer.json()["cards"])
        assert "another patient" in answer.text
        is_well(service)


@pytest.mark.parametrize("fault", ["hangs", "resets", "answers 500", "answers HTML"])
def test_where_every_read_fails_the_call_is_refused_in_words_and_never_answered_with_silence(
    service: Running, fault: str
) -> None:
    behaviour, _ = FAULTS[fault]
    with hostile_server(
        **dict.fromkeys(
            ("Patient", "Condition", "MedicationRequest", "MedicationAdministration", "Observation"), behaviour
        )
    ) as server:
        answer, seconds = timed(service, fetching(server.url))
        assert answer.status_code == 412
        assert {issue["code"] for issue in answer.json()["issue"]} == {"incomplete"}
        assert seconds < BUDGET_MS / 1000 + SLACK_SECONDS
        is_well(service)


def test_calls_to_a_server_that_hangs_leave_no_thread_or_socket_behind(service: Running) -> None:
    def held() -> tuple[int, int]:
        process = Path(f"/proc/{service.process.pid}")
        if not process.exists():
            pytest.skip("needs /proc")
        return len(list((process / "task").iterdir())), len(list((process / "fd").iterdir()))

    with hostile_server(Condition=hostile.hangs, Observation=hostile.drips_its_body) as server:
        timed(service, fetching(server.url))
        threads, files = held()
        for _ in range(5):
            timed(service, fetching(server.url))
    time.sleep(1)
    threads_after, files_after = held()
    assert threads_after <= max(threads, 40)  # at most 24 readers, whatever happens
    assert files_after <= files + 10
    is_well(service)
