"""FHIR dates: precision, zones, junk."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from fhir_mappings.dates import first_when, is_over, on, when
from fhir_mappings.facts import NotRecorded, Unknown, When
from tests.fhir_mappings.charts import BERLIN, CLINIC

CHICAGO = ZoneInfo("America/Chicago")


def read(text: Any, zone: ZoneInfo = BERLIN) -> When:
    found = when(text, zone)
    assert isinstance(found, When)
    return found


def test_a_date_is_the_clinics_day() -> None:
    found = read("2026-01-05", CHICAGO)
    assert (found.earliest, found.latest, found.instant) == (date(2026, 1, 5), date(2026, 1, 5), None)


def test_a_month_spans_its_days_also_in_a_leap_year() -> None:
    assert (read("2026-01").earliest, read("2026-01").latest) == (date(2026, 1, 1), date(2026, 1, 31))
    assert read("2024-02").latest == date(2024, 2, 29)


def test_a_year_spans_its_days() -> None:
    assert (read("2008").earliest, read("2008").latest) == (date(2008, 1, 1), date(2008, 12, 31))


def test_z_is_no_recorded_offset_so_the_day_is_the_clinics_alone() -> None:
    found = read("2026-01-05T03:00:00Z", CHICAGO)
    assert (found.earliest, found.latest) == (date(2026, 1, 4), date(2026, 1, 4))
    assert found.instant == datetime(2026, 1, 4, 21, tzinfo=CHICAGO)


def test_a_recorded_offset_on_another_day_widens_the_range_over_both() -> None:
    found = read("2026-01-05T03:00:00+01:00", CHICAGO)
    assert (found.earliest, found.latest) == (date(2026, 1, 4), date(2026, 1, 5))
    assert not found.is_certain


def test_a_recorded_offset_on_the_same_day_leaves_it_certain() -> None:
    assert read("2026-01-05T12:00:00-05:00", CHICAGO).is_certain


@pytest.mark.parametrize(
    "text", ["2026-01-05T00:30:00", "2026-01-05T23:30:00", "2026-01-05 23:30", "2026-01-05T23:59:60"]
)
def test_a_time_without_offset_is_local(text: str) -> None:
    assert (read(text).earliest, read(text).latest) == (date(2026, 1, 5), date(2026, 1, 5))


def test_offsets_without_colon_and_fractions_of_seconds_are_read() -> None:
    assert read("2026-01-05T10:00:00.123456789+0100").instant == datetime(2026, 1, 5, 10, tzinfo=BERLIN)


@pytest.mark.parametrize(
    "junk",
    ["", "yesterday", "0000", "0000-01-01", "1970-02-30", "2026-13", "2026-01-05T25:00", "2026-1-5", 20260105, True,
     Decimal("2026"), {}, [], "2026-01-05T10:00:00+99:00", "9999-12-31T23:59:59-14:00", "٢٠٢٦", "1849-12-31", "2200", "0001-01-01"],
)  # fmt: skip
def test_what_is_no_date_is_unknown(junk: Any) -> None:
    found = when(junk, BERLIN, "Condition", "Condition/c1")
    assert found == Unknown(what="Condition", why="its date could not be read", reference="Condition/c1")


def test_nothing_is_not_recorded() -> None:
    assert when(None, BERLIN) is NotRecorded


def test_the_first_element_that_is_there_counts_and_a_period_by_its_start() -> None:
    resource = {"effectivePeriod": {"start": "2026-01-05", "end": "2026-01-06"}, "issued": "2026-01-07"}
    assert first_when(resource, BERLIN, "effectiveDateTime", "effectivePeriod", "issued") == read("2026-01-05")
    assert first_when({"effectivePeriod": {}, "issued": "2026-01-07"}, BERLIN, "effectivePeriod", "issued") == read(
        "2026-01-07"
    )
    assert first_when({}, BERLIN, "issued") is NotRecorded


@pytest.mark.parametrize(
    ("end", "over"),
    [("2026-01-20", True), ("2026-01-21", False), ("2026-01-20T12:00:00+01:00", True), ("2026-01-20T12:01:00+01:00", False),
     ("2025-12", True), ("2026-01", False)],
)  # fmt: skip
def test_an_end_is_over_when_it_has_certainly_come(end: str, over: bool) -> None:
    assert is_over(read(end), CLINIC) is over


def test_an_end_that_is_not_known_is_not_over() -> None:
    assert not is_over(NotRecorded, CLINIC)
    assert not is_over(Unknown(what="x", why="y"), CLINIC)


def test_on_is_a_certain_day_without_a_time() -> None:
    assert on(date(2026, 1, 5)) == When(earliest=date(2026, 1, 5), latest=date(2026, 1, 5))


@pytest.mark.parametrize("text", ["1850-01-01", "2199-12-31"])
def test_the_first_and_the_last_day_that_a_record_can_speak_of_are_read(text: str) -> None:
    assert when(text, ZoneInfo("UTC")) == When(
        earliest=date.fromisoformat(text), latest=date.fromisoformat(text), recorded=text
    )
