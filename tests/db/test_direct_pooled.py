"""Reads that go straight to the driver through a real PgBouncer, which swaps the sessions."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from sqlalchemy import bindparam, event, func, insert, literal, select

from backstay.core.errors import AppError, DatabaseTimedOut, DatabaseUnavailable
from backstay.db.database import Database
from backstay.db.options import EngineOptions
from backstay.db.pool import pool_of
from backstay.testing.waiting import LIMIT, eventually
from tests.db.books import book, store
from tests.db.slow_reads import (
    ENDLESS,
    SHORT,
    Other,
    cancel_at_every_moment,
    finds,
    other,
    prepared,
    rests,
    title,
)
from tests.db.tables import TABLES, Book
from tests.services.pgbouncer import PgBouncer

__all__ = ["other"]

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database_kind", ["postgresql"])]

OWN_SESSION = select(func.pg_backend_pid().label("pid"))
OF_THE_POOLER = (
    "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
)
LONG = 1.0
"""Seconds of a read that is still under way when a test looks."""
KINDS = [
    select(Book.title, Book.price, Book.printed_at).where(Book.pages == bindparam("n")),
    select(Book.id, Book.mood).where(Book.title == bindparam("title")),
    select(literal("a").label("one"), Book.copies).where(Book.pages > bindparam("n")),
    select(func.count().label("many")).select_from(Book).where(Book.title != bindparam("title")),
]


@pytest.fixture
async def pooler(database_url: str, other: Other) -> AsyncIterator[PgBouncer]:
    """Two sessions, in front of a database with books, whose sessions cannot write by default."""
    made = Database(EngineOptions(database_url))
    async with made.writer.begin() as connection:
        await connection.run_sync(Book.metadata.create_all, tables=TABLES)
    await store(made, [book(number, title=title(number), pages=number) for number in range(20)])
    await made.dispose()
    name = await other.fetchval("SELECT current_database()")
    await other.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    with PgBouncer(database_url, size=2) as pooler:
        yield pooler


@pytest.fixture
async def database(pooler: PgBouncer) -> AsyncIterator[Database]:
    """With more connections to the pooler than that has sessions."""
    options = EngineOptions(
        pooler.url, max_connections=9, pool_timeout=LIMIT, read_timeout=4 * LIMIT, pgbouncer=True
    )
    database = Database(options)
    await database.warm_up()
    await prepared(database)
    yield database
    await database.dispose()


@pytest.fixture
def checkouts(database: Database) -> list[object]:
    """The connections that SQLAlchemy has taken out for reads."""
    taken: list[object] = []
    engine = database.read_engine.sync_engine
    event.listen(engine, "checkout", lambda connection, *_: taken.append(connection))
    return taken


async def end_sessions(other: Other) -> None:
    await other.execute(f"SELECT pg_terminate_backend(pid) {OF_THE_POOLER}")


async def test_a_repeated_read_goes_straight_to_the_pooler(
    database: Database, checkouts: list[object]
) -> None:
    assert await finds(database, 1)
    assert await finds(database, 2)
    assert checkouts == []


async def test_every_read_gets_its_own_answer_from_whatever_session(
    database: Database, checkouts: list[object]
) -> None:
    """Of one connection, too, the pooler takes another session for each statement."""

    async def expected(statement: Any, given: Any) -> Any:
        async with database.read_engine.connect() as connection:
            return (await connection.execute(statement, given)).all()

    asked = [
        (statement, {"n": n} if "n" in statement.compile().params else {"title": title(n)})
        for n in range(20)
        for statement in KINDS
    ]
    answers = [await expected(*each) for each in asked]
    for statement, given in asked[:8]:
        await database.reader.rows(statement, given)
    while pool_of(database.read_engine).open < 4:
        await asyncio.gather(*(finds(database, each, SHORT) for each in range(4)))
    del checkouts[:]
    sessions = set()

    async def ask(number: int) -> Any:
        sessions.add(await database.reader.scalar(OWN_SESSION))
        return await database.reader.rows(*asked[number])

    for _ in range(5):
        assert await asyncio.gather(*(ask(each) for each in range(len(asked)))) == answers
    assert len(sessions) == 2
    assert len(checkouts) <= 5  # the first uses of the statement that asks for the session


async def test_reads_go_on_after_the_pooler_has_restarted(
    database: Database, pooler: PgBouncer
) -> None:
    assert await asyncio.gather(*(finds(database, each, SHORT) for each in range(4))) == [True] * 4
    pooler.stop()
    for number in range(4):
        with pytest.raises(DatabaseUnavailable):
            await finds(database, number)
    pooler.start()
    assert await asyncio.gather(*(finds(database, each) for each in range(8))) == [True] * 8
    await rests(database)


async def test_a_read_hit_by_a_restart_is_repeated_or_503(
    database: Database, pooler: PgBouncer, other: Other
) -> None:
    for restarts in (True, False):
        read = asyncio.create_task(finds(database, 1, LONG))
        await eventually(lambda: _sleeps(other))
        pooler.stop()
        if restarts:
            pooler.start()
            assert await read
        else:
            with pytest.raises(DatabaseUnavailable):
                await read
            pooler.start()
        assert await finds(database, 2)
        await rests(database)


async def test_sessions_that_end_behind_the_pooler_are_replaced(
    database: Database, other: Other
) -> None:
    for _ in range(3):
        assert await finds(database, 1)
        await end_sessions(other)
        found = await asyncio.gather(*(finds(database, each) for each in range(6)))
        assert found == [True] * 6
        await rests(database)


async def test_a_read_whose_session_ends_behind_the_pooler_is_repeated(
    database: Database, other: Other
) -> None:
    read = asyncio.create_task(finds(database, 1, LONG))
    await eventually(lambda: _sleeps(other))
    await end_sessions(other)
    assert await read
    await rests(database)


async def test_a_repeated_write_through_the_reader_is_refused(
    database: Database, other: Other, checkouts: list[object]
) -> None:
    """Behind the pooler only the default of the role forbids it."""
    write = insert(Book).inline().returning(Book.id)
    for number in range(3):
        with pytest.raises(AppError) as told:
            await database.reader.rows(write, book(number + 100))
        assert "read-only transaction" in str(told.value.__cause__)
    assert len(checkouts) == 1
    assert await other.fetchval("SELECT count(*) FROM test_books") == 20
    assert await finds(database, 1)
    await rests(database)


async def test_a_read_over_its_time_ends_behind_the_pooler(
    database: Database, other: Other
) -> None:
    hurried = Database(replace(database.options, read_timeout=0.3, max_connections=3))
    await hurried.warm_up()
    for _ in range(3):
        with pytest.raises(DatabaseTimedOut):
            await hurried.reader.rows(ENDLESS)
    await eventually(lambda: _is_idle(other))
    await eventually(lambda: finds(hurried, 1))
    await rests(hurried)
    await hurried.dispose()


async def test_a_pooled_read_can_be_cancelled_at_any_moment(
    database: Database, other: Other
) -> None:
    await cancel_at_every_moment(partial(finds, database), 30)
    await rests(database)
    await eventually(lambda: _is_idle(other))
    assert await asyncio.gather(*(finds(database, each) for each in range(20))) == [True] * 20


async def _sleeps(other: Other) -> bool:
    return bool(await other.fetchval(f"SELECT count(*) {OF_THE_POOLER} AND wait_event = 'PgSleep'"))


async def _is_idle(other: Other) -> bool:
    return not await other.fetchval(f"SELECT count(*) {OF_THE_POOLER} AND state <> 'idle'")
