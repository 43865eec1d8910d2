"""The file of CDS_SMART and the keys of CDS_SECRET_KEY_FILE: what they take, and one plain line for what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from cds_service.errors import SettingError
from cds_service.sealed import Seal, keys_in
from cds_service.smart_registrations import find, load, parse

PLAIN = "issuers: [{name: Example EHR, iss: https://ehr.example/fhir, client_id: cds}]"
NOW = datetime(2026, 2, 10, 20, tzinfo=UTC)


def said(text: str, *, demo: bool = False) -> str:
    """What is said of a file with a mistake."""
    with pytest.raises(SettingError) as refused:
        parse(text, "smart.yaml", demo=demo)
    return str(refused.value)


def test_a_registration_needs_a_name_an_issuer_and_a_client_id_and_is_of_a_public_client() -> None:
    (found,) = parse(PLAIN, "smart.yaml", demo=False)
    assert (found.name, found.iss, found.client_id) == ("Example EHR", "https://ehr.example/fhir", "cds")
    assert (found.client_secret_file, found.private_key_file, found.key_id) == (None, None, None)
    assert (found.scopes, found.standalone, found.embedded_by) == ((), True, ())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("issuers: []", "smart.yaml:1 issuers: "),
        ("{}", "smart.yaml:1 issuers: "),
        (PLAIN.replace("name:", "nome:"), "smart.yaml:1 issuers[0].name: "),
        (PLAIN.replace("client_id: cds", "client_id: cds, secret: x"), "smart.yaml:1 issuers[0].secret: "),
        (PLAIN.replace("client_id: cds", "client_id: 'a b'"), "smart.yaml:1 issuers[0].client_id: "),
        (PLAIN.replace("https:", "http:"), "smart.yaml:1 issuers[0].iss: expected an https address"),
        (PLAIN.replace("https://ehr.example/fhir", "'https://ehr.example/fhir?a=b'"), "smart.yaml:1 issuers[0].iss: "),
        (PLAIN.replace("cds}", "cds, standalone: perhaps}"), "smart.yaml:1 issuers[0].standalone: "),
        (PLAIN.replace("cds}", "cds, scopes: [openid]}"), "smart.yaml:1 issuers[0].scopes: expected none of openid"),
        (PLAIN.replace("cds}", "cds, scopes: [offline_access]}"), "smart.yaml:1 issuers[0].scopes: expected none of"),
        (PLAIN.replace("cds}", "cds, embedded_by: ['*']}"), "smart.yaml:1 issuers[0].embedded_by[0]: "),
        (
            PLAIN.replace("cds}", "cds, embedded_by: ['https://a.example; x']}"),
            "smart.yaml:1 issuers[0].embedded_by[0]: ",
        ),
        (PLAIN.replace("cds}", "cds, embedded_by: [http://a.example]}"), "smart.yaml:1 issuers[0].embedded_by[0]: "),
        (PLAIN.replace("cds}", "cds, key_id: a}"), "smart.yaml:1 issuers[0]: expected key_id with private_key_file"),
        (PLAIN.replace("cds}", "cds, private_key_file: a}"), "smart.yaml:1 issuers[0]: expected key_id with private"),
        (
            PLAIN.replace("cds}", "cds, client_secret_file: a, private_key_file: b, key_id: c}"),
            "smart.yaml:1 issuers[0]: expected client_secret_file or private_key_file, not both",
        ),
        (
            PLAIN.replace("]", ", {name: Other, iss: 'https://EHR.example:443/fhir/', client_id: x}]"),
            "smart.yaml:1: two issuers have the same iss",
        ),
        (
            PLAIN.replace("]", ", {name: Example EHR, iss: https://b.example, client_id: x}]"),
            "smart.yaml:1: two issuers have the same name",
        ),
        ("issuers: &a [*a]", "smart.yaml"),
        ("- [", "smart.yaml"),
    ],
)
def test_a_mistake_in_the_file_is_one_line_with_its_place(text: str, expected: str) -> None:
    line = said(text)
    assert line.startswith(f"CDS_SMART: {expected}")
    assert "\n" not in line


def test_in_a_demonstration_an_issuer_on_this_machine_may_be_reached_by_http() -> None:
    assert parse(PLAIN.replace("https:", "http:"), "smart.yaml", demo=True)


def written(folder: Path, more: str, **files: bytes) -> Path:
    for name, content in files.items():
        (folder / name).write_bytes(content)
    file = folder / "smart.yaml"
    file.write_text(PLAIN.replace("cds}", f"cds, {more}}}"), encoding="utf-8")
    return file


def test_a_secret_is_read_from_a_file_beside_the_registrations_and_is_never_printed(tmp_path: Path) -> None:
    (found,) = load(written(tmp_path, "client_secret_file: held", held=b" a-secret\n"), demo=False)
    assert found.secret == "a-secret"
    assert "a-secret" not in f"{found!r} {found}"


@pytest.mark.parametrize("held", [b"", b"two words", b"two\nlines", "é".encode(), b"\xff", b"x" * 1001])
def test_a_secret_that_fits_no_header_stops_the_start_unseen(held: bytes, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"^CDS_SMART: ") as refused:
        load(written(tmp_path, "client_secret_file: held", held=held), demo=False)
    assert "two" not in str(refused.value)


@pytest.mark.parametrize("more", ["client_secret_file: none", "private_key_file: none, key_id: a"])
def test_a_file_that_is_not_there_stops_the_start(more: str, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"^CDS_SMART: none cannot be read: FileNotFoundError$"):
        load(written(tmp_path, more), demo=False)


def pem(key: Any, *, password: bytes = b"") -> bytes:
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    made: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    return made


@pytest.mark.parametrize(
    ("make", "algorithm"),
    [
        (lambda: rsa.generate_private_key(65_537, 2_048), "RS384"),
        (lambda: ec.generate_private_key(ec.SECP384R1()), "ES384"),
    ],
)
def test_a_private_key_signs_by_the_algorithm_that_smart_names_for_it(
    make: Callable[[], Any], algorithm: str, tmp_path: Path
) -> None:
    (found,) = load(written(tmp_path, "private_key_file: held, key_id: a", held=pem(make())), demo=False)
    assert found.algorithm == algorithm


@pytest.mark.parametrize(
    "held",
    [
        b"",
        b"-----BEGIN PRIVATE KEY-----\nQUJD\n-----END PRIVATE KEY-----\n",
        pem(rsa.generate_private_key(65_537, 1_024)),
        pem(ec.generate_private_key(ec.SECP256R1())),
        pem(ec.generate_private_key(ec.SECP384R1()), password=b"x"),
    ],
    ids=["empty", "rubbish", "short", "other curve", "with a password"],
)
def test_a_key_of_another_kind_stops_the_start(held: bytes, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"^CDS_SMART: private_key_file: expected a PEM of an RSA key"):
        load(written(tmp_path, "private_key_file: held, key_id: a", held=held), demo=False)


@pytest.mark.parametrize(
    ("iss", "is_found"),
    [
        ("https://ehr.example/fhir", True),
        ("https://EHR.example:443/fhir/", True),
        ("https://ehr.example/FHIR", False),
        ("https://ehr.example/fhir/r4", False),
        ("http://ehr.example/fhir", False),
        ("", False),
        ("nonsense", False),
    ],
)
def test_an_issuer_is_the_same_but_for_upper_case_of_the_host_its_port_and_a_slash(
    iss: str, is_found: bool, tmp_path: Path
) -> None:
    issuers = load(written(tmp_path, "standalone: no"), demo=False)
    assert (find(issuers, iss) is not None) is is_found


# --- keys ---------------------------------------------------------------------------------------------------------


def test_what_one_key_sealed_is_opened_by_it_alone_and_for_its_time() -> None:
    moment = [NOW]
    seal = Seal(keys_in(None), now=lambda: moment[0])
    sealed = seal.closed(b"content")
    assert "content" not in sealed
    for later, opened in ((60, b"content"), (61, None)):
        moment[0] = NOW + timedelta(seconds=later)
        assert seal.opened(sealed, most_seconds=60) == opened
    moment[0] = NOW
    assert Seal(keys_in(None), now=lambda: NOW).opened(sealed, most_seconds=60) is None


@pytest.mark.parametrize("sealed", ["", "x", "é", "\udcff", "gAAAA", "=" * 5000])
def test_what_nobody_sealed_opens_nothing(sealed: str) -> None:
    assert Seal(keys_in(None), now=lambda: NOW).opened(sealed, most_seconds=60) is None


def test_after_a_change_of_keys_the_new_one_seals_and_the_old_one_still_opens(tmp_path: Path) -> None:
    old, new, file = Fernet.generate_key(), Fernet.generate_key(), tmp_path / "keys"
    file.write_bytes(old)
    before = Seal(keys_in(file), now=lambda: NOW)
    file.write_bytes(new + b"\n" + old + b"\n")
    after = Seal(keys_in(file), now=lambda: NOW)
    assert after.opened(before.closed(b"x"), most_seconds=60) == b"x"
    assert before.opened(after.closed(b"x"), most_seconds=60) is None


@pytest.mark.parametrize("held", [b"", b"\n", b"short", b"\xff", "é".encode() * 22, b"A" * 43])
def test_a_file_without_keys_stops_the_start_without_showing_them(held: bytes, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_bytes(held)
    with pytest.raises(SettingError, match=r"^CDS_SECRET_KEY_FILE: ") as refused:
        keys_in(file)
    assert "short" not in str(refused.value)
