"""The transaction of a migration, alone under a lock; and the errors of connections, explained."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from math import ceil
from time import monotonic
from typing import Any

from sqlalchemy import event, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from backstay.db.engine import writer_engine
from backstay.db.faults import explanation, fault_of_file, sqlstate
from backstay.db.migrations.runner import MigrationError
from backstay.db.options import EngineOptions

LOCK_SECONDS = 60
"""How long a migration waits for another one to end."""
LOOK_SECONDS = 0.25
"""After how long it looks whether the other one has ended."""

LOCK = int.from_bytes(b"backstay")
ABSENT = "There is no database yet: run `backstay db upgrade`."
BUSY = "Somebody else is migrating this database: try again later."
_TRY_LOCK = text(f"SELECT pg_try_advisory_xact_lock({LOCK})")
_TABLE_LOCKED = "55P03", "40P01"
"""The SQLSTATE of a lock that was not had in time, and that of a deadlock."""


class Unreachable(MigrationError):
    """No connection could be made: an unknown host, a refused connection, or a timeout."""


class Blocked(MigrationError):
    """Another session held the lock of a table, or both waited for each other."""


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
            async with engine.connect() as connection:
                await (connection.begin() if options.is_sqlite else _begin(connection, options))
                yield connection
                if options.is_sqlite:
                    await _check_foreign_keys(connection)
                await connection.commit()
        finally:
            await engine.dispose()


async def _begin(connection: AsyncConnection, options: EngineOptions) -> None:
    """Begin a transaction that has the migration lock, and that waits briefly for tables."""

    async def locked() -> bool:
        await connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        await connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
        return bool(await connection.scalar(_TRY_LOCK))

    await until_locked(locked, connection)
    milliseconds = ceil(options.migration_lock_timeout * 1000)
    await connection.exec_driver_sql(f"SET LOCAL lock_timeout = {milliseconds}")


async def until_locked(locked: Callable[[], Awaitable[bool]], connection: AsyncConnection) -> None:
    """Ask for the migration lock again and again, each time in a transaction of its own.

    One that waited would keep a snapshot, and an index that the holder builds CONCURRENTLY would
    wait for it: each for the other.

    Raises:
        MigrationError: another migration held it for ``LOCK_SECONDS``.
    """
    end = monotonic() + LOCK_SECONDS
    while not await locked():
        await connection.rollback()
        if monotonic() > end:
            raise MigrationError(BUSY)
        await asyncio.sleep(LOOK_SECONDS)


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
        if sqlstate(error) in _TABLE_LOCKED:
            kind = Blocked
        notes: list[str] = getattr(error, "__notes__", [])
        raise kind(" ".join([explanation(error, options), *notes])) from error
