"""Who calls? The JSON Web Token of a CDS client, held against its profile (C95-C109, C112, C113).

Every failure is the same to the caller (a bare 401); the reason is for the metrics and the log, and holds nothing of
the token. The token itself is never kept, and its id only after the signature was found right.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Final, Protocol, TypeAlias

import jwt

from cds_service.clients import Client
from cds_service.errors import NotAuthenticated, Refusal, StoreUnavailable
from cds_service.jwks import KeySet

LEEWAY: Final = timedelta(seconds=60)
LONGEST_LIFE: Final = timedelta(hours=1)
LONGEST_TOKEN: Final = 16_384
LONGEST_ID: Final = 1_000
"""Characters."""

MOST_KEYS_TRIED: Final = 4
"""Of those with the id that a token names: a set of thousands would take seconds for each call."""

SIZES_OF_RSA_KEYS: Final = (2_048, 8_192)
"""Bits."""

KEY_TYPE: Final[Mapping[str, tuple[str, str | None]]] = {
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "RS256": ("RSA", None),
    "RS384": ("RSA", None),
    "RS512": ("RSA", None),
    "PS256": ("RSA", None),
    "PS384": ("RSA", None),
    "PS512": ("RSA", None),
    "EdDSA": ("OKP", None),
}
"""Type and curve of the key that an algorithm takes: a public key is never read as the secret of another (C98)."""

REQUIRED: Final = ("iss", "aud", "exp", "iat", "jti")
UNREADABLE: Final = (jwt.PyJWTError, ValueError, TypeError, OverflowError, KeyError, AttributeError, RecursionError)
"""What PyJWT and its parts raise on a token or key that is not one."""

Keys: TypeAlias = Callable[[Client, str], KeySet]


class Remember(Protocol):
    """Whether this id of a token is new; from now on it is not. Raises: StoreUnavailable."""

    def __call__(self, *, client: str, jti: str, expires_at: datetime, at: datetime) -> bool: ...


class Doorkeeper:
    """Lets in the clients of the profiles. `strict`: nobody comes in while token ids cannot be remembered."""

    def __init__(
        self,
        clients: Iterable[Client],
        *,
        public_url: str,
        keys: Keys,
        remember: Remember,
        now: Callable[[], datetime],
        strict: bool,
    ) -> None:
        self._clients = {client.iss: client for client in clients}
        self._public_url = public_url.rstrip("/")
        self._keys = keys
        self._remember = remember
        self._now = now
        self._strict = strict

    def name_of(self, authorization: str | None, service: str) -> str:
        """The name of the client that calls this service, or its feedback, with this header.

        Raises: NotAuthenticated; StoreUnavailable where `strict` and the token may have been used before.
        """
        return self._let_in(authorization, lambda client: self._audiences(client, service))

    def name_at(self, authorization: str | None, address: str) -> str:
        """The name of the client that looks at this page of ours, with a token for it alone.

        What a token for a call names, an alias of it included, does not open a page. Raises: as `name_of`.
        """
        page = f"{self._public_url}{address}"
        return self._let_in(authorization, lambda _: [page, f"{page}/"])

    def recognises(self, authorization: str | None, services: Collection[str]) -> None:
        """Look at a token before what it is for is known: one for any of these services passes, and stays unused.

        Raises: NotAuthenticated.
        """
        self._known(authorization, lambda client: [name for one in services for name in self._audiences(client, one)])

    def _let_in(self, authorization: str | None, audiences: Callable[[Client], Sequence[str]]) -> str:
        client, claims = self._known(authorization, audiences)
        self._refuse_used(client, claims)
        return client.name

    def _known(
        self, authorization: str | None, audiences: Callable[[Client], Sequence[str]]
    ) -> tuple[Client, Mapping[str, Any]]:
        """Whose token it is, and its claims. Raises: NotAuthenticated."""
        token = _bearer(authorization)
        header, claims = _unverified(token)
        client = self._clients.get(_text(claims.get("iss")))
        if client is None:
            raise NotAuthenticated(Refusal.ISSUER)
        try:
            algorithm, kid = _checked_header(header, client)
            verified = _verified(token, self._keys(client, kid), algorithm, audiences(client))
        except NotAuthenticated as error:
            raise NotAuthenticated(error.refusal, claimed=client.name) from None
        if client.tenants and verified.get("tenant") not in client.tenants:
            raise NotAuthenticated(Refusal.TENANT, claimed=client.name)
        return client, verified

    def _audiences(self, client: Client, service: str) -> list[str]:
        """What the token may say that it is for (C103, C93), with and without a slash at the end."""
        base = f"{self._public_url}/cds-services"
        named = (base, f"{base}/{service}", f"{base}/{service}/feedback")
        return [*named, *(f"{name}/" for name in named), *client.audience_aliases]

    def _refuse_used(self, client: Client, claims: Mapping[str, Any]) -> None:
        """A token is good for one call, on all machines together (C105).

        Its id is a text of the client's, of any length and with any letter in it: what is remembered is a digest.
        """
        expires_at = datetime.fromtimestamp(claims["exp"], UTC) + LEEWAY
        digest = sha256(claims["jti"].encode("utf-8", "surrogatepass")).hexdigest()
        try:
            is_new = self._remember(client=client.name, jti=digest, expires_at=expires_at, at=self._now())
        except StoreUnavailable:
            if self._strict:
                raise
            return
        if not is_new:
            raise NotAuthenticated(Refusal.REPLAY, claimed=client.name)


def _bearer(authorization: str | None) -> str:
    scheme, _, token = (authorization or "").strip().partition(" ")
    if scheme.lower() != "bearer" or not 0 < len(token) <= LONGEST_TOKEN:
        raise NotAuthenticated(Refusal.NO_TOKEN)
    return token.strip()


def _unverified(token: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Header and claims as they stand there, to find out whose keys to ask for."""
    try:
        read = jwt.decode_complete(token, options={"verify_signature": False})
    except UNREADABLE:
        raise NotAuthenticated(Refusal.MALFORMED) from None
    return read["header"], read["payload"]


