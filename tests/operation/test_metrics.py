"""What /metrics says of FHIR servers, refusals and the build; never a URL or a patient, whatever a server sends."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app import build
from cds_service.errors import Refusal
from cds_service.fhir_client import FhirClient, Question
from cds_service.fhir_failure import Failure
from cds_service.metrics import Metrics
from cds_service.settings import read_settings
from tests.auth.hospital import hospital
from tests.support.hostile_server import answers, empty, fails_with, hangs, hostile_server, searchset

ROOT = Path(__file__).resolve().parent.parent.parent
MARKER = "marker-patient-7"


def lines(text: str, name: str) -> dict[str, float]:
    """The values of one metric by their labels as written, those of 0 left out."""
    found = re.findall(rf"^{name}(?:\{{(.*)\}})? (\S+)$", text, re.MULTILINE)
    return {labels: float(value) for labels, value in found if float(value)}


Observed = list[tuple[str, float | None, Failure | None]]


@pytest.fixture
def observed() -> Observed:
    return []


@pytest.fixture
def client(observed: Observed) -> Iterator[FhirClient]:
    with FhirClient(budget_ms=3_000, observe=lambda *seen: observed.append(seen)) as made:
        yield made


def ask(client: FhirClient, base: str, *queries: str, token: str | None = "t") -> None:
    reader = client.reader(base, token)
    assert reader is not None
    reader.answers({query: Question(query=query) for query in queries})


def test_each_question_is_observed_once_with_its_type_its_time_and_its_failure(
    client: FhirClient, observed: Observed
) -> None:
    with hostile_server(Condition=empty, Procedure=fails_with(500), Observation=hangs) as server:
        started = time.monotonic()
        ask(client, server.url, "Condition?patient=1", "Procedure?patient=1", "Observation?patient=1")
        took = 1000 * (time.monotonic() - started)
    seen = {kind: (milliseconds, failure) for kind, milliseconds, failure in observed}
    assert len(observed) == 3
    assert {kind: failure for kind, (_, failure) in seen.items()} == {
        "Condition": None,
        "Procedure": Failure.SERVER_ERROR,
        "Observation": Failure.TIMEOUT,
    }
    times = {kind: milliseconds for kind, (milliseconds, _) in seen.items() if milliseconds is not None}
    assert 0 < times["Condition"] < 2_990
    assert 2_990 <= times["Observation"] <= took


@pytest.mark.parametrize(
    ("base", "token", "failure"),
    [
        ("http://10.0.0.1/fhir?x=1", "t", Failure.ADDRESS_NOT_ALLOWED),
        ("https://fhir.example/r4", None, Failure.NO_TOKEN),
    ],
)
def test_a_server_that_is_not_asked_is_a_failure_without_a_time(
    client: FhirClient, observed: Observed, base: str, token: str | None, failure: Failure
) -> None:
    ask(client, base, "Condition?patient=1", token=token)
    assert observed == [("Condition", None, failure)]


def test_the_words_of_a_next_link_are_no_label() -> None:
    counters = Metrics()
    for kind in ("https:", f"{MARKER}", "Practitioner", ""):
        counters.read(kind, 3.0, Failure.NOT_FOUND)
    text = counters.text().decode()
    assert MARKER not in text
    assert lines(text, "cds_fhir_failures_total") == {'failure="not_found",type="other"': 4}
    assert lines(text, "cds_fhir_read_milliseconds_count") == {'type="other"': 4}


def test_a_read_without_failure_is_timed_only() -> None:
    counters = Metrics()
    counters.read("Condition", 7.0, None)
    text = counters.text().decode()
    assert lines(text, "cds_fhir_failures_total") == {}
    buckets = lines(text, "cds_fhir_read_milliseconds_bucket")
    assert 'le="5.0",type="Condition"' not in buckets
    assert buckets['le="10.0",type="Condition"'] == 1


def test_what_a_call_reads_is_counted_by_type_and_no_address_stands_in_the_metrics() -> None:
    call = json.loads((ROOT / "examples" / "order-sign-late-second-dose.json").read_text(encoding="utf-8"))
    del call["prefetch"]["conditions"], call["prefetch"]["procedures"]
    endless = answers(searchset(next_link=f"https://elsewhere.example/{MARKER}?patient={MARKER}"))
    with hostile_server(Condition=endless, Procedure=fails_with(503)) as server:
        call["fhirServer"] = server.url
        call["context"]["patientId"] = MARKER
        client = build(read_settings({"CDS_NOW": "2026-01-20T09:00:00Z", "CDS_FHIR_BUDGET_MS": "20000"})).test_client()
        assert client.post("/cds-services/tarlatamab-order-sign", json=call).status_code == 200
        text = client.get("/metrics").get_data(as_text=True)
        assert any(MARKER in path for path in server.paths("Condition"))
    failures = lines(text, "cds_fhir_failures_total")
    assert failures['failure="link_elsewhere",type="Condition"'] == 1
    assert failures['failure="server_error",type="Procedure"'] == 1
    assert lines(text, "cds_fhir_read_milliseconds_count")['type="Condition"'] == 1
    assert not any(word in text for word in (MARKER, "elsewhere.example", "127.0.0.1", "http:"))


def test_every_reason_of_a_refusal_is_counted_from_0_on() -> None:
    counters = Metrics()
    before = counters.text().decode()
    assert all(f'cds_auth_failures_total{{reason="{reason}"}} 0.0' in before for reason in Refusal)
    for reason in (Refusal.REPLAY, Refusal.REPLAY, Refusal.SIGNATURE):
        counters.refused(reason)
    assert lines(counters.text().decode(), "cds_auth_failures_total") == {
        'reason="replay"': 2,
        'reason="signature"': 1,
    }


def test_a_call_and_a_feedback_that_are_not_let_in_are_counted_by_their_reason(tmp_path: Path) -> None:
    client = hospital(tmp_path)
    assert client.post("/cds-services/tarlatamab-order-sign", json={}).status_code == 401
    headers = {"Authorization": "Bearer abc"}
    assert client.post("/cds-services/tarlatamab-order-sign/feedback", json={}, headers=headers).status_code == 401
    assert lines(client.get("/metrics").get_data(as_text=True), "cds_auth_failures_total") == {
        'reason="no token"': 1,
        'reason="malformed"': 1,
    }


def test_calls_refused_as_too_many_are_calls_with_status_429() -> None:
    counters = Metrics()
    counters.called("tarlatamab-order-sign", status=429, milliseconds=1, cards=[], unknowns={})
    assert lines(counters.text().decode(), "cds_calls_total") == {'service="tarlatamab-order-sign",status="429"': 1}


def test_program_and_knowledge_are_named() -> None:
    client = build(read_settings({})).test_client()
    knowledge: Any = client.get("/knowledge", headers={"Accept": "application/json"}).json
    found = lines(client.get("/metrics").get_data(as_text=True), "cds_build_info")
    assert found == {f'knowledge="{knowledge["version"]}",version="0.1.0"': 1}
