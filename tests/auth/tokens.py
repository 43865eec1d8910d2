"""Keys of a client that exists only here, and the tokens that it signs."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final
from uuid import uuid4

import jwt
import yaml
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from cds_service.clients import Client, parse

ISSUER: Final = "https://ehr.example/oauth2"
PUBLIC_URL: Final = "https://cds.example/base"
SERVICE: Final = "tarlatamab-order-sign"
CALLED: Final = f"{PUBLIC_URL}/cds-services/{SERVICE}"
NOW: Final = datetime(2026, 1, 20, 9, 0, tzinfo=UTC)


@cache
def private_key(algorithm: str, number: int = 1) -> Any:
    """A key for this algorithm, made for this run. `number` tells several apart."""
    if algorithm.startswith("ES"):
        curves = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}
        return ec.generate_private_key(curves[algorithm])
    return rsa.generate_private_key(public_exponent=65_537, key_size=2048)


def jwk(algorithm: str = "ES384", number: int = 1, /, **changes: Any) -> dict[str, Any]:
    """The public half as a JWK; a change to `...` leaves the member out."""
    maker: Any = ECAlgorithm if algorithm.startswith("ES") else RSAAlgorithm
    public = json.loads(maker.to_jwk(private_key(algorithm, number).public_key()))
    public = {name: value for name, value in public.items() if name != "key_ops"}
    return left_out(public | {"kid": f"{algorithm}-{number}", "use": "sig", "alg": algorithm} | changes)


def left_out(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not ...}


def header(algorithm: str = "ES384", number: int = 1, /, **changes: Any) -> dict[str, Any]:
    return left_out({"alg": algorithm, "typ": "JWT", "kid": f"{algorithm}-{number}"} | changes)


def claims(at: datetime = NOW, /, **changes: Any) -> dict[str, Any]:
    """What the reference sandbox says: good for five minutes, a new id each time."""
    seconds = int(at.timestamp())
    said = {"iss": ISSUER, "aud": CALLED, "iat": seconds, "exp": seconds + 300, "jti": str(uuid4())}
    return left_out(said | changes)


def token(
    payload: dict[str, Any] | None = None,
    *,
    algorithm: str = "ES384",
    number: int = 1,
    head: dict[str, Any] | None = None,
    key: Any = None,
) -> str:
    """A token signed with this key, or that of this number, whatever header and claims say."""
    signing_input = unsigned(
        header(algorithm, number) if head is None else head, claims() if payload is None else payload
    )
    signer = jwt.get_algorithm_by_name(algorithm)
    signature = signer.sign(signing_input.encode(), key or private_key(algorithm, number))
    return f"{signing_input}.{encoded(signature)}"


def unsigned(head: dict[str, Any], payload: dict[str, Any]) -> str:
    """What a signature would be of."""
    return f"{encoded(json.dumps(head).encode())}.{encoded(json.dumps(payload).encode())}"


def encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def bearer(made: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {made}"}


def profile(**changes: Any) -> dict[str, Any]:
    """A client with two pinned keys, as it stands in the file."""
    return left_out({"name": "EHR", "iss": ISSUER, "jwks": {"keys": [jwk(), jwk("RS384")]}} | changes)


def client(**changes: Any) -> Client:
    (found,) = clients_of(profile(**changes))
    return found


def clients_of(*profiles: dict[str, Any], demo: bool = True) -> tuple[Client, ...]:
    return parse(clients_file(*profiles), "clients.yaml", demo=demo)


def clients_file(*profiles: dict[str, Any]) -> str:
    return yaml.safe_dump({"clients": list(profiles)}, sort_keys=False)


def later(**passed: float) -> datetime:
    return NOW + timedelta(**passed)
