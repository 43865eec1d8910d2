"""The pages that show the cards of the vignettes show the cards of this code, word for word."""

from __future__ import annotations

import re

import pytest

from cds_service.engine.words import NOT_KNOWN
from tests.vignettes.build import Case
from tests.vignettes.pages import section, written
from tests.vignettes.test_vignettes import CASES, cards_for

WRITTEN = written()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_every_word_of_the_cards_is_the_one_on_their_page(case: Case) -> None:
    assert section(case, cards_for(case)) == WRITTEN.get(case.id), (
        "read the change; `python -m tests.vignettes` writes it"
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_no_paragraph_of_a_card_begins_in_the_middle_of_a_sentence(case: Case) -> None:
    for card in cards_for(case):
        said = re.split(r"\*\*(?:Why|Source)\*\*", card["detail"])[0]
        for paragraph in (card["summary"], *said.split("\n\n")):
            # a dose whose amount and position nobody can tell leads its row's sentence
            assert not paragraph[:1].islower() or paragraph.startswith(NOT_KNOWN), paragraph


def test_the_pages_show_no_case_that_is_gone() -> None:
    assert WRITTEN.keys() == {case.id for case in CASES}
