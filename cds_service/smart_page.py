"""The SMART app on /smart: launched from an EHR or from its own page, it shows one patient's timeline and advice.

Nothing is kept on the way: a launch under way stands, sealed, in the browser's own cookie (one for each launch, so that
two windows never take each other's patient), the code is exchanged in the very request that reads and shows the
record, and the access token ends with that request. A reload shows nothing: the app has to be launched again.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, Final
from uuid import uuid4
from zoneinfo import ZoneInfo

import msgspec
from flask import Blueprint, Response, request
from markupsafe import Markup
from werkzeug.exceptions import MethodNotAllowed

from cds_service import banner, card_html, limits, pages, services, smart, timeline_svg, wire
from cds_service.client_auth import Remember
from cds_service.errors import (
    NothingReadable,
    RequestError,
    SmartRefused,
    StoreUnavailable,
    TooManyCalls,
    Trouble,
)
from cds_service.fhir_failure import Failure
from cds_service.smart import Arrival, Launch, SmartClient
from cds_service.smart_cookies import LaunchCookies
from cds_service.smart_registrations import Issuer, find, public_keys
from cds_service.smart_words import SAID
from cds_service.timeline import timeline

LAUNCH: Final = "/smart/launch"
REDIRECT: Final = "/smart/redirect"
LAUNCH_SECONDS: Final = 600
"""How long a login at the EHR may take."""

ARRIVAL_SECONDS: Final = 60
"""From the EHR's redirect to the page, which the browser asks for at once."""

AT_ONCE: Final = 3
"""Steps that ask an EHR, at once in one process: of the four threads of a worker one stays for calls of services."""

LAUNCHES_AT_ONCE: Final = 2
"""Of these steps. Anybody can begin a launch: one step stays for users who come back from their login."""

log: Final = logging.getLogger("cds_service")


@dataclass(frozen=True, kw_only=True)
class SmartApp:
    """What the app is made of. `reviews`: for each issuer's `iss` the review whose days are counted in its zone.

    `remember`: whether a state is new, on all machines together. `root` is the path under which the service is reached,
    "" or "/base".
    """

    client: SmartClient
    issuers: tuple[Issuer, ...]
    reviews: Mapping[str, services.DrugReview]
    cookies: LaunchCookies
    remember: Remember
    now: Callable[[], datetime]
    root: str = ""


@dataclass(kw_only=True)
class _Step:
    """One request of a launch, as far as it has come: for the log, and for who may show the page in a frame."""

    name: str
    issuer: Issuer | None = None
    answer: services.Answer | None = None
    reasons: tuple[str, ...] = ()


Count = Callable[[str, Trouble | None], None]
"""Told of each step that was answered, and why it could not be gone."""


def smart_app(app: SmartApp, count: Count) -> Blueprint:
    """The routes of the app."""
    blueprint = Blueprint("smart", __name__)
    at_ehrs, launches = limits.CallsAtOnce(AT_ONCE), limits.CallsAtOnce(LAUNCHES_AT_ONCE)
    keys = msgspec.json.encode(public_keys(app.issuers))

    @blueprint.get("/smart")
    def choose() -> Response:
        return pages.page("smart_choice.html", here="/smart", issuers=_standalone(app), launch=LAUNCH)

    @blueprint.get("/smart/jwks.json")
    def jwks() -> Response:
        return Response(keys, mimetype="application/json")

    @blueprint.get(LAUNCH)
    def launch() -> Response:
        return _answered(_Step(name="launch"), lambda step: _launched(app, step, at_ehrs, launches), count)

    @blueprint.get(REDIRECT)
    def redirect() -> Response:
        return _answered(_Step(name="redirect"), lambda step: _returned(app, step), count)

    @blueprint.get("/smart/view/<launch_id>")
    def view(launch_id: str) -> Response:
        response = _answered(_Step(name="view"), lambda step: _viewed(app, step, launch_id, at_ehrs), count)
        if smart.is_id(launch_id):
            app.cookies.drop(response, launch_id)
        return response

    return blueprint


