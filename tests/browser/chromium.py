"""The machine's own Chromium (Debian: apt install chromium); nothing is downloaded, and it calls nobody by itself."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

PROGRAMS: Final = ("chromium", "chromium-browser", "google-chrome")
QUIET: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-color-profile=srgb",
)
WCAG: Final = {
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]},
    "resultTypes": ["violations"],  # all is checked; what passes is not described node by node, which takes longest
}
CLOSED: Final = ("net::ERR_CONNECTION_RESET", "net::ERR_CONNECTION_CLOSED", "net::ERR_SOCKET_NOT_CONNECTED")
"""Python's own server closes each connection after its answer: a page that is left may find one closed under its hands.

What a page needs and does not get is seen by what it shows.
"""
SCREENSHOTS: Final = Path(__file__).resolve().parents[2] / "screenshots"
"""What the pages looked like in the last run: an artefact, not in version control."""


def program() -> str:
    """Where Chromium is. Without it the browser tests are skipped, loudly; where CI=true is set they fail."""
    found = next((path for name in PROGRAMS if (path := shutil.which(name))), None)
    if found is None:
        missing = "NO CHROMIUM, NO BROWSER TESTS: apt install chromium"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return found


@contextmanager
def started() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program(), args=list(QUIET))
        try:
            yield browser
        finally:
            browser.close()


def listen(page: Page, heard: list[str]) -> None:
    """Keeps what the page complains of: scripts that fail, parts that are missing or that its policy refuses."""

    def console(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not any(text in message.text for text in CLOSED):
            heard.append(message.text)

    page.on("console", console)
    page.on("pageerror", lambda error: heard.append(str(error)))


def barriers(page: Page) -> list[str]:
    """What keeps somebody out by WCAG 2.2 AA, as far as a program can tell."""
    found = Axe().run(page, options=WCAG).response["violations"]
    return [f"{one['id']}: {node['html'][:200]}" for one in found for node in one["nodes"]]


def picture(page: Page, name: str, *, whole: bool = False) -> None:
    SCREENSHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=whole, animations="disabled")
