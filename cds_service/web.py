"""The only module that knows HTTP: routes, statuses, CORS, and one log line a call.

An error is an OperationOutcome that names the place in the JSON and never holds a value of it. A log line holds
hookInstance, service, status, rows, kinds of unknowns and milliseconds, and nothing of the patient.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException, NotFound, RequestEntityTooLarge, UnsupportedMediaType

from cds_service import (
    demonstration_page,
    feedback,
    limits,
    metrics,
    openapi,
    pages,
    quality_page,
    services,
    smart_page,
    timeline_page,
    wire,
)
from cds_service.errors import (
    NotAuthenticated,
    NothingReadable,
    RequestError,
    StoreUnavailable,
    TooManyCalls,
    TooMuch,
)
from cds_service.openapi import FHIR_JSON, JSON, MARKDOWN
from cds_service.recorder import Recorder

CORS: Final = {
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
NO_SUCH_SERVICE: Final = "There is no service with this id: GET /cds-services lists those that there are."

KNOWLEDGE_FORMS: Final[Mapping[str, str]] = {"markdown": MARKDOWN, "json": JSON, "fhir": FHIR_JSON}
"""What `?as=` names on /knowledge, for whoever cannot choose an Accept header."""

SECONDS_TO_RETRY: Final = "30"
SECONDS_TO_RETRY_A_CALL: Final = "1"
TOO_MANY_CALLS: Final = "{most} calls of this client are being answered: the call was not assessed. Send it again."
MISTAKES_NAMED: Final = 20
"""Of a feedback call's rejected entries; the rest is counted."""

NOT_AUTHENTICATED: Final = "The call is not authenticated: it needs a JSON Web Token of a registered client."
NOT_REMEMBERED: Final = (
    "The call was not assessed: the store is not available, so that nobody knows whether its token was used before. "
    "Send it again with another token."
)
NO_FIGURES: Final = "The service failed; there are no figures."
NO_FIGURES_NOW: Final = "The store is not available: there are no figures now. Ask again later."
STORE_DOWN: Final = "The store is not available; nothing was stored. Send it again."
WELL: Final = b'{"status":"ok"}'
UNREADY: Final = b'{"status":"unavailable","store":"unavailable"}'

log: Final = logging.getLogger("cds_service")


@dataclass(frozen=True, kw_only=True)
class Access:
    """Who may call which services, and from the pages of which origins.

    `name_of`: (Authorization header, service id) → the client's name; raises NotAuthenticated. `recognises`: the same
    for any of several services, without letting in, for who has to read the body to know the service. `offers`: by
    the client's name, then by id. `origins` None: any, and nobody is asked for a name.
    """

    name_of: Callable[[str | None, str], str]
    recognises: Callable[[str | None, Collection[str]], None]
    offers: Mapping[str, Mapping[str, services.Offer]]
    origins: frozenset[str] | None


def open_to_everybody(offers: tuple[services.Offer, ...]) -> Access:
    """A demonstration: callers have no name."""
    by_id = {offer.entry.id: offer for offer in offers}
    return Access(name_of=lambda *_: "", recognises=lambda *_: None, offers={"": by_id}, origins=None)


class NoSuchService(NotFound):
    """The address is one of a service, but of none that is here: an id that was typed wrong into an EHR."""


class _Web(Flask):
    """Flask would log the text and the address of what nobody caught: both may name a patient."""

    def log_exception(self, exc_info: Any) -> None:
        error = exc_info[1]
        line = {"event": "fault", "error": type(error).__name__, "at": places(error)}
        log.error(msgspec.json.encode(line).decode())


