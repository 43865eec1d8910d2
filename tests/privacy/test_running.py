"""Services in processes of their own: all that they print, answer and keep is searched for marks of a patient."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
import requests

from tests.auth.tokens import CALLED, PUBLIC_URL, bearer, claims, clients_file, header, profile, token
from tests.privacy.marks import BORN, ID, MARK, NAME, TOLD, feedback, leaks, marked, of_a_marked_patient
from tests.properties.calls import request
from tests.support.running import READY, SECONDS_TO_START, until
from tests.test_bootstrap_app import ROOT, environment, serving

LATE: Final = "V3"
SIGN: Final = "/cds-services/tarlatamab-order-sign"
PASSWORD: Final = f"{MARK}-password"


def production(folder: Path) -> dict[str, str]:
    clients = folder / "clients.yaml"
    clients.write_text(clients_file(profile()), encoding="utf-8")
    return {
        "CDS_MODE": "production",
        "CDS_CLIENTS": str(clients),
        "CDS_PUBLIC_URL": PUBLIC_URL,
        "CDS_TIMEZONE": "UTC",
        "CDS_ACCEPT_UNREVIEWED": "The head of pharmacy",
        "CDS_DATABASE_URL": f"sqlite:///{folder / 'cds.sqlite3'}",
        "CDS_MAX_BODY_BYTES": "200000",
    }


@contextmanager
def gunicorn(folder: Path, **settings: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The server of production, at its most talkative."""
    command = [sys.executable, "-m", "gunicorn", "app:create_app()", "--bind", "127.0.0.1:0", "--log-level", "debug"]
    with (folder / "out").open("w+") as out, (folder / "err").open("w+") as err:
        process = subprocess.Popen(command, cwd=ROOT, env=environment(**settings), stdout=out, stderr=err, text=True)
        try:
            yield address_in(folder / "err", process), process
        finally:
            process.terminate()
            process.wait(timeout=60)


def address_in(log: Path, process: subprocess.Popen[str]) -> str:
    """Where it says that it listens; what is sent there from then on is answered once a worker is there."""
    until(lambda: READY.search(log.read_text()) or process.poll() is not None, SECONDS_TO_START)
    found = READY.search(log.read_text())
    assert found is not None, log.read_text()
    return found[1]


def signed(**changes: Any) -> dict[str, str]:
    said = claims(datetime.now(UTC), aud=CALLED, jti=f"{MARK} {uuid4()}", sub=NAME)
    return bearer(token(said | changes))


def raw(base: str, data: bytes) -> bytes:
    """What is answered to these bytes."""
    place = urlsplit(base)
    with socket.create_connection((str(place.hostname), int(place.port or 80)), timeout=10) as line:
        got = b""
        with suppress(OSError):  # it may close as soon as it has seen enough
            line.sendall(data)
            line.shutdown(socket.SHUT_WR)
        with suppress(OSError):
            while part := line.recv(65_536):
                got += part
    return got


RUBBISH: Final = (
    f"GET /Patient/{ID}\x00 HTTP/9.9\r\n\r\n",
    f"{MARK}\r\n\r\n",
    f"GET /{ID} {NAME} HTTP/1.1\r\n\r\n",
    f"{MARK} / HTTP/1.1\r\nHost: x\r\n\r\n",
    f"POST {SIGN} HTTP/1.1\r\nHost: x\r\nAuthorization : Bearer {MARK}\r\n\r\n",
    f"POST {SIGN} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {MARK}\x00\r\n\r\n",
    f"POST {SIGN} HTTP/1.1\r\nHost: x\r\n{NAME}\r\n\r\n",
    f"POST {SIGN} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: {MARK}\r\n\r\n",
    f"POST {SIGN} HTTP/1.1\r\nHost: x\r\nContent-Length: {MARK}\r\n\r\n",
    f"POST {SIGN} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{MARK}\r\n",
    f"POST {SIGN} HTTP/1.1\r\nHost: x\r\nExpect: {MARK}\r\n\r\n",
    f"GET /{MARK * 40_000} HTTP/1.1\r\n\r\n",
    f"GET / HTTP/1.1\r\nHost: x\r\nX-Long: {MARK * 40_000}\r\n\r\n",
    f"GET //[{MARK}]/ HTTP/1.1\r\nHost: x\r\n\r\n",
    f"GET //{MARK}\u2100/ HTTP/1.1\r\nHost: x\r\n\r\n",
    f"GET http://[{MARK}]/{ID} HTTP/1.1\r\nHost: x\r\n\r\n",
    f"GET / HTTP/1.1\r\nHost: {NAME}/{MARK}\r\nX-Forwarded-Host: {MARK}\r\n\r\n",
)


