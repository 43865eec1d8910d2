"""The service of these tests."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from tests.conformance.calls import application


@pytest.fixture
def client() -> FlaskClient:
    return application().test_client()
