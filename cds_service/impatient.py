"""PostgreSQL connections that do not wait for ever: a server that has frozen takes everything and answers nothing."""

from __future__ import annotations

from typing import Any

from psycopg import Connection, OperationalError
from psycopg.abc import RV, PQGen
from psycopg.pq import TransactionStatus


class ImpatientConnection(Connection[Any]):
    """Closes itself when one statement takes longer than `patience` seconds; None waits as long as it takes."""

    patience: float | None = None

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        """As the driver does it. Raises: OperationalError, also where time is up."""
        try:
            return super().wait(gen, interval, timeout or self.patience)
        except OperationalError:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:  # the statement is still running
                self.pgconn.finish()
            raise
