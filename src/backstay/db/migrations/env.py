"""The script that Alembic runs: it migrates on the given connection, in its transaction."""

from alembic import context

from backstay.db.migrations.runner import CONNECTION, OPTIONS

context.configure(
    connection=context.config.attributes[CONNECTION], **context.config.attributes[OPTIONS]
)
with context.begin_transaction():
    context.run_migrations()
