"""What Alembic runs: the migrations, on the connection and in the transaction it is given."""

from alembic import context

from backstay.db.migrations.runner import CONNECTION, OPTIONS

context.configure(
    connection=context.config.attributes[CONNECTION], **context.config.attributes[OPTIONS]
)
with context.begin_transaction():
    context.run_migrations()
