"""Migrates a database to the schema of this version, and compares the two."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, event, inspect, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from backstay.db.database import Database
from backstay.db.engine import reader_engine, writer_engine
from backstay.db.faults import explanation, fault_of_file, sqlstate, translate
from backstay.db.migrations import runner
from backstay.db.migrations.runner import (
    PLATFORM,
    Histories,
    History,
    MigrationError,
    last_revisions,
)
from backstay.db.options import EngineOptions, create_file

LOCK_SECONDS = 60
"""How long a migration waits for another one to end."""

TABLE_LOCK_SECONDS = 5
"""How long a migration waits for the lock of a table: other queries of it queue up meanwhile."""

_LOCK = int.from_bytes(b"backstay")
_STORED = text("SELECT version_num FROM alembic_version")


class Unreachable(MigrationError):
    """No connection could be made: an unknown host, a refused connection, or a timeout."""


class State(Enum):
    """How the schema of a database compares to this version; the value says what to do."""

    ABSENT = "There is no database yet: run `backstay db upgrade`."
    EMPTY = "The database is empty: run `backstay db upgrade`."
    BEHIND = "The database is behind this version: run `backstay db upgrade`."
    AHEAD = "The database was migrated by a newer version than this one: install that version."
    CURRENT = ""


async def state(options: EngineOptions, histories: Histories = (PLATFORM,)) -> State:
    """Compare the revisions in a database with those of this version.

    Raises:
        Unreachable: there is no connection within ``pool_timeout`` seconds.
        MigrationError: the revisions cannot be read.
    """
    engine = reader_engine(replace(options, replica_url=None, max_connections=1))
    with _explained(options):
        try:
            return await _state(options, engine, histories)
        finally:
            await engine.dispose()


async def schema_fault(database: Database, histories: Histories = (PLATFORM,)) -> str | None:
    """What is wrong with the schema of an open database, or None.

    It takes one cheap statement on the connection of probes.

    Raises:
        AppError: the statement failed.
    """
    try:
        return (await _state(database.options, database.probe_engine, histories)).value or None
    except (SQLAlchemyError, OSError) as error:
        raise translate(error) from error


async def require_current(database: Database, histories: Histories = (PLATFORM,)) -> None:
    """Refuse a database that has another schema.

    Raises:
        MigrationError: the database is absent, empty, behind or ahead.
        AppError: the database could not be queried.
    """
    fault = await schema_fault(database, histories)
    if fault is not None:
        raise MigrationError(fault)


async def upgrade(
    options: EngineOptions, revision: str = "head", histories: Histories = (PLATFORM,)
) -> list[str]:
    """Migrate up in one transaction under a lock and return the revisions applied.

    If several processes do this at once, one migrates; the others wait and find nothing to do.

    Raises:
        MigrationError: nothing was changed; the text says why.
    """
    found = await state(options, histories)
    if found is State.AHEAD:
        raise MigrationError(found.value)
    if found is State.CURRENT and revision == "head":
        return []
    with _explained(options):
        if options.is_missing:
            runner.require(histories, revision)
        create_file(options)
    async with _migrating(options) as connection:
        return await connection.run_sync(runner.upgrade, histories, revision)


async def downgrade(
    options: EngineOptions,
    revision: str,
    force: bool = False,
    histories: Histories = (PLATFORM,),
) -> list[str]:
    """Migrate down in one transaction under a lock and return the revisions undone.

    Raises:
        MigrationError: nothing was changed, for example because tables would be dropped and
            ``force`` is not set.
    """
    async with _migrating(options) as connection:
        before = await connection.run_sync(_tables)
        undone = await connection.run_sync(runner.downgrade, histories, revision)
        dropped = before - await connection.run_sync(_tables)
        if dropped and not force:
            names = ", ".join(sorted(dropped))
            raise MigrationError(
                f"This would drop {names} with every row in them. Nothing was changed; "
                "to do it all the same, add --force."
            )
    return undone


async def revision(
    options: EngineOptions,
    message: str,
    *,
    history: History = PLATFORM,
    histories: Histories = (PLATFORM,),
    empty: bool = False,
) -> Path:
    """Write the next revision of a history: the changes from the database to the models.

    Raises:
        MigrationError: there is nothing to write, or the database is not current.
    """
    async with _migrating(options) as connection:
        path = await connection.run_sync(
            lambda sync: runner.write(sync, histories, history, message, empty=empty)
        )
    if path is None:
        raise MigrationError("Models and database agree: there is nothing to write.")
    return path


async def check(options: EngineOptions, histories: Histories = (PLATFORM,)) -> list[str]:
    """Every difference between a database and this version; empty if there is none.

    Raises:
        MigrationError: the database could not be queried.
    """
    found = await state(options, histories)
    if found is not State.CURRENT:
        return [found.value]
    engine = reader_engine(replace(options, replica_url=None, max_connections=1))
    with _explained(options):
        try:
            async with engine.connect() as connection:
                drift = await connection.run_sync(runner.drift, histories)
        finally:
            await engine.dispose()
    return [f"Models and database differ, {difference}." for difference in drift]


@asynccontextmanager
async def alone(options: EngineOptions) -> AsyncIterator[None]:
    """Hold the migration lock, so that no other process migrates or seeds: seedings would collide.

    On SQLite it does nothing: there each transaction that writes is alone anyway.

    Raises:
        MigrationError: the database cannot be reached, or another process held the lock too long.
    """
    if options.is_sqlite:
        yield
        return
    async with _migrating(options):
        yield


async def _state(options: EngineOptions, engine: AsyncEngine, histories: Histories) -> State:
    if options.is_missing:
        return State.ABSENT
    stored = await _stored(engine)
    if stored is None:
        return State.ABSENT
    if not stored:
        return State.EMPTY
    if frozenset(stored) == last_revisions(histories):
        return State.CURRENT
    try:
        return State.CURRENT if runner.reaches_heads(histories, stored) else State.BEHIND
    except MigrationError:
        return State.AHEAD


async def _stored(engine: AsyncEngine) -> tuple[str, ...] | None:
    """The revisions in the database: none in an empty one, None if the database does not exist."""
    try:
        async with engine.connect() as connection:
            return tuple((await connection.execute(_STORED)).scalars())
    except DBAPIError as error:
        if sqlstate(error) == "3D000":
            return None
        if sqlstate(error) == "42P01" or "no such table" in str(error.orig):
            return ()
        raise


@asynccontextmanager
async def _migrating(options: EngineOptions) -> AsyncIterator[AsyncConnection]:
    """A transaction under the migration lock; on SQLite its foreign keys are checked at the end."""
    if options.is_sqlite:
        engine = writer_engine(replace(options, pool_timeout=LOCK_SECONDS))
        event.listen(engine.sync_engine, "connect", _without_foreign_keys)
    else:
        engine = writer_engine(options)
    with _explained(options):
        if options.is_missing:
            raise MigrationError(State.ABSENT.value)
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
        f"SELECT pg_advisory_xact_lock({_LOCK})",
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


def _tables(connection: Connection) -> set[str]:
    return set(inspect(connection).get_table_names())


@contextmanager
def _explained(options: EngineOptions) -> Iterator[None]:
    if wrong := fault_of_file(options.file):
        raise MigrationError(f"The database {options.file} cannot be opened: {wrong}.")
    try:
        yield
    except (SQLAlchemyError, OSError) as error:
        kind = Unreachable if isinstance(error, OSError) else MigrationError
        raise kind(explanation(error, options)) from error
