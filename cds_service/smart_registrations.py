"""Where the SMART app is registered: the issuers of `CDS_SMART`, each with the client that this app is there.

An issuer (the FHIR base of an EHR) that is not listed is never asked for anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from joserfc.jwk import ECKey, RSAKey
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from cds_service import setting_file
from cds_service.clients import Address, Origin, Text
from cds_service.errors import SettingError
from cds_service.fhir_address import base_of

SETTING: Final = "CDS_SMART"
SMALLEST_RSA_KEY: Final = 2_048
"""Bits."""

IDENTITY_AND_OFFLINE: Final = frozenset({"openid", "fhirUser", "profile", "email", "offline_access", "online_access"})
"""Scopes that the app has no use for: it asks nobody's identity (no id_token is read) and keeps no token."""

Visible = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{1,200}$")]


class Registration(BaseModel):
    """One issuer, and this app as its client: public, or confidential by a secret or by a private key.

    `scopes` empty: read access to what the rules need, in the version of SMART that the issuer names. `standalone`: the
    app may also be started from its own page. `embedded_by`: the origins of pages that show it in a frame.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Text
    iss: Address
    client_id: Visible
    client_secret_file: Path | None = None
    private_key_file: Path | None = None
    key_id: Visible | None = None
    scopes: tuple[Visible, ...] = ()
    standalone: bool = True
    embedded_by: tuple[Origin, ...] = ()

    @model_validator(mode="after")
    def _proves_itself_in_one_way(self) -> Registration:
        if self.client_secret_file is not None and self.private_key_file is not None:
            raise ValueError("expected client_secret_file or private_key_file, not both")
        if (self.private_key_file is None) is not (self.key_id is None):
            raise ValueError("expected key_id with private_key_file, and only with it")
        return self

    @field_validator("scopes")
    @classmethod
    def _asks_for_reading_alone(cls, scopes: tuple[str, ...]) -> tuple[str, ...]:
        if IDENTITY_AND_OFFLINE & set(scopes):
            raise ValueError("expected none of openid, fhirUser, profile, email, offline_access, online_access")
        return scopes


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    issuers: Annotated[tuple[Registration, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _each_issuer_once(self) -> _File:
        if len({base_of(one.iss) for one in self.issuers}) < len(self.issuers):
            raise ValueError("two issuers have the same iss")
        if len({one.name for one in self.issuers}) < len(self.issuers):
            raise ValueError("two issuers have the same name")
        return self


@dataclass(frozen=True, kw_only=True, repr=False)
class Issuer:
    """A registration with what its files hold. Its `repr` is empty: there are secrets in it."""

    registered: Registration
    secret: str | None = None
    key: RSAKey | ECKey | None = None

    def __repr__(self) -> str:
        return "Issuer()"

    @property
    def algorithm(self) -> str:
        """The one that SMART asks for with a key of this kind."""
        return "RS384" if isinstance(self.key, RSAKey) else "ES384"


@dataclass(frozen=True, kw_only=True)
class AppLinks:
    """The launch address of this app, for the FHIR servers where it is registered."""

    launch_url: str
    issuers: tuple[str, ...]

    def of(self, fhir_server: str | None) -> str | None:
        """Where a user of this FHIR server can launch the app; None where it could not work."""
        base = base_of(fhir_server or "")
        return self.launch_url if base is not None and base in map(base_of, self.issuers) else None


def find(issuers: Iterable[Issuer], iss: str) -> Issuer | None:
    """The registration of this issuer, however it spells upper case, the usual port and a slash at the end."""
    base = base_of(iss)
    return next((one for one in issuers if base is not None and base_of(one.registered.iss) == base), None)


def parse(text: str, file: str, *, demo: bool) -> tuple[Registration, ...]:
    """The registrations of a file; their own files are not read yet. `demo`: http addresses are accepted.

    Raises: SettingError.
    """
    return setting_file.parse(text, file, _File, setting=SETTING, context={"demo": demo}).issuers


def load(path: Path, *, demo: bool) -> tuple[Issuer, ...]:
    """The issuers of the file at `path`, their secrets and keys read. A relative path begins in the file's folder.

    Raises: SettingError, which never holds a secret.
    """
    found = parse(setting_file.text_at(path, setting=SETTING), path.name, demo=demo)
    return tuple(_with_its_files(one, path.parent) for one in found)


def _with_its_files(registered: Registration, folder: Path) -> Issuer:
    secret = key = None
    if registered.client_secret_file is not None:
        secret = _secret(setting_file.text_at(folder / registered.client_secret_file, setting=SETTING).strip())
    if registered.private_key_file is not None:
        text = setting_file.text_at(folder / registered.private_key_file, setting=SETTING)
        key = _key(text)
    return Issuer(registered=registered, secret=secret, key=key)


def _secret(text: str) -> str:
    if re.fullmatch(r"[\x21-\x7e]{1,1000}", text) is None:
        raise SettingError(f"{SETTING}: client_secret_file: expected one line of ASCII without spaces")
    return text


def _key(text: str) -> RSAKey | ECKey:
    try:
        held = load_pem_private_key(text.encode(), password=None)
    except (ValueError, TypeError):
        held = None
    if isinstance(held, RSAPrivateKey) and held.key_size >= SMALLEST_RSA_KEY:
        return RSAKey.import_key(text)
    if isinstance(held, EllipticCurvePrivateKey) and isinstance(held.curve, SECP384R1):
        return ECKey.import_key(text)
    raise SettingError(
        f"{SETTING}: private_key_file: expected a PEM of an RSA key of 2048 bits or more, or one on P-384"
    )


def public_keys(issuers: Sequence[Issuer]) -> Mapping[str, object]:
    """The public halves of the keys, as the JWK Set that an EHR asks for."""
    return {
        "keys": [
            {**one.key.as_dict(private=False), "kid": one.registered.key_id, "use": "sig", "alg": one.algorithm}
            for one in issuers
            if one.key is not None
        ]
    }