def _standalone(app: SmartApp) -> Sequence[Mapping[str, str]]:
    shown = (issuer.registered for issuer in app.issuers)
    return [{"name": one.name, "iss": one.iss} for one in shown if one.standalone]


# --- the three steps --------------------------------------------------------------------------------------------


def _launched(app: SmartApp, step: _Step, at_ehrs: limits.CallsAtOnce, launches: limits.CallsAtOnce) -> Response:
    """To the issuer's authorization endpoint. Without `launch` it is a standalone launch."""
    given = {name: request.args.get(name, "") for name in ("iss", "launch", "appContext")}
    if not given["iss"]:
        raise SmartRefused(Trouble.NO_ISSUER)
    step.issuer = issuer = find(app.issuers, given["iss"])
    if issuer is None:
        raise SmartRefused(Trouble.UNKNOWN_ISSUER)
    if not given["launch"] and not issuer.registered.standalone:
        raise SmartRefused(Trouble.NOT_STANDALONE)
    if max(map(len, given.values())) > smart.LONGEST:
        raise SmartRefused(Trouble.TOO_LONG)
    context = given["appContext"] if row_of(given["appContext"]) else ""
    with launches.one_of(""), at_ehrs.one_of(""):
        url, launch = app.client.begin(issuer, given["launch"] or None, context)
    response = _see_other(url)
    app.cookies.put(response, issuer, launch.id, launch, seconds=LAUNCH_SECONDS)
    return response


def _returned(app: SmartApp, step: _Step) -> Response:
    """From the issuer: the code moves from the address into the cookie, and the browser on to the page."""
    said = request.args.to_dict()
    launch_id = smart.id_of(said.get("state", ""))
    launch = app.cookies.kept(launch_id, Launch, most_seconds=LAUNCH_SECONDS)
    if launch is None:
        raise SmartRefused(Trouble.STATE)
    step.issuer = issuer = find(app.issuers, launch.iss)
    if issuer is None:
        raise SmartRefused(Trouble.UNKNOWN_ISSUER)
    arrival = smart.came_back(launch, said)
    until = app.now() + timedelta(seconds=LAUNCH_SECONDS)
    if not app.remember(client="SMART launch", jti=launch_id, expires_at=until, at=app.now()):
        raise SmartRefused(Trouble.USED)
    response = _see_other(f"{app.root}/smart/view/{launch_id}")
    app.cookies.put(response, issuer, launch_id, arrival, seconds=ARRIVAL_SECONDS)
    return response


def _viewed(app: SmartApp, step: _Step, launch_id: str, at_ehrs: limits.CallsAtOnce) -> Response:
    """The code for a token, the token for the record, and the record as a page."""
    arrival = app.cookies.kept(launch_id, Arrival, most_seconds=ARRIVAL_SECONDS)
    if arrival is None:
        raise SmartRefused(Trouble.GONE)
    step.issuer = issuer = find(app.issuers, arrival.iss)
    if issuer is None:
        raise SmartRefused(Trouble.UNKNOWN_ISSUER)
    with at_ehrs.one_of(""):
        token = app.client.token(issuer, arrival)
        review = app.reviews[issuer.registered.iss]
        call = _call_for(issuer, token)
        patient = review.patient(call)
        step.answer = answer = review.patient_view(call)
    at = answer.grounds.at if answer.grounds else review.clock().astimezone(review.caller.zone or review.zone)
    return pages.page(
        "smart.html",
        issuer=issuer.registered.name,
        at=at,
        needs_banner=token.needs_banner,
        patient_id=token.patient_id,
        patient=None if isinstance(patient, Failure) else banner.banner(patient),
        failure=patient.value if isinstance(patient, Failure) else "",
        cards=wire.as_json(answer.response)["cards"],
        detail=card_html.detail,
        timeline=timeline_of(answer.grounds),
        is_assessed=answer.grounds is not None,
        row=_row(token.app_context, answer),
    )


def _call_for(issuer: Issuer, token: smart.Token) -> wire.HookRequest:
    """The call of patient-view that this launch stands for: the app shows what the service would say now."""
    return wire.HookRequest(
        hook="patient-view",
        hook_instance=str(uuid4()),
        context=wire.Context(user_id="SMART app", patient_id=token.patient_id),
        fhir_server=issuer.registered.iss,
        fhir_authorization=token.authorization,
    )


