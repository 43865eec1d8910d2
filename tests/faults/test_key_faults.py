"""A client's key server is down, slow, hostile or rotates its keys, under a service that is answering."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.auth.tokens import claims, clients_file, header, jwk, profile, token
from tests.support.running import CALL, SIGN, Running, running, until


class KeyServer:
    """Publishes what a test tells it to, or does not answer."""

    def __init__(self) -> None:
        self.keys: list[dict[str, Any]] = [jwk()]
        self.is_down = False
        self.hangs = threading.Event()
        self.asked = 0
        self.url = ""

    def answer(self, asked: BaseHTTPRequestHandler) -> None:
        self.asked += 1
        if self.hangs.is_set():
            time.sleep(5)
        body = b"" if self.is_down else json.dumps({"keys": self.keys}).encode()
        asked.send_response(503 if self.is_down else 200)
        asked.send_header("Content-Length", str(len(body)))
        asked.end_headers()
        asked.wfile.write(body)


@contextmanager
def key_server() -> Iterator[KeyServer]:
    published = KeyServer()

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            published.answer(self)

        def log_message(self, *_: Any) -> None:
            return

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    thread = threading.Thread(target=listening.serve_forever, args=(0.05,))
    thread.start()
    published.url = f"http://127.0.0.1:{listening.server_port}/jwks.json"
    try:
        yield published
    finally:
        listening.shutdown()
        thread.join(10)
        listening.server_close()


@contextmanager
def service(folder: Path, keys: KeyServer) -> Iterator[Running]:
    """A demonstration with one client, whose keys are fetched from this server."""
    clients = folder / "clients.yaml"
    clients.write_text(clients_file(profile(jwks=..., jwks_url=keys.url)), encoding="utf-8")
    store = f"sqlite:///{folder / 'cds.sqlite3'}"
    with running(store, CDS_CLIENTS=str(clients), CDS_PUBLIC_URL="https://cds.example/base") as started:
        yield started


def call(at: Running, *, number: int = 1, kid: str = "ES384-1") -> requests.Response:
    made = token(claims(datetime.now(UTC)), number=number, head=header(kid=kid))
    return requests.post(at.base + SIGN, json=CALL, headers={"Authorization": f"Bearer {made}"}, timeout=20)


def test_calls_go_on_while_the_key_server_is_down_and_a_rotated_key_gets_in_when_it_is_back(tmp_path: Path) -> None:
    with key_server() as keys, service(tmp_path, keys) as served:
        assert call(served).status_code == 200
        assert keys.asked == 1
        keys.is_down = True
        for _ in range(10):
            assert call(served).status_code == 200
        assert call(served, number=2, kid="new").status_code == 401
        keys.is_down, keys.keys = False, [jwk("ES384", 2, kid="new")]
        time.sleep(10)  # an unknown key is asked for every ten seconds at most
        assert call(served, number=2, kid="new").status_code == 200
        assert call(served).status_code == 401, "the old key was taken back"
        assert keys.asked <= 3


def test_a_key_server_that_hangs_holds_up_unknown_keys_alone_and_for_three_seconds(tmp_path: Path) -> None:
    with key_server() as keys, service(tmp_path, keys) as served:
        assert call(served).status_code == 200
        time.sleep(10)
        keys.hangs.set()
        unknown: list[tuple[int, float]] = []

        def ask() -> None:
            started = time.monotonic()
            unknown.append((call(served, kid="unknown").status_code, time.monotonic() - started))

        asking = [threading.Thread(target=ask) for _ in range(3)]
        for thread in asking:
            thread.start()
        until(lambda: keys.asked == 2)
        assert call(served).status_code == 200
        assert len(unknown) < 3  # somebody still waits for the keys, while a known key was answered
        for thread in asking:
            thread.join(20)
        assert [status for status, _ in unknown] == [401, 401, 401]
        assert max(seconds for _, seconds in unknown) < 8  # one fetch of 3 s for all, on a busy machine
        line = served.event("keys")
        assert len(served.events("keys")) == 1
        assert (line["state"], line["error"]) == ("unavailable", "TIMEOUT")


@pytest.fixture(scope="module")
def well(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service whose key server answers."""
    with key_server() as keys, service(tmp_path_factory.mktemp("keys"), keys) as served:
        yield served


@pytest.mark.parametrize(("minutes", "status"), [(-30, 401), (30, 401), (0, 200)])
def test_a_client_whose_clock_is_far_off_is_refused(well: Running, minutes: int, status: int) -> None:
    at = datetime.fromtimestamp(time.time() + 60 * minutes, UTC)
    made = token(claims(at))
    answer = requests.post(well.base + SIGN, json=CALL, headers={"Authorization": f"Bearer {made}"}, timeout=20)
    assert answer.status_code == status
