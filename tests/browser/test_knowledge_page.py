"""The knowledge page, as a pharmacist reads it."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.chromium import barriers, picture
from tests.support.running import Running


def test_every_row_in_force_stands_there_once(page: Page, demo: Running) -> None:
    page.goto(f"{demo.base}/knowledge")
    data = page.request.get(f"{demo.base}/knowledge", headers={"Accept": "application/json"}).json()
    wanted = [row["id"] for table in data["tables"].values() for row in table["rows"]]
    shown = page.locator(".rows tbody tr").evaluate_all("rows => rows.map(row => row.id)")
    assert sorted(shown) == sorted(wanted)


def test_a_row_says_its_words_its_sources_and_that_nobody_has_reviewed_it(page: Page, demo: Running) -> None:
    page.goto(f"{demo.base}/knowledge#R2")
    row = page.locator("#R2")
    expect(row).to_contain_text("Restart at 1 mg")
    expect(row).to_contain_text("Table 4")
    expect(row).to_contain_text("D-19")
    expect(row).to_contain_text("not reviewed")
    picture(page, "knowledge")


def test_words_source_and_review_narrow_the_rows(page: Page, demo: Running) -> None:
    page.goto(f"{demo.base}/knowledge")
    rows = page.locator(".rows tbody tr:visible")
    everything = rows.count()
    page.get_by_label("Find in rows").fill("restart 28 days")
    expect(page.locator("#found")).to_have_text(re.compile(rf"^\d+ of {everything} rows$"))
    assert 0 < rows.count() < 20
    expect(page.locator("#R6")).to_be_visible()
    expect(page.locator("#R2")).to_be_hidden()
    page.get_by_label("Find in rows").fill("")
    page.get_by_label("Source").select_option("label only")
    assert 0 < rows.count() < everything
    page.get_by_label("Review").select_option("yes")
    expect(rows).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nobody_is_kept_out(page: Page, demo: Running, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.goto(f"{demo.base}/knowledge")
    assert barriers(page) == []


@pytest.mark.parametrize(
    ("form", "starts"), [("markdown", "# "), ("json", '{"drug"'), ("fhir", '{"resourceType":"Bundle"')]
)
def test_the_other_forms_are_one_click_away(page: Page, demo: Running, form: str, starts: str) -> None:
    page.goto(f"{demo.base}/knowledge")
    address = page.locator(f"a[href='?as={form}']").get_attribute("href")
    assert page.request.get(f"{demo.base}/knowledge{address}").text().startswith(starts)


def test_on_paper_there_are_the_tables_and_no_controls(page: Page, demo: Running) -> None:
    page.goto(f"{demo.base}/knowledge")
    page.emulate_media(media="print")
    expect(page.locator(".filter")).to_be_hidden()
    expect(page.locator("#R2")).to_be_visible()
    assert page.pdf(prefer_css_page_size=True).startswith(b"%PDF")
