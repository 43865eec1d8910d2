"""Somebody who wants in, or wants to learn something: each test is one thing that they would try (C98-C108, C111)."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import jwt
import pytest
import time_machine
from cryptography.hazmat.primitives.asymmetric import rsa
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jwt.algorithms import RSAAlgorithm
from werkzeug.datastructures import Headers

import app
from cds_service import client_auth, services, wire
from cds_service.client_auth import LONGEST_TOKEN, Doorkeeper, ProcessMemory
from cds_service.clients import Client, parse
from cds_service.errors import NotAuthenticated, Refusal, RequestError, SettingError
from cds_service.fhir_address import base_of, production_rule, within
from cds_service.fhir_client import FhirClient, Question
from cds_service.fhir_failure import Failure
from cds_service.jwks import PATIENCE, KeyShelf
from cds_service.store import Store
from tests.auth.hospital import hospital, settings_for
from tests.auth.tokens import (
    ISSUER,
    NOW,
    PUBLIC_URL,
    SERVICE,
    bearer,
    claims,
    client,
    clients_of,
    encoded,
    header,
    jwk,
    private_key,
    profile,
    token,
    unsigned,
)
from tests.properties.calls import request

SIGN: Final = f"/cds-services/{SERVICE}"
ADDRESS: Final = "https://ehr.example/jwks.json"


@pytest.fixture(autouse=True)
def _at_nine() -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        yield


def door(*clients: Client, body: bytes = b"", asked: list[str] | None = None, **changes: Any) -> Doorkeeper:
    """A door whose clients publish this body, where they publish."""

    def fetch(url: str) -> bytes:
        if asked is not None:
            asked.append(url)
        return body

    shelf = KeyShelf(clients, fetch=fetch, clock=lambda: 0.0)
    usual: dict[str, Any] = {"keys": shelf.keys, "remember": ProcessMemory().is_new_token, "now": services.now}
    return Doorkeeper(clients, public_url=PUBLIC_URL, strict=True, **(usual | changes))


def publishing(*keys: Any, **changes: Any) -> Doorkeeper:
    """The door of one client that publishes these keys."""
    return door(client(jwks=..., jwks_url=ADDRESS, **changes), body=json.dumps({"keys": keys}).encode())


def refusal(keeper: Doorkeeper, made: str) -> Refusal:
    with pytest.raises(NotAuthenticated) as refused:
        keeper.name_of(f"Bearer {made}", SERVICE)
    assert str(refused.value) == refused.value.refusal.value
    return refused.value.refusal


# --- the words for a refusal ------------------------------------------------------------------------------------


def test_each_word_for_a_refusal_has_a_token_that_gets_it_and_there_are_no_others() -> None:
    keeper = door(client(jwks={"keys": [jwk(), jwk("RS384")]}, tenants=["east"]))
    good = claims(tenant="east")
    used = token(good)
    assert keeper.name_of(f"Bearer {used}", SERVICE) == "EHR"
    fetching = publishing(jwk())
    got = {
        refusal(keeper, ""): "no token",
        refusal(keeper, "a.b.c"): "malformed",
        refusal(keeper, token(good | {"iss": "x"})): "issuer",
        refusal(keeper, token(good, head=header(typ="x"))): "header",
        refusal(keeper, token(good, head=header(alg="none"))): "algorithm",
        refusal(fetching, token(head=header(jku="https://evil.example"))): "key address",
        refusal(keeper, token(good, head=header(kid="x"))): "key",
        refusal(keeper, token(good, number=2, head=header())): "signature",
        refusal(keeper, token(good | {"aud": "x"})): "audience",
        refusal(keeper, token(good | {"exp": 1, "iat": 1})): "time",
        refusal(keeper, token({name: value for name, value in good.items() if name != "jti"})): "claims",
        refusal(keeper, token(claims(tenant="west"))): "tenant",
        refusal(keeper, used): "replay",
    }
    assert {word.value: word.value for word in Refusal} == {word.value: said for word, said in got.items()}


# --- keys that a client publishes, or somebody in its place -------------------------------------------------------


@pytest.mark.parametrize("use", [[], {}, ["sig"], 1, True, ""])
def test_a_key_whose_use_is_no_text_is_not_for_signatures_and_the_others_count(use: Any) -> None:
    keeper = publishing(jwk("ES384", 2, use=use), jwk())
    assert keeper.name_of(f"Bearer {token()}", SERVICE) == "EHR"
    assert refusal(keeper, token(number=2)) is Refusal.KEY


def test_of_thousands_of_keys_with_one_id_only_a_few_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[Any] = []
    usual = client_auth.public_key

    def counting(key: Any, algorithm: str) -> Any:
        tried.append(key)
        return usual(key, algorithm)

    monkeypatch.setattr(client_auth, "public_key", counting)
    keeper = publishing(*[jwk("ES384", 2, kid="ES384-1")] * 3_000)
    assert refusal(keeper, token()) is Refusal.SIGNATURE
    assert len(tried) == 4
    tried.clear()
    fourth = publishing(*[jwk("ES384", 2, kid="ES384-1")] * 3, jwk())  # a client that renews its keys has two
    assert fourth.name_of(f"Bearer {token()}", SERVICE) == "EHR"
    fifth = publishing(*[jwk("ES384", 2, kid="ES384-1")] * 4, jwk())
    assert refusal(fifth, token()) is Refusal.SIGNATURE


def number(value: int) -> str:
    return encoded(value.to_bytes((value.bit_length() + 7) // 8 or 1, "big"))


ODD_RSA: Final[dict[str, dict[str, Any]]] = {
    "exponent 1": {"e": number(1)},
    "exponent 0": {"e": number(0)},
    "an even exponent": {"e": number(65_536)},
    "an exponent as large as the modulus": {"e": jwk("RS384")["n"]},
    "modulus 0": {"n": number(0)},
    "an even modulus": {"n": number(1 << 2_047)},
    "a short modulus": {"n": number((1 << 2_047) - 1)},
    "a modulus of 8193 bits": {"n": number((1 << 8_192) + 1)},
    "a modulus of a million bits": {"n": number((1 << 1_000_000) + 1)},
    "no text": {"n": 7},
    "no base64": {"n": "é!"},
    "no modulus": {"n": None},
    "empty": {"n": "", "e": ""},
}


@pytest.mark.conforms("C98")
@pytest.mark.parametrize("change", ODD_RSA.values(), ids=ODD_RSA)
def test_an_odd_rsa_key_lets_nobody_in_and_costs_no_time(change: dict[str, Any]) -> None:
    keeper = publishing(jwk("RS384", alg=..., **change))
    started = time.perf_counter()
    with time_machine.travel(NOW, tick=True):
        assert refusal(keeper, token(algorithm="RS384")) in {Refusal.KEY, Refusal.SIGNATURE, Refusal.CLAIMS}
    assert time.perf_counter() - started < 3


@pytest.mark.conforms("C98")
def test_with_exponent_1_everybody_could_sign_so_that_it_is_no_key() -> None:
    """m^1 mod n is m: a "signature" that anybody can write down."""
    key = jwk("RS384", e=number(1), alg=...)
    signing_input = unsigned(header("RS384"), claims())
    digest = bytes.fromhex("3041300d060960864801650304020205000430") + hashlib.sha384(signing_input.encode()).digest()
    padded = b"\x00\x01" + b"\xff" * (256 - 3 - len(digest)) + b"\x00" + digest
    assert refusal(publishing(key), f"{signing_input}.{encoded(padded)}") is Refusal.KEY


@pytest.mark.parametrize(("bits", "gets_in"), [(2_048, True), (8_192, True), (8_200, False)])
def test_an_rsa_key_has_2048_to_8192_bits(bits: int, gets_in: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    made = private_key("RS384") if bits == 2_048 else rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    public = json.loads(RSAAlgorithm.to_jwk(made.public_key())) | {"kid": "k"}
    if bits != 2_048:  # such a key takes minutes to make: its size alone is looked at
        public["n"] = number((1 << (bits - 1)) + 1)
        if gets_in:
            assert client_auth.public_key(public, "RS384").key.key_size == bits
            return
    keeper, signed = publishing(public), token(algorithm="RS384", key=made, head=header("RS384", kid="k"))
    if gets_in:
        assert keeper.name_of(f"Bearer {signed}", SERVICE) == "EHR"
    else:
        assert refusal(keeper, signed) is Refusal.KEY


@pytest.mark.conforms("C98")
@pytest.mark.parametrize(
    "change",
    [
        {"x": encoded(b"\x00" * 48)},
        {"x": encoded(b"\x00" * 48), "y": encoded(b"\x00" * 48)},
        {"y": jwk()["x"]},
        {"x": encoded(b"\xff" * 48)},
        {"x": jwk("ES256")["x"], "y": jwk("ES256")["y"]},
        {"x": "", "y": ""},
        {"x": ["a"]},
        {"crv": "P-256"},
        {"crv": "secp256k1"},
        {"crv": None},
    ],
)
def test_a_point_off_the_curve_is_no_key(change: dict[str, Any]) -> None:
    assert refusal(publishing(jwk(alg=..., **change)), token()) in {Refusal.KEY, Refusal.CLAIMS}


@pytest.mark.conforms("C98")
def test_a_signature_of_zeros_or_of_another_length_is_none() -> None:
    for signature in (b"\x00" * 96, b"\x00" * 95, b"", b"\xff" * 96, b"\x00" * 48 + b"\x01" * 48):
        made = f"{unsigned(header(), claims())}.{encoded(signature)}"
        assert refusal(publishing(jwk()), made) is Refusal.SIGNATURE


JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12) | st.sampled_from([jwk()["x"], jwk("RS384")["n"]]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=3,
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    change=st.dictionaries(st.sampled_from(["kty", "crv", "x", "y", "n", "e", "d", "alg", "use", "kid"]), JSON),
    algorithm=st.sampled_from(["ES384", "RS384"]),
)
def test_a_published_key_of_any_form_is_used_or_is_none(change: dict[str, Any], algorithm: str) -> None:
    keeper = publishing(jwk(algorithm) | change)
    with suppress(NotAuthenticated):
        assert keeper.name_of(f"Bearer {token(algorithm=algorithm)}", SERVICE) == "EHR"


@pytest.mark.parametrize(
    "address",
    [
        "https://.example/jwks.json",
        "https://ehr.example:99999/jwks.json",
        "https://[::1/jwks.json",
        "https://[fe80::1%25eth0]/jwks.json",
        "https://ehr..example/jwks.json",
        "https://ehr.example/a/../jwks.json",
        "https://ehr.example\\@evil.example/jwks.json",
        "https://user:pass@ehr.example/jwks.json",
        "https://éhr.example/jwks.json",
    ],
)
@pytest.mark.parametrize("member", ["jwks_url", "fhir_servers"])
def test_an_address_that_cannot_be_called_stops_the_start(address: str, member: str) -> None:
    change = {"jwks": ..., "jwks_url": address} if member == "jwks_url" else {"fhir_servers": [address]}
    with pytest.raises(SettingError) as error:
        client(**change)
    assert address not in str(error.value)


# --- tokens ---------------------------------------------------------------------------------------------------------


def raw_token(head: str, payload: str) -> str:
    """Signed as a registered client would, whatever these texts are."""
    signing_input = f"{encoded(head.encode())}.{encoded(payload.encode())}"
    signature = jwt.get_algorithm_by_name("ES384").sign(signing_input.encode(), private_key("ES384", 1))
    return f"{signing_input}.{encoded(signature)}"


def test_of_a_member_that_stands_twice_the_same_one_counts_for_the_keys_and_for_the_caller() -> None:
    """Who signs with the keys of one client is never taken for another."""
    other = clients_of(profile(name="Other", iss="https://other.example", jwks={"keys": [jwk("ES384", 2, kid="k")]}))
    keeper = door(client(), *other)
    said = json.dumps(claims())[1:]
    first_other = raw_token(json.dumps(header()), f'{{"iss": "https://other.example", {said}')
    assert keeper.name_of(f"Bearer {first_other}", SERVICE) == "EHR"  # as it signed
    last_other = raw_token(json.dumps(header()), f'{json.dumps(claims())[:-1]}, "iss": "https://other.example"}}')
    assert refusal(keeper, last_other) is Refusal.KEY
    twice = raw_token(f'{{"alg": "none", {json.dumps(header())[1:]}', json.dumps(claims()))
    assert keeper.name_of(f"Bearer {twice}", SERVICE) == "EHR"  # verified with the algorithm that counts
    none_last = raw_token(f'{json.dumps(header())[:-1]}, "alg": "none"}}', json.dumps(claims()))
    assert refusal(keeper, none_last) is Refusal.ALGORITHM


@pytest.mark.conforms("C99")
@pytest.mark.parametrize(
    "issuer",
    [
        f"{ISSUER}/",
        f"{ISSUER}\u200b",
        f" {ISSUER}",
        f"{ISSUER}\x00",
        ISSUER.upper(),
        ISSUER.replace("e", "е"),  # Cyrillic
        ISSUER.replace("ehr", "\uff45hr"),  # fullwidth
        ISSUER.replace("https", "http\u017f"),
        ISSUER.replace("example", "ex\u0061\u0301mple"),
        "\ud800",
    ],
)
def test_an_issuer_that_only_looks_like_a_registered_one_is_none(issuer: str) -> None:
    assert refusal(door(client()), token(claims(iss=issuer))) is Refusal.ISSUER


def test_a_token_longer_than_the_limit_is_not_even_read(monkeypatch: pytest.MonkeyPatch) -> None:
    long = token(claims(other="x" * 20_000))
    assert len(long) > LONGEST_TOKEN
    assert refusal(door(client()), long) is Refusal.NO_TOKEN


@pytest.mark.conforms("C101", "C107")
def test_thousands_of_unknown_issuers_and_keys_cost_one_fetch() -> None:
    asked: list[str] = []
    keeper = door(client(jwks=..., jwks_url=ADDRESS), body=json.dumps({"keys": [jwk()]}).encode(), asked=asked)
    assert keeper.name_of(f"Bearer {token()}", SERVICE) == "EHR"
    for n in range(300):
        assert refusal(keeper, token(claims(iss=f"https://{n}.example"))) is Refusal.ISSUER
        assert refusal(keeper, token(head=header(kid=f"{n}' OR 1=1 --/../../etc/passwd"))) is Refusal.KEY
    assert asked == [ADDRESS]


def test_strangers_with_unknown_keys_do_not_wait_long_for_a_key_server_that_hangs() -> None:
    hanging, go_on = threading.Event(), threading.Event()

    def hang(url: str) -> bytes:
        hanging.set()
        assert go_on.wait(20)
        return b"{}"

    ehr = client(jwks=..., jwks_url=ADDRESS)
    shelf = KeyShelf([ehr], fetch=hang, clock=lambda: 0.0)
    first = threading.Thread(target=shelf.keys, args=(ehr, "a"))
    first.start()
    try:
        assert hanging.wait(10)
        started = time.perf_counter()
        with time_machine.travel(NOW, tick=True):
            started = time.perf_counter()
            assert shelf.keys(ehr, "b") == ()
            assert time.perf_counter() - started < PATIENCE + 5
    finally:
        go_on.set()
        first.join(20)


@pytest.mark.conforms("C105", "C108")
@pytest.mark.parametrize("jti", ["plain", "Jane Doe", "a\x00b", "\ud800", "é", "'; DROP TABLE", "x" * 1_000])
def test_of_the_id_of_a_token_only_a_digest_is_remembered(jti: str) -> None:
    seen: list[str] = []

    def remember(**given: Any) -> bool:
        seen.append(given["jti"])
        return seen.count(given["jti"]) == 1

    keeper, made = door(client(), remember=remember), token(claims(jti=jti))
    assert keeper.name_of(f"Bearer {made}", SERVICE) == "EHR"
    assert refusal(keeper, made) is Refusal.REPLAY
    assert {len(name) for name in seen} == {64}
    assert jti not in seen


@pytest.mark.conforms("C105")
def test_the_same_token_in_other_letters_is_a_replay() -> None:
    """An ES384 signature has a twin (r, n-s) that anybody can compute, and base64 may be padded."""
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973
    made = token()
    keeper = door(client())
    head, payload, signature = made.split(".")
    pair = base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
    twin = pair[:48] + (order - int.from_bytes(pair[48:], "big")).to_bytes(48, "big")
    assert keeper.name_of(f"Bearer {made}", SERVICE) == "EHR"
    assert refusal(keeper, f"{head}.{payload}.{encoded(twin)}") is Refusal.REPLAY
    assert refusal(keeper, f"{made}{'=' * (-len(signature) % 4)}") in {Refusal.REPLAY, Refusal.MALFORMED}


# --- headers of a call ------------------------------------------------------------------------------------------------


def post(to: FlaskClient, headers: Any, **members: Any) -> int:
    return to.post(SIGN, json=request("V3") | members, headers=headers).status_code


def test_two_authorization_headers_are_none(tmp_path: Path) -> None:
    place = hospital(tmp_path)
    for pair in ((token(), token()), (token(), "x"), ("x", token())):
        headers = Headers([("Authorization", f"Bearer {made}") for made in pair])
        assert post(place, headers) == 401
    assert post(place, Headers([("Authorization", f"Bearer {token()}"), ("Authorization", "Basic eDp5")])) == 401


@pytest.mark.conforms("C103")
@pytest.mark.parametrize(
    "lie",
    [
        {"Host": "evil.example"},
        {"X-Forwarded-Host": "evil.example"},
        {"X-Forwarded-Proto": "http", "X-Forwarded-For": "127.0.0.1", "Forwarded": "host=evil.example"},
        {"X-Original-URL": "/cds-services/x", "X-HTTP-Method-Override": "GET"},
    ],
)
def test_for_whom_a_token_is_does_not_depend_on_what_a_call_says_of_its_address(
    tmp_path: Path, lie: dict[str, str]
) -> None:
    place = hospital(tmp_path)
    assert post(place, bearer(token()) | lie) == 200
    elsewhere = f"https://evil.example/base{SIGN}"
    assert post(place, bearer(token(claims(aud=elsewhere))) | lie) == 401
    for path in ("/cds-services", "/openapi.json", "/knowledge"):
        assert place.get(path, headers=lie).data == place.get(path).data


@pytest.mark.conforms("C111")
@pytest.mark.parametrize(
    "origins",
    [["null"], ["https://ehr.example", "https://evil.example"], ["https://ehr.example", "https://ehr.example"]],
)
def test_no_origin_and_several_origins_are_not_listed(tmp_path: Path, origins: list[str]) -> None:
    place = hospital(tmp_path, profile(cors_origins=["https://ehr.example"]))
    answer = place.get("/cds-services", headers=Headers([("Origin", origin) for origin in origins]))
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert answer.headers["Vary"] == "Origin"


@pytest.mark.conforms("C111")
@pytest.mark.parametrize("origin", ["http://ehr.example", "null", "*", "https://*.example", "https://EHR.example"])
def test_an_origin_that_anybody_could_take_on_stops_the_start_of_production(tmp_path: Path, origin: str) -> None:
    with pytest.raises(SettingError):
        hospital(tmp_path, profile(cors_origins=[origin]))


@pytest.mark.conforms("C54")
@pytest.mark.parametrize("secret", ["a\r\nX-Evil: 1", "a\nb", "a b", "a\x00", "é", "", "a\u2028b", "\ud800"])
def test_an_access_token_that_would_not_stay_in_its_header_is_none(secret: str) -> None:
    body = request("V3") | {
        "fhirServer": "https://ehr.example/fhir",
        "fhirAuthorization": {"access_token": secret, "token_type": "Bearer"},
    }
    try:
        read = wire.read_request(json.dumps(body).encode(), "order-sign")
    except RequestError:
        return  # a lone surrogate is no JSON here
    assert read.fhir_authorization is None


# --- one client and another -----------------------------------------------------------------------------------------


@pytest.mark.conforms("C89")
def test_what_one_client_says_of_anothers_card_does_not_change_its_report(tmp_path: Path) -> None:
    other = profile(name="Other", iss="https://other.example", jwks={"keys": [jwk("ES384", 2)]})
    told = settings_for(tmp_path, profile(), other)
    store = Store(told.database_url)
    place = app.build(told, store=store).test_client()
    cards = place.post(SIGN, json=request("V3"), headers=bearer(token()))
    assert cards.json is not None
    card = cards.json["cards"][0]["uuid"]
    said = {"card": card, "outcome": "overridden", "outcomeTimestamp": "2026-01-20T09:00:00Z"}

    def tells(made: str, **changes: Any) -> Any:
        answer = place.post(f"{SIGN}/feedback", json={"feedback": [said | changes]}, headers=bearer(made))
        assert answer.status_code == 200
        return answer.json

    receipt = tells(token(claims(iss="https://other.example"), number=2))
    assert receipt["extension"]["org.tarlatamab-cds.feedback"]["recorded"] == 1  # as of a card that nobody knows
    report = store.report()
    assert sum(row.overridden for row in report.rows) == 0
    assert report.unknown_cards == 1
    tells(token(), outcome="accepted", acceptedSuggestions=[{"id": "a"}])
    assert sum(row.accepted for row in store.report().rows) == 1
    assert sum(row.overridden for row in store.report().rows) == 0


# --- the file of clients ----------------------------------------------------------------------------------------------

CLIENT: Final = "clients:\n  - name: A\n    iss: a\n    jwks_url: https://ehr.example/j\n"
LAUGHS: Final = "".join(f"    x{n}: &x{n} [{', '.join([f'*x{n - 1}' if n else 'lol'] * 9)}]\n" for n in range(9))
TRICKS: Final = {
    "anchor": CLIENT.replace("iss: a", "iss: &a a"),
    "alias": CLIENT.replace("iss: a", "iss: *a"),
    "billion laughs": CLIENT + LAUGHS,
    "itself": "clients: &a [*a]\n",
    "merge key": f"{CLIENT}    <<: {{tenants: [a]}}\n",
    "two documents": f"{CLIENT}---\n{CLIENT}",
    "python": CLIENT.replace("name: A", "name: !!python/object/apply:os.system [true]"),
    "binary": CLIENT.replace("iss: a", "iss: !!binary YQ=="),
    "own tag": CLIENT.replace("iss: a", "iss: !secret a"),
    "unknown key": f"{CLIENT}    iss_regex: .*\n",
    "unknown key above": f"{CLIENT}defaults: {{}}\n",
    "twice": f"{CLIENT}    iss: b\n",
    "two of one name": f"{CLIENT}{CLIENT.removeprefix('clients:').lstrip(chr(10)).replace('iss: a', 'iss: b')}",
    "nested": "clients: " + "[" * 5_000,
    "nested well": "clients: " + "[" * 5_000 + "]" * 5_000,
    "control character": CLIENT.replace("name: A", "name: A\x00"),
    "symmetric": f"{CLIENT}    algorithms: [HS256]\n",
    "none": f"{CLIENT}    algorithms: [none]\n",
    "no algorithms": f"{CLIENT}    algorithms: []\n",
    "symmetric key": CLIENT.replace("jwks_url: https://ehr.example/j", "jwks: {keys: [{kty: oct, kid: a, k: YQ}]}"),
}


@pytest.mark.parametrize("text", TRICKS.values(), ids=TRICKS)
def test_a_trick_in_the_file_of_clients_stops_the_start_with_one_line(text: str) -> None:
    assert parse(CLIENT, "clients.yaml", demo=False)
    with pytest.raises(SettingError) as error:
        parse(text, "clients.yaml", demo=False)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith("CDS_CLIENTS: clients.yaml")


# --- addresses of FHIR servers ----------------------------------------------------------------------------------------

LISTED: Final = "https://ehr.example/fhir"


@pytest.mark.parametrize(
    "said",
    [
        "https://ehr.example/fhir",
        "https://ehr.example/fhir/",
        "HTTPS://EHR.example:443/fhir",
        " https://ehr.example/fhir\n",
    ],
)
def test_the_listed_server_in_another_spelling_is_the_listed_server(said: str) -> None:
    assert base_of(said) == base_of(LISTED)


@pytest.mark.parametrize(
    "said",
    [
        "http://ehr.example/fhir",
        "https://ehr.example:8443/fhir",
        "https://ehr.example./fhir",
        "https://ehr.example/FHIR",
        "https://ehr.example/fhir/r4",
        "https://ehr.example/fhir/..;/admin",
        "https://ehr.example/fhir%2f",
        "https://ehr.example/fhir?x=1",
        "https://ehr.example/fhir#x",
        "https://evil.example/fhir",
        "https://ehr.example@evil.example/fhir",
        "https://evil.example/https://ehr.example/fhir",
        "https://evil.example\\@ehr.example/fhir",
        "https://ehr.example\u2044fhir",
        "//ehr.example/fhir",
        "ehr.example/fhir",
        "file:///fhir",
        "https:///fhir",
        "",
    ],
)
def test_a_server_that_is_not_the_listed_one_is_asked_nothing(said: str) -> None:
    with FhirClient(budget_ms=1_000, may_connect=lambda *_: False) as fhir:
        reader = fhir.reader(said, "t", only=[LISTED])
        assert base_of(said) is None or base_of(said) != base_of(LISTED)
        if reader is not None:
            answer = reader.answers({"a": Question(query="Patient/1")})["a"]
            assert answer.failure is Failure.ADDRESS_NOT_ALLOWED


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.1", "0x7f.1", "0x7f000001", "2130706433", "017700000001", "0177.0.0.1", "127.0.0.1."),
        *("localhost", "localhost.", "LOCALHOST", "0", "0.0.0.0", "[::]", "[::1]", "[0:0:0:0:0:0:0:1]"),
        *("[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]"),
        *("169.254.169.254", "2852039166", "0xa9fea9fe", "[::ffff:169.254.169.254]", "[fe80::1]", "[fd00:ec2::254]"),
        *("[fd20:ce::254]", "168.63.129.16", "100.100.100.200", "192.0.0.192", "224.0.0.1", "255.255.255.255"),
    ],
)
def test_in_production_this_machine_and_its_clouds_secrets_are_called_under_no_name(host: str) -> None:
    with FhirClient(budget_ms=5_000, may_connect=production_rule) as fhir:
        address = f"https://{host}/fhir"
        reader = fhir.reader(address, "t", only=[address])
        assert reader is not None
        answer = reader.answers({"a": Question(query="Patient/1")})["a"]
        assert answer.failure in {Failure.ADDRESS_NOT_ALLOWED, Failure.CONNECTION_FAILED}
        if answer.failure is Failure.CONNECTION_FAILED:  # no such name here
            assert host.endswith(".")


@pytest.mark.parametrize(
    "link",
    [
        "http://ehr.example/fhir/Patient?page=2",
        "https://ehr.example/fhir/..;/admin",
        "https://ehr.example/fhir/.;a=b/admin",
        "https://ehr.example/fhir/..%2fadmin",
        "https://ehr.example/fhir/%2e%2e%3b/admin",
        "https://ehr.example:444/fhir/Patient",
        "https://ehr.example.evil.example/fhir/Patient",
        "https://ehr.example@evil.example/fhir/Patient",
    ],
)
def test_a_next_link_to_another_place_is_not_followed(link: str) -> None:
    base = base_of(LISTED)
    assert base is not None
    assert within(base, link) is None


HOSTS: Final = st.text("abz09.-_:[]f%", min_size=1, max_size=12)


@given(
    scheme=st.sampled_from(["http", "https", "HTTPS"]),
    host=HOSTS | HOSTS.map(lambda host: f"[{host}]"),
    port=st.sampled_from(["", ":0", ":1", ":443", ":65536", ":", ":-1", ":٣"]),
    path=st.sampled_from(["", "/", "/fhir", "/a%2f", "/%zz", "/;a", "/\t", "/é"]),
)
def test_whatever_passes_for_an_address_can_be_asked_without_a_fault(
    scheme: str, host: str, port: str, path: str
) -> None:
    with FhirClient(budget_ms=50, may_connect=lambda *_: False) as fhir:
        reader = fhir.reader(f"{scheme}://{host}{port}{path}", "t")
        assert reader is not None
        answer = reader.answers({"a": Question(query="Patient/1")})["a"]
        assert answer.failure is not None
