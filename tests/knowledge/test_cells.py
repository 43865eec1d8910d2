"""Tables whose rows exclude each other: a case without a row, or with two, ends the start by file and line."""

from __future__ import annotations

from cds_service.knowledge.cells import cells
from cds_service.knowledge.loader import load, parse
from tests.knowledge.test_loader import SMALL, refused

HEAD = (
    SMALL[: SMALL.index("  first:")]
    + """\
  delay:
    question: How long?
    hit: unique
    covers: {days: {at_least: 0, at_most: 20}}
    inputs: {first: flag, days: range}
    outputs: {restart: flag}
    rows:
"""
)
ROW = """
      - id: {row}
        when: {{{when}}}
        then: {{restart: no}}
        say: {{line: "x"}}
        source: {source}
        cite: {{statements: [S3]}}
        reviewed: none
"""


def table(*rows: tuple[str, str], head: str = HEAD, sources: tuple[str, ...] = ()) -> str:
    """A file with one table; the rows stand on lines 20, 27, 34."""
    origins = sources or ("seed",) * len(rows)
    made = [
        ROW.strip("\n").format(row=row, when=when, source=source)
        for (row, when), source in zip(rows, origins, strict=True)
    ]
    return head.strip("\n") + "\n" + "\n".join(made) + "\n"


def test_rows_that_answer_every_case_once_are_accepted() -> None:
    regimen = parse(
        table(("A", "first: yes"), ("B", "first: no, days: {at_most: 14}"), ("C", "first: no, days: {more_than: 14}")),
        "k.yaml",
    )
    held = {(cell["first"], cell["days"]): [row.id for row in rows] for cell, rows in cells(regimen.table("delay"))}
    assert held == {(True, 0): ["A"], (True, 15): ["A"], (False, 0): ["B"], (False, 15): ["C"]}


def test_a_case_without_a_row_is_refused_by_the_line_of_its_table() -> None:
    gap = table(("A", "first: yes"), ("B", "first: no, days: {at_most: 13}"), ("C", "first: no, days: {more_than: 14}"))
    assert refused(gap) == ("k.yaml:14 delay with first no, days 14: no row in force with seed+label")


def test_a_case_with_two_rows_is_refused_by_the_line_of_the_second() -> None:
    overlap = table(
        ("A", "first: yes"), ("B", "first: no, days: {at_most: 14}"), ("C", "first: no, days: {at_least: 14}")
    )
    assert refused(overlap) == "k.yaml:34 delay with first no, days 14: B and C both hold with seed+label"


def test_beyond_the_last_number_that_a_table_covers_no_row_is_asked_for() -> None:
    assert parse(table(("A", "days: {at_most: 20}")), "k.yaml").rows()
    assert "days 20: no row" in refused(table(("A", "days: {at_most: 19}")))


def test_a_flag_must_be_answered_for_both() -> None:
    assert "first no, days 0: no row" in refused(table(("A", "first: yes")))


def test_each_mode_must_be_answered_for_by_itself() -> None:
    rows = (("A", "days: {at_most: 14}"), ("B", "days: {more_than: 14}"))
    assert refused(table(*rows, sources=("seed", "label"))).endswith("days 15: no row in force with seed")
    assert refused(table(*rows, sources=("seed", "seed-alone"))).endswith("days 15: no row in force with seed+label")


def test_a_table_that_is_not_in_force_at_all_has_no_gap() -> None:
    assert parse(table(("A", "days: {at_least: 0}"), sources=("label",)), "k.yaml").rows()


def test_a_unique_table_says_which_numbers_it_covers() -> None:
    head = HEAD.replace("    covers: {days: {at_least: 0, at_most: 20}}\n", "")
    assert refused(table(("A", "first: yes"), head=head)) == (
        "k.yaml:14 delay: `covers` must say which numbers days can be"
    )


def test_covers_names_ranges_of_the_inputs_alone() -> None:
    head = HEAD.replace("covers: {days:", "covers: {weeks:")
    assert refused(table(("A", "first: yes"), head=head)) == "k.yaml:16 'weeks' is no range among the inputs"


def test_the_packaged_delay_table_has_one_row_for_each_case() -> None:
    held = {
        (cell["treatment_doses"], cell["days_since"]): [row.id for row in rows]
        for cell, rows in cells(load().table("delay"))
    }
    assert held[(0, 0)] == ["R1"]
    assert held[(0, 15)] == ["R2"]
    assert held[(1, 15)] == ["R3"]
    assert held[(1, 22)] == ["R4"]
    assert held[(2, 22)] == ["R5"]
    assert held[(2, 29)] == ["R6"]
    assert held[(3, 22)] == ["R7"]
    assert held[(3, 29)] == ["R8"]
