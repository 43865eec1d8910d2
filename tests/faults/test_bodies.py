"""Bodies that are no calls, too large, too deep, packed or slow: a clear refusal, and the service stays well."""

from __future__ import annotations

import json
import random
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
import requests

from tests.support.bombs import packed_blanks
from tests.support.running import CALL, SIGN, Running, running

SEED: Final = 20261125
LARGEST: Final = 10 * 1024 * 1024
JSON: Final = {"Content-Type": "application/json"}
WHOLE: Final = json.dumps(CALL).encode()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(f"sqlite:///{tmp_path_factory.mktemp('bodies') / 'cds.sqlite3'}") as served:
        yield served


def is_well(served: Running) -> None:
    answer = requests.post(served.base + SIGN, data=WHOLE, headers=JSON, timeout=20)
    assert "Restart at 1 mg" in answer.json()["cards"][0]["summary"]


def refusal(answer: requests.Response) -> str:
    """The first diagnostics of an OperationOutcome."""
    assert answer.json()["resourceType"] == "OperationOutcome"
    return str(answer.json()["issue"][0]["diagnostics"])


# --- malformed ------------------------------------------------------------------------------------------------------


def _cut(chance: random.Random) -> bytes:
    return WHOLE[: chance.randrange(len(WHOLE) - 1)]


def _without_a_byte_of_structure(chance: random.Random) -> bytes:
    places = [place for place, byte in enumerate(WHOLE) if byte in b"{}[]"]  # none stands in a text
    place = chance.choice(places)
    return WHOLE[:place] + WHOLE[place + 1 :]


def _not_utf8(chance: random.Random) -> bytes:
    place = chance.randrange(1, len(WHOLE) - 1)
    return WHOLE[:place] + bytes([chance.randrange(0x80, 0xC0)]) + WHOLE[place:]


def _no_json(chance: random.Random) -> bytes:
    return chance.choice([b"", b"null", b"[]", b"7", b'"x"', b"NaN", b"{'a':1}", b"{}//", b"\x00", b"{}{}", b"<x/>"])


def _a_number_that_is_none(chance: random.Random) -> bytes:
    return WHOLE[:-1] + b',"x":' + chance.choice([b"NaN", b"Infinity", b"-", b"01", b"1.", b".5", b"1e", b"0x1"]) + b"}"


def _twice(chance: random.Random) -> bytes:
    name = chance.choice(list(CALL))
    return WHOLE[:-1] + f", {json.dumps(name)}: {json.dumps(CALL[name])}}}".encode()


def _without_a_member(chance: random.Random) -> bytes:
    name = chance.choice(["hook", "hookInstance", "context"])
    return json.dumps({key: value for key, value in CALL.items() if key != name}).encode()


def _of_another_type(chance: random.Random) -> bytes:
    name = chance.choice(["hook", "hookInstance", "context"])
    return json.dumps(CALL | {name: chance.choice([None, 7, [], True, [[]]])}).encode()


def _deep(chance: random.Random) -> bytes:
    levels = chance.choice([101, 1_000, 100_000])
    return WHOLE[:-1] + b',"x":' + b"[" * levels + b"]" * levels + b"}"


def _lone_surrogate(chance: random.Random) -> bytes:
    return WHOLE[:-1] + chance.choice([b',"x":"\\ud800"}', b',"\\udc00":1}'])


MALFORMED: Final[tuple[Callable[[random.Random], bytes], ...]] = (
    *(_cut, _without_a_byte_of_structure, _not_utf8, _no_json, _a_number_that_is_none),
    *(_twice, _without_a_member, _of_another_type, _deep, _lone_surrogate),
)


@pytest.mark.conforms("C43")
def test_a_thousand_malformed_bodies_are_a_thousand_refusals(service: Running) -> None:
    chance, statuses = random.Random(SEED), Counter[tuple[str, int]]()
    with requests.Session() as session:
        for number in range(1_000):
            make = MALFORMED[number % len(MALFORMED)]
            answer = session.post(service.base + SIGN, data=make(chance), headers=JSON, timeout=20)
            statuses[make.__name__, answer.status_code] += 1
            assert refusal(answer)
    assert statuses == {(make.__name__, 400): 100 for make in MALFORMED}
    is_well(service)


# --- large ----------------------------------------------------------------------------------------------------------


def padded(size: int) -> bytes:
    """The call, made so many bytes long by a member that nobody reads."""
    return WHOLE[:-1] + b',"extension":{"x":"' + b"x" * (size - len(WHOLE) - 21) + b'"}}'


def in_chunks(body: bytes) -> Iterator[bytes]:
    for first in range(0, len(body), 65_536):
        yield body[first : first + 65_536]


@pytest.mark.conforms("C6")
@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(("size", "status"), [(LARGEST - 1, 200), (LARGEST + 1, 413)])
def test_ten_mebibytes_are_the_border(service: Running, size: int, status: int, chunked: bool) -> None:
    body = padded(size)
    assert len(body) == size
    data: Any = in_chunks(body) if chunked else body
    answer = requests.post(service.base + SIGN, data=data, headers=JSON, timeout=30)
    assert answer.status_code == status
    if status == 413:
        assert refusal(answer) == "The body is larger than this service takes."
    is_well(service)


@pytest.mark.conforms("C5")
def test_a_packed_body_is_refused_without_being_unpacked(service: Running) -> None:
    bomb = packed_blanks(500)
    started = time.monotonic()
    answer = requests.post(service.base + SIGN, data=bomb, headers=JSON | {"Content-Encoding": "gzip"}, timeout=20)
    assert answer.status_code == 415
    assert "without a content encoding" in refusal(answer)
    assert time.monotonic() - started < 5
    is_well(service)


# --- slow and gone ----------------------------------------------------------------------------------------------------


def connected(served: Running) -> socket.socket:
    address = urlsplit(served.base)
    return socket.create_connection((address.hostname or "", address.port or 0), timeout=20)


def _head(length: int) -> bytes:
    return (
        f"POST {SIGN} HTTP/1.1\r\nHost: cds\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


@pytest.mark.parametrize("workers", [0, 1])
def test_clients_that_send_slowly_or_go_away_do_not_keep_others_waiting(tmp_path: Path, workers: int) -> None:
    with running(f"sqlite:///{tmp_path / 'cds.sqlite3'}", workers=workers) as served:
        slow = [connected(served) for _ in range(3)]  # one thread of a worker's four is left
        try:
            for line in slow:
                line.sendall(_head(len(WHOLE)) + WHOLE[:100])
            gone = connected(served)
            gone.sendall(_head(len(WHOLE)) + WHOLE[:100])
            gone.close()
            # gunicorn lends a thread to each open connection: the proxy in front opens none without a whole request
            idle = [] if workers else [connected(served) for _ in range(20)]
            started = time.monotonic()
            is_well(served)
            assert time.monotonic() - started < 5
            slow[0].sendall(WHOLE[100:])
            assert slow[0].recv(20).startswith(b"HTTP/1.1 200")
            for line in idle:
                line.close()
        finally:
            for line in slow:
                line.close()
        is_well(served)
