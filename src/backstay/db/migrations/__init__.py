"""The history of the platform's tables, and the little that Alembic needs to run it."""