def harass(base: str, headers: dict[str, str] | None) -> tuple[list[bytes], set[int]]:
    """Every way of calling, with a marked patient; what was answered apart from cards, and the statuses."""

    def head(**changes: Any) -> dict[str, str]:
        return {} if headers is None else signed(**changes)

    session, sign = requests.Session(), f"{base}{SIGN}"
    session.headers["Connection"] = "close"  # a server may give up a connection just when it is used again
    good = of_a_marked_patient(request(LATE))
    json_type = {"Content-Type": "application/json"}
    shown = session.post(sign, json=good, headers=head(), timeout=20)
    assert shown.status_code == 200
    told = feedback()
    told["feedback"].append(told["feedback"][0] | {"card": shown.json()["cards"][0]["uuid"]})
    got = [
        session.post(sign, json={**good, "hookInstance": NAME}, headers=head(), timeout=20),
        session.post(sign, json=marked(good), headers=head(), timeout=20),
        session.post(sign, json={**good, "prefetch": {}}, headers=head(), timeout=20),
        session.post(sign, data=f"{{{NAME}", headers=head() | json_type, timeout=20),
        session.post(sign, data=NAME, headers=head(), timeout=20),
        session.post(sign, json={**good, "extension": NAME * 20_000}, headers=head(), timeout=20),
        session.post(sign, json=good, headers=bearer(f"{MARK}.{MARK}.{MARK}"), timeout=20),
        session.post(sign, json=good, headers=bearer(token(head=header(kid=NAME))), timeout=20),
        session.get(f"{base}/Patient/{ID}?name={MARK}", timeout=20),
        session.get(f"{sign}?patient={ID}", timeout=20),
        session.post(f"{base}/cds-services/{ID}/feedback", json=told, headers=head(), timeout=20),
        session.post(f"{sign}/feedback", json=told, headers=head(), timeout=20),
        session.post(f"{sign}/feedback", data=f"{{{TOLD}", headers=head() | json_type, timeout=20),
        *(session.get(f"{base}{path}", timeout=20) for path in ("/metrics", "/health/live", "/health/ready")),
        *(session.get(f"{base}/quality{path}", timeout=20) for path in ("", ".csv", "-reasons.csv")),
        *(session.get(f"{base}/quality?{name}={NAME}", timeout=20) for name in ("client", "service", "from", "days")),
    ]
    cards = [answer for answer in got if answer.status_code == 200 and "cards" in answer.text]
    bodies = [answer.content for answer in got if answer not in cards]
    heads = [f"{answer.status_code} {answer.reason} {answer.headers}".encode() for answer in got]
    return [*bodies, *heads, *(raw(base, text.encode()) for text in RUBBISH)], {answer.status_code for answer in got}


def twice_authorized(base: str) -> bytes:
    """The status of a call with two good tokens."""
    pair = "".join(f"Authorization: {signed()['Authorization']}\r\n" for _ in range(2))
    head = f"POST {SIGN} HTTP/1.1\r\nHost: x\r\n{pair}Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}"
    return raw(base, head.encode()).split(b"\r\n")[0]


def kept_in(folder: Path) -> list[str]:
    """What of the patient stands in the files of the store; the words of feedback may."""
    files = list(folder.glob("cds.sqlite3*"))
    kept = [file.read_bytes() for file in files]
    assert any(TOLD.encode() in data for data in kept)
    return leaks(*kept, marks=(MARK, BORN))


