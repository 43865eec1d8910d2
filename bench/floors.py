"""What any Python service pays: a card that never changes, on the same server, and decoding the bytes of a call."""

from __future__ import annotations

import time
from typing import Final

import msgspec
from flask import Flask, Response, request

from bench.figures import middle

CARD: Final = msgspec.json.encode(
    {"cards": [{"summary": "Always the same", "indicator": "info", "source": {"label": "nobody"}}]}
)


def static_card() -> Flask:
    """A CDS service that takes the body and answers every call alike: `gunicorn 'bench.floors:static_card()'`."""
    web = Flask("static card")

    @web.post("/cds-services/<service_id>")
    def call(service_id: str) -> Response:  # noqa: ARG001 - each has the same answer
        request.get_data(cache=False)
        return Response(CARD, mimetype="application/json")

    @web.get("/health/ready")
    def ready() -> Response:
        return Response(b"{}", mimetype="application/json")

    return web


def decoding_ms(body: bytes, times: int = 30) -> float:
    """The CPU time of `msgspec.json.decode(body)` in milliseconds, the median; orjson takes about as long."""
    spent = []
    for _ in range(times):
        started = time.process_time()
        msgspec.json.decode(body)
        spent.append((time.process_time() - started) * 1000)
    return middle(spent)
