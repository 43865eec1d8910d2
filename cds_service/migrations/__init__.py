"""The tables of every version, one step in each module of `versions/`; a step that was released never changes.

A new step: copy the last one, count on `revision` and `down_revision`, and add its number to `SCHEMAS`. It has to leave
what the code of the version before needs, so that a rolling upgrade can go on serving.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, inspect, text

SCHEMAS: Final = ("1", "2", "3")
"""All revisions in their order; the code needs the last."""


def schema_of(connection: Connection) -> str | None:
    """The revision of a database; None where it has none yet: a new one, or one of version 0.1.0."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    return found


def upgrade(connection: Connection) -> None:
    """Bring the database to the last revision, within the transaction of this connection."""
    from alembic import command  # 0.4 s, and needed once in the life of a version
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", "cds_service:migrations")
    command.upgrade(config, "head")
