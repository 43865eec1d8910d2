"""One browser for all tests of a process, a page of its own for each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.chromium import listen, started
from tests.support.running import Running, running

expect.set_options(timeout=20_000)  # a busy machine


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with started() as browser:
        yield browser


@pytest.fixture
def heard() -> list[str]:
    """What the page complained of; a test that provokes a complaint empties it."""
    return []


@pytest.fixture
def page(browser: Browser, heard: list[str]) -> Iterator[Page]:
    """A page that in the end has complained of nothing."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme="light", locale="en-GB")
    context.set_default_timeout(30_000)
    page = context.new_page()
    listen(page, heard)
    yield page
    context.close()
    assert heard == []


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The demonstration as anybody starts it, with a store of its own and time for a busy machine."""
    file: Path = tmp_path_factory.mktemp("demo") / "cds.sqlite3"
    with running(f"sqlite:///{file}", CDS_NOW="2026-03-03T12:00:00Z", CDS_FHIR_BUDGET_MS="20000") as started:
        started.store = file
        yield started
