"""The drawing: every label apart from the others, long courses legible, what has no room counted, uncertain as such."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, timedelta
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from cds_service import timeline_svg
from cds_service.timeline_layout import BOLD, LEFT, LETTER, MOST_ROWS, RIGHT, Text, drawing
from cds_service.timeline_marks import Kind, Timeline
from fhir_mappings.facts import NotRecorded, Syndrome
from tests.engine.builders import between, course, crs, day, give, gives, neuro, toxicity
from tests.pages.test_timeline import line

HOSTILE = "</text><script>alert(1)</script>"


def span(text: Text) -> tuple[float, float]:
    width = len(text.text) * (BOLD if text.role == "place" else LETTER)
    left = {"start": text.x, "middle": text.x - width / 2, "end": text.x - width}[text.anchor]
    return left, left + width


SHORT = line(give(day(-9, "10:00"), "1"), give(day(-2, "10:00"), "10"), crs(1, -8, -7))
LONG = line(*course(48, -3), crs(1, -674, -672), neuro(1, -100, -98), toxicity(Syndrome.INFECTION, 2, -200, -190))
UNSURE = line(give(between(-50, -20), "1"), give(-5, "5"), crs(2, NotRecorded), neuro(2, between(-20, -1)))


@pytest.mark.parametrize("drawn", [SHORT, LONG, UNSURE], ids=["short", "long", "unsure"])
def test_no_label_meets_another_and_all_stand_inside(drawn: Timeline) -> None:
    rows: dict[float, list[tuple[float, float]]] = defaultdict(list)
    for text in drawing(drawn).texts:
        rows[text.y].append(span(text))
    for spans in rows.values():
        spans.sort()
        assert all(left[1] < right[0] for left, right in pairwise(spans))
        assert spans[0][0] >= LEFT - 1
        assert spans[-1][1] <= RIGHT + 1


@pytest.mark.parametrize("drawn", [SHORT, LONG, UNSURE], ids=["short", "long", "unsure"])
def test_it_is_xml_with_a_title_and_without_styles_or_scripts(drawn: Timeline) -> None:
    root = ElementTree.fromstring(timeline_svg.svg(drawn))
    assert root.attrib["role"] == "img"
    named = root.attrib["aria-labelledby"].split()
    ids = [element.attrib["id"] for element in root.iter() if "id" in element.attrib]
    assert set(named) <= set(ids)
    assert len(ids) == len(set(ids))
    assert not any("style" in element.attrib for element in root.iter())
    assert not {element.tag.rpartition("}")[2] for element in root.iter()} & {"script", "style", "foreignObject"}


def test_dates_of_a_short_course_are_a_week_apart_and_count_its_days() -> None:
    assert [(tick.date, tick.day) for tick in drawing(SHORT).ticks[:3]] == [
        ("11 Jan 2026", "day 1"),
        ("18 Jan", "day 8"),
        ("25 Jan", "day 15"),
    ]


def test_a_course_of_two_years_has_dates_with_room_between_them_and_small_points() -> None:
    drawn = drawing(LONG)
    gaps = [b.x - a.x for a, b in pairwise(drawn.ticks)]
    assert min(gaps) > 70
    assert len([point for point in drawn.points if point.mark.kind is Kind.TREATMENT]) == 48
    assert all(point.is_small for point in drawn.points if point.mark.kind is Kind.TREATMENT)
    assert all(bar.width >= 6 for bar in drawn.bars)


def test_where_not_all_have_room_the_last_dose_has_its_place() -> None:
    crowded = line(*gives((-120, "1"), (-113, "10"), (-3, "1"), (-1, "10")))
    places = [text.text for text in drawing(crowded).texts if text.role == "place" and text.x > 600]
    assert "C1D8" in places


def test_a_dose_of_an_uncertain_day_spans_its_days_and_is_no_firm_point() -> None:
    (point,) = [point for point in drawing(UNSURE).points if point.mark.kind is Kind.STEP]
    assert point.high - point.low > 100
    drawn = str(timeline_svg.svg(UNSURE))
    assert "1 mg, day not known" in drawn


def test_a_toxicity_of_long_before_is_counted_and_stretches_no_axis() -> None:
    old = line(*gives((-9, "1"), (-2, "10")), crs(2, -700, -690))
    drawn = drawing(old)
    assert drawn.scale.first > date(2026, 1, 20) - timedelta(days=40)
    assert "1 more in the words below" in [text.text for text in drawn.texts]
    assert "2024-02-20" in timeline_svg.fragment(old)


def test_one_that_began_long_before_and_goes_on_runs_in_from_the_edge() -> None:
    drawn = drawing(line(give(-9, "10"), crs(2, -700)))
    (bar,) = [bar for bar in drawn.bars if bar.mark.kind is Kind.CRS]
    assert bar.cut_left
    assert bar.x == LEFT


def test_more_bars_than_have_room_are_counted() -> None:
    many = [toxicity(Syndrome.OTHER, 2, -5, -3, ref=f"t{n}") for n in range(MOST_ROWS + 3)]
    drawn = drawing(line(give(-9, "1"), *many))
    assert "3 more in the words below" in [text.text for text in drawn.texts]


def test_days_at_the_ends_of_the_calendar_are_drawn() -> None:
    for far in (date.min, date.max):
        whole = Timeline(today=far, zone="UTC", drug="tarlatamab", headline="")
        assert drawing(whole).ticks
    both = Timeline(today=date.max, zone="UTC", drug="tarlatamab", headline="", marks=SHORT.marks)
    assert len(drawing(both).ticks) < 14


def test_text_of_the_record_is_escaped_in_the_drawing_and_in_the_words() -> None:
    hostile = line(give(-9, "1"), toxicity(Syndrome.OTHER, 2, -5, label=HOSTILE))
    for text in (str(timeline_svg.svg(hostile)), str(timeline_svg.fragment(hostile))):
        assert "<script" not in text
        assert "&lt;/text&gt;&lt;script&gt;" in text


def test_what_has_no_place_stands_under_a_heading_of_its_own() -> None:
    words = str(timeline_svg.fragment(line(give(-9, "1"), give(NotRecorded, "10", ref="lost"))))
    assert "Without a place on the axis" in words
    assert "10 mg given, day not known" in words
    assert "In doubt or not read" in words


def test_an_empty_timeline_says_so_in_every_lane() -> None:
    empty = line()
    assert "No tarlatamab on record." in timeline_svg.fragment(empty)
    said = [text.text for text in drawing(empty).texts]
    assert said[:3] == ["none on record", "no dose or order on record", "none on record"]


def test_equal_timelines_give_equal_bytes() -> None:
    assert timeline_svg.fragment(SHORT) == timeline_svg.fragment(SHORT)
