"""The only module that knows HTTP: routes, statuses, CORS, and one log line a call.

An error is an OperationOutcome that names the place in the JSON and never holds a value of it. A log line holds
hookInstance, service, status, rows, kinds of unknowns and milliseconds, and nothing of the patient.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException, NotFound, RequestEntityTooLarge, UnsupportedMediaType

from cds_service import feedback, metrics, openapi, services, wire
from cds_service.errors import NothingReadable, RequestError, StoreUnavailable
from cds_service.openapi import FHIR_JSON, JSON, MARKDOWN
from cds_service.recorder import Recorder

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

SECONDS_TO_RETRY: Final = "30"
MISTAKES_NAMED: Final = 20
"""Of a feedback call's rejected entries; the rest is counted."""

WELL: Final = b'{"status":"ok"}'
UNREADY: Final = b'{"status":"unavailable","store":"unavailable"}'

log: Final = logging.getLogger("cds_service")


def create_web(
    offers: tuple[services.Offer, ...],
    *,
    knowledge: services.Knowledge,
    max_body_bytes: int,
    recorder: Recorder | None = None,
    counters: metrics.Metrics | None = None,
    is_ready: Callable[[], bool] = lambda: True,
) -> Flask:
    """The WSGI application that answers for `offers`, open to every origin (demo mode).

    Without a `recorder` nothing is kept: feedback is refused with 503. `is_ready`: whether the store can be reached;
    it answers at once.
    """
    counters = counters or metrics.Metrics()
    web = Flask("cds_service", static_folder=None)
    web.config["MAX_CONTENT_LENGTH"] = max_body_bytes
    web.url_map.strict_slashes = False
    web.url_map.merge_slashes = False  # no redirects: they break a browser's preflight (C18)
    entries = tuple(offer.entry for offer in offers)
    discovery = wire.encode(wire.Discovery(services=entries))
    forms = knowledge_forms(knowledge)
    description = msgspec.json.encode(openapi.document(entries))
    by_id = {offer.entry.id: offer for offer in offers}

    @web.get("/cds-services")
    def discover() -> Response:
        return Response(discovery, mimetype=JSON)

    @web.post("/cds-services/<service_id>")
    @web.post("/cds-services//<service_id>")  # the reference sandbox joins a typed trailing slash so
    def call(service_id: str) -> Response:
        if service_id not in by_id:
            raise NotFound
        return answer_call(by_id[service_id], recorder, counters)

    @web.post("/cds-services/<service_id>/feedback")
    @web.post("/cds-services//<service_id>/feedback")
    def tell(service_id: str) -> Response:
        if service_id not in by_id:
            raise NotFound
        return answer_feedback(service_id, recorder, counters)

    @web.get("/metrics")
    def numbers() -> Response:
        return Response(counters.text(), content_type=metrics.CONTENT_TYPE)

    @web.get("/knowledge")
    def rules() -> Response:
        wanted = request.accept_mimetypes.best_match(forms, default=MARKDOWN)
        return Response(forms[wanted], mimetype=wanted)

    @web.get("/openapi.json")
    def describe() -> Response:
        return Response(description, mimetype=JSON)

    answer_probes(web, is_ready)
    web.register_error_handler(HTTPException, refuse)
    web.after_request(add_headers)
    return web


def answer_probes(web: Flask, is_ready: Callable[[], bool]) -> None:
    """Health. Nothing is served before the knowledge is loaded, so what is left to ask for is the store."""

    @web.get("/health/live")
    def live() -> Response:
        return Response(WELL, mimetype=JSON)

    @web.get("/health/ready")
    def ready() -> Response:
        return Response(WELL, mimetype=JSON) if is_ready() else Response(UNREADY, status=503, mimetype=JSON)


def knowledge_forms(knowledge: services.Knowledge) -> Mapping[str, bytes]:
    """The knowledge page by media type; the first is for whoever does not say what it takes."""
    json = msgspec.json.Encoder(decimal_format="number").encode
    return {MARKDOWN: knowledge.markdown.encode(), JSON: json(knowledge.data), FHIR_JSON: json(knowledge.fhir)}


