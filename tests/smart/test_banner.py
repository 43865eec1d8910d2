"""Whose record is it? Name and birth date as people recognise them, from any Patient."""

from __future__ import annotations

from typing import Any

import pytest

from cds_service.banner import banner


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        ([{"family": "Example", "given": ["Erika", "Maria"]}], "Erika Maria Example"),
        ([{"text": "Dr. Erika Example", "family": "Other"}], "Dr. Erika Example"),
        ([{"use": "usual", "text": "Rika"}, {"use": "official", "text": "Erika Example"}], "Erika Example"),
        ([{"use": "nickname", "text": "Eri"}, {"use": "usual", "text": "Rika"}], "Rika"),
        ([{"use": "old", "text": "Erika Before"}, {"text": "Erika Now"}], "Erika Now"),
        ([{"use": "official"}, {"text": "Erika"}], "Erika"),
        ([{"family": ["Example", "Other"]}], "Example Other"),
        ({"family": "Example"}, "Example"),
        ([{"text": "Eri\u202eka\nExample"}], "Erika Example"),
        ([{"given": [7, None, "Erika"], "family": {"no": "text"}}], "Erika"),
        ([{"use": "old", "text": "Erika Before"}], ""),
        (["Erika"], ""),
        (None, ""),
        (7, ""),
    ],
)
def test_the_name_is_the_official_one_or_the_next_best_on_one_line(names: Any, shown: str) -> None:
    assert banner({"resourceType": "Patient", "id": "p", "name": names}).name == shown


@pytest.mark.parametrize(("length", "shown"), [(120, "x" * 120), (121, "x" * 119 + "…")])
def test_a_name_has_at_most_120_letters(length: int, shown: str) -> None:
    assert banner({"name": [{"text": "x" * length}]}).name == shown


@pytest.mark.parametrize(
    ("born", "shown"),
    [
        ("1957-03-04", "1957-03-04"),
        ("1957-03", "1957-03"),
        ("1957", "1957"),
        ("1957-03-04T10:00:00Z", ""),
        ("<b>", ""),
        (1957, ""),
        (None, ""),
    ],
)
def test_a_birth_date_is_shown_as_it_is_recorded_or_not_at_all(born: Any, shown: str) -> None:
    assert banner({"birthDate": born}).born == shown


def test_the_use_of_a_name_may_be_unreadable() -> None:
    assert banner({"name": [{"use": ["official"], "text": "Erika"}]}).name == "Erika"
