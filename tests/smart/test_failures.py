"""What the app says when token endpoint, store or FHIR server fail: no advice, and nothing of a patient."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from html import unescape
from pathlib import Path
from threading import Event, Semaphore, Thread
from typing import Any

import pytest

from cds_service import smart_page
from cds_service.errors import SmartRefused, StoreUnavailable, Trouble
from cds_service.smart import SmartClient
from cds_service.smart_words import SAID
from cds_service.store import Store
from tests.smart.browser import Browser, browser, known, refusal, shows_nothing
from tests.smart.conftest import NOBODY
from tests.smart.stand_in import StandIn

pytestmark = pytest.mark.fhir_server


# --- the token ----------------------------------------------------------------------------------------------------


def test_a_code_that_was_used_before_is_refused_by_the_server_and_said(ehr: StandIn, tmp_path: Path) -> None:
    known(ehr)
    window = browser(tmp_path, ehr)
    page = window.arrive(window.log_in(window.begin(ehr, launch=ehr.launch(NOBODY))))
    ehr.codes.clear()
    answer = window.open(page)
    assert answer.status_code == 502
    assert refusal(Trouble.CODE_REFUSED) in answer.text


@pytest.mark.parametrize(
    ("changes", "trouble"),
    [
        ({"access_token": None}, Trouble.NO_TOKEN),
        ({"access_token": ""}, Trouble.NO_TOKEN),
        ({"access_token": "a\r\nb"}, Trouble.NO_TOKEN),
        ({"access_token": 7}, Trouble.NO_TOKEN),
        ({"token_type": "mac"}, Trouble.NO_TOKEN),
        ({"token_type": None}, Trouble.NO_TOKEN),
        ({"error": "<script>"}, Trouble.TOKEN_REFUSED),
        ({"error": "invalid_grant", "error_description": "\x00"}, Trouble.CODE_REFUSED),
        ({"patient": None}, Trouble.NO_PATIENT),
        ({"patient": ""}, Trouble.NO_PATIENT),
        ({"patient": "a/../b"}, Trouble.NO_PATIENT),
        ({"patient": "a?b"}, Trouble.NO_PATIENT),
        ({"patient": ["a"]}, Trouble.NO_PATIENT),
        ({"patient": "x" * 200}, Trouble.NO_PATIENT),
    ],
)
def test_a_token_response_without_what_is_needed_reads_nothing(
    changes: dict[str, Any], trouble: Trouble, ehr: StandIn, tmp_path: Path
) -> None:
    known(ehr)
    ehr.token.update(changes)
    answer = browser(tmp_path, ehr).launch(ehr, launch=ehr.launch(NOBODY))
    assert answer.status_code == SAID[trouble][0]
    assert refusal(trouble) in unescape(answer.text)
    assert shows_nothing(unescape(answer.text))
    assert not [path for path in ehr.paths() if path.startswith("/fhir/") and "well-known" not in path]


@contextmanager
def answering(reply: bytes, *, seconds: float = 0) -> Iterator[str]:
    """A token endpoint that answers every connection so; its address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        over = threading.Event()

        def serve() -> None:
            while not over.is_set():
                try:
                    line, _ = listening.accept()
                except OSError:
                    return
                with line, suppress(OSError):  # who has seen enough closes, and may reset
                    line.recv(65_536)
                    line.sendall(reply)
                    over.wait(seconds)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/token"
        finally:
            over.set()
            listening.shutdown(socket.SHUT_RDWR)
            thread.join(timeout=10)


