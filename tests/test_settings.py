"""The settings of the contract: defaults, what each takes, and one plain line for whatever is wrong."""

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from cds_service.errors import SettingError
from cds_service.knowledge.regimen import Sources
from cds_service.settings import TAKES, read_settings


def test_an_empty_environment_gives_the_defaults_of_the_contract() -> None:
    settings = read_settings({})
    assert settings.mode == "demo"
    assert settings.public_url is None
    assert settings.clients is None
    assert settings.database_url == "sqlite:///cds.sqlite3"
    assert settings.timezone == ZoneInfo("UTC")
    assert settings.sources is Sources.SEED_AND_LABEL
    assert settings.knowledge is None
    assert settings.accept_unreviewed is None
    assert settings.fhir_budget_ms == 1500
    assert settings.max_body_bytes == 10_485_760
    assert settings.now is None


def test_every_variable_is_read(tmp_path: Path) -> None:
    knowledge = tmp_path / "other.yaml"
    knowledge.touch()
    settings = read_settings(
        {
            "CDS_MODE": "demo",
            "CDS_PUBLIC_URL": "https://cds.example/base",
            "CDS_DATABASE_URL": "postgresql+psycopg://db/cds",
            "CDS_TIMEZONE": "Europe/Vienna",
            "CDS_SOURCES": "seed",
            "CDS_KNOWLEDGE": str(knowledge),
            "CDS_ACCEPT_UNREVIEWED": " The head of pharmacy ",
            "CDS_FHIR_BUDGET_MS": "800",
            "CDS_MAX_BODY_BYTES": "2048",
            "CDS_NOW": "2026-01-20T09:00:00Z",
            "PATH": "/usr/bin",
        }
    )
    assert settings.public_url == "https://cds.example/base"
    assert settings.database_url == "postgresql+psycopg://db/cds"
    assert settings.timezone == ZoneInfo("Europe/Vienna")
    assert settings.sources is Sources.SEED
    assert settings.knowledge == knowledge
    assert settings.accept_unreviewed == "The head of pharmacy"
    assert settings.fhir_budget_ms == 800
    assert settings.max_body_bytes == 2048
    assert settings.now == datetime(2026, 1, 20, 9, tzinfo=UTC)


@pytest.mark.parametrize("name", TAKES)
def test_a_variable_set_to_nothing_counts_as_not_set(name: str) -> None:
    assert read_settings({name: " "}) == read_settings({})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CDS_MODE", "prod"),
        ("CDS_PUBLIC_URL", "cds.example"),
        ("CDS_PUBLIC_URL", "https://cds.example/?a=b"),
        ("CDS_PUBLIC_URL", "https://cds.example/cds-services"),
        ("CDS_PUBLIC_URL", "https://cds.example/base/cds-services/"),
        ("CDS_CLIENTS", "clients.yaml"),
        ("CDS_DATABASE_URL", "mysql://secret@db"),
        ("CDS_TIMEZONE", "Mars/Olympus"),
        ("CDS_TIMEZONE", "../../etc/passwd"),
        ("CDS_SOURCES", "label"),
        ("CDS_KNOWLEDGE", "/no/such/file.yaml"),
        ("CDS_FHIR_BUDGET_MS", "0"),
        ("CDS_FHIR_BUDGET_MS", "60001"),
        ("CDS_FHIR_BUDGET_MS", "fast"),
        ("CDS_MAX_BODY_BYTES", "1023"),
        ("CDS_MAX_BODY_BYTES", "1073741825"),
        ("CDS_NOW", "2026-01-20T09:00:00"),
        ("CDS_NOW", "today"),
        ("CDS_NOW", "9999-12-31T00:00:00Z"),
        ("CDS_NOW", "0001-01-01T00:00:00Z"),
    ],
)
def test_a_wrong_value_is_refused_in_one_line_that_names_the_variable_and_what_it_takes(name: str, value: str) -> None:
    with pytest.raises(SettingError) as refused:
        read_settings({name: value})
    line = str(refused.value)
    assert line == f"{name} takes {TAKES[name]}"
    assert "\n" not in line
    assert "secret" not in line


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CDS_FHIR_BUDGET_MS", "1"),
        ("CDS_FHIR_BUDGET_MS", "60000"),
        ("CDS_MAX_BODY_BYTES", "1024"),
        ("CDS_MAX_BODY_BYTES", "1073741824"),
    ],
)
def test_the_borders_of_a_number_are_taken(name: str, value: str) -> None:
    read_settings({name: value})


@pytest.mark.parametrize("url", ["https://cds-services.example", "https://cds.example/cds-services-of-ours"])
def test_a_public_url_may_have_the_words_elsewhere(url: str) -> None:
    assert read_settings({"CDS_PUBLIC_URL": url}).public_url == url


def test_a_misspelt_variable_is_refused_by_name() -> None:
    with pytest.raises(SettingError, match=r"^CDS_TIMEZON: no such setting"):
        read_settings({"CDS_TIMEZON": "Europe/Vienna"})


# --- production -------------------------------------------------------------------------------------------------


def production(tmp_path: Path, **changes: str) -> dict[str, str]:
    clients = tmp_path / "clients.yaml"
    clients.touch()
    decided = {
        "CDS_MODE": "production",
        "CDS_CLIENTS": str(clients),
        "CDS_PUBLIC_URL": "https://cds.example",
        "CDS_TIMEZONE": "Europe/Vienna",
    }
    return decided | changes


def test_production_takes_what_a_hospital_has_decided(tmp_path: Path) -> None:
    settings = read_settings(production(tmp_path))
    assert not settings.is_demo
    assert settings.clients == tmp_path / "clients.yaml"


@pytest.mark.conforms("C95")
@pytest.mark.parametrize("name", ["CDS_CLIENTS", "CDS_PUBLIC_URL", "CDS_TIMEZONE"])
def test_production_has_no_default_for_clients_address_and_time_zone(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingError, match=f"^{name} is missing: it takes "):
        read_settings(production(tmp_path, **{name: ""}))


@pytest.mark.conforms("C3")
@pytest.mark.parametrize(
    ("name", "value"), [("CDS_PUBLIC_URL", "http://cds.example"), ("CDS_NOW", "2026-01-20T09:00:00Z")]
)
def test_production_takes_no_open_address_and_no_clock_that_stands_still(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(SettingError) as refused:
        read_settings(production(tmp_path, **{name: value}))
    assert str(refused.value) == f"{name} takes {TAKES[name]}"


def test_the_password_of_the_database_is_not_among_what_settings_print() -> None:
    settings = read_settings({"CDS_DATABASE_URL": "postgresql+psycopg://cds:secret@db.example/cds"})
    assert "secret" in settings.database_url
    assert "secret" not in f"{settings!r} {settings}"
