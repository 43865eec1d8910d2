"""Every reply that a test gets from the service, in process or over a socket, is one that a client can rely on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
import requests
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests import fingerprints
from tests.conformance.replies import SERVICES, Reply, check

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


@pytest.fixture(scope="session", autouse=True)
def _every_reply_is_checked() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Flask, "test_client_class", CheckedClient)
        patch.setattr(requests.Session, "send", checked_send)
        yield
