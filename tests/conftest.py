"""What all tests share: the option that writes fingerprints anew."""

from __future__ import annotations

import pytest

from tests import fingerprints


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-fingerprints", action="store_true", help="keep the whole answers as they are now")


def pytest_sessionfinish() -> None:
    fingerprints.write()