GOOD = json.dumps({"access_token": "abc", "token_type": "Bearer", "patient": "p"}).encode()


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{nope",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n" + b"[" * 60_000,
        b"HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n" + b" " * 2_000_000,
        b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: %d\r\n\r\n%s" % (len(GOOD), GOOD),
        b"HTTP/1.1 404 No\r\nContent-Length: %d\r\n\r\n%s" % (len(GOOD), GOOD),
        b"HTTP/1.1 400 No\r\nContent-Length: %d\r\n\r\n%s" % (len(GOOD), GOOD),
        b"rubbish\r\n\r\n",
        b"",
    ],
)
def test_a_token_endpoint_that_fails_is_said_and_nothing_is_read(reply: bytes, ehr: StandIn, tmp_path: Path) -> None:
    known(ehr)
    with answering(reply) as endpoint:
        ehr.configuration["token_endpoint"] = endpoint
        answer = browser(tmp_path, ehr).launch(ehr, launch=ehr.launch(NOBODY))
    assert answer.status_code == 502
    assert unescape(refusal(Trouble.NO_TOKEN)) in unescape(answer.text)


def test_a_token_endpoint_that_hangs_is_given_up(ehr: StandIn, tmp_path: Path) -> None:
    known(ehr)
    with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", seconds=60) as endpoint:
        ehr.configuration["token_endpoint"] = endpoint
        answer = browser(tmp_path, ehr).launch(ehr, launch=ehr.launch(NOBODY))
    assert answer.status_code == 502


# --- the record ---------------------------------------------------------------------------------------------------


def test_a_record_that_cannot_be_read_is_a_page_that_names_the_reasons(ehr: StandIn, tmp_path: Path) -> None:
    known(ehr)
    ehr.token["access_token"] = "not-one-of-the-servers"
    answer = browser(tmp_path, ehr).launch(ehr, launch=ehr.launch(NOBODY))
    text = unescape(answer.text)
    assert answer.status_code == 502
    assert refusal(Trouble.RECORD) in text
    assert "conditions: the FHIR server did not accept the access token (401)" in text
    assert shows_nothing(text)


def test_a_patient_whom_the_server_does_not_have_is_not_shown_as_somebody_without_the_drug(
    ehr: StandIn, tmp_path: Path
) -> None:
    known(ehr)
    answer = browser(tmp_path, ehr).launch(ehr, launch=ehr.launch("nobody-there"))
    assert "Name and birth date could not be read" in answer.text
    assert "the FHIR server does not have it (404)" in answer.text


def test_while_the_store_is_down_nobody_is_let_in_twice(
    ehr: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: Any, **__: Any) -> bool:
        raise StoreUnavailable("OperationalError")

    known(ehr)
    monkeypatch.setattr(Store, "is_new_token", down)
    window = browser(tmp_path, ehr)
    answer = window.open(window.log_in(window.begin(ehr, launch=ehr.launch(NOBODY))))
    assert answer.status_code == 503
    assert "/token" not in ehr.paths()


def test_three_launches_ask_ehrs_at_once_and_no_more(
    ehr: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smart_page, "AT_ONCE", 0)
    answer = browser(tmp_path, ehr).app.get("/smart/launch", query_string={"iss": ehr.iss, "launch": "x"})
    assert answer.status_code == 429
    assert ehr.asked == []


def test_launches_that_hang_keep_no_user_from_the_page_after_the_login(
    ehr: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anybody can begin launches, as many as they like."""
    known(ehr)
    window = browser(tmp_path, ehr)
    page = window.arrive(window.log_in(window.begin(ehr, launch=ehr.launch(NOBODY))))
    begun, ended = Semaphore(0), Event()

    def hang(*_: Any, **__: Any) -> None:
        begun.release()
        ended.wait(20)
        raise SmartRefused(Trouble.NO_CONFIGURATION)

    monkeypatch.setattr(SmartClient, "begin", hang)
    launches = [Thread(target=stranger_launches, args=(window, ehr), daemon=True) for _ in range(2)]
    for launch in launches:
        launch.start()
    assert all(begun.acquire(timeout=10) for _ in launches)
    try:
        assert stranger_launches(window, ehr) == 429
        assert window.open(page).status_code == 200
    finally:
        ended.set()
        for launch in launches:
            launch.join(10)


def stranger_launches(window: Browser, ehr: StandIn) -> int:
    answer = window.app.application.test_client().get("/smart/launch", query_string={"iss": ehr.iss, "launch": "x"})
    return answer.status_code
