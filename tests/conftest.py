"""Every reply that a test gets from the service, in process or over a socket, is one that a client can rely on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
import requests
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests import fingerprints
from tests.conformance.replies import SERVICES, Reply, check
from tests.properties import profiles as profiles
from tests.support import postgres

_SEND: Final = requests.Session.send


class CheckedClient(FlaskClient):
    """Flask's own client, that refuses to hand over a reply which breaks the specification."""

    def open(self, *args: Any, **options: Any) -> TestResponse:
        response = super().open(*args, **options)
        asked = response.request
        check(
            Reply(
                method=asked.method,
                path=asked.path,
                status=response.status_code,
                headers=dict(response.headers),
                body=response.data,
            )
        )
        return response


def checked_send(session: requests.Session, request: requests.PreparedRequest, **options: Any) -> requests.Response:
    """Send, and check the answer where it is one of a CDS service: FHIR servers answer as they like."""
    response = _SEND(session, request, **options)
    path = urlsplit(request.url or "").path
    if path.startswith(SERVICES):
        check(
            Reply(
                method=request.method or "GET",
                path=path,
                status=response.status_code,
                headers=response.headers,
                body=response.content,
            )
        )
    return response


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-fingerprints", action="store_true", help="keep the whole answers as they are now")


def pytest_sessionfinish() -> None:
    fingerprints.write()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = [
        report for report in terminalreporter.stats.get("skipped", ()) if postgres.MISSING in str(report.longrepr)
    ]
    if skipped:
        terminalreporter.section("NOT TESTED WITH POSTGRESQL", red=True, bold=True)
        terminalreporter.line(f"{len(skipped)} tests were skipped. {postgres.MISSING}", red=True, bold=True)


@pytest.fixture(scope="session")
def cluster() -> Iterator[postgres.Cluster]:
    """A PostgreSQL server of this test run alone."""
    folder = postgres.programs()
    if folder is None and os.environ.get("CI") == "true":
        pytest.fail(postgres.MISSING)
    if folder is None:
        pytest.skip(postgres.MISSING)
    started = postgres.Cluster(folder)
    yield started
    started.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new database on each of the two that the service takes."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'cds.sqlite3'}"
    started: postgres.Cluster = request.getfixturevalue("cluster")
    return started.database()


@pytest.fixture(scope="session", autouse=True)
def _every_reply_is_checked() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Flask, "test_client_class", CheckedClient)
        patch.setattr(requests.Session, "send", checked_send)
        yield
