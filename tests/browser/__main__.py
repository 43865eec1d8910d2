"""Takes the pictures of the README anew: `python -m tests.browser`. Chromium has to be there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.browser.chromium import started
from tests.support.running import running

FOLDER: Final = Path(__file__).resolve().parents[2] / "docs" / "images"
PICTURES: Final[Mapping[str, str]] = {
    "test-bench": "/#v5b",
    "knowledge": "/knowledge#R2",
}


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    with (
        TemporaryDirectory() as folder,
        running(f"sqlite:///{folder}/cds.sqlite3", CDS_NOW="2026-03-03T12:00:00Z") as demo,
        started() as browser,
    ):
        for name, address in PICTURES.items():
            page = browser.new_page(viewport={"width": 1440, "height": 1400}, color_scheme="light")
            page.goto(demo.base + address)
            page.wait_for_load_state("networkidle")
            page.screenshot(path=FOLDER / f"{name}.png", animations="disabled")


if __name__ == "__main__":
    main()
