"""A dose fits up to the last day of its limit and starts again one day later, on every calendar and every clock.

The limits are typed from clinical-rules.md, Position: 14 days after 1 mg, 21 after the first 10 mg, then 28 (R1 to R8).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest

from tests.properties.calls import CASES, answer, kinds
from tests.vignettes.build import Case

MODEL: Final = CASES["V5a"]
FITS: Final = ["monitoring/monitor/info"]
RESTART: Final = ["dose/restart-step-up/critical", "monitoring/monitor/info"]
EARLY: Final = time(0, 30)
LATE: Final = time(23, 30)
TIMES: Final = ((EARLY, EARLY), (EARLY, LATE), (LATE, EARLY), (LATE, LATE))
"""Of the doses, and of now."""


@dataclass(frozen=True, kw_only=True)
class Border:
    """The doses before the last one, in days before it; its limit; the rows on both sides."""

    rows: str
    before: tuple[int, ...]
    limit: int


BORDERS: Final = (
    Border(rows="R1 R2", before=(), limit=14),
    Border(rows="R3 R4", before=(7,), limit=21),
    Border(rows="R5 R6", before=(14, 7), limit=28),
    Border(rows="R7 R8", before=(28, 21, 14), limit=28),
)
DAYS: Final = {
    "leap day": (date(2028, 2, 29), "UTC"),
    "leap day, New York": (date(2028, 2, 29), "America/New_York"),
    "clocks go forward, New York": (date(2026, 3, 8), "America/New_York"),
    "clocks go back, New York": (date(2026, 11, 1), "America/New_York"),
    "clocks go forward, Berlin": (date(2026, 3, 29), "Europe/Berlin"),
    "clocks go back, Berlin": (date(2026, 10, 25), "Europe/Berlin"),
    "year end": (date(2026, 12, 31), "UTC"),
    "new year, New York": (date(2027, 1, 1), "America/New_York"),
    "new year, Berlin": (date(2027, 1, 1), "Europe/Berlin"),
}


def case_of(border: Border, *, last: date, dose_at: time, today: date, now_at: time, zone: str) -> Case:
    """A patient with these doses and 10 mg ordered for today."""
    days = [last - timedelta(days=ago) for ago in border.before] + [last]
    doses = [
        {"amount": "10 mg" if place else "1 mg", "day": f"{(day - today).days} {dose_at:%H:%M}"}
        for place, day in enumerate(days)
    ]
    return dataclasses.replace(
        MODEL,
        now=datetime.combine(today, now_at, ZoneInfo(zone)),
        given={"doses": doses},
        when={"orders": ["10 mg"], "with": ["dexamethasone", "saline"]},
    )


def cases(border: Border, special: date, zone: str, since: int) -> Iterator[Case]:
    """The special day as that of the order, as that of the last dose, and between; each dose early and late."""
    for today in (special, special + timedelta(days=since), special + timedelta(days=since // 2)):
        for dose_at, now_at in TIMES:
            last = today - timedelta(days=since)
            yield case_of(border, last=last, dose_at=dose_at, today=today, now_at=now_at, zone=zone)


def said(case: Case, body: dict[str, Any]) -> tuple[str, list[str]]:
    return f"{body['prefetch']['medicationAdministrations']} at {case.now}", kinds(answer(case, body))


@pytest.mark.parametrize("border", BORDERS, ids=lambda border: border.rows)
@pytest.mark.parametrize("day", DAYS)
def test_the_last_day_of_the_limit_fits_and_the_next_starts_again(border: Border, day: str) -> None:
    special, zone = DAYS[day]
    for case in cases(border, special, zone, border.limit):
        where, cards = said(case, case.request())
        assert cards == FITS, where
    for case in cases(border, special, zone, border.limit + 1):
        where, cards = said(case, case.request())
        assert cards == RESTART, where


def in_utc(body: dict[str, Any]) -> dict[str, Any]:
    """The doses written as many servers normalise them: the same moments, with `Z`."""
    for entry in body["prefetch"]["medicationAdministrations"]["entry"]:
        period = entry["resource"]["effectivePeriod"]
        for end in period:
            period[end] = datetime.fromisoformat(period[end]).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return body


@pytest.mark.parametrize("border", BORDERS, ids=lambda border: border.rows)
@pytest.mark.parametrize("day", [day for day, (_, zone) in DAYS.items() if zone != "UTC"])
def test_the_days_are_the_clinics_where_the_server_writes_them_in_utc(border: Border, day: str) -> None:
    special, zone = DAYS[day]
    for case in list(cases(border, special, zone, border.limit))[::3]:
        where, cards = said(case, in_utc(case.request()))
        assert cards == FITS, where
    for case in list(cases(border, special, zone, border.limit + 1))[::3]:
        where, cards = said(case, in_utc(case.request()))
        assert cards == RESTART, where