def create_web(
    offers: tuple[services.Offer, ...],
    *,
    knowledge: services.Knowledge,
    max_body_bytes: int,
    recorder: Recorder | None = None,
    counters: metrics.Metrics | None = None,
    access: Access | None = None,
    is_ready: Callable[[], bool] = lambda: True,
    root: str = "",
    shown: demonstration_page.Demonstration | None = None,
    quality: quality_page.Quality | None = None,
    app: smart_page.SmartApp | None = None,
) -> Flask:
    """The WSGI application that answers for `offers`; without `access` for everybody.

    Without a `recorder` nothing is kept: feedback is refused with 503. `is_ready`: whether the store can be reached;
    it answers at once. `root`: the path under which the service is reached, "" or "/base". `shown`: what the test bench
    shows, in a demonstration. Without `quality` there is no such page. `app`: the SMART app, where it is registered.
    """
    door = access or open_to_everybody(offers)
    counters = counters or metrics.Metrics()
    # apart, so that feedback that waits for the store keeps no order waiting
    open_calls, open_feedback = (limits.CallsAtOnce(limits.CALLS_AT_ONCE) for _ in range(2))
    web = _Web("cds_service", static_folder=None)
    web.config["MAX_CONTENT_LENGTH"] = max_body_bytes
    web.url_map.strict_slashes = False
    web.url_map.merge_slashes = False  # no redirects: they break a browser's preflight (C18)
    entries = tuple(offer.entry for offer in offers)
    discovery = wire.encode(wire.Discovery(services=entries))
    description = msgspec.json.encode(openapi.document(entries, needs_token=access is not None))
    ids = frozenset(entry.id for entry in entries)

    @web.get("/cds-services")
    def discover() -> Response:
        return Response(discovery, mimetype=JSON)

    @web.post("/cds-services/<service_id>")
    @web.post("/cds-services//<service_id>")  # the reference sandbox joins a typed trailing slash so
    def call(service_id: str) -> Response:
        if service_id not in ids:
            raise NoSuchService
        return answer_call(service_id, door, recorder, counters, open_calls)

    @web.post("/cds-services/<service_id>/feedback")
    @web.post("/cds-services//<service_id>/feedback")
    def tell(service_id: str) -> Response:
        if service_id not in ids:
            raise NoSuchService
        return answer_feedback(service_id, door, recorder, counters, open_feedback)

    @web.get("/metrics")
    def numbers() -> Response:
        return Response(counters.text(), content_type=metrics.CONTENT_TYPE)

    @web.get("/openapi.json")
    def describe() -> Response:
        return Response(description, mimetype=JSON)

    show_knowledge(web, knowledge)
    answer_probes(web, is_ready)
    pages.add_frame(web, pages.Frame(root=root, is_demo=shown is not None, has_quality=quality is not None))
    if app is not None:
        web.register_blueprint(smart_page.smart_app(app, count=counters.launched))
    show_quality(web, quality, counters)
    show_demonstration(web, shown, entries, explanations(ids, door, open_calls), drawings(open_calls))
    by_hook = {entry.hook: entry.id for entry in entries}
    web.add_url_rule(
        "/timeline", "timeline", partial(answer_timeline, door, counters, open_calls, by_hook), methods=["POST"]
    )
    web.register_error_handler(HTTPException, refuse)
    web.after_request(lambda response: add_headers(response, door.origins))
    return web


def show_quality(web: Flask, quality: quality_page.Quality | None, counters: metrics.Metrics) -> None:
    """How cards are received, for the few who may see it."""
    if quality is not None:
        web.register_blueprint(quality_page.parts(quality, answered=partial(answer_page, "quality", counters)))


def show_demonstration(
    web: Flask,
    shown: demonstration_page.Demonstration | None,
    entries: tuple[wire.Service, ...],
    explained: demonstration_page.Explained,
    drawn: demonstration_page.Drawn,
) -> None:
    """The test bench, in a demonstration."""
    if shown is not None:
        web.register_blueprint(demonstration_page.demonstration(shown, entries, explained, drawn))


def explanations(ids: frozenset[str], door: Access, open_calls: limits.CallsAtOnce) -> demonstration_page.Explained:
    """Answers a call once more to show what is behind it; nothing is recorded or counted."""

    def explained(service_id: str, shown: Callable[[services.Answer], Response]) -> Response:
        if service_id not in ids:
            raise NoSuchService

        def assess() -> Response:
            caller = door.name_of(request.headers.get("Authorization"), service_id)
            offer = door.offers[caller][service_id]
            body = json_body()
            with open_calls.one_of(caller):
                return shown(offer.answer(wire.read_request(body, offer.entry.hook)))

        return for_the_bench("why", assess, "The service failed; the call was not assessed.")

    return explained


def drawings(open_calls: limits.CallsAtOnce) -> demonstration_page.Drawn:
    """Draws what is posted, as one of the calls that may be open at once; nothing is recorded or counted."""

    def drawn(draw: Callable[[bytes], Response]) -> Response:
        def produce() -> Response:
            body = json_body()
            with open_calls.one_of(""):
                return draw(body)

        return for_the_bench("cards", produce, "The service failed; nothing was drawn.")

    return drawn


def for_the_bench(name: str, produce: Callable[[], Response], failed: str) -> Response:
    """What the test bench asks for besides the calls, or the refusal; only a fault of ours leaves a line in the log."""
    response, failure = answered(produce, failed, NOT_REMEMBERED)
    if "error" in failure:
        line = {"event": name, "status": response.status_code, **failure}
        log.error(msgspec.json.encode(line).decode())
    return response


