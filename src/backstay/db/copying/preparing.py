"""Makes a database the target of a copy: migrated, empty, and marked as unfinished."""

from collections.abc import Iterator

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from backstay.db import migrate
from backstay.db.copying.sides import VERSIONS, CopyFailed, marking, quoted
from backstay.db.migrations.record import RECORD
from backstay.db.migrations.runner import Histories
from backstay.db.migrations.standing import Standing, State
from backstay.db.migrations.transaction import migrating
from backstay.db.options import EngineOptions

_REVISIONS = text(f"SELECT version_num FROM {VERSIONS}")  # noqa: S608


async def prepare(options: EngineOptions, found: Standing, histories: Histories) -> None:
    """Migrate the target, take its foreign keys and triggers away and mark it, all or nothing.

    Only migrations that run outside of a transaction are applied before that, with all others.
    """
    from backstay.db.migrations import applying, steps

    is_new = found.state is not State.CURRENT
    apart = is_new and not options.is_sqlite and steps.has_outside(histories)
    if apart:
        async with migrating(options) as connection:
            await _require_no_tables(connection)
        await applying.apply(options, histories, "head", (), _silent)
    async with migrating(options) as connection:
        if is_new and not apart:
            await _require_no_tables(connection)
            await connection.run_sync(steps.upgrade, histories, "head")
        tables = sorted(await connection.run_sync(migrate.tables) - {VERSIONS})
        of_migrations = [table for table in tables if is_new or table == RECORD.name]
        if not is_new:
            await _require_empty(connection, sorted({*tables} - {RECORD.name}))
        gone, back = await _taken_away(connection, is_sqlite=options.is_sqlite)
        for statement in [*gone, *_emptying(options, of_migrations)]:
            await connection.exec_driver_sql(statement)
        revisions = list((await connection.execute(_REVISIONS)).scalars())
        for statement in marking(revisions, back):
            await connection.exec_driver_sql(statement)


def _silent(_: str) -> None:
    """Nobody uses the target, so that no migration waits for a lock."""


async def _require_no_tables(connection: AsyncConnection) -> None:
    before = await connection.run_sync(migrate.tables) - {VERSIONS}
    if before:
        raise CopyFailed(
            f"The target has tables already ({', '.join(sorted(before)[:5])}), which no "
            "migration made: name an empty database."
        )


async def _require_empty(connection: AsyncConnection, tables: list[str]) -> None:
    full = []
    for table in tables:
        statement = f"SELECT 1 FROM {quoted(table)} LIMIT 1"  # noqa: S608
        if (await connection.exec_driver_sql(statement)).first():
            full.append(table)
    if full:
        raise CopyFailed(
            f"The target has rows in {', '.join(full[:5])}"
            f"{' and others' if full[5:] else ''}, and a copy overwrites nothing. If they are of a "
            "copy, it has ended: all of it is there. Else name a new database, which this migrates "
            "by itself, or empty that one: `DB_URL=<target> backstay db downgrade base --force`."
        )


async def _taken_away(
    connection: AsyncConnection, *, is_sqlite: bool
) -> tuple[list[str], list[str]]:
    if is_sqlite:
        from backstay.db.copying.sqlite_side import triggers

        return await triggers(connection)
    from backstay.db.copying.catalog import constraints

    return await constraints(connection)


def _emptying(options: EngineOptions, tables: list[str]) -> Iterator[str]:
    """What removes the rows that migrations add: the source has its own."""
    if options.is_sqlite:
        yield from (f"DELETE FROM {quoted(table)}" for table in tables)  # noqa: S608
    elif tables:
        yield f"TRUNCATE {quoted(*tables)}"
