"""A STAND-IN for an EHR's SMART authorization server, made for these tests: it is no EHR's, and no certified one.

sekmet-fhir, the real FHIR server of the tests, has no user launches, and no other SMART authorization server could be
installed from PyPI or npm. OAuth itself (codes, PKCE, client authentication, redirect addresses) is oauthlib's server,
which shares no code with the Authlib client that it tests; launch contexts, `aud` and the SMART configuration are ours.
In front of the FHIR server it hands reads on, with the access token that this FHIR server gave for the scopes.
"""

from __future__ import annotations

import base64
import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
import requests
from flask import Flask, Response, jsonify, request
from oauthlib.oauth2 import RequestValidator, WebApplicationServer
from oauthlib.oauth2.rfc6749.errors import FatalClientError, OAuth2Error
from werkzeug.serving import WSGIRequestHandler, make_server

from tests.support.fhir_server import READS_ALL, RealFhirServer

ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@dataclass(frozen=True, kw_only=True)
class RegisteredClient:
    """An app as the EHR knows it: public, or confidential by a secret or a public key (PEM)."""

    client_id: str
    redirect_uri: str
    secret: str | None = None
    public_key: str | None = None


@dataclass(kw_only=True)
class StandIn:
    """The server: what it knows, how it may misbehave, and what it was asked."""

    fhir: RealFhirServer
    url: str = ""
    clients: dict[str, RegisteredClient] = field(default_factory=dict)
    launches: dict[str, str] = field(default_factory=dict)
    chosen: str = ""
    """The patient whom the user chooses in a standalone launch."""
    codes: dict[str, dict[str, Any]] = field(default_factory=dict)
    assertions: set[str] = field(default_factory=set)
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    """Method, path and parameters of each request."""
    denies: bool = False
    reader: str = READS_ALL
    """Whose scopes at the FHIR server the access token has."""
    configuration: dict[str, Any] = field(default_factory=dict)
    token: dict[str, Any] = field(default_factory=dict)
    """What the token response says otherwise; None leaves it out."""
    returns: dict[str, str] = field(default_factory=dict)
    """What the redirect says besides."""
    given: list[str] = field(default_factory=list)
    """The access tokens given so far."""

    @property
    def iss(self) -> str:
        return f"{self.url}/fhir"

    def launch(self, patient: str) -> str:
        """A launch from the chart of this patient: the opaque value of an EHR launch."""
        name = secrets.token_urlsafe(12)
        self.launches[name] = patient
        return name

    def paths(self) -> list[str]:
        return [path for _, path, _ in self.asked]

    def as_at_first(self) -> None:
        """Forget everything that a test told it."""
        self.chosen, self.denies, self.reader = "", False, READS_ALL
        for told in (self.clients, self.launches, self.codes, self.configuration, self.token, self.returns):
            told.clear()
        self.asked.clear()
        self.given.clear()


