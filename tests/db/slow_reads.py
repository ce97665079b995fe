"""A database with two connections for reads, and reads that take as long as a test wants."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, TypeAlias

import asyncpg
import pytest
from sqlalchemy import Select, bindparam, event, func, literal, select

from backstay.db.database import Database
from backstay.db.options import EngineOptions, create_file
from backstay.db.pool import SharedPool, pool_of
from backstay.testing.waiting import LIMIT, eventually
from tests.db.books import book, store
from tests.db.tables import TABLES, Book

CONNECTIONS = 2
"""Which the pool of the readers may have."""
FIND: Select[Any] = select(Book.title).where(Book.title == bindparam("title"))
WAIT = select(Book.title, func.pg_sleep(bindparam("seconds"))).where(
    Book.title == bindparam("title")
)
"""Takes a while on both databases: the test defines the function on SQLite."""
SHORT = 0.02
NUMBERS = select(literal(1).label("n")).cte("numbers", recursive=True)
NUMBERS = NUMBERS.union_all(select(NUMBERS.c.n))
ENDLESS = select(func.count()).select_from(NUMBERS)
Other: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
SESSIONS = (
    "FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'backstay'"
)
SLEEPING = "wait_event = 'PgSleep'"
everywhere = pytest.mark.parametrize(
    ("database_kind", "pgbouncer"),
    [("sqlite", False), ("postgresql", False), ("postgresql", True)],
)
on_postgres = pytest.mark.parametrize(
    ("database_kind", "pgbouncer"), [("postgresql", False), ("postgresql", True)]
)


@pytest.fixture
def options(database_url: str, pgbouncer: bool) -> EngineOptions:
    return EngineOptions(
        database_url,
        max_connections=CONNECTIONS + (0 if database_url.startswith("sqlite") else 3),
        pool_timeout=LIMIT,
        read_timeout=4 * LIMIT,
        statement_timeout=4 * LIMIT,
        pgbouncer=pgbouncer,
    )


@pytest.fixture
def slept() -> list[float]:
    """How long each statement on SQLite has slept, or sleeps."""
    return []


@pytest.fixture
async def database(options: EngineOptions, slept: list[float]) -> AsyncIterator[Database]:
    def sleep(seconds: float) -> None:
        slept.append(seconds)
        time.sleep(seconds)

    def sleepily(connection: Any, _: Any) -> None:
        connection.create_function("pg_sleep", 1, sleep)

    create_file(options)
    database = Database(options)
    if options.is_sqlite:
        event.listen(database.read_engine.sync_engine, "connect", sleepily)
    async with database.writer.begin() as connection:
        await connection.run_sync(Book.metadata.create_all, tables=TABLES)
    await store(database, [book(number, title=title(number)) for number in range(20)])
    await prepared(database)
    yield database
    await database.dispose()


async def prepared(database: Database) -> None:
    """Run both statements as often as it takes until they are run as they are from then on."""
    for _ in range(3):
        assert await finds(database, 0)
        assert await finds(database, 0, 0.0)


def title(number: int) -> str:
    return f"Book {number}"


@pytest.fixture
async def other(database_url: str) -> AsyncIterator[Other]:
    """A connection that does not belong to the application."""
    connection = await asyncpg.connect(database_url.replace("+asyncpg", ""))
    yield connection
    await connection.close()


async def sleeps(other: Other) -> bool:
    """Whether PostgreSQL runs a statement that sleeps."""
    return bool(await other.fetchval(f"SELECT count(*) {SESSIONS} AND {SLEEPING}"))


async def end(other: Other, how: str, which: str = "true") -> None:
    """End sessions of the application, or cancel what they run."""
    await other.execute(f"SELECT {how}(pid) {SESSIONS} AND {which}")


async def finds(database: Database, number: int, seconds: float | None = None) -> bool:
    """Whether a read returns what it asks for."""
    asked: dict[str, Any] = {"title": title(number)}
    statement = FIND
    if seconds is not None:
        statement, asked["seconds"] = WAIT, seconds
    rows = await database.reader.rows(statement, asked)
    return [row.title for row in rows] == [title(number)]


def readers(database: Database) -> SharedPool:
    return pool_of(database.read_engine)


def is_at_rest(database: Database) -> bool:
    """Whether every connection and every place of the readers is free."""
    pool = readers(database)
    places = pool.semaphore._free._value
    return (pool.checkedout(), places, pool.semaphore.waiting) == (0, pool.size(), 0)


async def rests(database: Database) -> None:
    """Wait until what was cancelled is closed."""
    await eventually(lambda: is_at_rest(database))


async def cancelled(read: "asyncio.Task[bool]") -> bool:
    """Cancel a read and wait for its end; whether that came first."""
    read.cancel()
    await asyncio.wait({read})
    return read.cancelled()


async def cancel_at_every_moment(
    find: Callable[..., Coroutine[Any, Any, bool]],
    soon: int,
    settle: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Cancel one of five reads a turn of the loop later each time, until it ends before that.

    After ``soon`` turns it waits for the database: so does this. ``settle`` follows each time.
    """
    turns, was_cancelled = 0, True
    while was_cancelled:
        read = asyncio.create_task(find(1, SHORT))
        others = [asyncio.create_task(find(number)) for number in range(2, 6)]
        for _ in range(turns):
            await asyncio.sleep(0)
        if turns > soon:
            await asyncio.wait({read}, timeout=SHORT * (turns - soon) / 4)
        was_cancelled, turns = await cancelled(read), turns + 1
        assert await asyncio.gather(*others) == [True] * 4
        if settle is not None:
            await settle()
