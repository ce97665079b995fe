"""Migrates a database to the schema of this version, and compares the two."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from backstay.db.database import Database
from backstay.db.engine import reader_engine
from backstay.db.faults import sqlstate, translate
from backstay.db.migrations import record
from backstay.db.migrations.patience import Tell, in_transaction
from backstay.db.migrations.runner import PLATFORM, Histories, History, MigrationError
from backstay.db.migrations.standing import (
    FIT,
    Standing,
    State,
    is_current,
    last_revision_of_each,
    standing_of,
)
from backstay.db.migrations.transaction import explained, migrating
from backstay.db.options import EngineOptions, create_file

_STORED = text("SELECT version_num FROM alembic_version")
"""In which this version migrates nothing."""


class NothingToWrite(MigrationError):
    """Models and database agree, so that no migration is needed."""


async def state(options: EngineOptions, histories: Histories = (PLATFORM,)) -> State:
    """The state of a database, whichever history it is about; errors as of `standing`."""
    return (await standing(options, histories)).state


async def standing(options: EngineOptions, histories: Histories = (PLATFORM,)) -> Standing:
    """Compare the revisions in a database with those of the histories.

    Raises:
        Unreachable: there is no connection within ``pool_timeout`` seconds.
        MigrationError: the revisions cannot be read.
    """
    engine = _reader(options)
    with explained(options):
        try:
            return await _standing(options, engine, histories)
        finally:
            await engine.dispose()


async def standing_of_open(database: Database, histories: Histories = (PLATFORM,)) -> Standing:
    """Compare an open database with the histories, on the connection of probes.

    It takes one cheap statement if the database is current.

    Raises:
        MigrationError: the histories contradict each other.
        AppError: the statement failed.
    """
    try:
        return await _standing(database.options, database.probe_engine, histories)
    except (SQLAlchemyError, OSError) as error:
        raise translate(error) from error


async def last_of_each(
    options: EngineOptions, histories: Histories = (PLATFORM,)
) -> dict[str, tuple[str, str]]:
    """By history: the last revision of the code and of the database, empty where there is none.

    Raises:
        MigrationError: the database could not be queried.
    """
    if options.is_missing:
        return last_revision_of_each(histories, (), {})
    engine = _reader(options)
    with explained(options):
        try:
            stored = await _stored(engine) or ()
            async with engine.connect() as connection:
                applied = await record.read(connection)
        finally:
            await engine.dispose()
    return last_revision_of_each(histories, stored, applied)


async def schema_fault(database: Database, histories: Histories = (PLATFORM,)) -> str | None:
    """What keeps this version from working with an open database, or None.

    Raises:
        AppError: the statement failed.
    """
    try:
        found = await standing_of_open(database, histories)
    except MigrationError as error:
        return str(error)
    return found.fault or None


async def require_current(database: Database, histories: Histories = (PLATFORM,)) -> None:
    """Refuse a database with whose schema this version does not work.

    Raises:
        MigrationError: the database is absent, empty, behind, or too far ahead.
        AppError: the database could not be queried.
    """
    fault = await schema_fault(database, histories)
    if fault is not None:
        raise MigrationError(fault)


async def upgrade(
    options: EngineOptions,
    revision: str = "head",
    histories: Histories = (PLATFORM,),
    tell: Tell = lambda sentence: None,
) -> list[str]:
    """Migrate up in one transaction under a lock and return the revisions applied.

    On PostgreSQL a revision may declare that it runs outside of it; ``tell`` hears who holds the
    lock of a table, while this tries again.
    ``revision`` may name a history: ``shop@head``, ``shop@0002`` or ``shop@+1``.
    If several processes do this at once, one migrates; the others wait and find nothing to do.

    Raises:
        MigrationError: nothing was changed; the text says why.
    """
    found = await standing(options, histories)
    if found.state in FIT and revision == "head":
        return []
    if found.refusal:
        raise MigrationError(found.refusal)
    from backstay.db.migrations import applying, steps

    with explained(options):
        if options.is_missing:
            steps.require(histories, revision)
        create_file(options)
    return await applying.apply(options, histories, revision, found.stored, tell)


async def downgrade(
    options: EngineOptions,
    revision: str,
    force: bool = False,
    histories: Histories = (PLATFORM,),
    tell: Tell = lambda sentence: None,
) -> list[str]:
    """Migrate down in one transaction under a lock and return the revisions undone.

    ``revision`` may name a history: ``platform@-1``, ``shop@base`` or ``shop@0002``. Other
    histories keep theirs; ``base`` alone undoes all.

    Raises:
        MigrationError: nothing was changed, for example because tables would be dropped and
            ``force`` is not set, or because another history depends on what would be undone.
    """
    found = await standing(options, histories)
    if found.refusal:
        raise MigrationError(found.refusal)
    from backstay.db.migrations import steps

    def work(connection: Connection) -> list[str]:
        before = tables(connection)
        undone = steps.downgrade(connection, histories, revision)
        dropped = before - tables(connection)
        if dropped and not force:
            names = ", ".join(sorted(dropped))
            raise MigrationError(
                f"This would drop {names} with every row in them. Nothing was changed; "
                "to do it all the same, add --force."
            )
        return undone

    return await in_transaction(options, work, tell)


async def revision(
    options: EngineOptions,
    message: str,
    *,
    history: History = PLATFORM,
    histories: Histories = (PLATFORM,),
    empty: bool = False,
) -> Path:
    """Write the next revision of a history: the changes from the database to its models.

    What no history made and no model has is left as it is.

    Raises:
        NothingToWrite: models and database agree.
        MigrationError: the database is not current, or the folder belongs to an installed package
            or cannot be written.
    """
    found = await standing(options, histories)
    if found.refusal or (not empty and found.state is not State.CURRENT):
        raise MigrationError(found.refusal or found.sentence)
    from backstay.db.migrations import writing

    async with migrating(options) as connection:
        path = await connection.run_sync(
            lambda sync: writing.write(sync, histories, history, message, empty=empty)
        )
    if path is None:
        raise NothingToWrite("Models and database agree: there is nothing to write.")
    return path


async def check(options: EngineOptions, histories: Histories = (PLATFORM,)) -> list[str]:
    """Every difference between a database and this version; empty if there is none.

    Raises:
        MigrationError: the database could not be queried.
    """
    problems, _ = await examine(options, histories)
    return problems


async def examine(
    options: EngineOptions, histories: Histories = (PLATFORM,)
) -> tuple[list[str], list[str]]:
    """The differences that `check` returns, and remarks on what others added to the database.

    Raises:
        MigrationError: the database could not be queried.
    """
    found = await standing(options, histories)
    if found.state is State.COMPATIBLE:
        return [], []  # what newer migrations made, this version cannot compare
    if found.state is not State.CURRENT:
        return [found.sentence], []
    from backstay.db.migrations.comparison import Comparison

    comparison, engine = Comparison.of(histories), _reader(options)
    with explained(options):
        try:
            async with engine.connect() as connection:
                drift = await connection.run_sync(comparison.drift)
        finally:
            await engine.dispose()
    return [f"Models and database differ, {each}." for each in drift], comparison.remarks()


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
    async with migrating(options):
        yield


def _reader(options: EngineOptions) -> AsyncEngine:
    return reader_engine(replace(options, replica_url=None, max_connections=1))


async def _standing(options: EngineOptions, engine: AsyncEngine, histories: Histories) -> Standing:
    if options.is_missing:
        return Standing(State.ABSENT)
    stored = await _stored(engine)
    if not stored:
        return Standing(State.ABSENT if stored is None else State.EMPTY)
    if is_current(histories, stored):
        return Standing(State.CURRENT, stored=stored)
    async with engine.connect() as connection:
        return standing_of(histories, stored, await record.read(connection))


async def _stored(engine: AsyncEngine) -> tuple[str, ...] | None:
    """The revisions in the database: none in an empty one, None if the database does not exist."""
    try:
        async with engine.connect() as connection:
            return tuple((await connection.execute(_STORED)).scalars())
    except DBAPIError as error:
        if sqlstate(error) == "3D000":
            return None
        if record.lacks_table(error):
            return ()
        raise


def tables(connection: Connection) -> set[str]:
    """The names of the tables in a database."""
    return set(inspect(connection).get_table_names())