def answer_call(offer: services.Offer, recorder: Recorder | None, counters: metrics.Metrics) -> Response:
    """Read the call, let the service answer it, and say what happened in one log line, the counters and the store."""
    started, hook_instance = services.milliseconds(), ""
    answer: services.Answer | None = None

    def assess() -> Response:
        nonlocal answer, hook_instance
        called = wire.read_request(json_body(), offer.entry.hook)
        hook_instance = called.hook_instance
        answer = offer.answer(called)
        return Response(wire.encode(answer.response), mimetype=JSON)

    response, failure = answered(assess, "The service failed; the call was not assessed.")
    said = answer if answer and response.status_code == 200 else services.NOTHING_TO_SAY
    if recorder is not None:
        recorder.shown(services.shown(offer, said))
    milliseconds = round(services.milliseconds() - started, 1)
    counters.called(
        offer.entry.id,
        status=response.status_code,
        milliseconds=milliseconds,
        cards=[(services.leading_row(card), card.indicator) for card in said.response.cards],
        unknowns=said.unknowns,
    )
    line = {
        "event": "call",
        "service": offer.entry.id,
        "hookInstance": hook_instance,
        "status": response.status_code,
        "rows": answer.rows if answer else (),
        "unknowns": answer.unknowns if answer else {},
        "milliseconds": milliseconds,
        **failure,
    }
    log.log(logging.ERROR if failure else logging.INFO, msgspec.json.encode(line).decode())
    return response


def answer_feedback(service_id: str, recorder: Recorder | None, counters: metrics.Metrics) -> Response:
    """Store what clinicians did with cards, then say so; the log has numbers only, never a word of the client's."""
    started = services.milliseconds()
    receipt = wire.FeedbackReceipt(received=0, recorded=0, repeated=0, rejected=0)
    recorded: Mapping[tuple[str, str], int] = {}
    rejected: Mapping[str, int] = {}

    def keep() -> Response:
        nonlocal receipt, recorded, rejected
        entries = feedback.read(json_body())
        if recorder is None:
            raise StoreUnavailable("NoStore")
        kept = recorder.feedback(entries, service=service_id, at=services.now())
        recorded, rejected = kept.recorded, kept.rejected
        mistakes = [str(entry) for entry in entries if isinstance(entry, feedback.Rejected)]
        receipt = wire.FeedbackReceipt(
            received=len(entries),
            recorded=sum(recorded.values()),
            repeated=kept.repeated,
            rejected=len(mistakes),
            mistakes=tuple(mistakes[:MISTAKES_NAMED]),
        )
        body = wire.FeedbackResponse(extension=wire.FeedbackExtension(receipt=receipt))
        return Response(wire.encode(body), mimetype=JSON)

    response, failure = answered(keep, "The service failed; the feedback was not stored.")
    counters.told(service_id, status=response.status_code, recorded=recorded, rejected=rejected)
    line = {
        "event": "feedback",
        "service": service_id,
        "status": response.status_code,
        **receipt.model_dump(exclude={"mistakes"}),
        "outcomes": outcomes_of(recorded),
        "mistakes": rejected,
        "milliseconds": round(services.milliseconds() - started, 1),
        **failure,
    }
    log.log(logging.ERROR if failure else logging.INFO, msgspec.json.encode(line).decode())
    return response


def outcomes_of(recorded: Mapping[tuple[str, str], int]) -> Mapping[str, int]:
    """`{"R2 overridden": 1}`"""
    return {f"{row} {outcome}": number for (row, outcome), number in recorded.items()}


def answered(produce: Callable[[], Response], failed: str) -> tuple[Response, Mapping[str, Any]]:
    """What `produce` answers, or the refusal; for a fault of ours also what the log may say of it."""
    try:
        return produce(), {}
    except RequestError as error:
        return outcome(400, *(issue("invalid", mistake.what, mistake.path) for mistake in error.mistakes)), {}
    except NothingReadable as error:
        return outcome(412, *(issue("incomplete", why, f"prefetch.{key}") for key, why in error.reasons.items())), {}
    except StoreUnavailable as error:
        response = outcome(503, issue("transient", "The store is not available; nothing was stored. Send it again."))
        response.headers["Retry-After"] = SECONDS_TO_RETRY
        return response, {"error": str(error)}
    except HTTPException as error:
        return refuse(error), {}
    except RecursionError:
        return outcome(400, issue("invalid", wire.TOO_DEEP)), {}
    except Exception as error:  # never the text: it may quote the patient
        return outcome(500, issue("exception", failed)), {"error": type(error).__name__, "at": places(error)}


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
