"""The migrations of the package's tables, and the code that runs them through Alembic."""
