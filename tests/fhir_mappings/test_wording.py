"""What the words around a term say of it: the same as by the regular expressions they were first written as, at once.

A text of many terms splits into them in many ways: "acute confusional state" is a filler and a term, and a longer term.
"""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_mappings.terminology import ValueSet, value_set
from fhir_mappings.wording import Standing, alternatives, clauses, statements

TOXICITIES = value_set("toxicities")


def words_of(*kinds: str) -> str:
    return alternatives(value_set("wording", *kinds))


def standing_by_expression(left: str, right: str, known: ValueSet) -> Standing:
    """The meaning in its shortest form; its time grows with the number of ways in which a text splits into terms."""
    between = f"(?:{words_of('filler')}|{alternatives(known)})"
    graded = f"(?:{words_of('filler', 'graded')}|[0-9.]+)"

    def before(kind: str) -> bool:
        return re.search(rf"\b(?:{words_of(kind)})(?: {between})* $", left) is not None

    def after(kind: str) -> bool:
        return re.match(rf"(?: {graded})* (?:{words_of(kind)})\b", right) is not None

    if before("denied-before") or after("denied-after"):
        return Standing.DENIED
    if before("ended-before"):
        return Standing.PAST
    return Standing.OVER if after("ended-after") else Standing.SAID


def standings(text: str) -> list[Standing]:
    return [statement.standing for statement in statements((text,), TOXICITIES)]


WORDS = st.one_of(
    st.sampled_from(sorted(value_set("wording").terms)),
    st.sampled_from(sorted(TOXICITIES.terms)),
    st.sampled_from(["3", "2.5", "grade", "xyz", "prior", "history", "no", "or"]),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=8))
def test_the_standing_of_each_term_is_that_of_the_expression(words: list[str]) -> None:
    (clause,) = clauses(" ".join(word for word in words if word != "but")) or ("",)
    mentions = TOXICITIES.mentions(clause)
    expected = [standing_by_expression(clause[: m.start], clause[m.end :], TOXICITIES) for m in mentions]
    assert standings(clause) == expected


@pytest.mark.parametrize("repeats", [2, 150])
def test_a_denial_reaches_over_any_number_of_terms_that_split_into_terms(repeats: int) -> None:
    text = "no" + " acute confusional state" * repeats + " icans"
    assert set(standings(text)) == {Standing.DENIED}


@pytest.mark.parametrize("repeats", [2, 150])
def test_a_word_of_another_kind_ends_the_reach_of_a_denial_over_any_number_of_terms(repeats: int) -> None:
    *before, last = standings("no" + " acute confusional state" * repeats + " qqq icans")
    assert set(before) == {Standing.DENIED}
    assert last is Standing.SAID


@pytest.mark.parametrize(("between", "last"), [("", Standing.DENIED), (" qqq", Standing.SAID)])
def test_each_of_many_terms_of_one_clause_is_denied_as_far_as_the_denial_reaches(between: str, last: Standing) -> None:
    found = standings("no crs" + " or crs" * 500 + between + " or icans")
    assert set(found[:-1]) == {Standing.DENIED}
    assert found[-1] is last


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("icans" + " grade 3" * 400 + " resolved", Standing.OVER),
        ("icans" + " grade 3" * 400 + " qqq resolved", Standing.SAID),
        ("icans" + " 3" * 1000 + " ruled out", Standing.DENIED),
        ("prior" + " severe" * 500 + " icans", Standing.PAST),
    ],
)
def test_an_end_is_found_behind_any_number_of_grades_and_fillers(text: str, expected: Standing) -> None:
    assert standings(text) == [expected]


def test_a_denial_in_one_clause_says_nothing_of_another() -> None:
    assert standings("no crs; icans" * 2) == [Standing.DENIED, Standing.SAID, Standing.SAID]
