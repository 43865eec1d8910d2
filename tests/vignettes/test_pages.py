"""The pages that show the cards of the vignettes show the cards of this code, word for word."""

from __future__ import annotations

import pytest

from tests.vignettes.build import Case
from tests.vignettes.pages import section, written
from tests.vignettes.test_vignettes import CASES, cards_for

WRITTEN = written()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_every_word_of_the_cards_is_the_one_on_their_page(case: Case) -> None:
    assert section(case, cards_for(case)) == WRITTEN.get(case.id), (
        "read the change; `python -m tests.vignettes` writes it"
    )


def test_the_pages_show_no_case_that_is_gone() -> None:
    assert WRITTEN.keys() == {case.id for case in CASES}
