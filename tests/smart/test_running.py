"""Two workers, a browser and the stand-in: any worker takes any step, and nothing of patient or token is logged."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urljoin

import pytest
import requests

from tests.smart.browser import PUBLIC, known, registration, smart_file
from tests.smart.conftest import person
from tests.smart.stand_in import StandIn, parameters
from tests.support.running import Running, running, until

pytestmark = pytest.mark.fhir_server

MARK = "qzx"
PATIENT = f"p-{MARK}-1"
NAME = f"Ottokar {MARK}-Weiss"


def visit(service: Running, ehr: StandIn, launch: str) -> tuple[requests.Response, list[str]]:
    """The page that a launch ends with, and all that was secret on the way. Each step is a connection of its own."""
    jar = requests.cookies.RequestsCookieJar()
    url, places = f"{service.base}/smart/launch?iss={ehr.iss}&launch={launch}", []
    for _ in range(6):
        answer = requests.get(url, cookies=jar, allow_redirects=False, timeout=20)
        jar.update(answer.cookies)
        places.append(url)
        if answer.status_code not in (302, 303):
            break
        url = urljoin(url, answer.headers["Location"]).replace(PUBLIC, service.base)  # the proxy in front of it
    kept = [cookie.value or "" for cookie in jar]
    return answer, [places[2].partition("?")[2], *parameters(places[2]).values(), *ehr.given, *kept]


def test_any_worker_takes_any_step_and_none_logs_a_word_of_the_patient_or_a_token(ehr: StandIn, tmp_path: Path) -> None:
    ehr.fhir.load([person(PATIENT, name=[{"text": NAME}])])
    known(ehr)
    settings = {
        "CDS_SMART": str(smart_file(tmp_path, registration(ehr))),
        "CDS_PUBLIC_URL": PUBLIC,
        "GUNICORN_CMD_ARGS": "--log-level debug",
    }
    with running(f"sqlite:///{tmp_path / 'cds.sqlite3'}", workers=2, **settings) as service:
        secrets: list[str] = []
        for _ in range(6):
            answer, told = visit(service, ehr, ehr.launch(PATIENT))
            assert answer.status_code == 200, answer.text
            assert NAME in answer.text
            secrets += told
        until(lambda: len(service.events("smart")) >= 18)
        requests.get(f"{service.base}/smart/redirect?code={MARK}&state={MARK}&error={MARK}", timeout=10)
        requests.get(f"{service.base}/smart/launch?iss=https://{MARK}.example&launch={MARK}", timeout=10)
        until(lambda: len(service.events("smart")) >= 20)
        lines = service.events("smart")
    log = "".join(service.lines)
    assert {line["step"] for line in lines} == {"launch", "redirect", "view"}
    assert [line.get("refused") for line in lines if "refused" in line] == ["state", "unknown issuer"]
    assert MARK not in log
    assert not [secret for secret in secrets if len(secret) > 8 and secret in log]
    assert not re.search(r"code=|state=|Bearer|eyJ", log)
    for kept in tmp_path.glob("cds.sqlite3*"):
        held = kept.read_bytes()
        assert MARK.encode() not in held
        assert not [secret for secret in secrets if len(secret) > 8 and secret.encode() in held]
