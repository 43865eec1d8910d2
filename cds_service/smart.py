"""SMART App Launch 2 as a client: from a launch to an access token for the patient in context.

Authorization code with PKCE (S256), public or confidential by secret or private key; the protocol is Authlib's. This
module adds what makes it safe here: only registered issuers are asked, through the same bounds and address rules as any
FHIR server; a code goes only to the issuer of its own launch; no identity is asked for, and no token is kept.
"""

from __future__ import annotations

import hmac
import logging
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final

import msgspec
import requests
from authlib.common.security import generate_token
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from pydantic import TypeAdapter, ValidationError

from cds_service.errors import SmartRefused, Trouble
from cds_service.fhir_address import AddressRule, base_of
from cds_service.fhir_answer import body_of
from cds_service.fhir_client import MEBIBYTE, SECONDS_FOR_KEYS, key_fetcher, seconds
from cds_service.fhir_connection import CallTime, FhirAdapter, one_request
from cds_service.fhir_failure import Failure, FhirFailed
from cds_service.prefetch import PREFETCH
from cds_service.smart_registrations import Issuer
from cds_service.wire import FhirAuthorization, PatientId

for _name in [name for name in logging.root.manager.loggerDict if name.split(".")[0] == "authlib"]:
    logging.getLogger(_name).disabled = True  # what it is told may hold a token

LONGEST: Final = 4_096
"""Characters of a launch, a code or any other text that comes through the browser."""

LIFE_OF_AN_ASSERTION: Final = timedelta(minutes=4)
"""SMART: five minutes at most."""

REFUSALS: Final = (400, 401, 403)
"""Statuses with which a token endpoint says why there is no token (RFC 6749, 5.2)."""

_PATIENT_ID: Final = TypeAdapter(PatientId)
_PLAIN: Final = re.compile(r"[!\x24-\x7e]{1,2000}")  # no space, quote or fragment
READ_TYPES: Final = tuple(dict.fromkeys(("Patient", *(need.resource_type for need in PREFETCH), "Medication")))


class Endpoints(msgspec.Struct, frozen=True, kw_only=True):
    """Where an issuer authorizes and gives tokens, and which scopes it understands."""

    authorization_endpoint: str
    token_endpoint: str
    issuer: str | None = None
    code_challenge_methods_supported: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    authorization_response_iss_parameter_supported: bool = False


class Launch(msgspec.Struct, frozen=True, kw_only=True, tag="launch"):
    """A launch under way; the browser keeps it, sealed, until the issuer sends it back."""

    iss: str
    state: str
    verifier: str
    token_endpoint: str
    issuer: str | None
    names_issuer: bool
    app_context: str = ""

    @property
    def id(self) -> str:
        return id_of(self.state)


class Arrival(msgspec.Struct, frozen=True, kw_only=True, tag="arrival"):
    """A launch that came back with its code; the browser keeps it, sealed, for the seconds until the page is asked."""

    iss: str
    code: str
    verifier: str
    token_endpoint: str
    app_context: str = ""


@dataclass(frozen=True, kw_only=True, repr=False)
class Token:
    """What the issuer granted: read it, show it, forget it. It hides from `repr`."""

    authorization: FhirAuthorization
    patient_id: str
    needs_banner: bool
    app_context: str


