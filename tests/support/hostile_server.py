"""A FHIR server that misbehaves on purpose, one behaviour for each resource type asked for."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

FOR_LONG: Final = 20.0
"""Longer than any budget of these tests, shorter than for ever."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request as it arrived."""

    path: str
    headers: Mapping[str, str]

    @property
    def resource_type(self) -> str:
        return urlsplit(self.path).path.removeprefix("/fhir/").split("/")[0]


@dataclass(kw_only=True)
class Visit:
    """One request to answer, and what to answer it with."""

    asked: Asked
    connection: socket.socket
    server: HostileServer

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def pause(self, seconds: float) -> bool:
        """Wait; False once the server is to stop."""
        return not self.server.stopping.wait(seconds)


Behaviour = Callable[[Visit], None]


@dataclass(kw_only=True)
class HostileServer:
    """`behaviours` by resource type; what is not named gets an empty searchset, and `Patient` itself."""

    behaviours: dict[str, Behaviour] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0
    stopping: threading.Event = field(default_factory=threading.Event)
    tls: ssl.SSLContext | None = None
    open_connections: list[socket.socket] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}/fhir"

    def paths(self, resource_type: str) -> list[str]:
        return [asked.path for asked in self.asked if asked.resource_type == resource_type]

    def serve(self, connection: socket.socket) -> None:
        if self.tls is not None:
            with suppress(OSError):
                connection.settimeout(FOR_LONG)
                secured = self.tls.wrap_socket(connection, server_side=True)
                self.converse(secured)
        else:
            self.converse(connection)

    def converse(self, connection: socket.socket) -> None:
        self.open_connections.append(connection)
        with connection, suppress(OSError):
            connection.settimeout(FOR_LONG)
            while (asked := read_request(connection)) is not None and not self.stopping.is_set():
                self.asked.append(asked)
                usual = patient if asked.resource_type == "Patient" else empty
                self.behaviours.get(asked.resource_type, usual)(Visit(asked=asked, connection=connection, server=self))


@contextmanager
def hostile_server(certificate: Path | None = None, /, **behaviours: Behaviour) -> Iterator[HostileServer]:
    """A server on a free port of this machine, by TLS if it has a certificate; everything is closed at the end."""
    server = HostileServer(behaviours=dict(behaviours))
    if certificate is not None:
        server.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.tls.load_cert_chain(certificate)
    threads: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server.port = listener.getsockname()[1]
        listener.settimeout(0.05)

        def accept() -> None:
            while not server.stopping.is_set():
                try:
                    connection, _ = listener.accept()
                except TimeoutError:
                    continue
                server.connections += 1
                thread = threading.Thread(target=server.serve, args=(connection,))
                threads.append(thread)
                thread.start()

        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield server
        finally:
            server.stopping.set()
            accepting.join()
            for connection in server.open_connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join()


def read_request(connection: socket.socket) -> Asked | None:
    head = b""
    while b"\r\n\r\n" not in head:
        received = connection.recv(65_536)
        if not received:
            return None
        head += received
    first, *lines = head.split(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Asked(path=first.split(" ")[1], headers=headers)


# --- bodies ---------------------------------------------------------------------------------------------------------


def searchset(*resources: Mapping[str, Any], next_link: str = "", **more: Any) -> dict[str, Any]:
    links = [{"relation": "self", "url": "http://example.org/self"}]
    if next_link:
        links.append({"relation": "next", "url": next_link})
    entries = [{"resource": resource, "search": {"mode": "match"}} for resource in resources]
    return {"resourceType": "Bundle", "type": "searchset", "link": links, "entry": entries, **more}


# --- behaviours -----------------------------------------------------------------------------------------------------


def head(status: int, body: bytes, content_type: str = "application/fhir+json", *more: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Status", f"Content-Type: {content_type}", f"Content-Length: {len(body)}", *more]
    return "\r\n".join([*lines, "", ""]).encode()


def answers(body: Any, status: int = 200, *headers: str) -> Behaviour:
    """A whole answer at once."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()

    def behave(visit: Visit) -> None:
        visit.send(head(status, data, "application/fhir+json", *headers) + data)

    return behave


def empty(visit: Visit) -> None:
    answers(searchset(total=0))(visit)


def patient(visit: Visit) -> None:
    identity = urlsplit(visit.asked.path).path.rsplit("/", 1)[-1]
    answers({"resourceType": "Patient", "id": identity, "gender": "male"})(visit)


def fails_with(status: int) -> Behaviour:
    return answers({"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "exception"}]}, status)


def in_turn(*behaviours: Behaviour) -> Behaviour:
    """The first request gets the first behaviour, and so on; the last one stays."""
    left, lock = list(behaviours), threading.Lock()

    def behave(visit: Visit) -> None:
        with lock:  # two that come at once are the first and the second
            chosen = left.pop(0) if len(left) > 1 else left[0]
        chosen(visit)

    return behave


def hangs(visit: Visit) -> None:
    visit.pause(FOR_LONG)


def is_slow(seconds: float) -> Behaviour:
    def behave(visit: Visit) -> None:
        if visit.pause(seconds):
            empty(visit)

    return behave


def _drips(visit: Visit, data: bytes) -> None:
    until = time.monotonic() + FOR_LONG
    for byte in data * 10_000:
        if time.monotonic() > until or not visit.pause(0.02):
            return
        visit.send(bytes([byte]))


def drips_its_headers(visit: Visit) -> None:
    visit.send(b"HTTP/1.1 200 OK\r\n")
    _drips(visit, b"X-Drip: drop\r\n")


def drips_its_body(visit: Visit) -> None:
    visit.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/fhir+json\r\nContent-Length: 100000\r\n\r\n")
    _drips(visit, b" ")


def says_continue_for_ever(visit: Visit) -> None:
    _drips(visit, b"HTTP/1.1 100 Continue\r\n\r\n")


def resets(visit: Visit) -> None:
    """Closing with unsent data thrown away sends a TCP reset."""
    visit.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    visit.connection.close()


def closes(visit: Visit) -> None:
    visit.connection.shutdown(socket.SHUT_RDWR)


def breaks_off(visit: Visit) -> None:
    body = json.dumps(searchset(total=0)).encode()
    visit.send(head(200, body) + body[:20])
    visit.connection.shutdown(socket.SHUT_RDWR)


def never_ends(visit: Visit) -> None:
    """Chunks of blanks without a length, as fast as they are taken."""
    visit.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/fhir+json\r\nTransfer-Encoding: chunked\r\n\r\n")
    while visit.pause(0):
        visit.send(b"10000\r\n" + b" " * 65_536 + b"\r\n")


def pages_for_ever(visit: Visit) -> None:
    number = int(visit.asked.path.rsplit("page=", 1)[-1]) if "page=" in visit.asked.path else 0
    kind = visit.asked.resource_type
    resource = {"resourceType": kind, "id": f"r{number}", "subject": {"reference": "Patient/p1"}}
    answers(searchset(resource, next_link=f"{visit.server.url}/{kind}?page={number + 1}"))(visit)
