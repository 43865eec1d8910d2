"""What all tests share: every answer keeps the specification; and the option that writes fingerprints."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import jsonschema_rs
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests import fingerprints

SCHEMA: Final = json.loads((Path(__file__).parent / "cds_hooks" / "response.schema.json").read_text(encoding="utf-8"))
DISCOVERY: Final = jsonschema_rs.Draft202012Validator(SCHEMA | {"$ref": "#/$defs/discovery"})
RESPONSE: Final = jsonschema_rs.Draft202012Validator(SCHEMA | {"$ref": "#/$defs/response"})


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-fingerprints", action="store_true", help="keep the whole answers as they are now")


def pytest_sessionfinish() -> None:
    fingerprints.write()


@pytest.fixture(autouse=True, scope="session")
def _every_answer_keeps_the_specification() -> Iterator[None]:
    """Whatever a test asks of the service: the schema of CDS Hooks, or an OperationOutcome."""
    patch = pytest.MonkeyPatch()
    original = FlaskClient.open

    def checked(client: FlaskClient, *args: Any, **more: Any) -> TestResponse:
        response: TestResponse = original(client, *args, **more)
        check(response)
        return response

    patch.setattr(FlaskClient, "open", checked)
    yield
    patch.undo()


def check(response: TestResponse) -> None:
    """What holds for every answer."""
    address, method = response.request.path.rstrip("/"), response.request.method
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    if response.status_code >= 400 and method != "HEAD":
        body = response.get_json()
        assert body["resourceType"] == "OperationOutcome"
        assert all(issue["diagnostics"] and issue["code"] for issue in body["issue"])
    elif address == "/cds-services" and method == "GET":
        DISCOVERY.validate(response.get_json())
    elif "/cds-services/" in address and method == "POST" and not address.endswith("/feedback"):
        RESPONSE.validate(in_version_2(response.get_json()))


def in_version_2(value: Any) -> Any:
    """The answer with removals as CDS Hooks 2.0 writes them: 1.x has the reference in `resource` (C77)."""
    if isinstance(value, list):
        return [in_version_2(part) for part in value]
    if not isinstance(value, dict):
        return value
    if value.get("type") == "delete" and isinstance(value.get("resource"), str):
        return {("resourceId" if name == "resource" else name): part for name, part in value.items()}
    return {name: in_version_2(part) for name, part in value.items()}
