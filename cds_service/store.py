"""What is kept: what was decided, which cards were shown, what clinicians did with them, and which tokens were used.

No table holds anything of a patient, but `comment`, `extension` and `entry` are a client's free text and may: they
are never logged. Every write is idempotent. By hand: `python -m cds_service.store report|decisions|upgrade`.
"""

from __future__ import annotations

import argparse
import itertools
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from sqlalchemy import Connection, Table, delete, func, make_url, select, tuple_
from sqlalchemy.exc import ArgumentError

from cds_service.database import Database
from cds_service.errors import ServiceError, SettingError, StoreUnavailable
from cds_service.feedback import Feedback, Rejected, as_text, digest
from cds_service.migrations import SCHEMAS
from cds_service.quality import Asked, Counted
from cds_service.quality_queries import counted
from cds_service.report import Decided, Reception, Report, as_csv, as_table, decisions_as_csv, decisions_as_table
from cds_service.settings import Settings
from cds_service.tables import (
    CARD_SHOWN,
    DECISION,
    DECISION_CARD,
    FEEDBACK,
    FEEDBACK_REJECTED,
    TOKEN_SEEN,
)

ENTRIES_A_TRANSACTION: Final = 1_000

CARDS_A_QUESTION: Final = 200
"""How many cards one SELECT may name."""

TOKENS_A_CLEANING: Final = 500
CALLS_A_CLEANING: Final = 100
"""Each process deletes so many expired tokens at most, once in so many calls."""

DECISIONS_LISTED: Final = 1_000

SECONDS_FOR_FIGURES: Final = 30.0
"""For each question of the quality page to PostgreSQL."""

