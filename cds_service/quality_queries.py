"""What the quality page asks of the database, the same of SQLite and of PostgreSQL.

Each answer has a bounded number of lines, whatever was stored: days, services, statuses, durations of two digits, rows,
and the override reasons that this service offers. A client's own words are counted and never read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from typing import Any, Final

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Integer,
    Select,
    Subquery,
    Table,
    and_,
    case,
    cast,
    func,
    literal,
    or_,
    select,
)

from cds_service.quality import (
    ANSWERED,
    COMMENT_ONLY,
    NO_REASON,
    OTHER_REASON,
    Asked,
    CallsCounted,
    CardsCounted,
    Counted,
)
from cds_service.tables import CARD_SHOWN, DECISION, DECISION_CARD, FEEDBACK, FEEDBACK_REJECTED

MIXTURES_OF_KINDS: Final = 1_000
"""How many different sets of unknowns are told apart; the calls of rarer ones are counted together."""

LONGEST_MS: Final = 60_000
NO_UNKNOWNS: Final = "{}"


def counted(connection: Connection, asked: Asked, offered: Iterable[tuple[str, str]]) -> Counted:
    """What the period has. `offered`: system and code of the override reasons of this service.

    What was done with cards is asked before how many were shown, and calls with cards before all calls: whatever comes
    between two questions, no part is more than its whole. SQLite is asked day by day, because it sorts the lines of a
    day in memory, in half the time for a month of 1,000,000 calls; PostgreSQL reads its tables once for all.
    """
    is_sqlite = connection.dialect.name == "sqlite"
    parts = [replace(asked, since=day, until=day) for day in asked.every_day] if is_sqlite else [asked]
    done = tuple(some for part in parts for some in _done(connection, part, offered))
    with_cards = _cards_of_calls(connection, asked)
    calls = tuple(some for part in parts for some in _calls(connection, part))
    answered = sum(some.number for some in calls if some.status == ANSWERED)
    return Counted(
        done=done,
        shown=tuple(some for part in parts for some in _shown(connection, part)),
        calls=calls,
        kinds=tuple(_kinds(connection, asked)),
        cards={0: answered - sum(with_cards.values()), **with_cards},
        clients=tuple(connection.execute(_clients(asked)).scalars()),
        unknown_cards=_unknown_cards(connection, asked),
        rejected=connection.execute(
            select(func.count()).where(*_within(FEEDBACK_REJECTED.c.received_at, FEEDBACK_REJECTED, asked))
        ).scalar_one(),
    )


def _within(moment: Any, table: Table, asked: Asked) -> list[ColumnElement[bool]]:
    since, before = asked.moments
    wanted: list[ColumnElement[bool]] = [moment >= since, moment < before]
    if asked.service:
        wanted.append(table.c.service == asked.service)
    if asked.client is not None:
        wanted.append(table.c.client == asked.client)
    return wanted


def _day(connection: Connection, moment: Any) -> ColumnElement[Any]:
    """The day in UTC: SQLite keeps moments as texts in UTC, PostgreSQL would use the zone of the connection."""
    is_sqlite = connection.dialect.name == "sqlite"
    return (func.date(moment) if is_sqlite else func.date(func.timezone("UTC", moment))).label("day")


def _read_day(day: Any) -> date:
    return date.fromisoformat(str(day))


def _grouped(lines: Subquery) -> Select[Any]:
    """The lines, each once, with their number. PostgreSQL groups by columns, not by like expressions."""
    return select(*lines.c, func.count().label("number")).group_by(*lines.c)


# --- calls ------------------------------------------------------------------------------------------------------------


def _calls(connection: Connection, asked: Asked) -> Iterable[CallsCounted]:
    found = select(
        _day(connection, DECISION.c.decided_at),
        *(DECISION.c.service, DECISION.c.status),
        case((DECISION.c.unknowns != NO_UNKNOWNS, 1), else_=0).label("has_unknowns"),
        _tenths().label("tenths"),
    ).where(*_within(DECISION.c.decided_at, DECISION, asked))
    for day, service, status, has_unknowns, tenths, number in connection.execute(_grouped(found.subquery())):
        yield CallsCounted(
            day=_read_day(day),
            service=service,
            status=status,
            has_unknowns=bool(has_unknowns),
            tenths=tenths,
            number=number,
        )


def _tenths() -> ColumnElement[int]:
    """Tenths of a millisecond to two digits: at most 450 values, so that percentiles need no sorting of every call.

    The millionth makes both databases round a half upwards.
    """
    duration = DECISION.c.milliseconds
    steps = [(limit, limit / 100) for limit in (10, 100, 1_000, 10_000)] + [(LONGEST_MS, 1_000)]
    return case(
        *(
            (duration < limit, cast(func.round(duration / step + 0.000001) * (step * 10), Integer))
            for limit, step in steps
        ),
        else_=LONGEST_MS * 10,
    )


def _kinds(connection: Connection, asked: Asked) -> Iterable[tuple[frozenset[str], int]]:
    wanted = (
        select(DECISION.c.unknowns, func.count().label("number"))
        .where(DECISION.c.unknowns != NO_UNKNOWNS, *_within(DECISION.c.decided_at, DECISION, asked))
        .group_by(DECISION.c.unknowns)
        .order_by(func.count().desc(), DECISION.c.unknowns)
        .limit(MIXTURES_OF_KINDS)
    )
    for unknowns, number in connection.execute(wanted):
        yield frozenset(msgspec.json.decode(unknowns)), number


def _cards_of_calls(connection: Connection, asked: Asked) -> dict[int, int]:
    """How many answered calls got one card, two cards…"""
    cards = (
        select(func.count().label("cards"))
        .select_from(DECISION)
        .join(DECISION_CARD, DECISION_CARD.c.decision == DECISION.c.id)
        .where(DECISION.c.status == ANSWERED, *_within(DECISION.c.decided_at, DECISION, asked))
        .group_by(DECISION.c.id)
    )
    return {cards_of_each: calls for cards_of_each, calls in connection.execute(_grouped(cards.subquery()))}  # noqa: C416


def _clients(asked: Asked) -> Select[Any]:
    since, before = asked.moments
    decided = (DECISION.c.decided_at >= since, DECISION.c.decided_at < before)
    wanted = select(DECISION.c.client).distinct().where(*decided).order_by(DECISION.c.client)
    return wanted if asked.client is None else wanted.where(DECISION.c.client == asked.client)


# --- cards ------------------------------------------------------------------------------------------------------------


def _shown(connection: Connection, asked: Asked) -> Iterable[CardsCounted]:
    found = select(
        *(CARD_SHOWN.c.leading_row, CARD_SHOWN.c.topic, CARD_SHOWN.c.action),
        _day(connection, CARD_SHOWN.c.shown_at),
    ).where(*_within(CARD_SHOWN.c.shown_at, CARD_SHOWN, asked))
    for row, topic, action, day, number in connection.execute(_grouped(found.subquery())):
        yield CardsCounted(key=(row, topic, action), day=_read_day(day), number=number)


def _done(connection: Connection, asked: Asked, offered: Iterable[tuple[str, str]]) -> Iterable[CardsCounted]:
    """The last feedback on each card that was shown in the period; of two at the same moment the acceptance counts."""
    given, later = FEEDBACK.alias(), FEEDBACK.alias()
    is_later = or_(
        later.c.outcome_at > given.c.outcome_at,
        and_(later.c.outcome_at == given.c.outcome_at, later.c.outcome < given.c.outcome),
        and_(later.c.outcome_at == given.c.outcome_at, later.c.outcome == given.c.outcome, later.c.key < given.c.key),
    )
    of_the_same = select(later.c.key).where(later.c.client == given.c.client, later.c.card == given.c.card, is_later)
    last = (
        select(
            *(CARD_SHOWN.c.leading_row, CARD_SHOWN.c.topic, CARD_SHOWN.c.action, given.c.outcome),
            _day(connection, CARD_SHOWN.c.shown_at),
            _reason(given, offered).label("reason"),
        )
        .join(given, (given.c.client == CARD_SHOWN.c.client) & (given.c.card == CARD_SHOWN.c.card))
        .where(~of_the_same.exists(), *_within(CARD_SHOWN.c.shown_at, CARD_SHOWN, asked))
    )
    for row, topic, action, outcome, day, reason, number in connection.execute(_grouped(last.subquery())):
        yield CardsCounted(key=(row, topic, action), day=_read_day(day), outcome=outcome, reason=reason, number=number)


def _reason(given: FromClause, offered: Iterable[tuple[str, str]]) -> ColumnElement[str]:
    """The code, where it is one that this service offers; else what kind of reason it is, and no word of it."""
    is_none = and_(given.c.reason_code.is_(None), given.c.reason_display.is_(None))
    of_ours = [
        (and_(given.c.reason_code == code, or_(given.c.reason_system.is_(None), given.c.reason_system == system)), code)
        for system, code in offered
    ]
    return case(
        (and_(is_none, given.c.comment.is_(None)), literal(NO_REASON)),
        (is_none, literal(COMMENT_ONLY)),
        *((is_it, literal(code)) for is_it, code in of_ours),
        else_=literal(OTHER_REASON),
    )


def _unknown_cards(connection: Connection, asked: Asked) -> int:
    """Feedback received in the period on cards that are not on record."""
    on_record = select(CARD_SHOWN.c.card).where(
        CARD_SHOWN.c.client == FEEDBACK.c.client, CARD_SHOWN.c.card == FEEDBACK.c.card
    )
    wanted = select(func.count()).where(~on_record.exists(), *_within(FEEDBACK.c.received_at, FEEDBACK, asked))
    number: int = connection.execute(wanted).scalar_one()
    return number
