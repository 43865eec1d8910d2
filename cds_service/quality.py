"""How the cards of each row are received over time, what calls get, and how fast: figures of a period, without a name.

What a period has is counted by the database (quality_queries.py) and put together here. Days are days in UTC. A card
counts on the day it was shown, whenever it was answered.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from typing import Final, TypeAlias

from cds_service.report import Reception, csv_of

DAYS_SHOWN_SINGLY: Final = 45
"""A longer period is shown by weeks, which begin on Monday."""

ANSWERED: Final = 200

OTHER_REASON: Final = "(a reason that this service does not offer)"
COMMENT_ONLY: Final = "(comment only)"
NO_REASON: Final = "(no reason given)"

Key: TypeAlias = tuple[str, str, str]
"""Row, topic and action of a card, as the report has them."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Which records: of the days from `since` to `until`, both whole and in UTC.

    `service` "": of all services. `client` None: of all clients; "": of those calls whose client has no name.
    """

    since: date
    until: date
    service: str = ""
    client: str | None = None

    @property
    def moments(self) -> tuple[datetime, datetime]:
        """The first moment of the period, and the first one after it."""
        midnight = time(tzinfo=UTC)
        return datetime.combine(self.since, midnight), datetime.combine(self.until + timedelta(days=1), midnight)

    @property
    def days(self) -> int:
        return (self.until - self.since).days + 1

    @property
    def every_day(self) -> tuple[date, ...]:
        return tuple(self.since + timedelta(days=number) for number in range(self.days))


@dataclass(frozen=True, kw_only=True)
class CallsCounted:
    """So many calls of one day, service, status and duration (in tenths of a millisecond, to two digits)."""

    day: date
    service: str
    status: int
    has_unknowns: bool
    tenths: int
    number: int


@dataclass(frozen=True, kw_only=True)
class CardsCounted:
    """So many cards shown on one day, with the last thing that was done with them.

    `outcome` "": shown, whatever came of it. `reason`: a code that this service offers, or one of the words above.
    """

    key: Key
    day: date
    number: int
    outcome: str = ""
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Counted:
    """What the database counted. `kinds`: kinds of unknowns in a call, and how many calls have exactly these.

    `cards`: how many answered calls got so many cards. `clients`: whose calls the period has. `unknown_cards`,
    `rejected`: feedback received in the period that belongs to no card on record, or could not be read.
    """

    calls: tuple[CallsCounted, ...] = ()
    kinds: tuple[tuple[frozenset[str], int], ...] = ()
    cards: Mapping[int, int] = field(default_factory=dict)
    shown: tuple[CardsCounted, ...] = ()
    done: tuple[CardsCounted, ...] = ()
    clients: tuple[str, ...] = ()
    unknown_cards: int = 0
    rejected: int = 0


@dataclass(frozen=True, kw_only=True)
class Step:
    """A day or a week of the period, as far as it lies in it."""

    first: date
    last: date

    @property
    def name(self) -> str:
        return self.first.isoformat() if self.first == self.last else f"{self.first.isoformat()} to {self.last:%m-%d}"


@dataclass(frozen=True, kw_only=True)
class Outcomes:
    """What became of cards: `no_answer` is what got no feedback, at least until now."""

    shown: int
    accepted: int
    overridden: int

    @property
    def no_answer(self) -> int:
        return self.shown - self.accepted - self.overridden


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of the knowledge: the whole period, and each step of it."""

    whole: Reception
    steps: tuple[Outcomes, ...]


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Milliseconds within which 50, 95 and 99 of 100 answered calls were answered, to two digits; None: no calls."""

    calls: int
    p50: float | None
    p95: float | None
    p99: float | None


class Figures:
    """The figures of a period. `reasons`: the words of the override reasons that this service offers, by code."""

    def __init__(self, asked: Asked, counted: Counted, reasons: Mapping[str, str]) -> None:
        self.asked = asked
        self.counted = counted
        self._reasons = reasons

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """The days of the period, or its weeks."""
        return steps_of(self.asked)

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """Those with cards in the period; the most overridden first, as in the report."""
        shown, done = defaultdict[Key, Counter[date]](Counter), defaultdict[Key, Counter[tuple[date, str]]](Counter)
        for some in self.counted.shown:
            shown[some.key][some.day] += some.number
        for some in self.counted.done:
            done[some.key][some.day, some.outcome] += some.number
        rows = [
            Row(
                whole=self._reception(key, days, done[key]),
                steps=tuple(_outcomes(step, days, done[key]) for step in self.steps),
            )
            for key, days in shown.items()
        ]
        return tuple(sorted(rows, key=_most_overridden))

    def _reception(self, key: Key, shown: Counter[date], done: Counter[tuple[date, str]]) -> Reception:
        outcomes = Counter[str]()
        for (_, outcome), number in done.items():
            outcomes[outcome] += number
        row, topic, action = key
        return Reception(
            row=row,
            topic=topic,
            action=action,
            shown=shown.total(),
            accepted=outcomes["accepted"],
            overridden=outcomes["overridden"],
            reasons=tuple((self.words(reason), number) for reason, number in self.reasons_of(key)),
        )

    def words(self, reason: str) -> str:
        """The sentence that this service offers with a code; the code itself where it does so no longer."""
        return self._reasons.get(reason, reason)

    def reasons_of(self, key: Key) -> Sequence[tuple[str, int]]:
        """Why the cards of this row were overridden, the most frequent reason first."""
        return sorted(self._reasons_by_key[key].items(), key=lambda item: (-item[1], item[0]))

    @cached_property
    def _reasons_by_key(self) -> Mapping[Key, Counter[str]]:
        found = defaultdict[Key, Counter[str]](Counter)
        for some in self.counted.done:
            if some.outcome == "overridden":
                found[some.key][some.reason] += some.number
        return found

    # --- calls --------------------------------------------------------------------------------------------------------

    @cached_property
    def calls(self) -> int:
        return self._calls(lambda _: True)

    @cached_property
    def answered(self) -> int:
        return self._calls(lambda some: some.status == ANSWERED)

    @cached_property
    def with_unknowns(self) -> int:
        return self._calls(lambda some: some.has_unknowns)

    def _calls(self, fit: Callable[[CallsCounted], bool]) -> int:
        return sum(some.number for some in self.counted.calls if fit(some))

    @cached_property
    def statuses(self) -> Sequence[tuple[int, int]]:
        """How many calls got each status."""
        found = Counter[int]()
        for some in self.counted.calls:
            found[some.status] += some.number
        return sorted(found.items())

    @cached_property
    def kinds(self) -> Sequence[tuple[str, int]]:
        """In how many calls something of each kind could not be read; a call may have several kinds."""
        found = Counter[str]()
        for kinds, number in self.counted.kinds:
            for kind in kinds:
                found[kind] += number
        return sorted(found.items(), key=lambda item: (-item[1], item[0]))

    @property
    def kinds_not_told_apart(self) -> int:
        """Calls with unknowns whose kinds are too rare a mixture to be counted by kind."""
        return self.with_unknowns - sum(number for _, number in self.counted.kinds)

    @property
    def without_cards(self) -> int:
        """Answered calls with nothing to say."""
        return self.counted.cards.get(0, 0)

    @property
    def cards_a_call(self) -> float | None:
        """Cards of an answered call, on average."""
        calls = sum(self.counted.cards.values())
        return sum(cards * number for cards, number in self.counted.cards.items()) / calls if calls else None

    @cached_property
    def calls_by_step(self) -> Sequence[tuple[int, int]]:
        """Calls, and those of them with unknowns, of each step."""
        return [
            (sum(some.number for some in step), sum(some.number for some in step if some.has_unknowns))
            for step in self._by_step
        ]

    @cached_property
    def _by_step(self) -> Sequence[Sequence[CallsCounted]]:
        days = defaultdict[date, list[CallsCounted]](list)
        for some in self.counted.calls:
            days[some.day].append(some)
        return [[some for day in days_of(step) for some in days[day]] for step in self.steps]

    @cached_property
    def latency(self) -> Latency:
        return latency(self.counted.calls)

    @cached_property
    def latency_by_step(self) -> Sequence[Latency]:
        return [latency(step) for step in self._by_step]

    @cached_property
    def latency_by_service(self) -> Sequence[tuple[str, Latency]]:
        services = defaultdict[str, list[CallsCounted]](list)
        for some in self.counted.calls:
            services[some.service].append(some)
        return [(service, latency(services[service])) for service in sorted(services)]

    @property
    def is_empty(self) -> bool:
        return not self.calls and not self.counted.shown

    # --- for spreadsheets ---------------------------------------------------------------------------------------------

    def rows_as_csv(self) -> str:
        """One line for each row and day on which it was shown."""
        shown, done = Counter[tuple[Key, date]](), Counter[tuple[Key, date, str]]()
        for some in self.counted.shown:
            shown[some.key, some.day] += some.number
        for some in self.counted.done:
            done[some.key, some.day, some.outcome] += some.number
        lines = []
        for (key, day), number in sorted(shown.items()):
            became = Outcomes(
                shown=number, accepted=done[key, day, "accepted"], overridden=done[key, day, "overridden"]
            )
            counts = (became.shown, became.accepted, became.overridden, became.no_answer)
            lines.append((*key, day.isoformat(), *map(str, counts)))
        return csv_of(("row", "topic", "action", "day", "shown", "accepted", "overridden", "no answer"), lines)

    def reasons_as_csv(self) -> str:
        """One line for each row and override reason. `code` is empty where this service offers no such reason."""
        lines = [
            (*key, reason if reason in self._reasons else "", self.words(reason), str(number))
            for key in sorted(self._reasons_by_key)
            for reason, number in self.reasons_of(key)
        ]
        return csv_of(("row", "topic", "action", "code", "reason", "overridden"), lines)


def steps_of(asked: Asked) -> tuple[Step, ...]:
    """Each day of a short period, each week of a long one; the first and the last week may be cut."""
    if asked.days <= DAYS_SHOWN_SINGLY:
        return tuple(Step(first=day, last=day) for day in days_of(Step(first=asked.since, last=asked.until)))
    found, first = [], asked.since
    while first <= asked.until:
        sunday = first + timedelta(days=6 - first.weekday())
        found.append(Step(first=first, last=min(sunday, asked.until)))
        first = sunday + timedelta(days=1)
    return tuple(found)


def days_of(step: Step) -> Iterable[date]:
    return (step.first + timedelta(days=number) for number in range((step.last - step.first).days + 1))


def _outcomes(step: Step, shown: Counter[date], done: Counter[tuple[date, str]]) -> Outcomes:
    days = list(days_of(step))
    return Outcomes(
        shown=sum(shown[day] for day in days),
        accepted=sum(done[day, "accepted"] for day in days),
        overridden=sum(done[day, "overridden"] for day in days),
    )


def _most_overridden(row: Row) -> tuple[int, int, str, str, str]:
    return (-row.whole.overridden, -row.whole.shown, row.whole.row, row.whole.topic, row.whole.action)


def latency(calls: Iterable[CallsCounted]) -> Latency:
    """Of the calls that were answered: a refusal is fast, and says nothing of how long a prescriber waits."""
    durations = Counter[int]()
    for some in calls:
        if some.status == ANSWERED:
            durations[some.tenths] += some.number
    return Latency(calls=durations.total(), **{f"p{part}": percentile(durations, part) for part in (50, 95, 99)})


def percentile(durations: Mapping[int, int], part: int) -> float | None:
    """The shortest duration that `part` of 100 did not exceed (nearest rank), in milliseconds; None of nothing."""
    left = -(-sum(durations.values()) * part // 100)
    for tenths in sorted(durations):
        left -= durations[tenths]
        if left <= 0:
            return tenths / 10
    return None
