"""The only module that knows HTTP: routes, statuses, CORS, and one log line a call.

An error is an OperationOutcome that names the place in the JSON and never holds a value of it. A log line holds
hookInstance, service, status, rows, kinds of unknowns and milliseconds, and nothing of the patient.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException, NotFound, RequestEntityTooLarge, UnsupportedMediaType

from cds_service import services, wire
from cds_service.errors import NothingReadable, RequestError

JSON: Final = "application/json"
MARKDOWN: Final = "text/markdown"
CORS: Final = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, Content-Type",  # by name: `*` does not cover Authorization (C111)
    "Access-Control-Max-Age": "600",
}
ISSUE_CODES: Final[Mapping[int, str]] = {404: "not-found", 405: "not-supported", 413: "too-long", 415: "not-supported"}
PLAIN_WORDS: Final[Mapping[int, str]] = {
    404: "There is nothing at this address.",
    405: "This address does not take this method.",
    413: "The body is larger than this service takes.",
    415: "Send the call as application/json, without a content encoding.",
}

log: Final = logging.getLogger("cds_service")


def create_web(offers: tuple[services.Offer, ...], *, knowledge: services.Knowledge, max_body_bytes: int) -> Flask:
    """The WSGI application that answers for `offers`, open to every origin (demo mode)."""
    web = Flask("cds_service", static_folder=None)
    web.config["MAX_CONTENT_LENGTH"] = max_body_bytes
    web.url_map.strict_slashes = False
    web.url_map.merge_slashes = False  # no redirects: they break a browser's preflight (C18)
    discovery = wire.encode(wire.Discovery(services=tuple(offer.entry for offer in offers)))
    by_id = {offer.entry.id: offer for offer in offers}

    @web.get("/cds-services")
    def discover() -> Response:
        return Response(discovery, mimetype=JSON)

    @web.post("/cds-services/<service_id>")
    @web.post("/cds-services//<service_id>")  # the reference sandbox joins a typed trailing slash so
    def call(service_id: str) -> Response:
        if service_id not in by_id:
            raise NotFound
        return answer_call(by_id[service_id])

    @web.get("/knowledge")
    def rules() -> Response:
        if request.accept_mimetypes.best_match([MARKDOWN, JSON]) == JSON:
            return Response(msgspec.json.encode(knowledge.data), mimetype=JSON)
        return Response(knowledge.markdown, mimetype=MARKDOWN)

    @web.get("/health/live")
    @web.get("/health/ready")
    def health() -> Response:
        return Response(b'{"status":"ok"}', mimetype=JSON)  # served only once the knowledge is loaded

    web.register_error_handler(HTTPException, refuse)
    web.after_request(add_headers)
    return web


def answer_call(offer: services.Offer) -> Response:
    """Read the call, let the service answer it, and say what happened in one log line."""
    started, hook_instance = services.milliseconds(), ""
    answer: services.Answer | None = None
    failure: dict[str, Any] = {}
    try:
        called = wire.read_request(json_body(), offer.entry.hook)
        hook_instance = called.hook_instance
        answer = offer.answer(called)
        response = Response(wire.encode(answer.response), mimetype=JSON)
    except RequestError as error:
        response = outcome(400, *(issue("invalid", mistake.what, mistake.path) for mistake in error.mistakes))
    except NothingReadable as error:
        response = outcome(412, *(issue("incomplete", why, f"prefetch.{key}") for key, why in error.reasons.items()))
    except HTTPException as error:
        response = refuse(error)
    except RecursionError:
        response = outcome(400, issue("invalid", wire.TOO_DEEP))
    except Exception as error:
        failure = {"error": type(error).__name__, "at": places(error)}  # never the text: it may quote the patient
        response = outcome(500, issue("exception", "The service failed; the call was not assessed."))
    line = {
        "event": "call",
        "service": offer.entry.id,
        "hookInstance": hook_instance,
        "status": response.status_code,
        "rows": answer.rows if answer else (),
        "unknowns": answer.unknowns if answer else {},
        "milliseconds": round(services.milliseconds() - started, 1),
        **failure,
    }
    log.log(logging.ERROR if failure else logging.INFO, msgspec.json.encode(line).decode())
    return response


def json_body() -> bytes:
    """The bytes of a JSON body. Raises: UnsupportedMediaType, RequestEntityTooLarge."""
    if request.mimetype != JSON or request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType
    body, limit = request.get_data(cache=False), request.max_content_length
    if limit is not None and request.content_length is None and len(body) >= limit:
        raise RequestEntityTooLarge  # sent in chunks: what is beyond the limit was cut off without a word
    return body


def places(error: BaseException) -> list[str]:
    """Where in our code the error arose, innermost last: file, line and function, no values."""
    frames = traceback.extract_tb(error.__traceback__)
    return [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames[-8:]]


def issue(code: str, what: str, path: str = "") -> wire.OutcomeIssue:
    """One finding; its words begin with the JSON path, which also stands by itself in `expression`."""
    diagnostics = f"{path}: {what}" if path else what
    return wire.OutcomeIssue(code=code, diagnostics=diagnostics, expression=(path,) if path else ())


def outcome(status: int, *issues: wire.OutcomeIssue) -> Response:
    """An error body (C43)."""
    return Response(wire.encode(wire.OperationOutcome(issue=issues)), status=status, mimetype=JSON)


def refuse(error: HTTPException) -> Response:
    """Flask's own refusals (no such address, wrong method, too large) in the same form as ours."""
    status = error.code or 500
    plain = PLAIN_WORDS.get(status, "The service failed." if status >= 500 else "The call cannot be read.")
    code = ISSUE_CODES.get(status, "exception" if status >= 500 else "invalid")
    response = outcome(status, issue(code, plain))
    for name, value in error.get_headers():
        if name == "Allow":
            response.headers[name] = value
    return response


def add_headers(response: Response) -> Response:
    """CORS on every answer, errors too; nothing about a patient may be kept on the way."""
    response.headers.update(CORS)
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