class _Validator(RequestValidator):
    """What oauthlib asks of a server: strict in all of it."""

    def __init__(self, server: StandIn) -> None:
        super().__init__()
        self._server = server

    def validate_client_id(self, client_id: str, request: Any, *_: Any, **__: Any) -> bool:
        request.client = self._server.clients.get(client_id)
        return request.client is not None

    def validate_redirect_uri(self, client_id: str, redirect_uri: str, *_: Any, **__: Any) -> bool:
        return redirect_uri == self._server.clients[client_id].redirect_uri

    def get_default_redirect_uri(self, *_: Any, **__: Any) -> str:
        return ""

    def validate_response_type(self, client_id: str, response_type: str, *_: Any, **__: Any) -> bool:
        return response_type == "code"

    def get_default_scopes(self, *_: Any, **__: Any) -> list[str]:
        return []

    def validate_scopes(self, client_id: str, scopes: list[str], *_: Any, **__: Any) -> bool:
        contexts = {"launch", "launch/patient"}
        return len(contexts & set(scopes)) == 1 and all(one in contexts or one.startswith("patient/") for one in scopes)

    def is_pkce_required(self, *_: Any) -> bool:
        return True

    def save_authorization_code(self, client_id: str, code: Any, request: Any, *_: Any, **__: Any) -> None:
        self._server.codes[code["code"]] = {
            "client_id": client_id,
            "redirect_uri": request.redirect_uri,
            "challenge": request.code_challenge,
            "method": request.code_challenge_method,
            "scopes": request.scopes,
            "patient": request.patient,
        }

    def validate_code(self, client_id: str, code: str, client: Any, request: Any, *_: Any, **__: Any) -> bool:
        known = self._server.codes.get(code)
        if known is None or known["client_id"] != client_id or known["method"] != "S256":
            return False
        request.scopes, request.patient = known["scopes"], known["patient"]
        return True

    def confirm_redirect_uri(self, client_id: str, code: str, redirect_uri: str, *_: Any, **__: Any) -> bool:
        return bool(redirect_uri == self._server.codes[code]["redirect_uri"])

    def get_code_challenge(self, code: str, request: Any) -> str:
        return str(self._server.codes[code]["challenge"])

    def get_code_challenge_method(self, code: str, request: Any) -> str:
        return str(self._server.codes[code]["method"])

    def validate_grant_type(self, client_id: str, grant_type: str, *_: Any, **__: Any) -> bool:
        return grant_type == "authorization_code"

    def client_authentication_required(self, request: Any, *_: Any, **__: Any) -> bool:
        client = self._server.clients.get(request.client_id or "")
        return client is None or client.secret is not None or client.public_key is not None

    def authenticate_client_id(self, client_id: str, request: Any, *_: Any, **__: Any) -> bool:
        return self.validate_client_id(client_id, request)

    def authenticate_client(self, request: Any, *_: Any, **__: Any) -> bool:
        client = self._by_assertion(request) if getattr(request, "client_assertion", None) else self._by_secret(request)
        request.client = client
        if client is not None:
            request.client_id = client.client_id
        return client is not None

    def _by_secret(self, request: Any) -> RegisteredClient | None:
        scheme, _, sent = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Basic":
            return None
        client_id, _, secret = base64.b64decode(sent).decode().partition(":")
        client = self._server.clients.get(client_id)
        return client if client is not None and client.secret is not None and client.secret == secret else None

    def _by_assertion(self, request: Any) -> RegisteredClient | None:
        assertion = request.client_assertion
        named = jwt.decode(assertion, options={"verify_signature": False})["iss"]
        client = self._server.clients.get(named)
        if client is None or client.public_key is None or request.client_assertion_type != ASSERTION:
            return None
        claims = jwt.decode(
            assertion,
            client.public_key,
            algorithms=["RS384", "ES384"],
            audience=f"{self._server.url}/token",
            options={"require": ["exp", "iss", "sub", "aud", "jti"]},
        )
        is_short = claims["exp"] <= datetime.now(UTC).timestamp() + 300
        is_new = claims["jti"] not in self._server.assertions
        self._server.assertions.add(claims["jti"])
        return client if claims["sub"] == named and is_short and is_new else None

    def save_bearer_token(self, token: Any, request: Any, *_: Any, **__: Any) -> None:
        token |= {"patient": request.patient, "need_patient_banner": True} | self._server.token
        for name in [name for name, value in token.items() if value is None]:
            del token[name]
        self._server.given.append(str(token.get("access_token")))

    def save_token(self, token: Any, request: Any, *_: Any, **__: Any) -> None:
        self.save_bearer_token(token, request)

    def invalidate_authorization_code(self, client_id: str, code: str, *_: Any, **__: Any) -> None:
        del self._server.codes[code]


