"""Who gets in, and who does not: conformance C95-C109, C112, C113."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import jwt
import pytest
import time_machine
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cds_service import client_auth, services
from cds_service.client_auth import Doorkeeper, ProcessMemory
from cds_service.clients import Client
from cds_service.errors import NotAuthenticated, StoreUnavailable
from cds_service.fhir_failure import Failure, FhirFailed
from cds_service.jwks import KeyShelf
from tests.auth.tokens import (
    CALLED,
    ISSUER,
    NOW,
    PUBLIC_URL,
    SERVICE,
    claims,
    client,
    clients_of,
    encoded,
    header,
    jwk,
    later,
    private_key,
    profile,
    token,
    unsigned,
)


@pytest.fixture(autouse=True)
def _at_nine() -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        yield


def unreachable(url: str) -> bytes:
    raise FhirFailed(Failure.CONNECTION_FAILED)


def door(*clients: Client, public_url: str = PUBLIC_URL) -> Doorkeeper:
    known = clients or (client(),)
    shelf = KeyShelf(known, fetch=unreachable, clock=lambda: 0.0)
    return Doorkeeper(
        known,
        public_url=public_url,
        keys=shelf.keys,
        remember=ProcessMemory().is_new_token,
        now=services.now,
        strict=True,
    )


def enters(made: str, *clients: Client) -> str:
    return door(*clients).name_of(f"Bearer {made}", SERVICE)


def refusal(made: str, *clients: Client) -> str:
    """The reason, which the metrics alone are told."""
    with pytest.raises(NotAuthenticated) as refused:
        enters(made, *clients)
    return str(refused.value)


# --- who gets in ------------------------------------------------------------------------------------------------


@pytest.mark.conforms("C95", "C96", "C98")
@pytest.mark.parametrize("algorithm", ["ES384", "RS384"])
def test_a_registered_client_gets_in_with_either_recommended_algorithm(algorithm: str) -> None:
    assert enters(token(algorithm=algorithm)) == "EHR"


@pytest.mark.conforms("C98")
@pytest.mark.parametrize("algorithm", ["ES256", "ES512", "RS256", "PS384"])
def test_another_asymmetric_algorithm_gets_in_where_the_profile_lists_it_and_not_else(algorithm: str) -> None:
    keys = {"keys": [jwk(algorithm)]}
    assert enters(token(algorithm=algorithm), client(jwks=keys, algorithms=[algorithm])) == "EHR"
    assert refusal(token(algorithm=algorithm), client(jwks=keys)) == "algorithm"


@pytest.mark.conforms("C96")
@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_is_read_in_any_case(scheme: str) -> None:
    assert door().name_of(f"{scheme} {token()}", SERVICE) == "EHR"


@pytest.mark.conforms("C96")
@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "Bearer  "])
def test_without_a_bearer_token_nobody_gets_in(authorization: str | None) -> None:
    with pytest.raises(NotAuthenticated):
        door().name_of(authorization, SERVICE)


@pytest.mark.conforms("C96")
def test_a_token_under_another_scheme_is_none() -> None:
    with pytest.raises(NotAuthenticated):
        door().name_of(f"JWT {token()}", SERVICE)


# --- header -----------------------------------------------------------------------------------------------------


@pytest.mark.conforms("C97")
@pytest.mark.parametrize("name", ["kid", "typ"])
def test_kid_and_typ_have_to_be_in_the_header(name: str) -> None:
    assert refusal(token(head=header(**{name: ...}))) == "header"


@pytest.mark.conforms("C97")
@pytest.mark.parametrize(
    ("typ", "gets_in"), [("JWT", True), ("jwt", True), ("JWS", False), ("at+jwt", False), (1, False)]
)
def test_typ_is_jwt(typ: Any, gets_in: bool) -> None:
    made = token(head=header(typ=typ))
    assert (enters(made) == "EHR") if gets_in else (refusal(made) in {"header", "malformed"})


@pytest.mark.conforms("C97", "C98")
def test_a_token_that_is_not_signed_does_not_get_in() -> None:
    for algorithm in ("none", "None", "NONE", ""):
        made = f"{unsigned(header(alg=algorithm), claims())}."
        assert refusal(made) in {"algorithm", "malformed"}, algorithm
    without = token(head=header(alg=...))
    assert refusal(without) in {"algorithm", "malformed"}


@pytest.mark.conforms("C98")
@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_a_public_key_is_no_secret_to_sign_with(algorithm: str) -> None:
    secret = (
        private_key("RS384")
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    head = header("RS384", alg=algorithm)
    signed = unsigned(head, claims())
    digest = hmac.new(secret, signed.encode(), getattr(hashlib, f"sha{algorithm[2:]}")).digest()
    assert refusal(f"{signed}.{encoded(digest)}") == "algorithm"


@pytest.mark.conforms("C98")
def test_an_algorithm_that_does_not_fit_the_key_is_refused() -> None:
    both = client(jwks={"keys": [jwk(alg=...), jwk("RS384", alg=...)]})
    assert refusal(token(head=header(kid="RS384-1")), both) == "key"  # signed ES384, the key of that id is RSA
    p256 = client(jwks={"keys": [jwk("ES256", alg=...)]})
    assert refusal(token(head=header(kid="ES256-1")), p256) == "key"
    other_use = client(jwks={"keys": [jwk(use="enc")]})
    assert refusal(token(), other_use) == "key"
    other_algorithm = client(jwks={"keys": [jwk("RS384", alg="RS256")]})
    assert refusal(token(algorithm="RS384"), other_algorithm) == "key"


def test_a_short_rsa_key_is_refused() -> None:
    short = rsa.generate_private_key(public_exponent=65_537, key_size=1024)
    public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(short.public_key())) | {"kid": "short"}
    made = token(algorithm="RS384", key=short, head=header("RS384", kid="short"))
    assert refusal(made, client(jwks={"keys": [public]})) == "key"


@pytest.mark.conforms("C99")
def test_the_key_is_found_by_its_id_among_those_of_the_issuer_alone() -> None:
    here = client()
    there = profile(name="Other", iss="https://other.example", jwks={"keys": [jwk("ES384", 2)]})
    both = (here, *clients_of(there))
    assert enters(token(number=2, payload=claims(iss="https://other.example")), *both) == "Other"
    assert refusal(token(number=2), *both) == "key"  # the other's key in this one's name
    assert refusal(token(head=header(kid="nobody's")), *both) == "key"
    assert refusal(token(number=2, head=header(kid="ES384-1")), *both) == "signature"


@pytest.mark.conforms("C99")
def test_while_a_client_renews_a_key_under_the_same_id_both_are_tried() -> None:
    renewed = client(jwks={"keys": [jwk(kid="k"), jwk("ES384", 2, kid="k")]})
    for number in (1, 2):
        assert enters(token(number=number, head=header(kid="k")), renewed) == "EHR"


@pytest.mark.conforms("C100")
def test_only_the_key_address_of_the_profile_may_be_named_and_nothing_is_fetched_for_another() -> None:
    asked: list[str] = []

    def fetch(url: str) -> bytes:
        asked.append(url)
        return json.dumps({"keys": [jwk()]}).encode()

    fetching = client(jwks=..., jwks_url="https://ehr.example/jwks.json")
    shelf = KeyShelf([fetching], fetch=fetch, clock=lambda: 0.0)
    keeper = Doorkeeper(
        [fetching],
        public_url=PUBLIC_URL,
        keys=shelf.keys,
        remember=ProcessMemory().is_new_token,
        now=services.now,
        strict=True,
    )
    for jku in ("https://evil.example/jwks.json", "https://ehr.example/jwks.json/../evil", "", 7, None):
        with pytest.raises(NotAuthenticated):
            keeper.name_of(f"Bearer {token(head=header(jku=jku))}", SERVICE)
    assert asked == []
    named = token(head=header(jku="https://ehr.example/jwks.json"))
    assert keeper.name_of(f"Bearer {named}", SERVICE) == "EHR"
    assert keeper.name_of(f"Bearer {token()}", SERVICE) == "EHR"
    assert asked == ["https://ehr.example/jwks.json"]


@pytest.mark.conforms("C100")
def test_with_pinned_keys_a_key_address_is_never_used() -> None:
    assert enters(token(head=header(jku="https://evil.example/jwks.json"))) == "EHR"


@pytest.mark.conforms("C100")
def test_keys_that_the_token_brings_along_are_not_read() -> None:
    own = jwk("ES384", 2, kid="ES384-1")
    for name, value in (("jwk", own), ("x5u", "https://evil.example"), ("x5c", ["AAAA"])):
        assert refusal(token(number=2, head=header(**{name: value}))) == "signature"
        assert enters(token(head=header(**{name: value}))) == "EHR"


@pytest.mark.conforms("C100")
@pytest.mark.parametrize("crit", [["b64"], ["x"], [], "b64"])
def test_what_the_header_calls_critical_is_not_understood(crit: Any) -> None:
    assert refusal(token(head=header(crit=crit))) in {"header", "malformed"}


# --- claims -----------------------------------------------------------------------------------------------------


@pytest.mark.conforms("C102")
@pytest.mark.parametrize("name", ["iss", "aud", "exp", "iat", "jti"])
def test_each_required_claim_has_to_be_there(name: str) -> None:
    assert refusal(token(claims(**{name: ...}))) in {"issuer", "claims"}


@pytest.mark.conforms("C102")
@pytest.mark.parametrize(
    "more", [{"sub": "client"}, {"sub": 7}, {"nbf": int(NOW.timestamp()) - 300}, {"tenant": "t"}, {"other": [1]}]
)
def test_further_claims_do_no_harm(more: dict[str, Any]) -> None:
    assert enters(token(claims(**more))) == "EHR"


WRONG_FORMS: dict[str, list[Any]] = {
    "iss": [7, None, [], "https://ehr.example/oauth2/", "https://EHR.example/oauth2"],
    "jti": [7, None, "", [], "x" * 1_001],
    "exp": ["soon", None, [], {}, True, float("inf"), float("nan"), 10**400, "1768900000"],
    "iat": ["now", None, [], float("-inf"), -(10**400)],
    "aud": [7, None, [], {}, [7], ""],
}


@pytest.mark.conforms("C102")
@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG_FORMS.items() for value in values])
def test_a_claim_of_another_form_is_refused(name: str, value: Any) -> None:
    assert refusal(token(claims(**{name: value}))) in {"issuer", "claims", "time", "audience", "malformed"}


@pytest.mark.conforms("C103", "C93")
@pytest.mark.parametrize(
    "audience",
    [
        CALLED,
        f"{CALLED}/",
        f"{CALLED}/feedback",
        f"{PUBLIC_URL}/cds-services",
        f"{PUBLIC_URL}/cds-services/",
        ["https://elsewhere.example", CALLED],
    ],
)
def test_a_token_is_for_the_address_that_is_called(audience: Any) -> None:
    assert enters(token(claims(aud=audience))) == "EHR"


@pytest.mark.conforms("C103")
@pytest.mark.parametrize(
    "audience",
    [
        f"{PUBLIC_URL}/cds-services/tarlatamab-order-select",
        PUBLIC_URL,
        "https://cds.example/cds-services/tarlatamab-order-sign",
        f"http://cds.example/base/cds-services/{SERVICE}",
        f"https://cds.example:8443/base/cds-services/{SERVICE}",
        f"{CALLED}//",
        f"{CALLED}?x=1",
        CALLED.upper(),
        "*",
        ["https://elsewhere.example"],
    ],
)
def test_a_token_for_another_address_is_refused(audience: Any) -> None:
    assert refusal(token(claims(aud=audience))) == "audience"


@pytest.mark.conforms("C103")
def test_a_client_may_be_known_to_type_another_audience_by_hand() -> None:
    alias = client(audience_aliases=["urn:hospital:cds"])
    assert enters(token(claims(aud="urn:hospital:cds")), alias) == "EHR"
    assert refusal(token(claims(aud="urn:hospital:cds"))) == "audience"


@pytest.mark.conforms("C104")
@pytest.mark.parametrize(
    ("issued", "expires", "gets_in"),
    [
        (0, 300, True),
        (0.4, 300, True),  # the reference sandbox rounds up
        (60, 300, True),
        (61, 300, False),
        (-300, -59, True),
        (-300, -60, False),
        (-3000, 600, True),
        (-3000, 601, False),  # lives longer than an hour
        (10, 5, False),  # expires before it was issued
    ],
)
def test_times_have_a_minute_of_leeway_and_a_token_lives_an_hour_at_most(
    issued: float, expires: float, gets_in: bool
) -> None:
    now = NOW.timestamp()
    made = token(claims(iat=now + issued, exp=now + expires))
    assert (enters(made) == "EHR") if gets_in else (refusal(made) == "time")


@pytest.mark.conforms("C104")
def test_a_token_for_later_is_refused() -> None:
    now = int(NOW.timestamp())
    assert enters(token(claims(nbf=now + 60))) == "EHR"
    assert refusal(token(claims(nbf=now + 61))) == "time"


@pytest.mark.conforms("C106")
def test_a_tenant_that_is_not_listed_is_refused() -> None:
    listed = client(tenants=["east", "west"])
    assert enters(token(claims(tenant="east")), listed) == "EHR"
    assert refusal(token(claims(tenant="north")), listed) == "tenant"
    assert refusal(token(), listed) == "tenant"
    assert refusal(token(claims(tenant=["east"])), listed) == "tenant"
    assert enters(token(claims(tenant="anything"))) == "EHR"


# --- once ---------------------------------------------------------------------------------------------------------


@pytest.mark.conforms("C105")
def test_a_token_is_good_for_one_call() -> None:
    keeper, made = door(), f"Bearer {token()}"
    assert keeper.name_of(made, SERVICE) == "EHR"
    with pytest.raises(NotAuthenticated, match=r"^replay$"):
        keeper.name_of(made, SERVICE)


@pytest.mark.conforms("C105")
def test_another_token_with_the_same_id_is_refused_but_not_that_of_another_client() -> None:
    other = clients_of(profile(name="Other", iss="https://other.example"))
    keeper = door(client(), *other)
    assert keeper.name_of(f"Bearer {token(claims(jti='a'))}", SERVICE) == "EHR"
    with pytest.raises(NotAuthenticated, match=r"^replay$"):
        keeper.name_of(f"Bearer {token(claims(jti='a', tenant='t'))}", SERVICE)
    assert keeper.name_of(f"Bearer {token(claims(jti='a', iss='https://other.example'))}", SERVICE) == "Other"


@pytest.mark.conforms("C105")
def test_the_id_of_a_token_with_a_wrong_signature_is_not_remembered() -> None:
    keeper, said = door(), claims(jti="a")
    with pytest.raises(NotAuthenticated, match=r"^signature$"):
        keeper.name_of(f"Bearer {token(said, number=2, head=header())}", SERVICE)
    with pytest.raises(NotAuthenticated, match=r"^audience$"):
        keeper.name_of(f"Bearer {token(said | {'aud': 'elsewhere'})}", SERVICE)
    assert keeper.name_of(f"Bearer {token(said)}", SERVICE) == "EHR"


@pytest.mark.conforms("C105")
def test_an_id_is_remembered_until_the_token_and_its_leeway_are_over() -> None:
    memory = ProcessMemory()
    once = {"client": "EHR", "jti": "a", "expires_at": later(minutes=6)}
    assert memory.is_new_token(**once, at=NOW)  # type: ignore[arg-type]
    assert not memory.is_new_token(**once, at=later(minutes=5, seconds=59))  # type: ignore[arg-type]
    assert memory.is_new_token(**once, at=later(minutes=6))  # type: ignore[arg-type]


@pytest.mark.parametrize("strict", [True, False])
def test_while_ids_cannot_be_remembered_production_lets_nobody_in_and_a_demonstration_everybody(strict: bool) -> None:
    def down(**_: Any) -> bool:
        raise StoreUnavailable("OperationalError")

    shelf = KeyShelf([client()], fetch=unreachable, clock=lambda: 0.0)
    keeper = Doorkeeper(
        [client()], public_url=PUBLIC_URL, keys=shelf.keys, remember=down, now=services.now, strict=strict
    )
    if strict:
        with pytest.raises(StoreUnavailable):
            keeper.name_of(f"Bearer {token()}", SERVICE)
    else:
        assert keeper.name_of(f"Bearer {token()}", SERVICE) == "EHR"
    with pytest.raises(NotAuthenticated):  # a wrong token is told nothing of the store
        keeper.name_of(f"Bearer {token(claims(aud='elsewhere'))}", SERVICE)


# --- whatever comes -----------------------------------------------------------------------------------------------

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
HEADERS = st.fixed_dictionaries({}, optional=dict.fromkeys(["alg", "typ", "kid", "jku", "crit", "b64"], JSON_VALUES))
CLAIMS = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(["iss", "aud", "exp", "iat", "jti", "nbf", "sub", "tenant"], JSON_VALUES)
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(head=HEADERS, said=CLAIMS)
def test_a_signed_token_of_any_content_gets_in_or_is_refused_and_nothing_else(
    head: dict[str, Any], said: dict[str, Any]
) -> None:
    made = token(claims() | said, head=header() | head)
    with suppress(NotAuthenticated):
        assert enters(made) == "EHR"


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda raw: raw.decode("latin-1")))
def test_any_text_in_place_of_a_token_is_refused(text: str) -> None:
    assert refusal(text)


@pytest.mark.parametrize("nested", ["[" * 5_000 + "]" * 5_000, '{"a":' * 5_000 + "1" + "}" * 5_000])
def test_a_deeply_nested_token_is_refused(nested: str) -> None:
    part = encoded(nested.encode())
    assert refusal(f"{part}.{part}.AAAA")


# --- the specification's own, and the sandbox's -----------------------------------------------------------------------

SPEC_KEY = {
    "kty": "EC",
    "use": "sig",
    "crv": "P-384",
    "kid": "example-kid",
    "x": "46SDH7Znh821wblCBglA61sNE9ZrHYKKt3qRtRTmSXyOI_FIGBLWrWa0GPUkDCEk",
    "y": "XMcRuuoGW7CXjQdy-F5i3FeBE0x9hPLdeFdSoDd3ELmx404tLX0VRRcqzAsPhXcI",
    "alg": "ES384",
}
SPEC_TOKENS = {
    "1.0": (
        "eyJhbGciOiJFUzM4NCIsInR5cCI6IkpXVCIsImtpZCI6ImV4YW1wbGUta2lkIiwiamt1IjoiaHR0cHM6Ly9maGlyLWVoci5leGFtcGxlLmNvbS"
        "9qd2tfdXJpIn0.eyJpc3MiOiJodHRwczovL2ZoaXItZWhyLmV4YW1wbGUuY29tLyIsInN1YiI6ImNsaWVudF9pZCIsImF1ZCI6Imh0dHBzOi8v"
        "Y2RzLmV4YW1wbGUub3JnL2Nkcy1zZXJ2aWNlcy9zb21lLXNlcnZpY2UiLCJleHAiOjE0MjI1Njg4NjAsImlhdCI6MTMxMTI4MDk3MCwianRpIj"
        "oiZWUyMmIwMjEtZTFiNy00NjExLWJhNWItOGVlYzZhMzNhYzFlIiwidGVuYW50IjoiMmRkZDZjM2EtOGU5YS00NGM2LWEzMDUtNTIxMTFhZDMw"
        "MmEyIn0.CUFPkplnWd6YGIvzoHolWCQBDsCL8QtTWKGg_QFpS169WrqDGzktRi-_we6-6rVzbjerU27ZKww_SW0-b9RTz-dPJNcqsueMio8r6E"
        "qXUXhbLm_ch3XFSbDlGHDl_tqo"
    ),
    "2.0": (
        "eyJhbGciOiJFUzM4NCIsInR5cCI6IkpXVCIsImtpZCI6ImV4YW1wbGUta2lkIiwiamt1IjoiaHR0cHM6Ly9maGlyLWVoci5leGFtcGxlLmNvbS"
        "9qd2tfdXJpIn0.eyJpc3MiOiJodHRwczovL2ZoaXItZWhyLmV4YW1wbGUuY29tLyIsImF1ZCI6Imh0dHBzOi8vY2RzLmV4YW1wbGUub3JnL2Nk"
        "cy1zZXJ2aWNlcy9zb21lLXNlcnZpY2UiLCJleHAiOjE0MjI1Njg4NjAsImlhdCI6MTMxMTI4MDk3MCwianRpIjoiZWUyMmIwMjEtZTFiNy00Nj"
        "ExLWJhNWItOGVlYzZhMzNhYzFlIiwidGVuYW50IjoiMmRkZDZjM2EtOGU5YS00NGM2LWEzMDUtNTIxMTFhZDMwMmEyIn0.d1WfLjGRKlcWB94l"
        "9do4cM8REXeYJLL6SGUBO8VHZhfM8mwKYP70EMxJ67War4TQblEpaQrp11wx5p7oPFm2ETYgCicS84vXWEIYTdjooZdooCSDf2L8-i4awdoUwi"
        "Eb"
    ),
}


@pytest.mark.conforms("C112")
@pytest.mark.parametrize("version", SPEC_TOKENS)
def test_the_sample_tokens_of_the_specification_verify_with_the_key_that_it_prints(version: str) -> None:
    made = SPEC_TOKENS[version]
    assert client_auth.fits(SPEC_KEY, "ES384")
    key = client_auth.public_key(SPEC_KEY, "ES384")
    read = jwt.decode(
        made, key, algorithms=["ES384"], options={"verify_exp": False, "verify_aud": False, "verify_iat": False}
    )
    assert read["iss"] == "https://fhir-ehr.example.com/"
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(made[:-4] + "AAAA", key, algorithms=["ES384"])


@pytest.mark.conforms("C112", "C104")
def test_the_sample_tokens_would_not_get_in_today_nor_when_they_were_made() -> None:
    ehr = client(iss="https://fhir-ehr.example.com/", jwks={"keys": [SPEC_KEY]})
    for made in SPEC_TOKENS.values():
        assert refusal(made, ehr) in {"time", "audience"}
        with time_machine.travel(1_311_280_971, tick=False):
            assert refusal(made, ehr) in {"time", "audience"}  # it claims to live for three years


@pytest.mark.conforms("C112")
def test_an_untouched_token_says_who_issued_it_and_a_touched_one_does_not_pass() -> None:
    first, payload, signature = token().split(".")
    said = json.loads(base64.urlsafe_b64decode(payload + "=="))
    assert said["iss"] == ISSUER
    other = encoded(json.dumps(said | {"tenant": "x"}).encode())
    assert refusal(f"{first}.{other}.{signature}") == "signature"
