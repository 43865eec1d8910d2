"""What is kept: which cards were shown, and what clinicians did with them. SQLite by default, PostgreSQL for more.

No table holds anything of a patient, but `comment`, `extension` and `entry` are a client's free text and may: they
are never logged. Every write is idempotent. The report: `python -m cds_service.store report [--database URL] [--csv]`.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, DateTime, Index, NullPool, Text, create_engine, func, make_url, select, text, tuple_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.schema import CreateIndex, CreateTable

from cds_service.errors import ServiceError, SettingError, StoreUnavailable
from cds_service.feedback import Feedback, Rejected, as_text
from cds_service.report import Reception, Report, as_csv, as_table
from cds_service.settings import Settings

SECONDS_TO_WAIT: Final = 5
"""For another process that is writing (SQLite), or for a connection (PostgreSQL)."""

ENTRIES_A_TRANSACTION: Final = 1_000

CARDS_A_QUESTION: Final = 200
"""How many cards one SELECT may name."""

UNKNOWN_CARD: Final = "unknown card"
_COMMENT_ONLY: Final = "(comment only)"
_NO_REASON: Final = "(no reason given)"


class _Table(DeclarativeBase):
    """Texts are unbounded and times are in UTC, so that every database takes them alike."""


class CardShown(_Table):
    """A card that was sent, once for all retries of its call."""

    __tablename__ = "card_shown"
    client: Mapped[str] = mapped_column(Text, primary_key=True)
    card: Mapped[str] = mapped_column(Text, primary_key=True)
    service: Mapped[str] = mapped_column(Text)
    hook: Mapped[str] = mapped_column(Text)
    leading_row: Mapped[str] = mapped_column(Text)
    topic: Mapped[str] = mapped_column(Text)
    action: Mapped[str] = mapped_column(Text)
    indicator: Mapped[str] = mapped_column(Text)
    knowledge: Mapped[str] = mapped_column(Text)
    shown_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class FeedbackGiven(_Table):
    """What was done with a card, known or not; `key` is a digest of client, card, outcome, moment and suggestions."""

    __tablename__ = "feedback"
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    client: Mapped[str] = mapped_column(Text)
    service: Mapped[str] = mapped_column(Text)
    card: Mapped[str] = mapped_column(Text)
    outcome: Mapped[str] = mapped_column(Text)
    outcome_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    suggestions: Mapped[str] = mapped_column(Text)
    reason_system: Mapped[str | None] = mapped_column(Text)
    reason_code: Mapped[str | None] = mapped_column(Text)
    reason_display: Mapped[str | None] = mapped_column(Text)
    comment: Mapped[str | None] = mapped_column(Text)
    extension: Mapped[str | None] = mapped_column(Text)
    received_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    __table_args__ = (Index("feedback_card", "client", "card"),)


class FeedbackRejected(_Table):
    """An entry that could not be read, and the kind of mistake in it."""

    __tablename__ = "feedback_rejected"
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    client: Mapped[str] = mapped_column(Text)
    service: Mapped[str] = mapped_column(Text)
    mistake: Mapped[str] = mapped_column(Text)
    entry: Mapped[str] = mapped_column(Text)
    received_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


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
class Kept:
    """What became of a batch of feedback.

    `recorded`: new entries by (leading row, outcome). `rejected`: by kind of mistake, those new to the store.
    """

    recorded: Mapping[tuple[str, str], int]
    repeated: int
    rejected: Mapping[str, int]


class Store:
    """The database of one URL. Opens nothing until it is used, and nothing that a forked process would share.

    Raises: SettingError for a URL that no database can have. All else that fails is a StoreUnavailable.
    """

    def __init__(self, url: str) -> None:
        self._is_ready = False
        try:
            parsed = make_url(url)
            is_file = parsed.get_backend_name() == "sqlite"
            if is_file and not (is_path(parsed.database) and Path(parsed.database or "").parent.is_dir()):
                raise SettingError("CDS_DATABASE_URL names no file, or one in a folder that does not exist")
            if is_file:
                options: dict[str, Any] = {"poolclass": NullPool, "connect_args": {"timeout": SECONDS_TO_WAIT}}
            else:
                options = {"pool_pre_ping": True, "connect_args": {"connect_timeout": SECONDS_TO_WAIT}}
            self._engine = create_engine(parsed, hide_parameters=True, **options)
        except (ArgumentError, ImportError, ValueError):
            raise SettingError("CDS_DATABASE_URL names a database that this installation has no driver for") from None
        self._insert = sqlite.insert if is_file else postgresql.insert

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        """A transaction on tables that are there. Raises: StoreUnavailable."""
        try:
            if not self._is_ready:
                self._create_tables()
                self._is_ready = True
            with self._engine.begin() as connection:
                yield connection
        except (SQLAlchemyError, OSError) as error:
            self._is_ready = False  # the next one looks again: the file may have been removed
            raise StoreUnavailable(type(error).__name__) from None

    def _create_tables(self) -> None:
        if self._engine.dialect.name == "sqlite":
            file = Path(self._engine.url.database or "")
            if not file.exists():
                file.touch(mode=0o600)  # comments may name a patient
            with self._engine.connect() as connection:
                connection.execute(text("PRAGMA journal_mode=WAL"))  # stays with the file
        with self._engine.begin() as connection:
            for table in _Table.metadata.sorted_tables:
                connection.execute(CreateTable(table, if_not_exists=True))
                for index in table.indexes:
                    connection.execute(CreateIndex(index, if_not_exists=True))

    def open(self) -> None:
        """Create the tables that are missing, and hold no connection afterwards. Raises: StoreUnavailable."""
        with self._connected():
            pass
        self._engine.dispose()

    def add_shown(self, cards: Sequence[Shown]) -> None:
        """Write that these cards were sent; one that is there already stays as it is. Raises: StoreUnavailable."""
        with self._connected() as connection:
            connection.execute(self._insert(CardShown).on_conflict_do_nothing(), [asdict(card) for card in cards])

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
            given = {entry.key(client): entry for entry in some if isinstance(entry, Feedback)}
            bad = {entry.key(client): entry for entry in some if isinstance(entry, Rejected)}
            with self._connected() as connection:
                new = self._add(
                    connection, FeedbackGiven, [same | _columns(key, entry) for key, entry in given.items()]
                )
                new_bad = self._add(
                    connection,
                    FeedbackRejected,
                    [same | {"key": key, "mistake": e.mistake, "entry": e.entry} for key, e in bad.items()],
                )
            rows = self.rows_of({given[key].card for key in new}, client=client)
            recorded.update((rows.get(given[key].card, UNKNOWN_CARD), given[key].outcome) for key in new)
            rejected.update(bad[key].mistake for key in new_bad)
        readable = sum(1 for entry in entries if isinstance(entry, Feedback))
        return Kept(recorded=recorded, repeated=readable - recorded.total(), rejected=rejected)

    def _add(self, connection: Connection, table: type[FeedbackGiven | FeedbackRejected], rows: list[Any]) -> list[str]:
        """Insert what is not there yet; the keys of what was not."""
        if not rows:
            return []
        statement = self._insert(table).on_conflict_do_nothing().returning(table.key)
        return list(connection.execute(statement, rows).scalars())

    def rows_of(self, cards: set[str], *, client: str = "") -> Mapping[str, str]:
        """The leading row of each of these cards, as far as they are on record. Raises: StoreUnavailable."""
        asked, found = sorted(cards), dict[str, str]()
        with self._connected() as connection:
            for first in range(0, len(asked), CARDS_A_QUESTION):
                some = asked[first : first + CARDS_A_QUESTION]
                wanted = select(CardShown.card, CardShown.leading_row).where(
                    CardShown.client == client, CardShown.card.in_(some)
                )
                found.update((card, row) for card, row in connection.execute(wanted))
        return found

    def report(self) -> Report:
        """How the cards of each row were received, the most overridden row first. Raises: StoreUnavailable."""
        with self._connected() as connection:
            return _report(connection)


def is_path(database: str | None) -> bool:
    """Whether SQLite would keep it in that file: one in memory would be another one for each connection."""
    return bool(database) and not str(database).startswith((":memory:", "file:"))


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
            *(CardShown.leading_row, CardShown.topic, CardShown.action, last.c.outcome),
            *(last.c.reason_display, last.c.reason_code, last.c.has_comment, func.count()),
        )
        .outerjoin(last, (last.c.client == CardShown.client) & (last.c.card == CardShown.card) & (last.c.number == 1))
        .group_by(
            *(CardShown.leading_row, CardShown.topic, CardShown.action, last.c.outcome),
            *(last.c.reason_display, last.c.reason_code, last.c.has_comment),
        )
    )
    done: dict[tuple[str, str, str], Counter[str | None]] = defaultdict(Counter)
    reasons: dict[tuple[str, str, str], Counter[str]] = defaultdict(Counter)
    for row, topic, action, outcome, display, code, has_comment, number in connection.execute(shown_and_done):
        done[row, topic, action][outcome] += number
        if outcome == "overridden":
            reasons[row, topic, action][display or code or (_COMMENT_ONLY if has_comment else _NO_REASON)] += number
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
    on_record = select(CardShown.client, CardShown.card)
    of_no_card = select(func.count()).where(tuple_(FeedbackGiven.client, FeedbackGiven.card).not_in(on_record))
    return Report(
        rows=tuple(sorted(rows, key=lambda row: (-row.overridden, -row.shown, row.row, row.topic, row.action))),
        unknown_cards=connection.execute(of_no_card).scalar_one(),
        rejected=connection.execute(select(func.count()).select_from(FeedbackRejected)).scalar_one(),
    )


def _last_feedback() -> Any:
    """Feedback numbered from the last backwards for each card; of two at the same moment the acceptance counts."""
    order = func.row_number().over(
        partition_by=(FeedbackGiven.client, FeedbackGiven.card),
        order_by=(FeedbackGiven.outcome_at.desc(), FeedbackGiven.outcome, FeedbackGiven.key),
    )
    return select(
        *(FeedbackGiven.client, FeedbackGiven.card, FeedbackGiven.outcome),
        *(FeedbackGiven.reason_display, FeedbackGiven.reason_code),
        FeedbackGiven.comment.is_not(None).label("has_comment"),
        order.label("number"),
    ).subquery()


def main(arguments: Sequence[str]) -> int:
    """Print the report of a database; 0, or 2 where it cannot be had."""
    parser = argparse.ArgumentParser(prog="python -m cds_service.store", description="What the store knows.")
    report = parser.add_subparsers(required=True).add_parser("report", help="how the cards of each row were received")
    report.add_argument(
        "--database", default=Settings().database_url, help="as CDS_DATABASE_URL (default: %(default)s)"
    )
    report.add_argument("--csv", action="store_true", help="for a spreadsheet")
    given = parser.parse_args(arguments)
    try:
        url = make_url(given.database)
        if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
            raise SettingError("there is no such database file")
        found = Store(given.database).report()
    except (ArgumentError, ServiceError) as error:
        print(f"no report: {error}", file=sys.stderr)
        return 2
    sys.stdout.write(as_csv(found) if given.csv else as_table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
