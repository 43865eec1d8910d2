"""The settings of the contract, validated before the first request. `app.py` alone hands in the environment.

A setting that is wrong, unknown (a typing error would else be silence) or asks for what this version cannot do
ends the start: SettingError, one line that names the variable and what it takes, never the value.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
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
    ValidationError,
)

from cds_service.errors import SettingError
from cds_service.knowledge.regimen import Sources

PREFIX: Final = "CDS_"

TAKES: Final[Mapping[str, str]] = {
    "CDS_MODE": "demo or production",
    "CDS_PUBLIC_URL": "an http or https URL without query and without /cds-services at its end, such as "
    "https://cds.example (production: https, required)",
    "CDS_CLIENTS": "the path of a readable file of client profiles (production: required)",
    "CDS_SMART": "the path of a readable file of SMART registrations",
    "CDS_SECRET_KEY_FILE": "the path of a readable file of keys for sealing (production with CDS_SMART: required)",
    "CDS_DATABASE_URL": "sqlite:///FILE or postgresql+psycopg://…",
    "CDS_TIMEZONE": "an IANA time zone, such as Europe/Vienna (production: required)",
    "CDS_SOURCES": "seed+label or seed",
    "CDS_KNOWLEDGE": "the path of a readable knowledge file",
    "CDS_ACCEPT_UNREVIEWED": "the name of the person who answers for rows that nobody has reviewed",
    "CDS_FHIR_BUDGET_MS": "a whole number of milliseconds from 1 to 60000",
    "CDS_MAX_BODY_BYTES": "a whole number of bytes from 1024 to 1073741824",
    "CDS_NOW": "a moment with its offset as in RFC 3339, such as 2026-01-20T09:00:00+01:00 (demo only)",
}
"""Every variable and what it takes: the second half of each error, and the list of known names."""


def _zone(name: object) -> ZoneInfo:
    try:
        return ZoneInfo(str(name))
    except (KeyError, OSError, ValueError):
        raise ValueError("no such zone") from None


def _moment(text: object) -> datetime:
    moment = datetime.fromisoformat(str(text))
    if moment.tzinfo is None or not 1900 <= moment.year <= 2100:
        raise ValueError("no offset, or no time in which the drug can be ordered")
    return moment


def _above_the_services(url: str) -> str:
    """Tokens have to be for this URL + /cds-services: with that in it already, every client would get a 401."""
    if url.rstrip("/").endswith("/cds-services"):
        raise ValueError("the address of the discovery, not the base of it")
    return url


def _readable(path: Path) -> Path:
    if not path.is_file():
        raise ValueError("no such file")
    return path


class Settings(BaseModel):
    """What an operator decides; the defaults serve a demonstration on one machine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Annotated[Literal["demo", "production"], Field(alias="CDS_MODE")] = "demo"
    public_url: Annotated[
        Annotated[str, StringConstraints(pattern=r"^https?://[^\s/?#]+[^\s?#]*$"), AfterValidator(_above_the_services)]
        | None,
        Field(alias="CDS_PUBLIC_URL"),
    ] = None
    clients: Annotated[Annotated[Path, AfterValidator(_readable)] | None, Field(alias="CDS_CLIENTS")] = None
    smart: Annotated[Annotated[Path, AfterValidator(_readable)] | None, Field(alias="CDS_SMART")] = None
    key_file: Annotated[Annotated[Path, AfterValidator(_readable)] | None, Field(alias="CDS_SECRET_KEY_FILE")] = None
    database_url: Annotated[
        str,
        StringConstraints(pattern=r"^(sqlite:///|postgresql\+psycopg://)\S+$"),
        Field(alias="CDS_DATABASE_URL", repr=False),  # there may be a password in it
    ] = "sqlite:///cds.sqlite3"
    timezone: Annotated[ZoneInfo, BeforeValidator(_zone), Field(alias="CDS_TIMEZONE")] = ZoneInfo("UTC")
    sources: Annotated[Sources, Field(alias="CDS_SOURCES")] = Sources.SEED_AND_LABEL
    knowledge: Annotated[Annotated[Path, AfterValidator(_readable)] | None, Field(alias="CDS_KNOWLEDGE")] = None
    accept_unreviewed: Annotated[
        Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)] | None,
        Field(alias="CDS_ACCEPT_UNREVIEWED"),
    ] = None
    fhir_budget_ms: Annotated[int, Field(alias="CDS_FHIR_BUDGET_MS", ge=1, le=60_000)] = 1_500
    max_body_bytes: Annotated[int, Field(alias="CDS_MAX_BODY_BYTES", ge=1_024, le=1_073_741_824)] = 10 * 1024 * 1024
    now: Annotated[Annotated[datetime, BeforeValidator(_moment)] | None, Field(alias="CDS_NOW")] = None

    @property
    def is_demo(self) -> bool:
        return self.mode == "demo"


def read_settings(environment: Mapping[str, str]) -> Settings:
    """The settings in `environment`; a variable that is set to nothing counts as not set.

    Raises: SettingError for the first variable (by name) that is unknown or wrong.
    """
    given: dict[str, Any] = {
        name: value for name, value in sorted(environment.items()) if name.startswith(PREFIX) and value.strip()
    }
    for name in given.keys() - TAKES.keys():
        raise SettingError(f"{name}: no such setting; there are {', '.join(TAKES)}")
    try:
        settings = Settings.model_validate(given)
    except ValidationError as error:
        name = min(str(found["loc"][0]) for found in error.errors(include_input=False, include_url=False))
        raise SettingError(f"{name} takes {TAKES[name]}") from None
    _refuse_half_a_production(settings, given)
    return settings


def _refuse_half_a_production(settings: Settings, given: Mapping[str, Any]) -> None:
    """Production has no defaults for what a hospital has to decide, and no clock that stands still.

    Raises: SettingError.
    """
    if settings.is_demo:
        return
    for_the_app = ("CDS_SECRET_KEY_FILE",) if settings.smart is not None else ()
    for name in ("CDS_CLIENTS", "CDS_PUBLIC_URL", "CDS_TIMEZONE", *for_the_app):
        if name not in given:
            raise SettingError(f"{name} is missing: it takes {TAKES[name]}")
    if not str(settings.public_url).startswith("https://"):
        raise SettingError(f"CDS_PUBLIC_URL takes {TAKES['CDS_PUBLIC_URL']}")
    if settings.now is not None:
        raise SettingError(f"CDS_NOW takes {TAKES['CDS_NOW']}")
