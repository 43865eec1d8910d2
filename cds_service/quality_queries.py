"""What the quality page asks of the database, the same of SQLite and of PostgreSQL.

Each answer has a bounded number of lines, whatever was stored: days, services, statuses, durations of two digits, rows,
and the override reasons that this service offers. A client's own words are counted and never read.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Connection, Integer, Select, and_, case, cast, func, literal, or_, select

from cds_service.quality import COMMENT_ONLY, NO_REASON, OTHER_REASON, Asked, CallsCounted, CardsCounted, Counted
from cds_service.tables import CardShown, DecisionCard, DecisionMade, FeedbackGiven, FeedbackRejected

MIXTURES_OF_KINDS: Final = 1_000
"""How many different sets of unknowns are told apart; the calls of rarer ones are counted together."""

LONGEST_MS: Final = 60_000
OK: Final = 200
NO_UNKNOWNS: Final = "{}"


def counted(connection: Connection, asked: Asked, offered: Iterable[tuple[str, str]]) -> Counted:
    """What the period has. `offered`: system and code of the override reasons of this service.

    What was done with cards is asked before how many were shown: whatever comes between the two questions, no more
    cards are answered than shown.
    """
    is_sqlite = connection.dialect.name == "sqlite"
    done = tuple(_done(connection, asked, is_sqlite=is_sqlite, offered=offered))
    return Counted(
        done=done,
        shown=tuple(_shown(connection, asked, is_sqlite=is_sqlite)),
        calls=tuple(_calls(connection, asked, is_sqlite=is_sqlite)),
        kinds=tuple(_kinds(connection, asked)),
        cards=_cards_of_calls(connection, asked),
        clients=tuple(connection.execute(_clients(asked)).scalars()),
        unknown_cards=_unknown_cards(connection, asked),
        rejected=connection.execute(
            select(func.count()).where(*_within(FeedbackRejected.received_at, FeedbackRejected, asked))
        ).scalar_one(),
    )


def _within(moment: Any, table: Any, asked: Asked) -> list[ColumnElement[bool]]:
    since, before = asked.moments
    wanted: list[ColumnElement[bool]] = [moment >= since, moment < before]
    if asked.service:
        wanted.append(table.service == asked.service)
    if asked.client is not None:
        wanted.append(table.client == asked.client)
    return wanted


def _day(moment: Any, *, is_sqlite: bool) -> ColumnElement[Any]:
    """The day in UTC: SQLite keeps moments as texts in UTC, PostgreSQL would use the zone of the connection."""
    return (func.date(moment) if is_sqlite else func.date(func.timezone("UTC", moment))).label("day")


def _read_day(day: Any) -> date:
    return date.fromisoformat(str(day))


def _grouped(inner: Select[Any]) -> Select[Any]:
    """The lines of `inner`, each once, with their number. PostgreSQL groups by columns, not by like expressions."""
    lines = inner.subquery()
    return select(*lines.c, func.count().label("number")).group_by(*lines.c)


# --- calls ------------------------------------------------------------------------------------------------------------


def _calls(connection: Connection, asked: Asked, *, is_sqlite: bool) -> Iterable[CallsCounted]:
    found = select(
        _day(DecisionMade.decided_at, is_sqlite=is_sqlite),
        *(DecisionMade.service, DecisionMade.status),
        case((DecisionMade.unknowns != NO_UNKNOWNS, 1), else_=0).label("has_unknowns"),
        _tenths().label("tenths"),
    ).where(*_within(DecisionMade.decided_at, DecisionMade, asked))
    for day, service, status, has_unknowns, tenths, number in connection.execute(_grouped(found)):
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
    duration = DecisionMade.milliseconds
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
        select(DecisionMade.unknowns, func.count().label("number"))
        .where(DecisionMade.unknowns != NO_UNKNOWNS, *_within(DecisionMade.decided_at, DecisionMade, asked))
        .group_by(DecisionMade.unknowns)
        .order_by(func.count().desc(), DecisionMade.unknowns)
        .limit(MIXTURES_OF_KINDS)
    )
    for unknowns, number in connection.execute(wanted):
        yield frozenset(msgspec.json.decode(unknowns)), number


def _cards_of_calls(connection: Connection, asked: Asked) -> dict[int, int]:
    """How many answered calls got no card, one card, two cards…"""
    cards = select(func.count()).where(DecisionCard.decision == DecisionMade.id).scalar_subquery()
    answered = select(cards.label("cards")).where(
        DecisionMade.status == OK, *_within(DecisionMade.decided_at, DecisionMade, asked)
    )
    return {cards_of_each: calls for cards_of_each, calls in connection.execute(_grouped(answered))}  # noqa: C416


def _clients(asked: Asked) -> Select[Any]:
    since, before = asked.moments
    decided = (DecisionMade.decided_at >= since, DecisionMade.decided_at < before)
    wanted = select(DecisionMade.client).distinct().where(*decided).order_by(DecisionMade.client)
    return wanted if asked.client is None else wanted.where(DecisionMade.client == asked.client)


# --- cards ------------------------------------------------------------------------------------------------------------


def _shown(connection: Connection, asked: Asked, *, is_sqlite: bool) -> Iterable[CardsCounted]:
    found = select(
        *(CardShown.leading_row, CardShown.topic, CardShown.action),
        _day(CardShown.shown_at, is_sqlite=is_sqlite),
    ).where(*_within(CardShown.shown_at, CardShown, asked))
    for row, topic, action, day, number in connection.execute(_grouped(found)):
        yield CardsCounted(key=(row, topic, action), day=_read_day(day), number=number)


def _done(
    connection: Connection, asked: Asked, *, is_sqlite: bool, offered: Iterable[tuple[str, str]]
) -> Iterable[CardsCounted]:
    """The last feedback on each card that was shown in the period; of two at the same moment the acceptance counts."""
    order = func.row_number().over(
        partition_by=(FeedbackGiven.client, FeedbackGiven.card),
        order_by=(FeedbackGiven.outcome_at.desc(), FeedbackGiven.outcome, FeedbackGiven.key),
    )
    given = (
        select(
            *(CardShown.leading_row, CardShown.topic, CardShown.action),
            _day(CardShown.shown_at, is_sqlite=is_sqlite),
            FeedbackGiven.outcome,
            _reason(offered).label("reason"),
            order.label("place"),
        )
        .join(FeedbackGiven, (FeedbackGiven.client == CardShown.client) & (FeedbackGiven.card == CardShown.card))
        .where(*_within(CardShown.shown_at, CardShown, asked))
        .subquery()
    )
    columns = [column for column in given.c if column.key != "place"]
    last = _grouped(select(*columns).where(given.c.place == 1))
    for row, topic, action, day, outcome, reason, number in connection.execute(last):
        yield CardsCounted(key=(row, topic, action), day=_read_day(day), outcome=outcome, reason=reason, number=number)


def _reason(offered: Iterable[tuple[str, str]]) -> ColumnElement[str]:
    """The code, where it is one that this service offers; else what kind of reason it is, and no word of it."""
    of_ours = [
        (
            and_(FeedbackGiven.reason_code == code, or_(FeedbackGiven.reason_system.is_(None), _is(system))),
            literal(code),
        )
        for system, code in offered
    ]
    is_another = or_(FeedbackGiven.reason_code.is_not(None), FeedbackGiven.reason_display.is_not(None))
    return case(
        *of_ours,
        (is_another, literal(OTHER_REASON)),
        (FeedbackGiven.comment.is_not(None), literal(COMMENT_ONLY)),
        else_=literal(NO_REASON),
    )


def _is(system: str) -> ColumnElement[bool]:
    return FeedbackGiven.reason_system == system


def _unknown_cards(connection: Connection, asked: Asked) -> int:
    """Feedback received in the period on cards that are not on record."""
    on_record = select(CardShown.card).where(
        CardShown.client == FeedbackGiven.client, CardShown.card == FeedbackGiven.card
    )
    wanted = select(func.count()).where(~on_record.exists(), *_within(FeedbackGiven.received_at, FeedbackGiven, asked))
    number: int = connection.execute(wanted).scalar_one()
    return number