UNKNOWN_CARD: Final = "unknown card"
_COMMENT_ONLY: Final = "(comment only)"
_NO_REASON: Final = "(no reason given)"
_Entry = TypeVar("_Entry")
_PLAIN: Final = re.compile(r"[A-Za-z0-9._:-]{1,200}", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A card that was sent. `client` is "" where nobody knows who called."""

    card: str
    service: str
    hook: str
    leading_row: str
    topic: str
    action: str
    indicator: str
    knowledge: str
    shown_at: datetime
    client: str = ""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """One call and what was decided. `id` is new for each; `unknowns` are kinds with their numbers."""

    id: str
    decided_at: datetime
    service: str
    hook_instance: str
    status: int
    knowledge: str
    row_ids: tuple[str, ...]
    unknowns: Mapping[str, int]
    milliseconds: float
    cards: tuple[Shown, ...] = ()
    client: str = ""


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What became of a batch of feedback.

    `recorded`: new entries by (leading row, outcome). `rejected`: by kind of mistake, those new to the store.
    """

    recorded: Mapping[tuple[str, str], int]
    repeated: int
    rejected: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Given:
    """The arguments of a command."""

    database: str
    csv: bool = False
    hook_instance: str | None = None
    last: int = DECISIONS_LISTED


def plain_id(text: str) -> str:
    """A client's id as it is kept: itself if it can only be an id, else a digest, since it might be anything."""
    return text if not text or _PLAIN.fullmatch(text) else f"sha256:{digest(text)}"


def _insert_of(database: Database) -> Callable[[Table], Any]:
    """INSERT as this database writes it: what belongs to the other one is not loaded."""
    if database.is_sqlite:
        from sqlalchemy.dialects.sqlite import insert as insert_into_sqlite

        return insert_into_sqlite
    from sqlalchemy.dialects.postgresql import insert as insert_into_postgresql

    return insert_into_postgresql


class Store:
    """What is asked of, and told to, the database of one URL. Opens nothing until it is used.

    Raises: SettingError for a URL that no database can have. All else that fails is a StoreUnavailable.
    """

    def __init__(self, url: str) -> None:
        self._database = Database(url)
        self._insert = _insert_of(self._database)
        self._tokens_asked = itertools.count()

    def open(self) -> None:
        """Bring the tables up to date, and hold no connection afterwards. Raises: StoreUnavailable."""
        try:
            with self._database.transaction(is_reading=True):
                pass
        finally:
            self._database.let_go()

    def upgrade(self) -> None:
        """The same however long it takes. Raises: StoreUnavailable, also for tables of a newer version."""
        self._database.upgrade(patience=None)
        self._database.let_go()

    def check(self) -> None:
        """Return if the store can be read now. Raises: StoreUnavailable, within about a second."""
        self._database.at_once(select(TOKEN_SEEN.c.jti).limit(1))

    def is_new_token(self, *, client: str, jti: str, expires_at: datetime, at: datetime) -> bool:
        """Whether this client never used this token before, in any process; from now on it has.

        To be asked once the signature has been verified. Raises: StoreUnavailable, within about a second.
        """
        row = {"client": client, "jti": plain_id(jti), "expires_at": expires_at.astimezone(UTC)}
        statement = self._insert(TOKEN_SEEN).on_conflict_do_nothing().returning(TOKEN_SEEN.c.jti)
        is_new = self._database.at_once(statement, row) is not None
        if next(self._tokens_asked) % CALLS_A_CLEANING == 0:
            with suppress(StoreUnavailable):
                self._forget_tokens(at.astimezone(UTC))
        return is_new

    def _forget_tokens(self, at: datetime) -> None:
        key = tuple_(TOKEN_SEEN.c.client, TOKEN_SEEN.c.jti)
        expired = select(TOKEN_SEEN.c.client, TOKEN_SEEN.c.jti).where(TOKEN_SEEN.c.expires_at < at)
        some = expired.order_by(TOKEN_SEEN.c.expires_at).limit(TOKENS_A_CLEANING)
        self._database.at_once(delete(TOKEN_SEEN).where(key.in_(some.with_for_update(skip_locked=True))))

    def add_decisions(self, decisions: Sequence[Decision]) -> None:
        """Write these decisions and their cards; what is there already stays as it is. Raises: StoreUnavailable."""
        cards = {(shown.client, shown.card): asdict(shown) for made in reversed(decisions) for shown in made.cards}
        links = {(made.id, shown.card) for made in decisions for shown in made.cards}
        with self._database.transaction() as connection:
            for table, rows in (
                (DECISION, [_decision(made) for made in decisions]),
                (CARD_SHOWN, [cards[key] for key in sorted(cards)]),  # in one order: nobody waits for each other
                (DECISION_CARD, [{"decision": made, "card": card} for made, card in sorted(links)]),
            ):
                if rows:
                    connection.execute(self._insert(table).on_conflict_do_nothing(), rows)

    def add_feedback(
        self, entries: Sequence[Feedback | Rejected], *, service: str, at: datetime, client: str = ""
    ) -> Kept:
        """Write all entries; on return they are on disk. Repeats change nothing.

        Raises: StoreUnavailable. Some may be there already then: the whole batch can be sent again.
        """
        recorded, rejected = Counter[tuple[str, str]](), Counter[str]()
        same = {"client": client, "service": service, "received_at": at}
        for first in range(0, len(entries), ENTRIES_A_TRANSACTION):  # others may write between two of them
            some = entries[first : first + ENTRIES_A_TRANSACTION]
            given = _by_key({entry.key(client): entry for entry in some if isinstance(entry, Feedback)})
            bad = _by_key({entry.key(client): entry for entry in some if isinstance(entry, Rejected)})
            with self._database.transaction() as connection:
                new = self._add(connection, FEEDBACK, [same | _columns(key, entry) for key, entry in given.items()])
                new_bad = self._add(
                    connection,
                    FEEDBACK_REJECTED,
                    [same | {"key": key, "mistake": e.mistake, "entry": e.entry} for key, e in bad.items()],
                )
            rows = self.rows_of({given[key].card for key in new}, client=client)
            recorded.update((rows.get(given[key].card, UNKNOWN_CARD), given[key].outcome) for key in new)
            rejected.update(bad[key].mistake for key in new_bad)
        readable = sum(1 for entry in entries if isinstance(entry, Feedback))
        return Kept(recorded=recorded, repeated=readable - recorded.total(), rejected=rejected)

    def _add(self, connection: Connection, table: Table, rows: list[Any]) -> list[str]:
        """Insert what is not there yet; the keys of what was not."""
        if not rows:
            return []
        statement = self._insert(table).on_conflict_do_nothing().returning(table.c.key)
        return list(connection.execute(statement, rows).scalars())

    def rows_of(self, cards: set[str], *, client: str = "") -> Mapping[str, str]:
        """The leading row of each of these cards, as far as they are on record. Raises: StoreUnavailable."""
        asked, found = sorted(cards), dict[str, str]()
        with self._database.transaction(is_reading=True) as connection:
            for first in range(0, len(asked), CARDS_A_QUESTION):
                some = asked[first : first + CARDS_A_QUESTION]
                wanted = select(CARD_SHOWN.c.card, CARD_SHOWN.c.leading_row).where(
                    CARD_SHOWN.c.client == client, CARD_SHOWN.c.card.in_(some)
                )
                found.update((card, row) for card, row in connection.execute(wanted))
        return found

    def report(self) -> Report:
        """How the cards of each row were received, the most overridden row first. Raises: StoreUnavailable."""
        with self._database.transaction(is_reading=True, patience=None) as connection:
            return _report(connection)

    def quality(self, asked: Asked, offered: Collection[tuple[str, str]]) -> Counted:
        """What the quality page shows of this period. `offered`: (system, code) of our own override reasons.

        Raises: StoreUnavailable.
        """
        with self._database.transaction(is_reading=True, patience=SECONDS_FOR_FIGURES) as connection:
            return counted(connection, asked, offered)

    def decisions(self, *, hook_instance: str | None = None, last: int = DECISIONS_LISTED) -> tuple[Decided, ...]:
        """The last decisions, earliest first, each with its cards and what was done with them.

        `hook_instance`: those of this one alone. Raises: StoreUnavailable.
        """
        with self._database.transaction(is_reading=True, patience=None) as connection:
            return _decisions(connection, hook_instance, last)


def _by_key(entries: Mapping[str, _Entry]) -> Mapping[str, _Entry]:
    """In one order, so that two writers of the same entries do not wait for each other."""
    return dict(sorted(entries.items()))


def _decision(made: Decision) -> dict[str, Any]:
    """The row of a decision."""
    return {
        "id": made.id,
        "decided_at": made.decided_at,
        "client": made.client,
        "service": made.service,
        "hook_instance": plain_id(made.hook_instance),
        "status": made.status,
        "knowledge": made.knowledge,
        "row_ids": as_text(made.row_ids),
        "unknowns": as_text(dict(sorted(made.unknowns.items()))),
        "milliseconds": made.milliseconds,
    }


def _columns(key: str, entry: Feedback) -> dict[str, Any]:
    override = entry.override_reason
    chosen = override.chosen() if override else None
    return {
        "key": key,
        "card": entry.card,
        "outcome": entry.outcome,
        "outcome_at": entry.outcome_timestamp,
        "suggestions": as_text(entry.suggestions),
        "reason_system": chosen.system if chosen else None,
        "reason_code": chosen.code if chosen else None,
        "reason_display": chosen.display if chosen else None,
        "comment": override.user_comment if override else None,
        "extension": as_text(override.extension) if override and override.extension is not None else None,
    }


# --- the report ------------------------------------------------------------------------------------------------------


def _report(connection: Connection) -> Report:
    last = _last_feedback()
    shown_and_done = (
        select(
            *(CARD_SHOWN.c.leading_row, CARD_SHOWN.c.topic, CARD_SHOWN.c.action, last.c.outcome),
            *(last.c.reason_display, last.c.reason_code, last.c.has_comment, func.count()),
        )
        .outerjoin(
            last, (last.c.client == CARD_SHOWN.c.client) & (last.c.card == CARD_SHOWN.c.card) & (last.c.number == 1)
        )
        .group_by(
            *(CARD_SHOWN.c.leading_row, CARD_SHOWN.c.topic, CARD_SHOWN.c.action, last.c.outcome),
            *(last.c.reason_display, last.c.reason_code, last.c.has_comment),
        )
    )
    done: dict[tuple[str, str, str], Counter[str | None]] = defaultdict(Counter)
    reasons: dict[tuple[str, str, str], Counter[str]] = defaultdict(Counter)
    for row, topic, action, outcome, display, code, has_comment, number in connection.execute(shown_and_done):
        done[row, topic, action][outcome] += number
        if outcome == "overridden":
            reasons[row, topic, action][_reason(display, code, has_comment)] += number
    rows = [
        Reception(
            row=row,
            topic=topic,
            action=action,
            shown=outcomes.total(),
            accepted=outcomes["accepted"],
            overridden=outcomes["overridden"],
            reasons=tuple(sorted(reasons[row, topic, action].items(), key=lambda item: (-item[1], item[0]))),
        )
        for (row, topic, action), outcomes in done.items()
    ]
    on_record = select(CARD_SHOWN.c.client, CARD_SHOWN.c.card)
    of_no_card = select(func.count()).where(tuple_(FEEDBACK.c.client, FEEDBACK.c.card).not_in(on_record))
    return Report(
        rows=tuple(sorted(rows, key=lambda row: (-row.overridden, -row.shown, row.row, row.topic, row.action))),
        unknown_cards=connection.execute(of_no_card).scalar_one(),
        rejected=connection.execute(select(func.count()).select_from(FEEDBACK_REJECTED)).scalar_one(),
    )


def _last_feedback() -> Any:
    """Feedback numbered from the last backwards for each card; of two at the same moment the acceptance counts."""
    order = func.row_number().over(
        partition_by=(FEEDBACK.c.client, FEEDBACK.c.card),
        order_by=(FEEDBACK.c.outcome_at.desc(), FEEDBACK.c.outcome, FEEDBACK.c.key),
    )
    return select(
        *(FEEDBACK.c.client, FEEDBACK.c.card, FEEDBACK.c.outcome, FEEDBACK.c.outcome_at),
        *(FEEDBACK.c.reason_display, FEEDBACK.c.reason_code),
        FEEDBACK.c.comment.is_not(None).label("has_comment"),
        order.label("number"),
    ).subquery()


# --- decisions, and what was done with them ---------------------------------------------------------------------------


def _decisions(connection: Connection, hook_instance: str | None, last: int) -> tuple[Decided, ...]:
    wanted = select(DECISION).order_by(DECISION.c.decided_at.desc(), DECISION.c.id).limit(last)
    if hook_instance is not None:
        wanted = wanted.where(DECISION.c.hook_instance == plain_id(hook_instance))
    made, done = wanted.subquery(), _last_feedback()
    listed = (
        select(made, DECISION_CARD.c.card, CARD_SHOWN.c.leading_row, done)
        .outerjoin(DECISION_CARD, DECISION_CARD.c.decision == made.c.id)
        .outerjoin(CARD_SHOWN, (CARD_SHOWN.c.client == made.c.client) & (CARD_SHOWN.c.card == DECISION_CARD.c.card))
        .outerjoin(
            done, (done.c.client == made.c.client) & (done.c.card == DECISION_CARD.c.card) & (done.c.number == 1)
        )
        .order_by(made.c.decided_at, made.c.id, DECISION_CARD.c.card)
    )
    return tuple(_decided(row) for row in connection.execute(listed))


def _decided(row: Any) -> Decided:
    return Decided(
        at=in_utc(row.decided_at),
        client=row.client,
        service=row.service,
        hook_instance=row.hook_instance,
        status=row.status,
        knowledge=row.knowledge,
        rows=tuple(msgspec.json.decode(row.row_ids)),
        unknowns=msgspec.json.decode(row.unknowns),
        milliseconds=row.milliseconds,
        card=row.card or "",
        leading_row=row.leading_row or "",
        outcome=row.outcome or "",
        outcome_at=in_utc(row.outcome_at) if row.outcome_at else None,
        reason=_reason(row.reason_display, row.reason_code, row.has_comment) if row.outcome == "overridden" else "",
    )


def in_utc(moment: datetime) -> datetime:
    """A moment of the database: SQLite gives UTC without saying so, PostgreSQL in the zone of the connection."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _reason(display: str | None, code: str | None, has_comment: bool | None) -> str:
    return display or code or (_COMMENT_ONLY if has_comment else _NO_REASON)


# --- by hand ----------------------------------------------------------------------------------------------------------


def main(arguments: Sequence[str]) -> int:
    """Print what a database knows, or upgrade it; 0, or 2 where that cannot be done."""
    parser = argparse.ArgumentParser(prog="python -m cds_service.store", description="What the store knows.")
    commands = parser.add_subparsers(required=True, dest="command")
    report = commands.add_parser("report", help="how the cards of each row were received")
    decisions = commands.add_parser("decisions", help="what was decided, and what was done with it")
    upgrade = commands.add_parser("upgrade", help="make the tables that this version needs")
    for command in (report, decisions, upgrade):
        command.add_argument(
            "--database", default=Settings().database_url, help="as CDS_DATABASE_URL (default: %(default)s)"
        )
    for command in (report, decisions):
        command.add_argument("--csv", action="store_true", help="for a spreadsheet")
    decisions.add_argument("--hook-instance", help="the decisions of this one alone")
    decisions.add_argument("--last", type=int, default=DECISIONS_LISTED, help="at most so many (default: %(default)s)")
    asked = vars(parser.parse_args(arguments))
    name = asked.pop("command")
    try:
        sys.stdout.write(
            {"report": _print_report, "decisions": _print_decisions, "upgrade": _upgrade}[name](Given(**asked))
        )
    except (ArgumentError, ServiceError) as error:
        print(f"no {name}: {error}", file=sys.stderr)
        return 2
    return 0


def _print_report(given: Given) -> str:
    found = _existing(given.database).report()
    return as_csv(found) if given.csv else as_table(found)


def _print_decisions(given: Given) -> str:
    found = _existing(given.database).decisions(hook_instance=given.hook_instance, last=given.last)
    return decisions_as_csv(found) if given.csv else decisions_as_table(found)


def _upgrade(given: Given) -> str:
    Store(given.database).upgrade()
    return f"the database has the tables of this version (schema {SCHEMAS[-1]})\n"


def _existing(database: str) -> Store:
    """The store of a database that is there: none is made to be looked at."""
    url = make_url(database)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        raise SettingError("there is no such database file")
    return Store(database)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
