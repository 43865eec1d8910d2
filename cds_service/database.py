"""Connections to the database of one URL, its tables brought up to date before the first use.

Two ways in: `transaction` for what has to be kept, which is tried for seconds, and `at_once` for what a call waits
for: one statement, within about a second, and a database that was down a moment ago is not even tried.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, Executable, Row, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, DisconnectionError, OperationalError, SQLAlchemyError

from cds_service import migrations
from cds_service.errors import SettingError, StoreUnavailable

SECONDS_TO_WAIT: Final = 5.0
"""For another process that is writing (SQLite), or for a connection or statement (PostgreSQL)."""

SECONDS_AT_ONCE: Final = 1.0
"""The same where a call waits for it. The PostgreSQL driver waits 2 s for a connection that is not answered."""

SECONDS_UNTRIED: Final = 1.0
"""How long after a failure what needs an answer at once fails without trying."""

SECONDS_OF_A_TRIAL: Final = 3.0
"""How long others fail without trying while one tries whether the database is back."""

SECONDS_TO_UPGRADE: Final = 60.0

LOCK_OF_THE_UPGRADE: Final = 7_460_021_305
"""The number of PostgreSQL's advisory lock; any will do that nobody else uses."""

_UPGRADING: Final = threading.Lock()  # Alembic keeps its context in a module


class Database:
    """Opens nothing until it is used. After `let_go` there is nothing that a forked process would share.

    Raises: SettingError for a URL that no database can have. All else that fails is a StoreUnavailable.
    """

    def __init__(self, url: str) -> None:
        self._is_ready = False
        self._untried_until = 0.0
        try:
            parsed = make_url(url)
            self.is_sqlite = parsed.get_backend_name() == "sqlite"
            if self.is_sqlite and not (is_path(parsed.database) and Path(parsed.database or "").parent.is_dir()):
                raise SettingError("CDS_DATABASE_URL names no file, or one in a folder that does not exist")
            make = _sqlite if self.is_sqlite else _postgresql
            self._engine = make(parsed, at_once=False)
            self._engine_at_once = make(parsed, at_once=True)
        except (ArgumentError, ImportError, ValueError):
            raise SettingError("CDS_DATABASE_URL names a database that this installation has no driver for") from None
        for engine in (self._engine, self._engine_at_once):
            weakref.finalize(self, engine.dispose)

    @contextmanager
    def transaction(
        self, *, is_reading: bool = False, patience: float | None = SECONDS_TO_WAIT
    ) -> Iterator[Connection]:
        """A transaction on tables that are there. `is_reading`: it writes nothing, and waits for no writer.

        Raises: StoreUnavailable.
        """
        with self._failing_as_unavailable():
            self._make_ready(self._engine)
            with self._begun(is_reading=is_reading, patience=patience) as connection:
                yield connection

    def at_once(self, statement: Executable, values: Mapping[str, Any] | None = None) -> Row[Any] | None:
        """The first row of this statement, which is a transaction of its own. Raises: StoreUnavailable, soon.

        After a failure nothing is tried for a while, and then by one caller alone.
        """
        started = time.monotonic()
        if started < self._untried_until:
            raise StoreUnavailable("DownAMomentAgo")
        if self._untried_until:
            self._untried_until = started + SECONDS_OF_A_TRIAL
        try:
            with self._failing_as_unavailable():
                self._make_ready(self._engine_at_once)
                try:
                    found = self._first(statement, values)
                except DBAPIError as error:
                    if not error.connection_invalidated or time.monotonic() - started > SECONDS_AT_ONCE / 2:
                        raise
                    found = self._first(statement, values)  # the server had ended that connection, as in a restart
        except StoreUnavailable:
            self._untried_until = time.monotonic() + SECONDS_UNTRIED
            raise
        self._untried_until = 0.0
        return found

    def _first(self, statement: Executable, values: Mapping[str, Any] | None) -> Row[Any] | None:
        with self._engine_at_once.connect() as connection:
            found = connection.execute(statement, values)
            return found.first() if found.returns_rows else None

    def upgrade(self, *, patience: float | None = SECONDS_TO_UPGRADE) -> None:
        """Bring the tables to what this code needs, once for all processes that try. Raises: StoreUnavailable."""
        with self._failing_as_unavailable():
            self._upgrade(patience)

    def let_go(self) -> None:
        """Close the connections that nobody is using now."""
        self._engine.dispose()
        self._engine_at_once.dispose()

    @contextmanager
    def _failing_as_unavailable(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, OSError) as error:
            self._is_ready = False  # the next one looks again: the file may have been removed
            raise StoreUnavailable(type(error).__name__) from None

    @contextmanager
    def _begun(self, *, is_reading: bool, patience: float | None) -> Iterator[Connection]:
        with self._engine.connect().execution_options(is_reading=is_reading) as connection:
            if not self.is_sqlite:
                connection.connection.dbapi_connection.patience = patience  # type: ignore[union-attr]
            with connection.begin():
                yield connection

    def _make_ready(self, engine: Engine) -> None:
        if self._is_ready:
            return
        if self.is_sqlite:
            _make_file(Path(engine.url.database or ""))
        with engine.connect().execution_options(is_reading=True) as connection:
            schema = migrations.schema_of(connection)
        _refuse_newer(schema)
        if schema != migrations.SCHEMAS[-1]:
            self._upgrade(SECONDS_TO_UPGRADE)
        self._is_ready = True

    def _upgrade(self, patience: float | None) -> None:
        if self.is_sqlite:
            _make_file(Path(self._engine.url.database or ""))
            self._write_ahead()
        with _UPGRADING, self._begun(is_reading=False, patience=patience) as connection:
            if not self.is_sqlite:
                connection.execute(text(f"SELECT pg_advisory_xact_lock({LOCK_OF_THE_UPGRADE})"))
            schema = migrations.schema_of(connection)
            _refuse_newer(schema)
            if schema != migrations.SCHEMAS[-1]:
                migrations.upgrade(connection)

    def _write_ahead(self) -> None:
        """Readers and a writer side by side; stays with the file. While others do the same SQLite does not wait."""
        deadline = time.monotonic() + SECONDS_TO_WAIT
        while True:
            try:
                with self._engine_at_once.connect() as connection:
                    connection.execute(text("PRAGMA journal_mode=WAL"))
                return
            except OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)


