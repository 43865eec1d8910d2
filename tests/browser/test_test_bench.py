"""The test bench, as somebody uses it who has no EHR."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.chromium import barriers, picture
from tests.support.running import Running

LATE = "First 10 mg, 15 days after 1 mg"


def choose(page: Page, demo: Running, name: str) -> None:
    page.goto(demo.base)
    page.get_by_role("button", name=name, exact=True).click()
    answered(page)


def answered(page: Page) -> None:
    expect(page.locator("#status")).to_have_text(re.compile(r"\d+ cards? in \d+ ms|nothing to say"))


def send(page: Page) -> None:
    page.get_by_role("button", name="Send the call").click()
    page.wait_for_load_state("networkidle")
    answered(page)


def summaries(page: Page) -> list[str]:
    return page.locator(".card h3").all_inner_texts()


def rows(demo: Running, query: str, *values: str) -> list[Any]:
    assert demo.store is not None
    with closing(sqlite3.connect(demo.store, timeout=10)) as connection:
        return connection.execute(query, values).fetchall()


def test_a_newcomer_sees_who_the_patients_are_and_what_to_do(page: Page, demo: Running) -> None:
    page.goto(demo.base)
    assert page.title() == "Test bench · tarlatamab-cds"
    assert page.locator("[data-patient]").count() >= 20
    expect(page.locator(".notice").first).to_contain_text("made-up patients")
    expect(page.locator("#fire")).to_be_disabled()
    assert barriers(page) == []


def test_a_late_dose_gets_its_card_with_source_and_offers(page: Page, demo: Running) -> None:
    choose(page, demo, LATE)
    first = page.locator(".card").first
    expect(first).to_contain_text("critical", ignore_case=True)
    expect(first).to_contain_text("Restart at 1 mg: 15 days since the 1 mg dose")
    expect(first.locator(".source")).to_contain_text("Table 4")
    expect(first.get_by_role("button", name="Change this order to 1 mg.")).to_be_visible()
    assert barriers(page) == []
    picture(page, "test-bench")
    picture(page, "test-bench-whole", whole=True)


def test_the_service_reads_the_record_from_the_demonstrations_fhir_server(page: Page, demo: Running) -> None:
    choose(page, demo, LATE)
    request = json.loads(page.locator("#request").text_content() or "")
    assert request["fhirServer"] == f"{demo.base}/demo/fhir"
    assert "prefetch" not in request


def test_a_record_that_the_call_brings_along_gets_the_same_cards(page: Page, demo: Running) -> None:
    choose(page, demo, LATE)
    read = summaries(page)
    page.get_by_label("The call brings it along (prefetch)").check()
    send(page)
    request = json.loads(page.locator("#request").text_content() or "")
    assert "fhirServer" not in request
    assert len(request["prefetch"]) == 10
    assert summaries(page) == read


def test_a_suggestion_that_is_accepted_changes_the_draft_and_removes_its_own_card(page: Page, demo: Running) -> None:
    choose(page, demo, LATE)
    card = page.locator(".card").first.get_attribute("data-card") or ""
    page.get_by_role("button", name="Change this order to 1 mg.").click()
    expect(page.locator(".card.critical")).to_have_count(0)
    expect(page.locator("#drafts input[type=text]").first).to_have_value("1 mg")
    assert rows(demo, "select outcome from feedback where card = ?", card) == [("accepted",)]


def test_a_suggestion_that_removes_the_order_leaves_no_order_of_the_drug(page: Page, demo: Running) -> None:
    choose(page, demo, LATE)
    page.locator(".card.critical").get_by_role("button", name="Remove this order.").click()
    expect(page.locator("#status")).to_contain_text("nothing to say")
    expect(page.locator("#drafts")).not_to_contain_text("tarlatamab")
    expect(page.locator("#cards")).to_contain_text("assessed, nothing to say")


def test_a_suggestion_that_creates_an_order_adds_it_to_the_drafts(page: Page, demo: Running) -> None:
    choose(page, demo, "First dose, everything ordered")
    before = page.locator(".draft").count()
    page.get_by_role("button", name=re.compile("^Order the observation")).click()
    expect(page.locator(".draft")).to_have_count(before + 1)
    answered(page)


def test_an_override_with_its_reason_arrives_in_the_store(page: Page, demo: Running) -> None:
    choose(page, demo, LATE)
    box = page.locator(".card").first
    card = box.get_attribute("data-card") or ""
    box.get_by_text("Do not follow this card").click()
    reason = box.get_by_label("Reason").locator("option").nth(1)
    words, code = reason.inner_text(), reason.get_attribute("value")
    box.get_by_label("Reason").select_option(code)
    box.get_by_label("Comment").fill("told on the ward round")
    box.get_by_role("button", name="Dismiss the card").click()
    expect(box).to_contain_text("Dismissed; the service keeps the reason.")
    kept = rows(demo, "select outcome, reason_code, reason_display, comment from feedback where card = ?", card)
    assert kept == [("overridden", code, words, "told on the ward round")]


def test_another_dose_and_day_are_judged_as_they_were_typed(page: Page, demo: Running) -> None:
    choose(page, demo, "First dose, everything ordered")
    dose = page.locator("#drafts input[type=text]").first
    dose.fill("10 mg")
    dose.press("Tab")
    send(page)
    assert any("1 mg" in summary for summary in summaries(page))
    expect(page.locator(".card.critical")).to_have_count(1)
    dose.fill("one pill")
    dose.press("Tab")
    send(page)
    expect(page.locator("#cards")).to_contain_text("amount")


def test_orders_can_be_added_and_taken_away_and_the_story_begun_anew(page: Page, demo: Running) -> None:
    choose(page, demo, LATE)
    page.get_by_role("button", name="Add a tarlatamab order").click()
    page.get_by_role("button", name="Add dexamethasone and saline").click()
    expect(page.locator(".draft")).to_have_count(6)
    page.get_by_role("button", name=re.compile("^Remove order 6")).click()
    expect(page.locator(".draft")).to_have_count(5)
    send(page)
    page.get_by_role("button", name="Start again").click()
    expect(page.locator(".draft")).to_have_count(3)


@pytest.mark.parametrize(
    ("hook", "says"),
    [("patient-view", "15 days"), ("order-select", "Restart at 1 mg"), ("encounter-discharge", "nothing to say")],
)
def test_the_same_patient_at_another_moment(page: Page, demo: Running, hook: str, says: str) -> None:
    choose(page, demo, LATE)
    page.get_by_label("Moment (hook)").select_option(label=hook)
    send(page)
    expect(page.locator(".answer")).to_contain_text(says)


def test_an_appointment_is_judged_on_the_day_that_is_chosen(page: Page, demo: Running) -> None:
    choose(page, demo, "Infusion booked 15 days after 1 mg")
    expect(page.locator(".card.warning")).to_have_count(1)
    expect(page.get_by_role("button", name="Add a tarlatamab order")).to_be_hidden()
    day = page.get_by_label("Day", exact=True)
    day.fill("2026-03-16")  # 14 days after the 1 mg of 2 March
    day.press("Tab")
    send(page)
    expect(page.locator("#cards")).to_contain_text("assessed, nothing to say")
    assert barriers(page) == []


def test_why_names_the_rows_with_sources_and_leads_to_resource_and_rule(page: Page, demo: Running) -> None:
    choose(page, demo, LATE)
    page.get_by_text("Why: the rules behind this answer").click()
    why = page.locator("#why")
    expect(why).to_contain_text("R2")
    expect(why).to_contain_text("rows were asked and did not hold")
    resource = why.get_by_role("link", name="MedicationAdministration/v5b-dose-1").first.get_attribute("href") or ""
    assert page.request.get(f"{demo.base}{resource}").json()["id"] == "v5b-dose-1"
    why.get_by_role("link", name="R2", exact=True).first.click()
    expect(page).to_have_url(re.compile("/knowledge#R2$"))
    expect(page.locator("#R2")).to_contain_text("Restart at 1 mg")


def test_a_patient_is_found_by_a_word_of_the_name(page: Page, demo: Running) -> None:
    page.goto(demo.base)
    page.get_by_label("Find").fill("icans")
    expect(page.locator("[data-patient]:visible")).to_have_count(2)
    page.get_by_label("Find").fill("")
    assert page.locator("[data-patient]:visible").count() >= 20


def test_the_address_of_a_patient_can_be_shared(page: Page, demo: Running) -> None:
    page.goto(f"{demo.base}/#v16")
    answered(page)
    expect(page.locator("[data-patient=v16]")).to_have_attribute("aria-pressed", "true")


def test_a_call_that_fails_says_so_and_leaves_no_old_cards(page: Page, demo: Running, heard: list[str]) -> None:
    choose(page, demo, LATE)
    page.route("**/cds-services/tarlatamab-order-sign", lambda route: route.fulfill(status=500, body="{}"))
    page.get_by_role("button", name="Send the call").click()
    expect(page.locator("#status")).to_contain_text("Not assessed (HTTP 500)")
    expect(page.locator("#cards .source")).to_have_count(0)
    assert [words for words in heard if "500" not in words] == []
    heard.clear()


def test_text_of_a_record_that_is_markup_stays_text(page: Page, demo: Running) -> None:
    choose(page, demo, LATE)
    dose = page.locator("#drafts input[type=text]").first
    dose.fill("<img src=x onerror=document.title='broken'> [a](javascript:1) 10 mg")
    dose.press("Tab")
    send(page)
    page.get_by_text("Why: the rules behind this answer").click()
    assert page.locator(".answer img").count() == 0
    assert page.locator(".answer a[href^=javascript]").count() == 0
    assert page.title() == "Test bench · tarlatamab-cds"


def test_everything_can_be_done_with_the_keyboard(page: Page, demo: Running) -> None:
    page.goto(demo.base)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.locator("[data-patient=v5b]").focus()
    page.keyboard.press("Enter")
    answered(page)
    page.locator(".card button").first.focus()
    page.keyboard.press("Space")
    expect(page.locator(".card.critical")).to_have_count(0)


def test_at_twice_the_size_nothing_is_cut_off(page: Page, demo: Running) -> None:
    page.set_viewport_size({"width": 640, "height": 512})  # 1280 x 1024 at 200 %
    choose(page, demo, LATE)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert barriers(page) == []
    picture(page, "test-bench-200-percent", whole=True)


def test_it_can_be_read_in_the_dark(page: Page, demo: Running) -> None:
    page.emulate_media(color_scheme="dark")
    choose(page, demo, LATE)
    page.get_by_text("Why: the rules behind this answer").click()
    assert barriers(page) == []
    picture(page, "test-bench-dark")
