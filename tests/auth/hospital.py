"""A service in production, for one client that exists only here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flask.testing import FlaskClient

import app
from cds_service.settings import Settings, read_settings
from cds_service.store import Store
from tests.auth.tokens import PUBLIC_URL, clients_file, profile


def settings_for(folder: Path, *profiles: dict[str, Any], **changes: str) -> Settings:
    """Settings of a hospital, with these client profiles (one with pinned keys if none are given)."""
    file = folder / "clients.yaml"
    file.write_text(clients_file(*(profiles or (profile(),))), encoding="utf-8")
    hospital = {
        "CDS_MODE": "production",
        "CDS_CLIENTS": str(file),
        "CDS_PUBLIC_URL": PUBLIC_URL,
        "CDS_TIMEZONE": "UTC",
        "CDS_ACCEPT_UNREVIEWED": "The head of pharmacy",
        "CDS_DATABASE_URL": f"sqlite:///{folder / 'cds.sqlite3'}",
    }
    return read_settings(hospital | changes)


def hospital(folder: Path, *profiles: dict[str, Any], **changes: str) -> FlaskClient:
    settings = settings_for(folder, *profiles, **changes)
    return app.build(settings, store=Store(settings.database_url)).test_client()
