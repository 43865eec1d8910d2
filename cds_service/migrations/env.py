"""Run by Alembic: the steps go through the connection that `migrations.upgrade` hands in."""

from alembic import context

from cds_service.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
with context.begin_transaction():
    context.run_migrations()
