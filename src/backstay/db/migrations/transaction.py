"""The transaction of a migration, alone under a lock; and the errors of connections, explained."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Any

from sqlalchemy import event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from backstay.db.engine import writer_engine
from backstay.db.faults import explanation, fault_of_file
from backstay.db.migrations.runner import MigrationError
from backstay.db.options import EngineOptions

LOCK_SECONDS = 60
"""How long a migration waits for another one to end."""

TABLE_LOCK_SECONDS = 5
"""How long a migration waits for the lock of a table: other queries of it queue up meanwhile."""

LOCK = int.from_bytes(b"backstay")
ABSENT = "There is no database yet: run `backstay db upgrade`."


class Unreachable(MigrationError):
    """No connection could be made: an unknown host, a refused connection, or a timeout."""


@asynccontextmanager
async def migrating(options: EngineOptions) -> AsyncIterator[AsyncConnection]:
    """A transaction under the migration lock; on SQLite its foreign keys are checked at the end."""
    if options.is_sqlite:
        engine = writer_engine(replace(options, pool_timeout=LOCK_SECONDS))
        event.listen(engine.sync_engine, "connect", _without_foreign_keys)
    else:
        engine = writer_engine(options)
    with explained(options):
        if options.is_missing:
            raise MigrationError(ABSENT)
        try:
            async with engine.begin() as connection:
                if not options.is_sqlite:
                    await _lock(connection)
                yield connection
                if options.is_sqlite:
                    await _check_foreign_keys(connection)
        finally:
            await engine.dispose()


async def _lock(connection: AsyncConnection) -> None:
    for statement in (
        "SET LOCAL statement_timeout = 0",
        "SET LOCAL idle_in_transaction_session_timeout = 0",
        f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'",
        f"SELECT pg_advisory_xact_lock({LOCK})",
        f"SET LOCAL lock_timeout = '{TABLE_LOCK_SECONDS}s'",
    ):
        await connection.exec_driver_sql(statement)


def _without_foreign_keys(connection: Any, _: Any) -> None:
    """Turn off foreign keys: else, when batch mode rebuilds a table, SQLite empties those that
    refer to it."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys = OFF")
    cursor.close()


async def _check_foreign_keys(connection: AsyncConnection) -> None:
    broken = (await connection.exec_driver_sql("PRAGMA foreign_key_check")).all()
    if broken:
        tables = ", ".join(sorted({row[0] for row in broken}))
        raise MigrationError(f"Rows of {tables} would refer to nothing. Nothing was changed.")


@contextmanager
def explained(options: EngineOptions) -> Iterator[None]:
    if wrong := fault_of_file(options.file):
        raise MigrationError(f"The database {options.file} cannot be opened: {wrong}.")
    try:
        yield
    except (SQLAlchemyError, OSError) as error:
        kind = Unreachable if isinstance(error, OSError) else MigrationError
        raise kind(explanation(error, options)) from error
