"""No patient, free text or token in logs, metrics, headers and error bodies, whatever comes and whatever fails (C109).

Cards are for the prescriber and name what the record names; everything else is searched for marks.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import uuid4

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from cds_service import cards, dialects, services, wire
from cds_service.engine import rulebook
from cds_service.errors import StoreUnavailable
from cds_service.metrics import Metrics
from cds_service.recorder import Recorder
from fhir_mappings import treatment_state
from tests.auth.hospital import hospital
from tests.auth.tokens import CALLED, bearer, claims, header, profile, token
from tests.privacy.marks import (
    BORN,
    ID,
    MARK,
    NAME,
    SECRET,
    TOLD,
    Ear,
    feedback,
    leaks,
    leaves,
    listening,
    marked,
    of_a_marked_patient,
    with_text,
)
from tests.properties.calls import CASES, request
from tests.properties.profiles import examples
from tests.support.hostile_server import Behaviour, answers, head, hostile_server, searchset

SIGN: Final = "/cds-services/tarlatamab-order-sign"
LATE: Final = "V3"


class Place(NamedTuple):
    """A hospital's service, and what was heard of it."""

    client: FlaskClient
    ear: Ear
    folder: Path


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with listening() as ear:
        yield Place(hospital(tmp_path, CDS_MAX_BODY_BYTES="200000"), ear, tmp_path)


def signed(address: str = CALLED, **changes: Any) -> dict[str, str]:
    """The header of a good call of now: even the token's id and its further claims are marked."""
    said = claims(datetime.now(UTC), aud=address, jti=f"{MARK} {uuid4()}", sub=NAME, tenant=MARK)
    return bearer(token(said | changes))


def call(client: FlaskClient, body: Any, **headers: str) -> TestResponse:
    return client.post(SIGN, json=body, headers=headers or signed())


def told(place: Place, *answers: TestResponse) -> list[str]:
    """What the service told on the patient, apart from cards."""
    errors = [answer.data for answer in answers if answer.status_code != 200]
    heads = [f"{answer.status} {answer.headers}" for answer in answers]
    heard = [*place.ear.said, *(thread.name for thread in threading.enumerate())]
    return leaks(*heard, *errors, *heads, place.client.get("/metrics").data)


# --- marks anywhere --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("ward")
    with listening() as ear:
        yield Place(hospital(folder), ear, folder)


TEXTS: Final = (
    f" {MARK}",
    f"{MARK}",
    f"\n{MARK}\x1b[2J",
    f"{MARK}" * 3_000,
    f'"}}{{"{MARK}',
    f"{MARK}\ud800",
    f"http://{MARK}/",
)


@pytest.mark.conforms("C109")
@examples(ci=150, long=20_000)
@given(data=st.data())
def test_a_mark_in_any_text_of_any_call_is_nowhere_but_in_cards(ward: Place, data: st.DataObject) -> None:
    case = CASES[data.draw(st.sampled_from(sorted(CASES)))]
    body = request(case.id)
    for _ in range(data.draw(st.integers(1, 4))):
        path = data.draw(st.sampled_from(list(leaves(body))))
        text = data.draw(st.sampled_from(TEXTS))
        body = with_text(body, path, text, suffixed=data.draw(st.booleans()))
    service = f"tarlatamab-{case.hook}"
    ward.ear.forget()
    answer = ward.client.post(
        f"/cds-services/{service}",
        data=json.dumps(body),
        content_type="application/json",
        headers=signed(CALLED.replace("tarlatamab-order-sign", service)),
    )
    assert answer.status_code in {200, 400, 412}
    assert told(ward, answer) == []
    assert logged(ward)["status"] == answer.status_code


def test_calls_whose_every_text_is_marked_tell_nothing(ward: Place) -> None:
    for case in CASES.values():
        service = f"tarlatamab-{case.hook}"
        ward.ear.forget()
        answer = ward.client.post(
            f"/cds-services/{service}",
            json=marked(request(case.id)),
            headers=signed(CALLED.replace("tarlatamab-order-sign", service)),
        )
        assert told(ward, answer) == [], case.id


