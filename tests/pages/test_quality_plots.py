"""Plots: where bars and lines stand, typed by hand for a drawing whose axes end at round numbers."""

import pytest

from cds_service.quality_plots import Bar, lines, stacked, top_of


@pytest.mark.parametrize(
    ("highest", "expected"),
    [(0, 2), (2, 2), (3, 4), (5, 6), (7, 10), (10, 10), (11, 20), (41, 60), (60, 60), (61, 100), (1_200.0, 2_000)],
)
def test_an_axis_ends_at_a_round_number_whose_half_is_whole(highest: float, expected: int) -> None:
    assert top_of(highest) == expected


def test_bars_stand_on_each_other_and_nothing_is_drawn_for_none() -> None:
    drawn = stacked((("accepted", [1, 0]), ("overridden", [3, 2])), ("1 Jan", "2 Jan"), width=256, height=132)
    assert drawn.bars == (  # 200 wide from 46, 100 high above 110: an axis to 4, 25 each
        Bar(kind="accepted", x=48.0, y=85.0, width=96.0, height=25.0),
        Bar(kind="overridden", x=48.0, y=10.0, width=96.0, height=75.0),
        Bar(kind="overridden", x=148.0, y=60.0, width=96.0, height=50.0),
    )
    assert [tick.text for tick in drawn.across] == ["0", "2", "4"]
    assert [tick.text for tick in drawn.below] == ["1 Jan", "2 Jan"]


def test_a_line_is_broken_where_there_is_no_value() -> None:
    drawn = lines((("p50", [2.0, 4.0, None, 1.0]),), ("a", "b", "c", "d"), width=256, height=132)
    (line,) = drawn.lines
    assert line.stretches == ("71.0,60.0 121.0,10.0",)
    assert line.marks == ((71.0, 60.0), (121.0, 10.0), (221.0, 85.0))


def test_a_wide_plot_names_a_step_in_the_middle_and_a_narrow_one_does_not() -> None:
    names = ["a", "b", "c", "d", "e"]
    wide = stacked((("read", [1] * 5),), names, width=640, height=190)
    narrow = stacked((("read", [1] * 5),), names, width=360, height=130)
    assert [tick.text for tick in wide.below] == ["a", "c", "e"]
    assert [tick.text for tick in narrow.below] == ["a", "e"]


def test_a_single_step_is_named_once() -> None:
    assert [tick.text for tick in stacked((("read", [1]),), ["a"], width=360, height=130).below] == ["a"]