def web(server: StandIn) -> Flask:
    """The addresses of the stand-in."""
    application = Flask("stand-in")
    oauth = WebApplicationServer(
        _Validator(server), token_generator=lambda _: server.fhir.token(server.reader), token_expires_in=300
    )

    @application.before_request
    def note() -> None:
        server.asked.append((request.method, request.path, {**request.args.to_dict(), **request.form.to_dict()}))

    @application.get("/fhir/.well-known/smart-configuration")
    def configuration() -> Response:
        said = {
            "issuer": server.url,
            "authorization_endpoint": f"{server.url}/authorize",
            "token_endpoint": f"{server.url}/token",
            "code_challenge_methods_supported": ["S256"],
            "grant_types_supported": ["authorization_code"],
            "capabilities": ["launch-ehr", "launch-standalone", "permission-v2", "context-ehr-patient"],
        }
        return jsonify({name: value for name, value in (said | server.configuration).items() if value is not None})

    @application.get("/authorize")
    def authorize() -> Response:
        return _authorized(server, oauth)

    @application.post("/token")
    def token() -> Response:
        headers, body, status = oauth.create_token_response(
            request.url, "POST", list(request.form.items(multi=True)), dict(request.headers)
        )
        return Response(body, status=status, headers=headers)

    @application.get("/fhir/<path:query>")
    def read(query: str) -> Response:
        answer = requests.get(
            f"{server.fhir.url}/{query}",
            params=request.args.to_dict(flat=False),
            headers={name: request.headers[name] for name in ("Authorization", "Accept") if name in request.headers},
            timeout=20,
        )
        body = answer.content.replace(server.fhir.url.encode(), server.iss.encode())  # links lead here, not past us
        return Response(body, status=answer.status_code, content_type=answer.headers["Content-Type"])

    return application


def _authorized(server: StandIn, oauth: WebApplicationServer) -> Response:
    """The user is logged in and agrees at once, or denies."""
    asked = request.args
    in_context = server.launches.get(asked["launch"]) if "launch" in asked else server.chosen
    if asked.get("aud") != server.iss:
        return Response("the audience is another server", status=400)
    wanted = set(asked.get("scope", "").split())
    if in_context is None or ("launch" in asked) is not ("launch" in wanted):
        return Response("no such launch", status=400)
    if server.denies:
        said = {"error": "access_denied", "error_description": "<b>no</b>", "state": asked["state"]} | server.returns
        return _redirect(f"{asked['redirect_uri']}?{urlencode(said)}")
    try:
        headers, body, status = oauth.create_authorization_response(
            request.url, scopes=asked["scope"].split(), credentials={"patient": in_context}
        )
    except FatalClientError as error:
        return Response(f"{error.error}", status=400)
    except OAuth2Error as error:
        return _redirect(error.in_uri(asked["redirect_uri"]))
    assert status == 302, body
    return _redirect(
        headers["Location"] + "".join(f"&{urlencode({name: text})}" for name, text in server.returns.items())
    )


def _redirect(url: str) -> Response:
    return Response(status=302, headers={"Location": url})


class _Wordless(WSGIRequestHandler):
    def log(self, *_: Any, **__: Any) -> None:
        """Nothing."""


@contextmanager
def running(fhir: RealFhirServer) -> Iterator[StandIn]:
    """The stand-in on a free port, stopped at the end."""
    server = StandIn(fhir=fhir)
    listening = make_server("127.0.0.1", 0, web(server), threaded=True, request_handler=_Wordless)
    server.url = f"http://127.0.0.1:{listening.port}"
    thread = threading.Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"  # on this machine alone
    try:
        yield server
    finally:
        os.environ.pop("OAUTHLIB_INSECURE_TRANSPORT", None)  # more than one may have run
        listening.shutdown()
        thread.join(timeout=10)
        listening.server_close()


def parameters(url: str) -> dict[str, str]:
    """Those of an address, each once."""
    found = parse_qs(urlsplit(url).query, keep_blank_values=True)
    assert all(len(values) == 1 for values in found.values())
    return {name: values[0] for name, values in found.items()}