def id_of(state: str) -> str:
    """The name of a launch in addresses and cookies: it says nothing of the state."""
    return sha256(b"launch " + state.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def is_id(text: str) -> bool:
    """Whether a launch can have this name: of an address anything can come, and it would become part of a header."""
    return re.fullmatch(r"[0-9a-f]{32}", text) is not None


class SmartClient:
    """This app as a client of its issuers. `now` is the machine's clock."""

    def __init__(self, *, redirect_uri: str, may_connect: AddressRule, now: Callable[[], datetime]) -> None:
        self.redirect_uri: Final = redirect_uri
        self._may_connect = may_connect
        self._fetch = key_fetcher(may_connect)
        self._now = now

    def endpoints(self, issuer: Issuer) -> Endpoints:
        """What the issuer says of itself, fit to be used. Raises: SmartRefused."""
        base = base_of(issuer.registered.iss)
        try:
            found = msgspec.json.decode(
                self._fetch(f"{base.url if base else ''}/.well-known/smart-configuration"), type=Endpoints
            )
        except FhirFailed:
            raise SmartRefused(Trouble.NO_CONFIGURATION) from None
        except (msgspec.MsgspecError, ValueError, RecursionError):
            raise SmartRefused(Trouble.BAD_CONFIGURATION) from None
        is_encrypted = issuer.registered.iss.startswith("https://")
        if not all(_is_endpoint(url, is_encrypted) for url in (found.authorization_endpoint, found.token_endpoint)):
            raise SmartRefused(Trouble.BAD_CONFIGURATION)
        if "S256" not in found.code_challenge_methods_supported:
            raise SmartRefused(Trouble.NO_PKCE)
        return found

    def begin(self, issuer: Issuer, launch: str | None, app_context: str = "") -> tuple[str, Launch]:
        """Where the browser goes now, and what it keeps. `launch` None: a standalone launch. Raises: SmartRefused."""
        found = self.endpoints(issuer)
        verifier = generate_token(64)
        with self._session(issuer) as session:
            url, state = session.create_authorization_url(
                found.authorization_endpoint,
                state=generate_token(43),
                code_verifier=verifier,
                scope=" ".join(scopes(issuer, found, is_standalone=launch is None)),
                aud=issuer.registered.iss,
                launch=launch,
            )
        return url, Launch(
            iss=issuer.registered.iss,
            state=state,
            verifier=verifier,
            token_endpoint=found.token_endpoint,
            issuer=found.issuer,
            names_issuer=found.authorization_response_iss_parameter_supported,
            app_context=app_context,
        )

    def token(self, issuer: Issuer, arrival: Arrival) -> Token:
        """The token for the code, from the issuer that the launch began with. Raises: SmartRefused."""
        with self._session(issuer) as session:
            if issuer.key is not None:
                session.register_client_auth_method(self._signature(issuer, arrival.token_endpoint))
            session.register_compliance_hook("access_token_response", _checked)
            try:
                said = session.fetch_token(
                    arrival.token_endpoint,
                    grant_type="authorization_code",
                    code=arrival.code,
                    code_verifier=arrival.verifier,
                    allow_redirects=False,
                )
            except OAuthError as error:
                refused = error.error == "invalid_grant"
                raise SmartRefused(Trouble.CODE_REFUSED if refused else Trouble.TOKEN_REFUSED) from None
            except (FhirFailed, requests.RequestException, OSError, ValueError, TypeError, RecursionError):
                raise SmartRefused(Trouble.NO_TOKEN) from None
            finally:
                session.token = None
        return granted(said, arrival)

    def _signature(self, issuer: Issuer, token_endpoint: str) -> PrivateKeyJWT:
        claims = {"exp": int((self._now() + LIFE_OF_AN_ASSERTION).timestamp())}
        return PrivateKeyJWT(
            token_endpoint, claims=claims, headers={"kid": issuer.registered.key_id}, alg=issuer.algorithm
        )

    def _session(self, issuer: Issuer) -> OAuth2Session:
        """For one request; it knows no proxies or passwords of the environment, and follows no redirects."""
        session = OAuth2Session(
            issuer.registered.client_id,
            issuer.key or issuer.secret,
            token_endpoint_auth_method="private_key_jwt" if issuer.key else None,
            redirect_uri=self.redirect_uri,
            code_challenge_method="S256",
            trust_env=False,
        )
        adapter = _BoundedAdapter(self._may_connect)
        session.mount("https://", adapter)
        session.mount("http://", adapter)
        return session


def _checked(response: requests.Response) -> requests.Response:
    """A token comes with 200, a refusal names its error; Authlib would read either from any status below 500.

    Raises: FhirFailed.
    """
    if response.status_code == 200 or (response.status_code in REFUSALS and b'"error"' in response.content):
        return response
    raise FhirFailed(Failure.REFUSED, response.status_code)


def _is_endpoint(url: str, is_encrypted: bool) -> bool:
    """http only where the issuer itself is reached so: in a demonstration, on this machine."""
    if _PLAIN.fullmatch(url) is None or base_of(url.split("?", 1)[0]) is None:
        return False
    return url.startswith("https://") or not is_encrypted


def scopes(issuer: Issuer, found: Endpoints, *, is_standalone: bool) -> tuple[str, ...]:
    """What is asked for: the patient in context, and to read of this patient what the rules need."""
    is_old = "permission-v1" in found.capabilities and "permission-v2" not in found.capabilities
    read = tuple(f"patient/{kind}.{'read' if is_old else 'rs'}" for kind in READ_TYPES)
    context = "launch/patient" if is_standalone else "launch"
    return (context, *(issuer.registered.scopes or read))


def came_back(launch: Launch, said: Mapping[str, str]) -> Arrival:
    """The launch with the code that the issuer sent. Raises: SmartRefused where it sent something else.

    `iss` (RFC 9207) has to be the issuer's own, and has to be there if the issuer said that it would be.
    """
    if not hmac.compare_digest(launch.state.encode(), said.get("state", "").encode("utf-8", "surrogatepass")):
        raise SmartRefused(Trouble.STATE)
    if (launch.names_issuer or "iss" in said) and (launch.issuer is None or said.get("iss") != launch.issuer):
        raise SmartRefused(Trouble.OTHER_ISSUER)
    if "error" in said:
        raise SmartRefused(Trouble.DENIED if said["error"] == "access_denied" else Trouble.NOT_AUTHORIZED)
    code = said.get("code", "")
    if not code or len(code) > LONGEST:
        raise SmartRefused(Trouble.NO_CODE)
    return Arrival(
        iss=launch.iss,
        code=code,
        verifier=launch.verifier,
        token_endpoint=launch.token_endpoint,
        app_context=launch.app_context,
    )


def granted(said: Mapping[str, Any], arrival: Arrival) -> Token:
    """The grant in a token response. Raises: SmartRefused without a bearer token, or without a patient in context."""
    try:
        authorization = FhirAuthorization.model_validate(
            {name: said.get(name) for name in ("access_token", "token_type")}
        )
    except ValidationError:
        raise SmartRefused(Trouble.NO_TOKEN) from None
    try:
        patient_id = _PATIENT_ID.validate_python(said.get("patient"))
    except ValidationError:
        raise SmartRefused(Trouble.NO_PATIENT) from None
    context = said.get("appContext")
    return Token(
        authorization=authorization,
        patient_id=patient_id,
        needs_banner=said.get("need_patient_banner") is not False,
        app_context=context if isinstance(context, str) and context else arrival.app_context,
    )


class _BoundedAdapter(FhirAdapter):
    """Sends one request as carefully as to any FHIR server: where to, how long, and how much may come back."""

    def __init__(self, may_connect: AddressRule) -> None:
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)
        self._may_connect = may_connect

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        call = CallTime(budget_seconds=SECONDS_FOR_KEYS, clock=seconds, may_connect=self._may_connect)
        end = threading.Timer(SECONDS_FOR_KEYS, call.end)
        end.daemon = True
        end.start()
        left = call.seconds_left()
        try:
            with one_request(call):
                response = super().send(request, stream=True, timeout=(left, left), verify=True)
                response._content = body_of(response, MEBIBYTE)
                return response
        finally:
            end.cancel()