def test_the_marks_would_be_found(place: Place) -> None:
    """A test of privacy that finds nothing has to be able to find something."""
    answer = call(place.client, of_a_marked_patient(request(LATE)))
    assert answer.status_code == 200
    assert ID not in answer.request.path
    assert leaks(answer.data)  # the cards name the draft's patient, as they should
    assert leaks(f"x{MARK.upper()}") == [f"x{MARK.upper()}"]
    assert leaks(f"born {BORN}")
    place.client.post(f"{SIGN}/feedback", json=feedback(), headers=signed())
    assert any("sqlalchemy" in line for line in place.ear.said)  # loggers are heard at their most talkative
    assert any('"event":"call"' in line for line in place.ear.said)


# --- every status ----------------------------------------------------------------------------------------------


@pytest.mark.conforms("C108", "C109")
def test_each_refusal_has_its_status_and_tells_nothing(place: Place) -> None:
    client, good = place.client, of_a_marked_patient(request(LATE))
    unread = {**good, "prefetch": {}}
    broken = {
        name: {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": MARK, "diagnostics": NAME}]}
        for name in good["prefetch"]
    }
    twice = json.dumps(good)[:-1] + f', "{MARK}": 1, "{MARK}": 2}}'
    used = signed()
    assert call(client, good, **used).status_code == 200
    answered = {
        "no JSON": (400, client.post(SIGN, data=f"{{{NAME}", content_type="application/json", headers=signed())),
        "twice": (400, client.post(SIGN, data=twice, content_type="application/json", headers=signed())),
        "list": (400, call(client, [NAME])),
        "forms": (400, call(client, {**good, "context": {"patientId": NAME, "userId": [NAME], MARK: NAME}})),
        "other hook": (400, call(client, {**good, "hook": NAME})),
        "key": (400, call(client, {**good, "prefetch": {NAME: {}}, "context": NAME})),
        "no token": (401, client.post(SIGN, json=good)),
        "no such issuer": (401, call(client, good, **signed(iss=f"https://{MARK}.example"))),
        "no such key": (401, call(client, good, **bearer(token(head=header(kid=NAME, jku=MARK))))),
        "no signature": (401, call(client, good, Authorization=f"Bearer {MARK}.{MARK}.{MARK}")),
        "used": (401, call(client, good, **used)),
        "nowhere": (404, client.post(f"/cds-services/{ID}", json=good, headers=signed())),
        "nothing": (404, client.get(f"/Patient/{ID}?name={NAME}")),
        "method": (405, client.get(f"{SIGN}?patient={ID}")),
        "unread": (412, call(client, unread)),
        "broken": (412, call(client, {**good, "prefetch": broken})),
        "large": (413, call(client, {**good, "extension": NAME * 20_000})),
        "form": (415, client.post(SIGN, data=f"name={NAME}", content_type=f"text/{MARK}", headers=signed())),
        "zipped": (415, call(client, good, **signed(), **{"Content-Encoding": MARK})),
    }
    assert {name: answer.status_code for name, (_, answer) in answered.items()} == {
        name: status for name, (status, _) in answered.items()
    }
    assert told(place, *(answer for _, answer in answered.values())) == []


@pytest.mark.conforms("C94", "C109")
def test_feedback_tells_nothing_whatever_is_in_it_and_the_store_alone_keeps_it(place: Place) -> None:
    cards = call(place.client, of_a_marked_patient(request(LATE)))
    assert cards.json is not None
    body = feedback()
    body["feedback"].append(body["feedback"][0] | {"card": cards.json["cards"][0]["uuid"]})
    answers = [
        place.client.post(f"{SIGN}/feedback", data=data, content_type="application/json", headers=signed())
        for data in (json.dumps(body), json.dumps({TOLD: TOLD}), f"{{{TOLD}", json.dumps({"feedback": TOLD}))
    ]
    assert [answer.status_code for answer in answers] == [200, 400, 400, 400]
    assert told(place, *answers) == []
    assert leaks(answers[0].data) == []  # the receipt counts, and quotes nothing
    kept = b"".join(file.read_bytes() for file in place.folder.glob("cds.sqlite3*"))
    assert TOLD.encode() in kept
    assert leaks(kept, marks=(MARK, BORN)) == []  # nothing of calls, tokens and their ids


@pytest.mark.parametrize(
    "name",
    [
        NAME,
        "Jane Doe",
        "a\nb",
        "\x1b[31m",
        "x" * 201,
        "é",
        "a/b",
        '{"a":1}',
        " d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
        "\u202e",
        "a\x00",
    ],
)
def test_a_hook_instance_that_could_be_anything_is_logged_as_a_digest(place: Place, name: str) -> None:
    body = of_a_marked_patient(request(LATE)) | {"hookInstance": name}
    assert call(place.client, body).status_code == 200
    line = logged(place)
    assert line["hookInstance"].startswith("sha256:")
    assert len(line["hookInstance"]) == 71
    assert call(place.client, body).status_code == 200
    assert logged(place)["hookInstance"] == line["hookInstance"]  # two calls with one still belong together


@pytest.mark.parametrize("name", ["d1577c69-dfbe-44ad-ba6d-3e05e953b2ea", "urn:uuid:1", "A.b_c-9", "x" * 200])
def test_a_hook_instance_of_plain_form_is_logged_as_it_came(place: Place, name: str) -> None:
    assert call(place.client, request(LATE) | {"hookInstance": name}).status_code == 200
    assert logged(place)["hookInstance"] == name


def test_a_hook_instance_of_ten_megabytes_is_refused_and_not_logged(tmp_path: Path) -> None:
    with listening() as ear:
        client = hospital(tmp_path)
        assert call(client, request(LATE) | {"hookInstance": MARK * 3_000_000}).status_code == 400
        assert max(map(len, ear.said)) < 10_000
        assert leaks(*ear.said) == []


def logged(place: Place) -> dict[str, Any]:
    """The last line of a call."""
    last = next(line for line in reversed(place.ear.said) if '"event":"call"' in line)
    found: dict[str, Any] = json.loads(last[last.index("{") : last.rindex("}") + 1])
    return found


# --- faults of ours that have the patient in their text ----------------------------------------------------------


class PatientInText(Exception):
    """As a mapping's own exception would quote what it could not read."""


def raises(*_: Any, **__: Any) -> Any:
    try:
        raise KeyError(NAME)
    except KeyError as cause:
        raise PatientInText(f"{NAME} {ID} {BORN} {SECRET}") from cause


FAULTS: Final[tuple[tuple[object, str, int], ...]] = (
    (treatment_state, "read", 500),
    (services, "gather", 500),
    (cards, "render", 500),
    (services, "recognise", 500),
    (services, "kinds_of", 500),
    (wire, "read_request", 500),
    (dialects, "response", 500),
    (services, "shown", 500),
    (Recorder, "decided", 500),
    (Metrics, "called", 500),
    (rulebook, "planned_orders", 200),
    (rulebook, "_dose_findings", 200),
    (rulebook, "_collect", 200),
)
"""Where it breaks, and what the caller gets: what the rules raise becomes a card."""


@pytest.mark.conforms("C56", "C109")
@pytest.mark.parametrize(("holder", "name", "status"), FAULTS, ids=[f"{name}" for _, name, _ in FAULTS])
def test_a_fault_of_ours_is_told_by_its_kind_and_place_alone(
    place: Place, monkeypatch: pytest.MonkeyPatch, holder: object, name: str, status: int, capfd: Any
) -> None:
    client = place.client
    client.application.config["PROPAGATE_EXCEPTIONS"] = False  # as in production, not as Flask has it in tests
    with monkeypatch.context() as patch:
        patch.setattr(holder, name, raises)
        answer = call(client, of_a_marked_patient(request(LATE)))
    assert answer.status_code == status
    assert told(place, answer) == []
    said = capfd.readouterr()
    assert leaks(said.out, said.err) == []
    if status == 500:
        assert any('"error":"PatientInText"' in line for line in place.ear.said)  # and is told, with its place
    else:
        assert leaks(answer.data, marks=(NAME.lower(), SECRET, BORN)) == []


def test_a_fault_while_feedback_is_stored_is_told_by_its_kind_alone(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Recorder, "feedback", raises)
    answer = place.client.post(f"{SIGN}/feedback", json=feedback(), headers=signed())
    assert answer.status_code == 500
    assert told(place, answer) == []


def test_a_store_that_is_down_tells_nothing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def down(*_: Any, **__: Any) -> Any:
        raise StoreUnavailable("OperationalError")

    monkeypatch.setattr(Recorder, "feedback", down)
    answer = place.client.post(f"{SIGN}/feedback", json=feedback(), headers=signed())
    assert answer.status_code == 503
    assert told(place, answer) == []


# --- what the FHIR server does ---------------------------------------------------------------------------------

WORDS: Final = {
    "resourceType": "OperationOutcome",
    "issue": [{"severity": "error", "code": "exception", "diagnostics": NAME, "details": {"text": NAME}}],
}
OTHERS: Final = {"resourceType": "Condition", "id": MARK, "subject": {"reference": f"Patient/{MARK}-other"}}


def sends(data: bytes) -> Behaviour:
    return lambda visit: visit.send(data)


SERVERS: Final[dict[str, Behaviour]] = {
    **{str(status): answers(WORDS, status) for status in (200, 400, 401, 403, 404, 422, 429, 500, 503)},
    "html": answers(f"<html>{NAME}</html>".encode()),
    "redirect": answers(b"", 302, f"Location: https://{MARK}.example/"),
    "elsewhere": answers(searchset(OTHERS, next_link=f"https://{MARK}.example/")),
    "unreadable link": answers(searchset(next_link=f"{NAME}\r\n")),
    "other patient": answers(searchset(OTHERS)),
    "headers that are none": sends(f"HTTP/1.1 200 OK\r\n{NAME} no header\r\nX: y\r\n\r\n".encode()),
    "no HTTP": sends(f"{NAME}\r\n\r\n".encode()),
    "status": sends(f"HTTP/1.1 abc {NAME}\r\n\r\n".encode()),
    "length": sends(head(200, b"").replace(b"Content-Length: 0", f"Content-Length: {MARK}".encode())),
    "both lengths": answers(b"0\r\n\r\n", 200, "Transfer-Encoding: chunked"),
    "gzip": answers(MARK.encode(), 200, "Content-Encoding: gzip"),
    "cookie": answers(searchset(), 200, f"Set-Cookie: a={MARK}; Domain={MARK}"),
    "closes": lambda visit: visit.connection.close(),
}
KINDS: Final = (
    *("Condition", "MedicationRequest", "MedicationAdministration", "Observation", "Procedure", "AdverseEvent"),
    *("AllergyIntolerance", "Patient"),
)


@pytest.mark.conforms("C54", "C109")
@pytest.mark.parametrize("name", SERVERS)
def test_whatever_a_fhir_server_answers_is_not_told(tmp_path: Path, name: str, capfd: Any) -> None:
    with listening() as ear, hostile_server(**dict.fromkeys(KINDS, SERVERS[name])) as server:
        client = hospital(tmp_path, profile(fhir_servers=[server.url]), CDS_MODE="demo", CDS_FHIR_BUDGET_MS="3000")
        answer = call(client, of_a_marked_patient(request(LATE)) | {"prefetch": {}, "fhirServer": server.url})
        assert answer.status_code in {200, 412}
        assert told(Place(client, ear, tmp_path), answer) == []
        assert {asked.headers["authorization"] for asked in server.asked} == {f"Bearer {SECRET}"}
        for asked in server.asked:  # the EHR is asked for its patient by the id that it sent; by nothing else
            assert leaks(asked.path.replace(ID, "")) == []
            assert leaks(*(value for key, value in asked.headers.items() if key != "authorization")) == []
    said = capfd.readouterr()
    assert leaks(said.out, said.err) == []


# --- what is printed of our own objects ----------------------------------------------------------------------------


def test_a_call_prints_nothing_of_what_is_in_it() -> None:
    read = wire.read_request(json.dumps(of_a_marked_patient(request(LATE))).encode(), "order-sign")
    for part in (read, read.context, read.fhir_authorization):
        assert leaks(repr(part), str(part)) == []