def _checked_header(header: Mapping[str, Any], client: Client) -> tuple[str, str]:
    """Algorithm and key id (C97, C98, C100). `jwk`, `x5u` and `x5c` are not read."""
    algorithm, kid = _text(header.get("alg")), _text(header.get("kid"))
    if _text(header.get("typ")).upper() != "JWT" or not kid or "crit" in header:
        raise NotAuthenticated(Refusal.HEADER)
    if algorithm not in client.algorithms:
        raise NotAuthenticated(Refusal.ALGORITHM)
    if "jku" in header and client.jwks_url is not None and header["jku"] != client.jwks_url:
        raise NotAuthenticated(Refusal.KEY_ADDRESS)
    return algorithm, kid


def _verified(token: str, keys: KeySet, algorithm: str, audiences: Sequence[str]) -> Mapping[str, Any]:
    """The claims, once signature, times and audience were found right (C99, C102-C104)."""
    fitting = [key for key in keys if fits(key, algorithm)][:MOST_KEYS_TRIED]
    if not fitting:
        raise NotAuthenticated(Refusal.KEY)
    refused = NotAuthenticated(Refusal.KEY)
    for key in fitting:  # more than one has this id only while a client renews its keys
        try:
            claims = jwt.decode(
                token,
                public_key(key, algorithm),
                algorithms=[algorithm],
                audience=audiences,
                leeway=LEEWAY,
                options={"require": [*REQUIRED], "verify_sub": False, "enforce_minimum_key_length": True},
            )
            return _within_limits(claims)
        except UNREADABLE as error:
            refused = NotAuthenticated(_reason(error))
    raise refused


def fits(key: Mapping[str, Any], algorithm: str) -> bool:
    """Whether a JWK is for this algorithm: by type, by curve, and by its own `alg` where it says one."""
    kind, curve = KEY_TYPE[algorithm]
    is_of_its_kind = key.get("kty") == kind and (curve is None or key.get("crv") == curve)
    return is_of_its_kind and key.get("alg", algorithm) == algorithm


def public_key(key: Mapping[str, Any], algorithm: str) -> jwt.PyJWK:
    """A JWK that verifies with this algorithm and no other. Raises: what is in UNREADABLE."""
    made = jwt.PyJWK(dict(key), algorithm)
    if key["kty"] == "RSA" and not SIZES_OF_RSA_KEYS[0] <= made.key.key_size <= SIZES_OF_RSA_KEYS[1]:
        raise jwt.InvalidKeyError
    return made


def _within_limits(claims: dict[str, Any]) -> dict[str, Any]:
    """A token lives an hour at most, and has an id that can be kept. Raises: ValueError, TypeError."""
    if not 0 <= claims["exp"] - claims["iat"] <= LONGEST_LIFE.total_seconds():
        raise jwt.ExpiredSignatureError
    if not 0 < len(claims["jti"]) <= LONGEST_ID:
        raise ValueError
    return claims


def _reason(error: BaseException) -> Refusal:
    """A word of our own for the metrics: PyJWT's sentences may quote the token."""
    reasons: Mapping[type[BaseException], Refusal] = {
        jwt.InvalidSignatureError: Refusal.SIGNATURE,
        jwt.InvalidAudienceError: Refusal.AUDIENCE,
        jwt.ExpiredSignatureError: Refusal.TIME,
        jwt.ImmatureSignatureError: Refusal.TIME,
        jwt.InvalidKeyError: Refusal.KEY,
        jwt.PyJWKError: Refusal.KEY,
    }
    return next((reason for kind, reason in reasons.items() if isinstance(error, kind)), Refusal.CLAIMS)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


class ProcessMemory:
    """Remembers token ids of one process, where there is no store: a demonstration, or a test."""

    def __init__(self) -> None:
        self._expiries: dict[tuple[str, str], datetime] = {}
        self._lock = threading.Lock()

    def is_new_token(self, *, client: str, jti: str, expires_at: datetime, at: datetime) -> bool:
        with self._lock:
            self._expiries = {known: expiry for known, expiry in self._expiries.items() if expiry > at}
            is_new = (client, jti) not in self._expiries
            self._expiries[client, jti] = expires_at
        return is_new
