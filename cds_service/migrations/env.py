"""Run by Alembic: the steps go through the connection that `migrations.upgrade` hands in."""

from alembic import context

from cds_service.tables import Table

context.configure(connection=context.config.attributes["connection"], target_metadata=Table.metadata)
with context.begin_transaction():
    context.run_migrations()
