"""The patients of the test bench get the cards of their vignettes, at any hour, on either way of reading the record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from threading import Thread
from typing import Any, Final

import pytest
import requests
from werkzeug.serving import make_server

from app import build
from cds_service.demonstration.fhir_store import FhirStore, Refused
from cds_service.demonstration.patients import FILE, load, shifted
from cds_service.demonstration_page import grouped
from cds_service.prefetch import PREFETCH
from cds_service.settings import read_settings
from tests import demonstration
from tests.auth.hospital import hospital

TODAY: Final = "2027-03-03"
HOURS: Final = ("00:10", "12:00", "23:50")
BY_THE_HOUR: Final = {"v103e", "v37a"}
"""What is due within hours, and what was measured within hours: these are looked at in the afternoon of their story."""


@contextmanager
def served(now: str) -> Iterator[str]:
    """A demonstration at this moment, with a port of its own: it reads its patients from itself."""
    server = make_server("127.0.0.1", 0, build(read_settings({"CDS_NOW": now})), threaded=True)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


def call_for(patient: Mapping[str, Any], identity: str, base: str, *, prefetch: bool = False) -> dict[str, Any]:
    def bundle(resources: Any) -> dict[str, Any]:
        return {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": one} for one in resources]}

    context: dict[str, Any] = {"userId": "Practitioner/prescriber", "patientId": identity, "encounterId": "stay"}
    if patient["hook"].startswith("order-"):
        context["draftOrders"] = bundle(patient["drafts"])
    if patient["hook"] == "appointment-book":
        context["appointments"] = bundle(patient["visits"])
    call = {"hook": patient["hook"], "hookInstance": "7c5b1f0e-0f0b-4c1e-9a53-7b8f6a1d2c30", "context": context}
    if not prefetch:
        return {**call, "fhirServer": f"{base}/demo/fhir"}
    found = {
        template.key: requests.get(f"{base}/demo/fhir/{template.for_patient(identity)}", timeout=10).json()
        for template in PREFETCH
    }
    return {**call, "prefetch": found}


def kinds(base: str, call: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    answer = requests.post(f"{base}/cds-services/tarlatamab-{call['hook']}", json=call, timeout=20)
    assert answer.status_code == 200, answer.text
    assert requests.post(f"{base}/demo/cards", json={"cards": answer.json()["cards"]}, timeout=20).status_code == 200
    told = [card["extension"]["org.tarlatamab-cds.advice"] | card for card in answer.json()["cards"]]
    return sorted((card["topic"], card["action"], card["indicator"]) for card in told)


def expected(identity: str) -> list[tuple[str, str, str]]:
    by_id = {case.patient_id: case for case in demonstration.cases().values()}
    return sorted(card.kind for card in by_id[identity].then)


def test_the_patients_are_those_of_the_vignettes() -> None:
    assert FILE.read_text(encoding="utf-8") == demonstration.text(), "run python -m tests.demonstration"


def test_there_are_at_least_twenty_patients_in_groups_and_each_has_a_name_and_a_question() -> None:
    patients = load()
    assert len(patients) >= 20
    assert len(grouped(patients)) >= 5
    assert all(patient.name and patient.question for patient in patients)
    assert len({patient.name for patient in patients}) == len(patients)


@pytest.mark.parametrize("hour", HOURS)
def test_each_patient_gets_the_cards_of_its_vignette_at_any_hour(hour: str) -> None:
    with served(f"{TODAY}T{hour}:00Z") as base:
        choices = requests.get(f"{base}/demo/patients", timeout=10).json()["patients"]
        at_any_hour = {name: one for name, one in choices.items() if name not in BY_THE_HOUR}
        found = {name: kinds(base, call_for(one, name, base)) for name, one in at_any_hour.items()}
    assert found == {name: expected(name) for name in at_any_hour}


@pytest.mark.parametrize("name", sorted(BY_THE_HOUR))
def test_those_who_depend_on_the_hour_get_them_at_the_hour_of_their_story(name: str) -> None:
    with served(f"{TODAY}T15:00:00-05:00") as base:
        choices = requests.get(f"{base}/demo/patients", timeout=10).json()["patients"]
        assert kinds(base, call_for(choices[name], name, base)) == expected(name)


def test_a_call_that_brings_the_record_along_gets_the_same_cards() -> None:
    with served(f"{TODAY}T12:00:00Z") as base:
        choices = requests.get(f"{base}/demo/patients", timeout=10).json()["patients"]
        brought = {n: kinds(base, call_for(choices[n], n, base, prefetch=True)) for n in ("v5b", "v16", "v25a")}
    assert brought == {name: expected(name) for name in brought}


# --- days --------------------------------------------------------------------------------------------------------


def test_days_and_moments_are_moved_and_everything_else_stays() -> None:
    said = {"a": "2026-02-27", "b": ["2026-02-28T10:00:00-05:00"], "c": "2026-02", "d": "on 2026-02-28", "e": 5}
    assert shifted(said, timedelta(days=2)) == {
        "a": "2026-03-01",
        "b": ["2026-03-02T10:00:00-05:00"],
        "c": "2026-02",
        "d": "on 2026-02-28",
        "e": 5,
    }


def test_the_story_of_a_patient_is_moved_as_a_whole() -> None:
    patient = load()[0]
    moved = patient.on(date(2030, 1, 1))
    assert moved.day == date(2030, 1, 1)
    assert moved.on(patient.day) == patient


# --- the FHIR server ---------------------------------------------------------------------------------------------

STORE: Final = FhirStore(
    base="http://127.0.0.1/fhir",
    resources=[
        {"resourceType": "Patient", "id": "a"},
        {
            "resourceType": "Observation",
            "id": "old",
            "subject": {"reference": "Patient/a"},
            "code": {"coding": [{"system": "http://loinc.org", "code": "718-7"}]},
            "category": [{"coding": [{"code": "laboratory"}]}],
            "effectiveDateTime": "2026-01-01",
        },
        {
            "resourceType": "Observation",
            "id": "new",
            "subject": {"reference": "Patient/a"},
            "code": {"coding": [{"code": "x"}]},
            "category": [{"coding": [{"code": "exam"}]}],
            "effectiveDateTime": "2026-01-02",
        },
        {"resourceType": "AllergyIntolerance", "id": "of-b", "patient": {"reference": "Patient/b"}},
    ],
)


def ids(kind: str, **parameters: str) -> list[str]:
    return [entry["resource"]["id"] for entry in STORE.search(kind, parameters).get("entry", [])]


def test_a_search_gives_what_matches_all_its_parameters() -> None:
    assert ids("Observation", patient="a") == ["old", "new"]
    assert ids("Observation", patient="b") == []
    assert ids("Observation", subject="Patient/a", code="y,http://loinc.org|718-7") == ["old"]
    assert ids("Observation", code="718-7,x") == ["old", "new"]
    assert ids("Observation", code="http://snomed.info/sct|718-7") == []
    assert ids("Observation", category="exam,survey") == ["new"]
    assert ids("AllergyIntolerance", patient="b") == ["of-b"]
    assert ids("Patient", _id="a") == ["a"]


def test_the_newest_come_first_and_no_more_than_were_asked_for() -> None:
    assert ids("Observation", patient="a", _sort="-date") == ["new", "old"]
    page = STORE.search("Observation", {"patient": "a", "_sort": "-date", "_count": "1"})
    assert [entry["resource"]["id"] for entry in page["entry"]] == ["new"]
    assert page["total"] == 2


@pytest.mark.parametrize(
    ("kind", "parameters", "status"),
    [
        ("Observation", {"encounter": "1"}, 400),
        ("Observation", {"_sort": "code"}, 400),
        ("Observation", {"_count": "many"}, 400),
        ("Observation", {"_count": "9" * 5000}, 400),
        ("Practitioner", {}, 404),
    ],
)
def test_what_it_does_not_know_is_refused_and_not_passed_over(
    kind: str, parameters: dict[str, str], status: int
) -> None:
    with pytest.raises(Refused) as refused:
        STORE.search(kind, parameters)
    assert refused.value.status == status


def test_over_http_it_reads_searches_says_what_it_can_do_and_refuses_in_fhir() -> None:
    client = build(read_settings({"CDS_NOW": f"{TODAY}T12:00:00Z"})).test_client()
    assert client.get("/demo/fhir/Patient/v5b").get_json(force=True)["id"] == "v5b"
    assert client.get("/demo/fhir/Condition?patient=v5b").mimetype == "application/fhir+json"
    assert client.get("/demo/fhir/metadata").get_json(force=True)["fhirVersion"] == "4.0.1"
    missing = client.get("/demo/fhir/Patient/nobody")
    assert (missing.status_code, missing.get_json(force=True)["resourceType"]) == (404, "OperationOutcome")
    assert client.get("/demo/fhir/Condition?encounter=1").status_code == 400
    assert client.post("/demo/fhir/Condition", json={}).status_code == 405


# --- only in a demonstration --------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["/", "/demo/patients", "/demo/fhir/Patient/v1", "/demo/cards"])
def test_production_has_no_test_bench(address: str, tmp_path: Path) -> None:
    assert hospital(tmp_path).get(address).status_code == 404


def test_why_and_the_cards_are_refused_like_a_call() -> None:
    client = build(read_settings({"CDS_NOW": f"{TODAY}T12:00:00Z"})).test_client()
    assert client.post("/demo/why/no-such-service", json={}).status_code == 404
    assert client.post("/demo/why/tarlatamab-order-sign", json={"hook": "order-sign"}).status_code == 400
    assert client.post("/demo/why/tarlatamab-order-sign", data="{").status_code == 415


def test_why_of_a_call_without_the_drug_says_that_nothing_was_asked() -> None:
    client = build(read_settings({"CDS_NOW": f"{TODAY}T12:00:00Z"})).test_client()
    call = call_for({"hook": "order-sign", "drafts": []}, "v1", "http://127.0.0.1:1")
    answer = client.post("/demo/why/tarlatamab-order-sign", json=call)
    assert answer.status_code == 200
    assert "no rule was asked" in answer.text
