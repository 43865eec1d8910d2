"""Who calls, and what they understand: the client profiles of `CDS_CLIENTS`.

Only rendering reads a Profile: the rules say the same to every client.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)

from cds_service import setting_file
from cds_service.fhir_address import base_of

SETTING: Final = "CDS_CLIENTS"
ADDRESS: Final = r"^https?://[^\s/?#@]+(/[^\s?#]*)?$"


class Profile(BaseModel):
    """What a client understands of an answer. The defaults are those of the contract, section 2.

    `both`: it takes either selection behaviour, so that each card says whether its suggestions exclude each other.
    `mirror`: system actions also under `extension.systemActions`, where the reference sandbox reads them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    spec_version: Literal["1.0", "1.1", "2.0", "3.0"] = "2.0"
    selection_behavior: Literal["any", "at-most-one", "both"] = "any"
    actions_per_suggestion: Literal["one", "many"] = "many"
    system_actions: Literal["off", "on", "mirror"] = "off"


ANY_PROFILE: Final = Profile()


def _is_encrypted(address: str, info: ValidationInfo) -> str:
    """http is for demonstrations alone (C3)."""
    if not address.startswith("https://") and not (info.context or {}).get("demo"):
        raise ValueError("expected an https address")
    return address


def _can_be_called(address: str) -> str:
    if base_of(address) is None:
        raise ValueError("expected an address that can be called")
    return address


def _zone(name: object) -> ZoneInfo:
    try:
        return ZoneInfo(str(name))
    except (KeyError, OSError, ValueError):
        raise ValueError("expected an IANA time zone") from None


SANDBOX: Final = "https://sandbox.cds-hooks.org"
"""The issuer of the reference sandbox: its private key is public, so anybody can sign in its name (C113)."""

PRIVATE_PARTS: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Who calls, as far as an answer depends on it.

    `zone` None: the clinic's. `fhir_servers` None: any that a demonstration may call. `search_texts`: grades that stand
    in a text are searched for on its server also beside `observations` that it prefetched.
    """

    name: str = ""
    profile: Profile = ANY_PROFILE
    zone: ZoneInfo | None = None
    fhir_servers: tuple[str, ...] | None = None
    search_texts: bool = False


ANYBODY: Final = Caller()
"""A demonstration without client profiles does not ask who calls, and only what was not prefetched is read (C32)."""

Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
Address = Annotated[
    str, StringConstraints(pattern=ADDRESS), AfterValidator(_is_encrypted), AfterValidator(_can_be_called)
]
Origin = Annotated[str, StringConstraints(pattern=r"^https?://[^\sA-Z/?#@*]+$"), AfterValidator(_is_encrypted)]
Algorithm = Literal["ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "EdDSA"]
"""Asymmetric ones only (C98)."""


class Client(Profile):
    """One registered client: who it is, where its keys are, which FHIR servers are called for it, what it understands.

    `tenants` empty: any. `timezone` None: the clinic's, `CDS_TIMEZONE`. `search_texts`: as in the caller.
    """

    name: Text
    iss: Text
    jwks_url: Address | None = None
    jwks: dict[str, Any] | None = None
    algorithms: Annotated[tuple[Algorithm, ...], Field(min_length=1)] = ("ES384", "RS384")
    audience_aliases: tuple[Text, ...] = ()
    tenants: tuple[Text, ...] = ()
    fhir_servers: tuple[Address, ...] = ()
    cors_origins: tuple[Origin, ...] = ()
    timezone: Annotated[ZoneInfo, BeforeValidator(_zone)] | None = None
    search_texts: bool = True

    @model_validator(mode="after")
    def _has_its_keys_in_one_place(self) -> Client:
        if (self.jwks_url is None) is (self.jwks is None):
            raise ValueError("expected jwks_url or jwks, one of them")
        return self

    @model_validator(mode="after")
    def _pins_keys(self) -> Client:
        keys = self.jwks.get("keys") if self.jwks is not None else [{"kty": "EC", "kid": "fetched"}]
        if not (isinstance(keys, list) and keys and all(isinstance(key, dict) for key in keys)):
            raise ValueError("jwks: expected {keys: [...]} with at least one key")
        if any(PRIVATE_PARTS & key.keys() for key in keys):
            raise ValueError("jwks: expected public keys only; one of these is private")
        if not all(key.get("kty") in {"EC", "RSA", "OKP"} and isinstance(key.get("kid"), str) for key in keys):
            raise ValueError("jwks: expected kty (EC, RSA or OKP) and kid in each key")
        return self

    @field_validator("iss")
    @classmethod
    def _is_not_anybody(cls, iss: str, info: ValidationInfo) -> str:
        if iss == SANDBOX and not (info.context or {}).get("demo"):
            raise ValueError("expected another issuer: the private key of the reference sandbox is public")
        return iss

    @property
    def caller(self) -> Caller:
        """The client as an answer sees it."""
        profile = Profile(**{name: getattr(self, name) for name in Profile.model_fields})
        return Caller(
            name=self.name,
            profile=profile,
            zone=self.timezone,
            fhir_servers=self.fhir_servers,
            search_texts=self.search_texts,
        )


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    clients: Annotated[tuple[Client, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _each_client_once(self) -> _File:
        for what in ("iss", "name"):
            if len({getattr(client, what) for client in self.clients}) < len(self.clients):
                raise ValueError(f"two clients have the same {what}")
        return self


def parse(text: str, file: str, *, demo: bool) -> tuple[Client, ...]:
    """The clients of a file. `demo`: http addresses are accepted.

    Raises: SettingError, one line with file, line, place and what is expected there; never the value.
    """
    return setting_file.parse(text, file, _File, setting=SETTING, context={"demo": demo}).clients


def load(path: Path, *, demo: bool) -> tuple[Client, ...]:
    """The clients of the file at `path`. Raises: SettingError, also where it cannot be read."""
    return parse(setting_file.text_at(path, setting=SETTING), path.name, demo=demo)
