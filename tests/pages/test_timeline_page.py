"""`POST /timeline`: the same door, limits and refusals as the services; a page, a part, SVG or data by Accept."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

import pytest
from flask.testing import FlaskClient
from markupsafe import escape

from app import build
from cds_service import services
from cds_service.limits import CALLS_AT_ONCE
from cds_service.settings import read_settings
from cds_service.timeline_page import service_of
from tests.auth.hospital import hospital
from tests.auth.tokens import PUBLIC_URL, bearer, claims, header, token
from tests.vignettes.build import load_vignettes

NOW: Final = "2026-01-20T09:00:00Z"
MARK: Final = "xXmarkerXx"
DRUG: Final = {"text": "tarlatamab"}
HOSTILE: Final = f"</svg><script>alert('{MARK}')</script><b style='color:red'>"


@pytest.fixture(scope="module")
def client() -> FlaskClient:
    return build(read_settings({"CDS_NOW": NOW, "CDS_MAX_BODY_BYTES": "200000"})).test_client()


def given(name: str, day: str, mg: float, patient: str = "p1") -> dict[str, Any]:
    return {
        "resourceType": "MedicationAdministration",
        "id": name,
        "status": "completed",
        "medicationCodeableConcept": DRUG,
        "subject": {"reference": f"Patient/{patient}"},
        "effectiveDateTime": day,
        "dosage": {"dose": {"value": mg, "unit": "mg", "system": "http://unitsofmeasure.org", "code": "mg"}},
    }


def crs(text: str = "CRS grade 2") -> dict[str, Any]:
    return {
        "resourceType": "Condition",
        "id": "crs",
        "clinicalStatus": {"coding": [{"code": "active"}]},
        "code": {"text": text},
        "subject": {"reference": "Patient/p1"},
        "onsetDateTime": "2026-01-13",
    }


COURSE: Final = (given("a1", "2026-01-05T10:00:00Z", 1), given("a2", "2026-01-12T10:00:00Z", 10))


def bundle(*resources: Mapping[str, Any], patients: tuple[str, ...] = ("p1",), **more: Any) -> dict[str, Any]:
    people = [{"resourceType": "Patient", "id": name} for name in patients]
    entry = [{"resource": resource} for resource in (*people, *resources)]
    return {"resourceType": "Bundle", "type": "collection", "entry": entry, **more}


def patient_view(**prefetch: Any) -> dict[str, Any]:
    keys = ("conditions", "medicationRequests", "medicationAdministrations", "observations", "procedures")
    return {
        "hook": "patient-view",
        "hookInstance": "i",
        "context": {"userId": "Practitioner/1", "patientId": "p1"},
        "prefetch": dict.fromkeys(keys) | {key: bundle(*found, patients=()) for key, found in prefetch.items()},
    }


def data(client: FlaskClient, body: Any, **more: Any) -> dict[str, Any]:
    answer = client.post("/timeline", json=body, headers={"Accept": "application/json"}, **more)
    assert (answer.status_code, answer.mimetype) == (200, "application/json"), answer.text
    found: dict[str, Any] = json.loads(answer.data)
    return found


# --- what is shown ----------------------------------------------------------------------------------------------


def test_a_patient_view_gives_its_marks(client: FlaskClient) -> None:
    found = data(client, patient_view(medicationAdministrations=COURSE, conditions=[crs()]))
    marks = [(mark["kind"], mark["place"], mark["first"], mark["last"]) for mark in found["marks"]]
    assert ("step", "C1D1", "2026-01-05", "2026-01-05") in marks
    assert ("treatment", "C1D8", "2026-01-12", "2026-01-12") in marks
    assert ("due", "C1D15", "2026-01-19", "2026-01-19") in marks
    assert ("crs", "", "2026-01-13", "2026-01-20") in marks
    assert ("hold", "", "2026-01-13", "2026-01-20") in marks
    assert (found["today"], found["dayOne"]) == ("2026-01-20", "2026-01-05")


def test_a_plain_bundle_gives_the_marks_of_the_same_call(client: FlaskClient) -> None:
    expected = data(client, patient_view(medicationAdministrations=COURSE, conditions=[crs()]))
    assert data(client, bundle(*COURSE, crs()))["marks"] == expected["marks"]


def test_an_order_sign_shows_its_draft(client: FlaskClient) -> None:
    example = Path(__file__).parents[2] / "examples" / "order-sign-late-second-dose.json"
    found = data(client, json.loads(example.read_text(encoding="utf-8")))
    assert [mark["kind"] for mark in found["marks"]].count("planned") == 1


def test_what_a_bundle_says_is_elsewhere_is_said_to_be_missing(client: FlaskClient) -> None:
    link = [{"relation": "next", "url": "https://ehr.example/fhir?page=2"}]
    notes = " ".join(data(client, bundle(*COURSE, link=link))["notes"])
    assert "medicationAdministrations were read only in part" in notes


def test_an_entry_that_is_no_resource_is_a_remark(client: FlaskClient) -> None:
    broken = bundle(*COURSE)
    broken["entry"].append({"resource": 7})
    assert any("could not be read" in note for note in data(client, broken)["notes"])


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("text/html", "text/html"),
        ("*/*", "text/html"),
        ("", "text/html"),
        ("application/pdf", "text/html"),
        ("image/svg+xml", "image/svg+xml"),
        ("application/json", "application/json"),
        ("text/html;q=0.1, image/svg+xml", "image/svg+xml"),
    ],
)
def test_the_form_is_chosen_by_accept(client: FlaskClient, accept: str, expected: str) -> None:
    answer = client.post("/timeline", json=bundle(*COURSE), headers={"Accept": accept})
    assert (answer.status_code, answer.mimetype) == (200, expected)
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cache-Control"] == "no-store"


def test_the_page_links_its_styles_and_the_part_is_for_embedding(client: FlaskClient) -> None:
    page = client.post("/timeline", json=bundle(*COURSE)).text
    part = client.post("/timeline?part=1", json=bundle(*COURSE)).text
    assert 'href="/static/timeline.css"' in page
    with client.get("/static/timeline.css") as styles:
        assert styles.status_code == 200
    assert "<html" in page
    assert "<html" not in part
    assert part.startswith("<figure")
    assert part in page


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (patient_view(), "No tarlatamab on record."),
        (bundle(), "No tarlatamab on record."),
        (
            patient_view() | {"hook": "order-sign", "context": {"userId": "u", "patientId": "p1", "draftOrders": {}}},
            "The call proposes no tarlatamab: the record was not read.",
        ),
    ],
)
def test_without_the_drug_it_says_why_nothing_is_drawn(client: FlaskClient, body: Any, expected: str) -> None:
    assert data(client, body) == {"headline": expected, "marks": []}
    for accept in ("text/html", "image/svg+xml"):
        assert expected in client.post("/timeline", json=body, headers={"Accept": accept}).text
    assert client.post("/timeline?part=1", json=body).text == f"<p>{expected}</p>"


# --- text of the record ------------------------------------------------------------------------------------------


def test_text_of_the_record_is_text_in_every_form(client: FlaskClient) -> None:
    hostile = crs(f"CRS grade 2 {HOSTILE}"), given(HOSTILE[:60], "2026-01-14", 10)
    body = bundle(*COURSE, *hostile)
    drawn = client.post("/timeline", json=body, headers={"Accept": "image/svg+xml"})
    root = ElementTree.fromstring(drawn.data)
    assert {element.tag.rpartition("}")[2] for element in root.iter()} <= {
        "svg", "title", "desc", "defs", "pattern", "path", "circle", "rect", "g", "text",
    }  # fmt: skip
    for accept in ("text/html", "image/svg+xml"):
        text = client.post("/timeline", json=body, headers={"Accept": accept}).text
        assert "<script" not in text
        assert "<b style" not in text
        assert " style=" not in text.replace("&lt;b style=", "")
    assert MARK in client.post("/timeline", json=body).text


def test_nothing_of_the_patient_is_logged(client: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    client.post("/timeline", json=bundle(*COURSE, crs(f"CRS grade 2 {MARK}"), patients=(MARK,)))
    client.post("/timeline", json={"hook": MARK, "context": {"patientId": MARK}})
    lines = [json.loads(record.getMessage()) for record in caplog.records if record.name == "cds_service"]
    assert [(line["event"], line["status"]) for line in lines] == [("timeline", 200), ("timeline", 400)]
    assert MARK not in caplog.text


# --- refusals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (bundle(*COURSE, patients=()), "entry"),
        (bundle(*COURSE, patients=("p1", "p2")), "entry"),
        (bundle(*COURSE, patients=("",)), "context.patientId"),
        ({"hook": "no-such-hook", "hookInstance": "i", "context": {}}, "hook"),
        ({"hook": "patient-view", "hookInstance": "i", "context": {"userId": "u"}}, "context.patientId"),
        ({"resourceType": "Patient", "id": "p1"}, "hook"),
        ([], ""),
    ],
)
def test_what_is_neither_a_call_nor_a_record_of_one_patient_gets_400(client: FlaskClient, body: Any, path: str) -> None:
    answer = client.post("/timeline", json=body)
    assert answer.status_code == 400
    outcome = json.loads(answer.data)
    assert outcome["resourceType"] == "OperationOutcome"
    assert path in [place for issue in outcome["issue"] for place in issue.get("expression", [""])]


def test_too_deep_too_large_and_wrongly_typed_bodies_are_refused_as_by_the_services(client: FlaskClient) -> None:
    deep = b'{"a":' * 5_000 + b"1" + b"}" * 5_000
    assert client.post("/timeline", data=deep, content_type="application/json").status_code == 400
    assert client.post("/timeline", data=b"{", content_type="application/json").status_code == 400
    large = b'{"a":"' + b"x" * 200_000 + b'"}'
    assert client.post("/timeline", data=large, content_type="application/json").status_code == 413
    assert client.post("/timeline", data="{}", content_type="text/plain").status_code == 415
    assert client.get("/timeline").status_code == 405


def test_nothing_needed_readable_gets_412(client: FlaskClient) -> None:
    body = patient_view() | {"prefetch": {}}
    assert client.post("/timeline", json=body).status_code == 412


def test_a_fault_gets_500_without_the_text(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ValueError(MARK)

    monkeypatch.setattr("cds_service.timeline_page.timeline", broken)
    answer = client.post("/timeline", json=bundle(*COURSE))
    assert answer.status_code == 500
    assert MARK not in answer.text


def test_a_client_with_too_many_open_calls_gets_429(monkeypatch: pytest.MonkeyPatch) -> None:
    client = build(read_settings({"CDS_NOW": NOW})).test_client()
    statuses: list[int] = []

    def nested(*_: Any) -> services.Answer:
        statuses.append(client.application.test_client().post("/timeline", json=bundle(*COURSE)).status_code)
        return services.NOTHING_TO_SAY

    monkeypatch.setattr("cds_service.web.timeline_page.read_call", lambda *_: nested())
    client.post("/timeline", json=bundle(*COURSE))
    assert statuses[0] == 429
    assert len(statuses) == CALLS_AT_ONCE


# --- the door -----------------------------------------------------------------------------------------------------


def signed(service: str) -> dict[str, str]:
    return bearer(token(claims(datetime.now(UTC), aud=f"{PUBLIC_URL}/cds-services/{service}")))


@pytest.fixture
def closed(tmp_path: Path) -> FlaskClient:
    return hospital(tmp_path)


def test_a_call_without_a_token_gets_401_whatever_it_holds(closed: FlaskClient) -> None:
    bodies = [json.dumps(bundle(*COURSE)), json.dumps(patient_view()), "{", "[]"]
    answers = [closed.post("/timeline", data=body, content_type="application/json") for body in bodies]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.data for answer in answers}) == 1


class Unread(io.BytesIO):
    """A body that nobody may ask for."""

    def read(self, *_: Any) -> bytes:
        raise AssertionError("the body was read")

    readinto = readline = read  # type: ignore[assignment]


@pytest.mark.parametrize("made", [None, "other key", "other address"])
def test_the_body_of_a_stranger_is_not_read(closed: FlaskClient, made: str | None) -> None:
    of_another_key = token(claims(datetime.now(UTC)), number=2, head=header())
    elsewhere = token(claims(datetime.now(UTC), aud=f"{PUBLIC_URL}/cds-services/unknown"))
    headers = {} if made is None else bearer(of_another_key if made == "other key" else elsewhere)
    sent: dict[str, Any] = {"input_stream": Unread(b"{}"), "content_type": "application/json"}
    assert closed.post("/timeline", headers=headers, **sent).status_code == 401
    assert closed.post("/timeline", headers=signed("tarlatamab-patient-view"), **sent).status_code == 500


def test_a_token_for_patient_view_opens_a_record_and_its_hook_and_no_other(closed: FlaskClient) -> None:
    view = "tarlatamab-patient-view"
    assert closed.post("/timeline", json=bundle(*COURSE), headers=signed(view)).status_code == 200
    assert closed.post("/timeline", json=patient_view(), headers=signed(view)).status_code == 200
    assert closed.post("/timeline", json=patient_view(), headers=signed("tarlatamab-order-sign")).status_code == 401


def test_a_token_opens_once(closed: FlaskClient) -> None:
    header = signed("tarlatamab-patient-view")
    statuses = [closed.post("/timeline", json=bundle(*COURSE), headers=header).status_code for _ in range(2)]
    assert statuses == [200, 401]


def test_the_door_is_that_of_the_hook_or_of_any_service_there_is() -> None:
    ids = {"order-sign": "sign", "patient-view": "view"}
    assert service_of(b'{"hook":"order-sign"}', ids) == "sign"
    assert service_of(b'{"hook":7}', ids) == "view"
    assert service_of(b"\xff", ids) == "view"
    assert service_of(b"{}", {"order-sign": "sign"}) == "sign"


# --- every vignette -----------------------------------------------------------------------------------------------


@lru_cache
def clinic(now: str, zone: str, sources: str) -> FlaskClient:
    return build(read_settings({"CDS_NOW": now, "CDS_TIMEZONE": zone, "CDS_SOURCES": sources})).test_client()


@pytest.mark.parametrize("case", load_vignettes(), ids=lambda case: case.id)
def test_every_vignette_is_drawn_as_valid_xml_with_every_mark_in_words(case: Any) -> None:
    client = clinic(case.now.isoformat(), case.timezone, case.sources)
    body = case.request()
    answer = client.post("/timeline?part=1", json=body)
    if answer.status_code != 200:
        assert answer.status_code == client.post(f"/cds-services/{case.service}", json=body).status_code
        return
    drawn, _, words = answer.text.partition("</svg>")
    found = data(client, body)
    if found["marks"]:
        root = ElementTree.fromstring(drawn[drawn.index("<svg") :] + "</svg>")
        assert not any("style" in element.attrib for element in root.iter())
    assert [mark["says"] for mark in found["marks"] if str(escape(mark["says"])) not in words] == []
