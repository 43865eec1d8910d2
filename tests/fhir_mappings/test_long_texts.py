"""Texts and orders made to be long: they are read as far as they go, in a time that grows as their length does."""

from __future__ import annotations

import re
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cds_service.engine.rulebook import Rulebook
from cds_service.knowledge.loader import load
from fhir_mappings import quantities
from fhir_mappings.amounts import _not_of_another, as_plain
from fhir_mappings.quantities import quantity_in_text
from fhir_mappings.terminology import normalised, value_set
from tests.fhir_mappings.charts import BERLIN, LOINC, NOW, code, day, dose, mg, observation, order, state

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


@pytest.mark.parametrize(("length", "kept"), [(200, 1), (201, 0)])
def test_a_quantity_with_a_part_as_long_as_a_page_is_read_and_not_kept(length: int, kept: int) -> None:
    quantities._measured.cache_clear()
    read = quantities.measured({"value": 12, "unit": "x" * length}, "mass")
    assert read.refused == "its unit is not one of this measurement"
    assert quantities._measured.cache_info().currsize == kept


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


# --- amounts of other drugs -------------------------------------------------------------------------------------------

AMOUNTS: Final = st.sampled_from(
    [
        "tarlatamab",
        "amg 757",
        "dexamethasone",
        "ramipril",
        "10 mg",
        "1 mg",
        "757 mg",
        "8 to 16 mg",
        ",",
        ";",
        ". ",
        "\n",
        "and",
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(AMOUNTS, max_size=12).map(" ".join))
def test_an_amount_is_another_drugs_where_the_text_before_it_alone_says_so(text: str) -> None:
    def is_another(before: str) -> bool:
        clause = normalised(re.split(r"[;,\n]|\.\s", before)[-1])
        own = [found.end for found in value_set("drug", "drug").mentions(clause)]
        sets = (value_set("premedication", "steroid"), value_set("other-drugs"))
        others = [found.end for known in sets for found in known.mentions(clause)]
        return max(others, default=-1) > max(own, default=-1)

    read = as_plain(text)
    found = list(re.finditer(r"(?<![\w.])\d+(?: to \d+)? mg", read))
    expected = [match.start() for match in found if not is_another(read[: match.start()])]
    assert [match.start() for match in _not_of_another(read, found)] == expected


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


# --- orders of many doses ---------------------------------------------------------------------------------------------

FIRST_DAY: Final = date(2026, 1, 20)


def events(count: int) -> Any:
    return dose(mg(10)) | {"timing": {"event": [(FIRST_DAY + timedelta(days=n)).isoformat() for n in range(count)]}}


@pytest.mark.parametrize(
    ("dosages", "read"),
    [
        ([events(100)], 100),
        ([events(101)], 100),
        ([events(1600)], 100),
        ([dose(mg(10))] * 100, 100),
        ([dose(mg(10))] * 1000, 100),
        ([events(60), events(40)], 100),
        ([events(60), events(41)], 100),
    ],
)
def test_a_hundred_doses_of_an_order_are_read_and_one_more_says_that_there_are_more(dosages: Any, read: int) -> None:
    planned = sum(len(dosage.get("timing", {}).get("event", [0])) for dosage in dosages)
    doses = state(drafts=[order(*dosages)]).orders
    assert [one.part for one in doses] == list(range(min(planned, read + 1)))
    assert all(one.amount.mg == 10 for one in doses[:read])
    assert [(one.amount.mg, one.amount.absent) for one in doses[read:]] == [(None, False)] * (planned > read)


def test_the_dose_beyond_the_hundredth_has_its_own_day_and_says_why_it_is_not_read() -> None:
    *_, last = state(drafts=[order(events(1600))]).orders
    assert last.day == day("2026-04-30")
    assert last.amount.doubt == (
        "only the first 100 doses of an order are assessed: this one and all further ones are not"
    )


@pytest.mark.parametrize(("count", "clarified"), [(100, 0), (101, 1), (1600, 1)])
def test_a_card_asks_to_clarify_the_doses_beyond_the_hundredth(count: int, clarified: int) -> None:
    facts = state(drafts=[order(events(count))])
    advice = Rulebook(load()).assess(facts, at=NOW, zone=BERLIN).advice
    said = [one for one in advice if one.part == 100 and (one.topic, one.action) == ("dose", "clarify")]
    assert ["this one and all further ones are not" in one.slots["what"] for one in said] == [True] * clarified


@pytest.mark.parametrize(("count", "asked"), [(100, 0), (101, 1), (1600, 1)])
def test_an_order_of_the_record_with_more_than_a_hundred_doses_is_asked_about(count: int, asked: int) -> None:
    """Completed, with its last day first, so that none of the doses read is the one after them."""
    days = [(FIRST_DAY - timedelta(days=n + 1)).isoformat() for n in range(count)]
    past = order(dose(mg(10)) | {"timing": {"event": days}}, id="r1", status="completed")
    assessed = Rulebook(load()).assess(state(past, drafts=[order(dose(mg(10)))]), at=NOW, zone=BERLIN)
    why = "A completed order of the drug has no readable day."
    assert [why in one.slots.get("what", "") for one in assessed.advice if why in str(one.slots)] == [True] * asked