def is_path(database: str | None) -> bool:
    """Whether SQLite would keep it in that file: one in memory would be another one for each connection."""
    return bool(database) and not str(database).startswith((":memory:", "file:"))


def _refuse_newer(schema: str | None) -> None:
    if schema is not None and schema not in migrations.SCHEMAS:
        raise StoreUnavailable(f"the database has the tables of a newer version (schema {schema})")


def _make_file(file: Path) -> None:
    if not file.exists():
        file.touch(mode=0o600)  # comments may name a patient


def _pool(*, at_once: bool) -> dict[str, Any]:
    """Connections kept and at most opened: one writer and some feedback; at once, one for each of a few threads."""
    sizes = {"pool_size": 2, "max_overflow": 2} if at_once else {"pool_size": 1, "max_overflow": 4}
    return sizes | {"pool_timeout": SECONDS_AT_ONCE if at_once else SECONDS_TO_WAIT, "hide_parameters": True}


def _sqlite(url: URL, *, at_once: bool) -> Engine:
    """Kept connections: opening the file again for each transaction costs 1 ms of 1.7 ms."""
    seconds = SECONDS_AT_ONCE if at_once else SECONDS_TO_WAIT
    engine = create_engine(url, connect_args={"timeout": seconds}, **_pool(at_once=at_once))
    file = Path(url.database or "")

    @event.listens_for(engine, "do_connect")
    def connect(_dialect: Any, _record: Any, _arguments: Any, _options: Any) -> None:
        if not file.exists():  # SQLite would make one that everybody may read
            raise FileNotFoundError

    @event.listens_for(engine, "connect")
    def connected(connection: Any, record: Any) -> None:
        connection.isolation_level = None  # we say when a transaction begins, also for the making of tables
        # a token that is forgotten when the power goes is a small risk; feedback that was acknowledged is on disk
        connection.execute(f"PRAGMA synchronous={'NORMAL' if at_once else 'FULL'}")
        record.info["inode"] = file.stat().st_ino

    @event.listens_for(engine, "checkout")
    def taken(_connection: Any, record: Any, _proxy: Any) -> None:
        """Whether the file is still the one that was opened: another may have been put in its place."""
        with suppress(FileNotFoundError):
            if file.stat().st_ino == record.info["inode"]:
                return
        raise DisconnectionError

    if not at_once:

        @event.listens_for(engine, "begin")
        def begun(connection: Connection) -> None:
            is_reading = connection.get_execution_options().get("is_reading")
            connection.exec_driver_sql("BEGIN" if is_reading else "BEGIN IMMEDIATE")

    return engine


def _postgresql(url: URL, *, at_once: bool) -> Engine:
    from cds_service.impatient import ImpatientConnection  # SQLite needs no such driver

    seconds = SECONDS_AT_ONCE if at_once else SECONDS_TO_WAIT
    engine = create_engine(
        url,
        isolation_level="AUTOCOMMIT" if at_once else "READ COMMITTED",
        pool_pre_ping=not at_once,
        connect_args={"connect_timeout": int(seconds)},
        **_pool(at_once=at_once),
    )

    @event.listens_for(engine, "do_connect")
    def connect(_dialect: Any, _record: Any, arguments: Any, options: Any) -> ImpatientConnection:
        connection = ImpatientConnection.connect(*arguments, **options)
        connection.patience = seconds
        return connection

    @event.listens_for(engine, "checkin")
    def given_back(connection: Any, _record: Any) -> None:
        if connection is not None:
            connection.patience = seconds

    return engine