@pytest.mark.conforms("C54", "C94", "C108", "C109")
def test_a_service_in_production_tells_and_keeps_nothing_of_a_patient(tmp_path: Path) -> None:
    with serving(**production(tmp_path)) as (base, process):
        told, statuses = harass(base, {})
        assert twice_authorized(base) == b"HTTP/1.1 401 UNAUTHORIZED"
        process.terminate()
        out, err = process.communicate(timeout=60)
    assert statuses >= {200, 400, 401, 404, 405, 412, 413, 415}
    assert leaks(*told) == []
    assert leaks(out, err) == []
    assert kept_in(tmp_path) == []
    assert all(json.loads(line)["event"] for line in err.splitlines())  # a line a call, each of it JSON


def test_a_demonstration_tells_and_keeps_nothing_of_a_patient(tmp_path: Path) -> None:
    with serving(CDS_DATABASE_URL=f"sqlite:///{tmp_path / 'cds.sqlite3'}", CDS_MAX_BODY_BYTES="200000") as (
        base,
        process,
    ):
        told, statuses = harass(base, None)
        process.terminate()
        out, err = process.communicate(timeout=60)
    assert statuses >= {200, 400, 404, 405, 412, 413, 415}
    assert leaks(*told) == []
    assert leaks(out, err) == []
    assert kept_in(tmp_path) == []


@pytest.mark.skipif(os.name == "nt", reason="gunicorn is for Unix")
def test_the_server_of_production_tells_nothing_even_at_its_most_talkative(tmp_path: Path) -> None:
    with gunicorn(tmp_path, **production(tmp_path)) as (base, _):
        told, statuses = harass(base, {})
        again = requests.post(f"{base}{SIGN}", json=request(LATE), headers=signed(), timeout=20)
        assert again.status_code == 200  # after all of it
        assert twice_authorized(base) == b"HTTP/1.1 401 UNAUTHORIZED"
    assert statuses >= {200, 400, 401, 404, 405, 412, 413, 415}
    said = [(tmp_path / name).read_text() for name in ("out", "err")]
    assert "no HTTP" in said[1]
    assert leaks(*told) == []
    assert leaks(*said) == []
    assert kept_in(tmp_path) == []


def run(**settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "app.py", "--port", "0"],
        cwd=ROOT,
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql+psycopg://cds:{PASSWORD}@127.0.0.1:port/cds",
        f"postgresql+psycopg2://cds:{PASSWORD}@127.0.0.1/cds",
        f"mysql://cds:{PASSWORD}@127.0.0.1/cds",
        f"postgresql+psycopg://cds:{PASSWORD}@[::1/cds",
        f"sqlite:///{PASSWORD}/{PASSWORD}/cds.sqlite3",
    ],
)
def test_a_wrong_database_url_is_not_printed(url: str) -> None:
    ended = run(CDS_DATABASE_URL=url)
    assert ended.returncode == 2
    assert "CDS_DATABASE_URL" in ended.stderr
    assert leaks(ended.stdout, ended.stderr) == []


def test_the_password_of_a_database_that_is_down_is_not_printed() -> None:
    url = f"postgresql+psycopg://cds:{PASSWORD}@127.0.0.1:1/cds?application_name={MARK}"
    with serving(CDS_DATABASE_URL=url) as (base, process):
        answer = requests.post(f"{base}{SIGN}/feedback", json=feedback(), timeout=30)
        assert answer.status_code == 503
        process.terminate()
        out, err = process.communicate(timeout=60)
    assert '"unavailable"' in err
    assert leaks(out, err, answer.content) == []


@pytest.mark.parametrize("name", ["CDS_CLIENTS", "CDS_TIMEZONE", "CDS_PUBLIC_URL", "CDS_NOW", "CDS_MODE"])
def test_a_wrong_setting_is_named_and_its_value_is_not_printed(name: str) -> None:
    ended = run(**{name: f"{PASSWORD} "})
    assert ended.returncode == 2
    assert name in ended.stderr
    assert leaks(ended.stdout, ended.stderr) == []
