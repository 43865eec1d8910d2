"""When all days of the record and the clock move by the same number of days, only the days in the cards move."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.properties.calls import CASES, NAMES, answer, request, usual, without_uuid
from tests.properties.profiles import examples
from tests.vignettes.build import Case
from tests.vignettes.compare import Card

DAY: Final = re.compile(r"\b\d{4}-\d\d-\d\d\b")
MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\d(T[0-9:.]+(Z|[+-]\d\d:\d\d))?")
UNTIL: Final = re.compile(r"(until|last dose,) \d{4}-\d\d-\d\d")
"""The end of contraception and of not breastfeeding: two calendar months are 59 to 62 days (Days, point 4)."""
FAR: Final = 4_000
A_YEAR: Final = (363, 368)

DEPENDS_ON_THE_CALENDAR: Final = {
    "V24": "onset known by its month only: a month has 28 to 31 days",
    "V65e": "dose known by its month only",
    "V28b": "born in a year that is all that is known",
    "V60b": "18 years old today: between a birthday and the day 18 years on lie 4 or 5 leap days",
}


def shifted_moment(text: str, days: int, zone: ZoneInfo) -> str:
    """The same time of the clinic's clock that many days later, written with the offset it was written with."""
    if "T" not in text:
        return (date.fromisoformat(text) + timedelta(days=days)).isoformat()
    moment = datetime.fromisoformat(text)
    local = moment.astimezone(zone)
    there = (local.replace(tzinfo=None) + timedelta(days=days)).replace(tzinfo=zone)
    if text.endswith("Z"):
        return there.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    is_the_clinics = moment.utcoffset() == local.utcoffset()
    return (there if is_the_clinics else there.astimezone(moment.tzinfo)).isoformat()


def shifted(said: Any, days: int, zone: ZoneInfo) -> Any:
    if isinstance(said, dict):
        return {name: shifted(part, days, zone) for name, part in said.items()}
    if isinstance(said, list):
        return [shifted(part, days, zone) for part in said]
    return shifted_moment(said, days, zone) if isinstance(said, str) and MOMENT.fullmatch(said) else said


def counted_from(today: date, cards: Sequence[Card]) -> str:
    """The cards with every day as its distance from today."""
    text = UNTIL.sub(r"\1 two months on", without_uuid(cards))
    return DAY.sub(lambda found: f"<day {(date.fromisoformat(found[0]) - today).days}>", text)


def clocks_change(now: datetime) -> bool:
    """Whether the clocks change in the 96 hours before now: what is counted in hours (72 h of vital signs) differs."""
    return (now.astimezone(UTC) - timedelta(hours=96)).astimezone(now.tzinfo).utcoffset() != now.utcoffset()


def days_in(said: Any) -> Iterator[date]:
    for part in said.values() if isinstance(said, dict) else said if isinstance(said, list) else ():
        if isinstance(part, str) and MOMENT.fullmatch(part):
            yield date.fromisoformat(part[:10])
        else:
            yield from days_in(part)


@functools.cache
def lies_a_year_back(name: str) -> bool:
    """Whether a day of the record is about 12 months ago: a status of feeding or a delivery counts so long."""
    today = CASES[name].now.date()
    return any(A_YEAR[0] <= (today - day).days <= A_YEAR[1] for day in days_in(request(name)))


def is_counted_by_the_hour(name: str) -> bool:
    """A discharge: of 22 hours over the night in which clocks change 21 or 23 are told by the clock."""
    return CASES[name].hook == "encounter-discharge"


def can_be_shifted(name: str) -> bool:
    return not is_counted_by_the_hour(name) and name not in DEPENDS_ON_THE_CALENDAR and not lies_a_year_back(name)


def cards_later(case: Case, days: int) -> tuple[date, list[Card]]:
    now = (case.now.replace(tzinfo=None) + timedelta(days=days)).replace(tzinfo=case.clock.zone)
    return now.date(), answer(case, shifted(request(case.id), days, case.clock.zone), now=now)


@examples(ci=200, long=15_000)
@given(name=st.sampled_from([name for name in NAMES if can_be_shifted(name)]), days=st.integers(-FAR, FAR))
def test_shifting_all_days_shifts_only_days(name: str, days: int) -> None:
    case = CASES[name]
    assume(not clocks_change((case.now.replace(tzinfo=None) + timedelta(days=days)).replace(tzinfo=case.clock.zone)))
    today, cards = cards_later(case, days)
    assert counted_from(today, cards) == counted_from(case.now.date(), usual(name))


@pytest.mark.parametrize("name", DEPENDS_ON_THE_CALENDAR)
def test_what_is_left_out_really_depends_on_the_calendar(name: str) -> None:
    case = CASES[name]
    expected = counted_from(case.now.date(), usual(name))
    later = (counted_from(*cards_later(case, days)) for days in range(1, 1_500, 7))
    assert any(cards != expected for cards in later)


def test_a_shifted_call_has_no_day_of_the_first_one() -> None:
    text = json.dumps(shifted(request("V8b"), 5_000, ZoneInfo("UTC")))
    assert not set(DAY.findall(text)) & set(DAY.findall(json.dumps(request("V8b"))))
