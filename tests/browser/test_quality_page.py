"""The quality page, as a committee reads it at the machine of the service."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect

from cds_service.store import Store
from tests.browser.chromium import barriers, picture
from tests.support.quality_data import fill
from tests.support.running import Running, running


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A demonstration with forty days of made-up calls."""
    url = f"sqlite:///{tmp_path_factory.mktemp('quality') / 'cds.sqlite3'}"
    fill(Store(url), calls=3_000, days=40, until=datetime.now(UTC), client="")
    with running(url) as started:
        yield started


def test_a_row_is_drawn_and_its_numbers_stand_below(page: Page, filled: Running) -> None:
    page.goto(f"{filled.base}/quality")
    drawn = page.locator("figure", has_text="R2")
    expect(drawn.get_by_role("img")).to_be_visible()
    assert drawn.locator("rect.bar.accepted").count() > 5
    drawn.get_by_text("Numbers").click()
    shown = [int(cell) for cell in drawn.locator("tbody td:nth-child(2)").all_inner_texts()]
    whole = page.locator("#cards + .wide tr", has=page.get_by_role("rowheader", name="R2", exact=True))
    assert sum(shown) == int(whole.locator("td").nth(2).inner_text().replace(",", ""))
    picture(page, "quality", whole=True)


def test_the_form_narrows_and_the_download_keeps_it(page: Page, filled: Running) -> None:
    page.goto(f"{filled.base}/quality")
    asked_on = datetime.now(UTC).date()
    page.get_by_role("link", name="Last 7 days").click()
    page.wait_for_url(re.compile("days=7"))
    today = {asked_on, datetime.now(UTC).date()}  # two days at midnight
    expect(page.locator("h1 + p")).to_contain_text(re.compile("|".join(str(day - timedelta(days=6)) for day in today)))
    page.get_by_label("Hook").select_option("patient-view")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("h1 + p")).to_contain_text("tarlatamab-patient-view")
    with page.expect_download() as download:
        page.get_by_role("link", name="Rows by day (CSV)").click()
    assert download.value.suggested_filename.startswith("tarlatamab-cds-rows-")
    assert download.value.path().read_text(encoding="utf-8").startswith("row,topic,action,day,shown,")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nobody_is_kept_out(page: Page, filled: Running, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.goto(f"{filled.base}/quality")
    for summary in page.locator("summary").all():
        summary.click()
    assert barriers(page) == []


def test_twice_the_size_needs_no_scrolling_sideways(page: Page, filled: Running) -> None:
    page.set_viewport_size({"width": 640, "height": 900})
    page.goto(f"{filled.base}/quality")
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