def answer_probes(web: Flask, is_ready: Callable[[], bool]) -> None:
    """Health. Nothing is served before the knowledge is loaded, so what is left to ask for is the store."""

    @web.get("/health/live")
    def live() -> Response:
        return Response(WELL, mimetype=JSON)

    @web.get("/health/ready")
    def ready() -> Response:
        return Response(WELL, mimetype=JSON) if is_ready() else Response(UNREADY, status=503, mimetype=JSON)


def show_knowledge(web: Flask, knowledge: services.Knowledge) -> None:
    """The rules in force, in the form that is wanted; Markdown is for whoever does not say what it takes."""
    json = msgspec.json.Encoder(decimal_format="number").encode
    forms = {MARKDOWN: knowledge.markdown.encode(), JSON: json(knowledge.data), FHIR_JSON: json(knowledge.fhir)}
    offered = (*forms, pages.HTML) if knowledge.sheet is not None else tuple(forms)

    @web.get("/knowledge")
    def rules() -> Response:
        by_name = KNOWLEDGE_FORMS.get(request.args.get("as", ""))
        wanted = by_name or request.accept_mimetypes.best_match(offered, default=MARKDOWN)
        if wanted == pages.HTML and knowledge.sheet is not None:
            return pages.knowledge(knowledge.sheet)
        return Response(forms[wanted], mimetype=wanted)


def answer_call(
    service_id: str,
    door: Access,
    recorder: Recorder | None,
    counters: metrics.Metrics,
    open_calls: limits.CallsAtOnce,
) -> Response:
    """Read the call, let the service answer it, and say what happened in one log line, the counters and the store."""
    started, hook_instance, caller = services.milliseconds(), "", ""
    answer: services.Answer | None = None
    offer: services.Offer | None = None

    def assess() -> Response:
        nonlocal answer, caller, hook_instance, offer
        caller = door.name_of(request.headers.get("Authorization"), service_id)
        offer = door.offers[caller][service_id]
        body = json_body()  # a client that sends it slowly has no call open yet
        with open_calls.one_of(caller):
            called = wire.read_request(body, offer.entry.hook)
            hook_instance = called.trace
            answer = offer.answer(called)
            return Response(wire.encode(answer.response), mimetype=JSON)

    response, failure = answered(assess, "The service failed; the call was not assessed.", NOT_REMEMBERED)
    said = answer if answer and response.status_code == 200 else services.NOTHING_TO_SAY
    milliseconds = round(services.milliseconds() - started, 1)
    if recorder is not None and offer is not None:
        recorder.decided(
            services.decision(
                offer,
                said,
                hook_instance=hook_instance,
                status=response.status_code,
                milliseconds=milliseconds,
                client=caller,
            )
        )
    count_refusal(failure, counters)
    counters.called(
        service_id,
        status=response.status_code,
        milliseconds=milliseconds,
        cards=[(services.topic(card), services.leading_row(card), card.indicator) for card in said.response.cards],
        unknowns=said.unknowns,
    )
    line = {
        "event": "call",
        "service": service_id,
        "client": caller,
        "hookInstance": hook_instance,
        "status": response.status_code,
        "rows": answer.rows if answer else (),
        "unknowns": answer.unknowns if answer else {},
        "milliseconds": milliseconds,
        **failure,
    }
    log.log(logging.ERROR if "error" in failure else logging.INFO, msgspec.json.encode(line).decode())
    return response


def answer_feedback(
    service_id: str,
    door: Access,
    recorder: Recorder | None,
    counters: metrics.Metrics,
    open_feedback: limits.CallsAtOnce,
) -> Response:
    """Store what clinicians did with cards, then say so; the log has numbers only, never a word of the client's."""
    started, caller = services.milliseconds(), ""
    receipt = wire.FeedbackReceipt(received=0, recorded=0, repeated=0, rejected=0)
    recorded: Mapping[tuple[str, str], int] = {}
    rejected: Mapping[str, int] = {}

    def keep() -> Response:
        nonlocal caller, receipt, recorded, rejected
        caller = door.name_of(request.headers.get("Authorization"), service_id)
        sent = json_body()
        with open_feedback.one_of(caller):
            entries = feedback.read(sent)
            if recorder is None:
                raise StoreUnavailable("NoStore")
            kept = recorder.feedback(entries, service=service_id, at=services.now(), client=caller)
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

    response, failure = answered(keep, "The service failed; the feedback was not stored.", STORE_DOWN)
    count_refusal(failure, counters)
    counters.told(service_id, status=response.status_code, recorded=recorded, rejected=rejected)
    line = {
        "event": "feedback",
        "service": service_id,
        "client": caller,
        "status": response.status_code,
        **receipt.model_dump(exclude={"mistakes"}),
        "outcomes": outcomes_of(recorded),
        "mistakes": rejected,
        "milliseconds": round(services.milliseconds() - started, 1),
        **failure,
    }
    log.log(logging.ERROR if "error" in failure else logging.INFO, msgspec.json.encode(line).decode())
    return response


