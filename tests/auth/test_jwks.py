"""Keys that a client publishes: fetched once, renewed on need, kept when the address fails (C99-C101)."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import pytest

from cds_service.clients import Client
from cds_service.fhir_address import listed_demonstration_rule, production_rule
from cds_service.fhir_client import key_fetcher
from cds_service.fhir_failure import Failure, FhirFailed
from cds_service.jwks import KeyShelf
from tests.auth.tokens import client, jwk

ADDRESS: Final = "https://ehr.example/jwks.json"
FETCHING: Final = client(jwks=..., jwks_url=ADDRESS)


class Publisher:
    """A key address whose content, failure and clock a test moves."""

    def __init__(self, *keys: dict[str, Any]) -> None:
        self.body: bytes = b""
        self.publish(*keys)
        self.failure: Failure | None = None
        self.asked = 0
        self.now = 1_000.0

    def publish(self, *keys: dict[str, Any]) -> None:
        self.body = json.dumps({"keys": keys}).encode()

    def fetch(self, url: str) -> bytes:
        assert url == ADDRESS
        self.asked += 1
        if self.failure is not None:
            raise FhirFailed(self.failure)
        return self.body

    def shelf(self, ehr: Client = FETCHING) -> KeyShelf:
        return KeyShelf([ehr], fetch=self.fetch, clock=lambda: self.now)


def ids(shelf: KeyShelf, kid: str) -> list[str]:
    return [key["kid"] for key in shelf.keys(FETCHING, kid)]


@pytest.mark.conforms("C101")
def test_keys_are_fetched_with_the_first_token_and_then_kept_for_an_hour() -> None:
    ehr = Publisher(jwk(kid="a"))
    shelf = ehr.shelf()
    assert ehr.asked == 0
    assert ids(shelf, "a") == ["a"]
    ehr.now += 3_599
    assert ids(shelf, "a") == ["a"]
    assert ehr.asked == 1
    ehr.now += 1
    assert ids(shelf, "a") == ["a"]
    assert ehr.asked == 2


@pytest.mark.conforms("C101")
def test_an_unknown_key_is_asked_for_at_once_but_not_oftener_than_every_ten_seconds() -> None:
    ehr = Publisher(jwk(kid="a"))
    shelf = ehr.shelf()
    assert ids(shelf, "a") == ["a"]
    ehr.publish(jwk(kid="b"))
    ehr.now += 9.9
    assert ids(shelf, "b") == []
    assert ehr.asked == 1
    ehr.now += 0.1
    assert ids(shelf, "b") == ["b"]
    for number in range(100):
        assert ids(shelf, f"unknown-{number}") == []
    assert ehr.asked == 2
    assert ids(shelf, "a") == []  # rotated away


@pytest.mark.conforms("C101")
@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b"{}", b'{"keys": {}}', b'{"keys": []}', b'{"keys": [1, null]}', b"\xff", b"[" * 9_999],
)
def test_an_address_that_gives_no_keys_leaves_the_last_good_ones(body: bytes, caplog: pytest.LogCaptureFixture) -> None:
    ehr = Publisher(jwk(kid="a"))
    shelf = ehr.shelf()
    assert ids(shelf, "a") == ["a"]
    ehr.body = body
    ehr.now += 3_600
    with _caught(caplog):
        assert ids(shelf, "a") == ["a"]
    assert ehr.asked == 2
    line = json.loads(caplog.messages[-1])
    assert (line["event"], line["state"], line["client"]) == ("keys", "unavailable", "EHR")


@pytest.mark.conforms("C101")
def test_keys_outlive_an_address_that_is_down_for_days_and_it_is_tried_every_ten_seconds() -> None:
    ehr = Publisher(jwk(kid="a"))
    shelf = ehr.shelf()
    assert ids(shelf, "a") == ["a"]
    ehr.failure = Failure.CONNECTION_FAILED
    ehr.now += 3 * 86_400
    for _ in range(50):
        assert ids(shelf, "a") == ["a"]
    assert ehr.asked == 2
    ehr.now += 10
    assert ids(shelf, "a") == ["a"]
    assert ehr.asked == 3


def test_a_first_fetch_that_fails_lets_nobody_in_and_is_tried_again_later() -> None:
    ehr = Publisher(jwk(kid="a"))
    ehr.failure = Failure.TIMEOUT
    shelf = ehr.shelf()
    assert ids(shelf, "a") == []
    ehr.failure = None
    assert ids(shelf, "a") == []
    ehr.now += 10
    assert ids(shelf, "a") == ["a"]


def test_keys_that_are_not_for_signatures_are_not_among_them() -> None:
    ehr = Publisher(jwk(kid="a", use="enc"), jwk("ES384", 2, kid="a", use=...), jwk("RS384", kid="a"))
    assert len(ehr.shelf().keys(FETCHING, "a")) == 2


def test_who_has_a_key_does_not_wait_while_another_call_renews_them() -> None:
    ehr = Publisher(jwk(kid="a"))
    fetching, go_on = threading.Event(), threading.Event()

    def slow(url: str) -> bytes:
        if ehr.asked:
            fetching.set()
            assert go_on.wait(10)
        return ehr.fetch(url)

    shelf = KeyShelf([FETCHING], fetch=slow, clock=lambda: ehr.now)
    assert ids(shelf, "a") == ["a"]
    ehr.now += 3_600
    renewing = threading.Thread(target=ids, args=(shelf, "a"))
    renewing.start()
    assert fetching.wait(10)
    assert ids(shelf, "a") == ["a"]  # would never come back if it waited
    go_on.set()
    renewing.join(10)
    assert ehr.asked == 2


def test_pinned_keys_are_never_fetched() -> None:
    ehr = Publisher()
    pinned = client()
    assert len(ehr.shelf(pinned).keys(pinned, "ES384-1")) == 1
    assert ehr.asked == 0


# --- over HTTP ------------------------------------------------------------------------------------------------------


@contextmanager
def _caught(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    log = logging.getLogger("cds_service")
    log.addHandler(caplog.handler)
    try:
        yield
    finally:
        log.removeHandler(caplog.handler)


@contextmanager
def server(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, *_: Any) -> None:
            return

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    thread = threading.Thread(target=listening.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.server_port}/jwks.json"
    finally:
        listening.shutdown()
        thread.join(10)
        listening.server_close()


def sends(status: int, body: bytes, **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    def send(asked: BaseHTTPRequestHandler) -> None:
        asked.send_response(status)
        for name, value in headers.items():
            asked.send_header(name, value)
        asked.send_header("Content-Length", str(len(body)))
        asked.end_headers()
        asked.wfile.write(body)

    return send


def test_keys_are_fetched_over_http_without_any_token() -> None:
    seen: list[Any] = []

    def keys(asked: BaseHTTPRequestHandler) -> None:
        seen.append(asked.headers)
        sends(200, b'{"keys":[]}')(asked)

    with server(keys) as url:
        assert key_fetcher(listed_demonstration_rule)(url) == b'{"keys":[]}'
    assert "Authorization" not in seen[0]


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (sends(500, b"{}"), Failure.SERVER_ERROR),
        (sends(404, b"{}"), Failure.NOT_SUPPORTED),
        (sends(302, b"", Location="http://127.0.0.1/elsewhere"), Failure.REDIRECTED),
        (sends(200, b"x" * 1_048_577), Failure.TOO_LARGE),
    ],
)
def test_a_key_address_that_misbehaves_is_a_failure(
    answer: Callable[[BaseHTTPRequestHandler], None], failure: Failure
) -> None:
    with server(answer) as url, pytest.raises(FhirFailed) as failed:
        key_fetcher(listed_demonstration_rule)(url)
    assert failed.value.failure is failure


def test_a_key_address_that_drips_is_cut_off_in_three_seconds() -> None:
    def drip(asked: BaseHTTPRequestHandler) -> None:
        asked.send_response(200)
        asked.send_header("Content-Length", "100")
        asked.end_headers()
        for _ in range(40):
            try:
                asked.wfile.write(b" ")
                asked.wfile.flush()
            except OSError:
                return
            time.sleep(0.25)

    with server(drip) as url:
        started = time.monotonic()
        with pytest.raises(FhirFailed):
            key_fetcher(listed_demonstration_rule)(url)
        assert time.monotonic() - started < 6  # 3 s, and what a busy machine adds


def test_in_production_keys_are_not_fetched_from_this_machine() -> None:
    with server(sends(200, b"{}")) as url, pytest.raises(FhirFailed) as failed:
        key_fetcher(production_rule)(url)
    assert failed.value.failure is Failure.ADDRESS_NOT_ALLOWED
