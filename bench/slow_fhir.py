"""A FHIR server that takes 30 ms for each answer: the example's prefetch, key by key."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from bench.patients import prefetched

SECONDS: Final = 0.030
KEYS: Final[Mapping[str, str]] = {
    "Condition": "conditions",
    "MedicationRequest": "medicationRequests",
    "MedicationAdministration": "medicationAdministrations",
    "laboratory": "laboratory",
}


def answer_to(path: str) -> bytes:
    """The resource or the Bundle that the path asks for; an empty Bundle for what the example does not have."""
    asked = urlsplit(path)
    kind = asked.path.rsplit("/", 1)[-1] if "Patient/" not in asked.path else "Patient"
    if kind == "Patient":
        return json.dumps(prefetched()["patient"]).encode()
    key = KEYS.get(parse_qs(asked.query).get("category", [kind])[0], "")
    found: Any = prefetched().get(key) or {"resourceType": "Bundle", "type": "searchset", "total": 0, "entry": []}
    return json.dumps(found).encode()


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else the body waits up to 40 ms for the headers to be acknowledged

    def do_GET(self) -> None:
        time.sleep(SECONDS)
        body = answer_to(self.path)
        self.send_response(200)
        self.send_header("Content-Type", "application/fhir+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as http.server calls it
        """Nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True


@contextmanager
def slow_server() -> Iterator[str]:
    """Its base URL."""
    server = _Server(("127.0.0.1", 0), _Answers)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/fhir"
    finally:
        server.shutdown()
        server.server_close()
