"""Texts made to be long: they are read as far as they go, in a time that grows as their length does."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_mappings.quantities import quantity_in_text
from tests.fhir_mappings.charts import LOINC, code, dose, mg, observation, order, state

SPACES: Final = " " * 200_000
IN_TEXT: Final = re.compile(
    r"^\s*(?P<comparator>[<>]=?|≤|≥)?\s*(?P<value>\d+(?:[.,]\d+)?)\s*(?P<unit>(?:10[*^]|[^\d\s]).*?)?\s*$"
)
PIECES: Final = st.sampled_from([*"0159.,<=>≤≥ \n\tag*^/-", "10*", "10^", "mL/min", "  "])


# --- quantities -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        (f"{SPACES}12 g/dL{SPACES}", "g/dL"),
        (f"12{SPACES}g/dL", "g/dL"),
        (f"12 g{SPACES}/dL", f"g{SPACES}/dL"),
        (f"12 a{SPACES}b", f"a{SPACES}b"),
    ],
)
def test_a_quantity_among_any_number_of_spaces_is_read_with_its_unit(text: str, unit: str) -> None:
    assert quantity_in_text(text) == {"value": Decimal(12), "comparator": "", "unit": unit}


@pytest.mark.parametrize("text", [f"12 a{SPACES}\nb", f"12{SPACES}34", SPACES, f"<{SPACES}x", f"{'1' * 9999}.\n-"])
def test_a_long_text_that_is_no_quantity_is_none(text: str) -> None:
    assert quantity_in_text(text) == {}


@settings(max_examples=500, deadline=None)
@given(st.lists(PIECES, max_size=8).map("".join))
def test_a_text_is_a_quantity_where_the_expression_that_went_through_its_spaces_twice_said_so(text: str) -> None:
    found = IN_TEXT.match(text)
    read = quantity_in_text(text)
    assert bool(read) == bool(found)
    if found:
        assert (read["value"], read["unit"]) == (Decimal(found["value"].replace(",", ".")), found["unit"] or "")


# --- limits of normal -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7-40 U/L" + " " * 3900, (40, "")),
        (" " * 3900 + "7-40 U/L", (40, "")),
        ("7 - 40" + " " * 3900 + "U/L", (40, "")),
        ("7-40 U/L" + " " * 3900 + "\nb", (None, "")),
        ("7" + " " * 3900 + "\nb", (None, "")),
        ("up to" + " " * 3900 + "\nb", (None, "")),
    ],
)
def test_a_range_among_any_number_of_spaces_is_read_and_a_second_line_makes_it_none(text: str, expected: Any) -> None:
    read = state(
        observation(
            code(LOINC, "1742-6"), valueQuantity={"value": 20, "unit": "U/L"}, referenceRange=[{"text": text}] * 50
        )
    )
    assert [(result.upper_normal, result.range_refused) for result in read.labs] == [expected]


# --- positions --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("C2" + " " * 3900 + "D15", "C2D15"),
        ("cycle\n2 ,\t day" + " " * 3900 + "15", "C2D15"),
        ("C2" + " " * 3900 + "x D15", ""),
        ("C2 - - D15", ""),
    ],
)
def test_a_position_is_found_over_any_number_of_spaces_and_over_no_other_word(text: str, position: str) -> None:
    read = state(drafts=[order(dose(mg(10)), note=[{"text": text}])])
    assert [one.position_named for one in read.orders] == [position]