def timeline_of(grounds: services.Grounds | None) -> Markup:
    """The treatment on a time axis; empty where nothing was read."""
    if grounds is None:
        return Markup("")
    return timeline_svg.fragment(timeline(grounds.state, grounds.assessment, at=grounds.at, zone=grounds.zone))


# --- what a card told the app -------------------------------------------------------------------------------------


def row_of(app_context: str) -> str:
    """The row that a card's link names; "" for anything else, which is passed over."""
    found = re.fullmatch(r'\s*\{\s*"row"\s*:\s*"([A-Z][A-Za-z0-9-]{0,60})"\s*\}\s*', app_context)
    return found[1] if found else ""


def _row(app_context: str, answer: services.Answer) -> Mapping[str, Any] | None:
    """The row of the card that the user comes from, and whether it speaks here, too."""
    row = row_of(app_context)
    if answer.grounds is None or not row:
        return None
    known = {row.id for table in answer.grounds.assessment.regimen.tables.values() for row in table.rows}
    spoke = {each for card in answer.response.cards if card.extension for each in card.extension.advice.rows}
    return {"id": row, "speaks": row in spoke} if row in known else None


# --- answers ------------------------------------------------------------------------------------------------------


def _see_other(url: str) -> Response:
    return Response(status=HTTPStatus.SEE_OTHER, headers={**pages.POLICY, "Location": url})


def _answered(step: _Step, produce: Callable[[_Step], Response], count: Count) -> Response:
    """The step's answer, or the page that says why there is none; and one line in the log, without a word of either.

    Each step uses something up, at the latest the code of an EHR, so it is gone by GET alone: what looks at a link
    before its user follows it (HEAD) would take the page away from them.
    """
    if request.method != "GET":
        raise MethodNotAllowed(["GET", "OPTIONS"])
    started = services.milliseconds()
    trouble: Trouble | None = None
    try:
        response = produce(step)
    except SmartRefused as error:
        trouble = error.trouble
    except TooManyCalls:
        trouble = Trouble.BUSY
    except StoreUnavailable:
        trouble = Trouble.STORE
    except NothingReadable as error:
        trouble, step.reasons = Trouble.RECORD, tuple(f"{key}: {why}" for key, why in error.reasons.items())
    except RequestError as error:
        trouble, step.reasons = Trouble.RECORD, tuple(map(str, error.mistakes))
    if trouble is not None:
        response = _refused(trouble, step)
    response.headers["Content-Security-Policy"] = _policy(step.issuer)
    _tell(step, response.status_code, trouble, services.milliseconds() - started)
    count(step.name, trouble)
    return response


def _refused(trouble: Trouble, step: _Step) -> Response:
    status, said = SAID[trouble]
    response = pages.page("smart_refused.html", said=said, reasons=step.reasons)
    response.status_code = status
    return response


def _policy(issuer: Issuer | None) -> str:
    """As for every page, but that the registered pages of the EHR may show it in a frame."""
    origins = issuer.registered.embedded_by if issuer else ()
    return pages.POLICY["Content-Security-Policy"].replace(
        "frame-ancestors 'self'", " ".join(("frame-ancestors 'self'", *origins))
    )


def _tell(step: _Step, status: int, trouble: Trouble | None, milliseconds: float) -> None:
    line: dict[str, Any] = {
        "event": "smart",
        "step": step.name,
        "issuer": step.issuer.registered.name if step.issuer else "",
        "status": status,
    }
    if step.answer is not None:
        line |= {"rows": step.answer.rows, "unknowns": step.answer.unknowns}
    if trouble is not None:
        line["refused"] = trouble
    log.info(msgspec.json.encode({**line, "milliseconds": round(milliseconds, 1)}).decode())


def for_issuer(review: services.DrugReview, iss: str, zone: ZoneInfo | None) -> services.DrugReview:
    """The same review for records of this FHIR server alone, in this zone; the app does not link to itself."""
    return replace(review, caller=replace(review.caller, fhir_servers=(iss,), zone=zone), app=None)
