"""The page says of every item of the checklist who checks it, and is not stale."""

from __future__ import annotations

from dataclasses import replace

from tests.conformance.checklist import PAGE, complaints, items, numbers_of, page


def test_every_item_is_accounted_for_and_the_page_is_fresh() -> None:
    found = items()

    assert list(complaints(found)) == []
    assert PAGE.read_text(encoding="utf-8") == page(found), "`python -m tests.conformance` writes it"


def test_whatever_the_specification_demands_is_checked_or_waits_for_client_authentication() -> None:
    open_ones = [item for item in items() if item.binds_the_service and not item.tests]

    assert all("authentication" in item.later or "not" in item.level.lower() or item.left_out for item in open_ones)
    assert [item.name for item in open_ones if item.left_out] == []


def test_a_missing_test_a_missing_item_and_a_missing_reason_are_told() -> None:
    first, *rest = items()

    assert list(complaints(tuple(rest)))
    assert list(complaints((replace(first, tests=()), *rest)))
    assert list(complaints((replace(first, tests=("test_wire.py::test_nothing",)), *rest)))
    assert list(complaints((replace(first, left_out="no wish"), *rest)))


def test_a_test_says_in_its_name_which_items_it_checks() -> None:
    assert numbers_of("test_c9_and_c10_words") == ["C9", "C10"]
    assert numbers_of("test_c61_to_c63_words") == ["C61", "C62", "C63"]
    assert numbers_of("test_k1_words") == ["K1"]
    assert numbers_of("test_cards") == []
