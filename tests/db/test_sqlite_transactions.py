"""Shows what a transaction of SQLite costs, and that none goes on after SQLite has ended it."""

import asyncio
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import aiosqlite
import pytest
from sqlalchemy import event, func, insert, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from backstay.core.clock import new_id, utc_now
from backstay.core.errors import AppError, DatabaseTimedOut
from backstay.db import sqlite, sqlite_turns
from backstay.db.database import Database
from backstay.db.faults import _is_timeout
from backstay.db.pool import pool_of
from backstay.db.session import Transaction
from backstay.testing.waiting import eventually
from tests.db.conftest import Commands
from tests.db.tables import Book, Shelf
from tests.files import look_into

pytestmark = pytest.mark.anyio

STOPPED = text(
    "UPDATE test_books SET pages = (WITH RECURSIVE n(x) AS"
    " (SELECT stop() UNION ALL SELECT x FROM n) SELECT count(*) FROM n)"
)
"""Endless; but the function that a test defines interrupts it."""


@pytest.fixture
def database_kind() -> str:
    return "sqlite"


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is done in the threads of connections, one entry a turn."""
    seen: list[str] = []
    execute = aiosqlite.Connection._execute

    async def note(self: aiosqlite.Connection, act: Any, *given: Any, **named: Any) -> Any:
        seen.append(act.__name__)
        return await execute(self, act, *given, **named)  # type: ignore[no-untyped-call]

    monkeypatch.setattr(aiosqlite.Connection, "_execute", note)
    return seen


async def titles(database: Database) -> list[str]:
    rows = await database.reader.rows(select(Book.title).order_by(Book.title))
    return [row.title for row in rows]


async def read_and_write(session: Transaction) -> None:
    await session.scalar(select(func.count()).select_from(Book))
    await session.insert_one(Shelf(name="sea"))


async def test_a_statement_takes_one_turn_of_the_thread(
    command: Commands, turns: list[str]
) -> None:
    """BEGIN goes with the first one, and nothing is rolled back that has been committed."""
    await command(read_and_write)
    del turns[:]
    await command(read_and_write)
    assert len(turns) == 3  # SELECT, INSERT, COMMIT


async def test_the_lock_is_had_before_the_first_statement_reads(
    database: Database, command: Commands
) -> None:
    async def work(session: Transaction) -> None:
        await session.scalar(select(func.count()).select_from(Book))
        assert database.options.file is not None
        with look_into(database.options.file) as other:
            other.execute("PRAGMA busy_timeout = 0")
            with pytest.raises(Exception, match="locked"):
                other.execute("BEGIN IMMEDIATE")

    await command(work)


async def test_after_a_refused_lock_nothing_is_written_without_it(
    database: Database, command: Commands
) -> None:
    """A handler that goes on in spite of the error begins anew, with the lock."""
    assert database.options.file is not None
    async with database.writer.connect() as connection:
        await connection.exec_driver_sql("PRAGMA busy_timeout = 0")

    async def work(session: Transaction) -> None:
        with look_into(database.options.file) as other:  # type: ignore[arg-type]
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(DBAPIError, match="locked"):
                await session.execute(select(Book))
            other.execute("ROLLBACK")
        await session.rollback()
        await session.insert_one(Book(title="Youth"))
        await session.flush()
        assert await titles(database) == []

    await command(work)
    assert await titles(database) == ["Youth"]


async def test_a_transaction_that_sqlite_has_ended_is_not_continued(
    database: Database, command: Commands
) -> None:
    """An interrupted write undoes all before it: what follows must not be committed alone."""

    def define(connection: Any, _: Any) -> None:
        connection.create_function("stop", 0, connection.driver_connection._conn.interrupt)

    await database.writer.dispose()
    event.listen(database.writer.sync_engine, "connect", define)

    async def work(session: Transaction) -> None:
        await session.insert_one(Book(title="Typhoon"))
        await session.flush()
        with pytest.raises(DBAPIError, match="interrupted"):
            await session.execute(STOPPED)
        with suppress(DBAPIError):
            await session.insert_one(Book(title="Youth"))
            await session.flush()

    with pytest.raises(AppError):
        await command(work)
    assert await titles(database) == []
    await command(read_and_write)


class Silent(SimpleNamespace):
    """A cursor, or a connection, that does nothing: as some drivers do when they are interrupted
    before the first step of a statement."""

    description, rowcount, lastrowid, arraysize, in_transaction = None, -1, None, 1, False
    OperationalError = sqlite.in_use().module.OperationalError

    def execute(self, *_: object) -> None: ...
    def close(self) -> None: ...
    def fetchall(self) -> list[Any]:
        return []

    def cursor(self) -> "Silent":
        return self


def test_a_statement_that_was_silently_not_executed_is_an_error() -> None:
    silent, begun = Silent(), sqlite_turns._Begun(lambda seconds: None)
    for run in (
        lambda: sqlite_turns.fetched(silent, "SELECT 1", ()),
        lambda: sqlite_turns._executed(silent, None, "UPDATE test_books SET pages = ?", [(1,)]),
        lambda: begun.ensure(silent),
    ):
        with pytest.raises(sqlite.in_use().module.OperationalError) as told:
            run()
        assert _is_timeout(told.value)
    assert not begun.has_lock


async def test_a_commit_that_was_silently_not_made_is_an_error(
    database: Database, command: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute = sqlite_turns._execute

    def unless_commit(connection: Any, cursor: Any, sql: str, values: Any) -> None:
        if sql != "COMMIT":
            execute(connection, cursor, sql, values)

    with monkeypatch.context() as patched:
        patched.setattr(sqlite_turns, "_execute", unless_commit)
        with pytest.raises(DatabaseTimedOut):
            await command(read_and_write)
    await command(read_and_write)
    assert await database.reader.scalar(select(func.count()).select_from(Shelf)) == 1


async def test_a_cancelled_write_leaves_no_transaction_open(database: Database) -> None:
    """Cancelled at every turn of the event loop, until it comes to its end."""
    turns, was_cancelled = 0, True
    while was_cancelled:
        write = asyncio.create_task(_write(database, f"Book {turns}"))
        for _ in range(turns):
            await asyncio.sleep(0)
        if turns > 30:
            await asyncio.wait({write}, timeout=(turns - 30) / 2000)
        write.cancel()
        await asyncio.wait({write})
        was_cancelled, turns = write.cancelled(), turns + 1
        with look_into(database.options.file) as other:  # type: ignore[arg-type]
            await eventually(lambda: _is_free(other))
    pool = pool_of(database.writer)
    await eventually(lambda: pool.checkedout() == 0)
    assert f"Book {turns - 1}" in await titles(database)


async def _write(database: Database, title: str) -> None:
    now = utc_now()
    given = {"id": new_id(), "title": title, "version": 1, "created_at": now, "updated_at": now}
    async with database.writer.begin() as connection:
        await connection.execute(select(func.count()).select_from(Book))
        await connection.execute(insert(Book.__table__), given)  # type: ignore[arg-type]


def _is_free(other: Any) -> bool:
    other.execute("PRAGMA busy_timeout = 0")
    try:
        other.execute("BEGIN IMMEDIATE")
    except Exception:
        return False
    other.execute("ROLLBACK")
    return True


async def test_an_outcome_is_what_the_driver_says(database: Database) -> None:
    async with database.writer.begin() as connection:
        await connection.execute(text("CREATE TABLE numbers (n INTEGER PRIMARY KEY)"))
        many = [{"n": number} for number in range(5)]
        added = await connection.execute(text("INSERT INTO numbers VALUES (:n)"), many)
        assert added.rowcount == 5
        changed = await connection.execute(text("UPDATE numbers SET n = n + 10 WHERE n > 2"))
        assert changed.rowcount == 2
        gone = await connection.execute(text("DELETE FROM numbers WHERE n > 5 RETURNING n AS left"))
        assert [row.left for row in gone] == [13, 14]
        with pytest.raises(IntegrityError):
            await connection.execute(text("INSERT INTO numbers VALUES (1)"))