def answer_page(name: str, counters: metrics.Metrics, look: Callable[[], Response]) -> Response:
    """What a page that is not for everybody shows, or the refusal, and one log line of who looked."""
    started = services.milliseconds()
    response, failure = answered(look, NO_FIGURES, NO_FIGURES_NOW)
    count_refusal(failure, counters)
    line = {
        "event": name,
        "client": g.get("reader", ""),
        "status": response.status_code,
        "milliseconds": round(services.milliseconds() - started, 1),
        **failure,
    }
    log.log(logging.ERROR if "error" in failure else logging.INFO, msgspec.json.encode(line).decode())
    return response


def answer_timeline(
    door: Access, counters: metrics.Metrics, open_calls: limits.CallsAtOnce, by_hook: Mapping[str, str]
) -> Response:
    """Show the course of the patient of a call, or of a posted record; the log has nothing of either."""
    started, caller, service_id = services.milliseconds(), "", ""

    def show() -> Response:
        nonlocal caller, service_id
        authorization = request.headers.get("Authorization")
        door.recognises(authorization, by_hook.values())  # the hook stands in the body, which no stranger's is read for
        body = json_body()
        service_id = timeline_page.service_of(body, by_hook)
        caller = door.name_of(authorization, service_id)
        offer = door.offers[caller][service_id]
        with open_calls.one_of(caller):
            called = timeline_page.read_call(body, offer.entry.hook)
            return timeline_page.shown(offer.answer(called), offer.entry.hook)

    response, failure = answered(show, "The service failed; the timeline was not drawn.", NOT_REMEMBERED)
    count_refusal(failure, counters)
    line = {
        "event": "timeline",
        "service": service_id,
        "client": caller,
        "status": response.status_code,
        "milliseconds": round(services.milliseconds() - started, 1),
        **failure,
    }
    log.log(logging.ERROR if "error" in failure else logging.INFO, msgspec.json.encode(line).decode())
    return response


def count_refusal(failure: Mapping[str, Any], counters: metrics.Metrics) -> None:
    """Counts why a call was not let in, if it was not."""
    if "refused" in failure:
        counters.refused(failure["refused"])


def outcomes_of(recorded: Mapping[tuple[str, str], int]) -> Mapping[str, int]:
    """`{"R2 overridden": 1}`"""
    return {f"{row} {outcome}": number for (row, outcome), number in recorded.items()}


def answered(produce: Callable[[], Response], failed: str, down: str) -> tuple[Response, Mapping[str, Any]]:
    """What `produce` answers, or the refusal; for a fault of ours also what the log may say of it."""
    try:
        return produce(), {}
    except NotAuthenticated as error:
        response = outcome(401, issue("login", NOT_AUTHENTICATED))
        response.headers["WWW-Authenticate"] = "Bearer"
        return response, {"refused": error.refusal, **({"claimed": error.claimed} if error.claimed else {})}
    except RequestError as error:
        status = 413 if isinstance(error, TooMuch) else 400
        return outcome(status, *(issue(mistake.code, mistake.what, mistake.path) for mistake in error.mistakes)), {}
    except TooManyCalls as error:
        response = outcome(429, issue("throttled", TOO_MANY_CALLS.format(most=error.most)))
        response.headers["Retry-After"] = SECONDS_TO_RETRY_A_CALL
        return response, {}
    except NothingReadable as error:
        return outcome(412, *(issue("incomplete", why, f"prefetch.{key}") for key, why in error.reasons.items())), {}
    except StoreUnavailable as error:
        response = outcome(503, issue("transient", down))
        response.headers["Retry-After"] = SECONDS_TO_RETRY
        return response, {"error": str(error)}
    except HTTPException as error:
        return refuse(error), {}
    except RecursionError:
        return outcome(400, issue(limits.TOO_DEEP.code, limits.TOO_DEEP.what)), {}
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
    if isinstance(error, NoSuchService):
        plain = NO_SUCH_SERVICE
    code = ISSUE_CODES.get(status, "exception" if status >= 500 else "invalid")
    response = outcome(status, issue(code, plain))
    for name, value in error.get_headers():
        if name == "Allow":
            response.headers[name] = value
    return response


def add_headers(response: Response, origins: frozenset[str] | None) -> Response:
    """CORS on every answer, errors too (C111); nothing about a patient may be kept on the way."""
    response.headers.update(CORS)
    if origins is None:
        response.headers["Access-Control-Allow-Origin"] = "*"
    else:
        response.headers["Vary"] = "Origin"
        if request.origin in origins:
            response.headers["Access-Control-Allow-Origin"] = request.origin
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
