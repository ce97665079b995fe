"""Shows that a process stays within its budget of connections, and has few while idle."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import ConnectionPoolEntry

from backstay.core.errors import DatabaseUnavailable
from backstay.db.database import Database
from backstay.db.options import EngineOptions
from backstay.db.pool import pool_of
from backstay.db.session import Transaction
from backstay.testing.waiting import LIMIT, eventually
from tests.db.conftest import Commands

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database_kind", ["postgresql"])]

ONE = text("SELECT 1")
MOST = 7
"""Two of them may be needed beside the pools: each pool has at most four, both at most six."""


@pytest.fixture
def pool_timeout() -> float:
    return LIMIT


@pytest.fixture
def options(database_url: str, pool_timeout: float) -> EngineOptions:
    return EngineOptions(
        database_url, min_connections=3, max_connections=MOST, pool_timeout=pool_timeout
    )


@pytest.fixture
async def database(options: EngineOptions) -> AsyncIterator[Database]:
    database = Database(options)
    yield database
    await database.dispose()


@pytest.fixture
async def observer(database_url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(database_url.replace("+asyncpg", ""))
    yield connection
    await connection.close()


async def count(observer: "asyncpg.Connection[asyncpg.Record]") -> int:
    """How many connections others have to this database."""
    found: int = await observer.fetchval(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    return found


def has_ended(record: ConnectionPoolEntry) -> bool:
    """Whether the driver has noticed the end of a connection."""
    driver: asyncpg.Connection[asyncpg.Record] | None = record.driver_connection
    return driver is None or driver.is_closed()


async def holding(stack: AsyncExitStack, engine: AsyncEngine, number: int = 1) -> None:
    for _ in range(number):
        stack.push_async_callback((await engine.connect()).close)


async def test_readers_and_writers_together_stay_within_the_budget(
    database: Database, observer: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    seen: set[int] = set()

    async def write() -> None:
        await database.write(text("SELECT pg_sleep(0.002)"))

    async def read() -> None:
        await database.reader.rows(ONE)
        await database.ping()

    work = asyncio.gather(*(each() for _ in range(40) for each in (write, read)))
    while not work.done():
        seen.add(await count(observer))
    await work
    assert max(seen) <= MOST
    assert database.budget.open <= MOST - 1


async def test_one_pool_may_use_connections_that_another_leaves_idle(database: Database) -> None:
    writers, readers = pool_of(database.writer), pool_of(database.read_engine)
    async with AsyncExitStack() as held:
        await holding(held, database.writer, 4)
    async with AsyncExitStack() as held:
        await holding(held, database.read_engine, 4)
        assert (readers.checkedout(), readers.open, writers.open) == (4, 4, 2)
        await holding(held, database.writer, 2)
        assert database.budget.open == MOST - 1


async def test_a_waiting_caller_gets_the_place_of_another_pool(database: Database) -> None:
    async with AsyncExitStack() as writing, AsyncExitStack() as reading:
        await holding(writing, database.writer, 2)
        await holding(reading, database.read_engine, 4)
        waiting = asyncio.create_task(holding(writing, database.writer))
        await eventually(lambda: pool_of(database.writer).semaphore.waiting == 1)
        assert not waiting.done()
        await reading.aclose()
        await waiting
        assert database.budget.open == MOST - 1


async def test_one_pool_never_takes_the_last_connection_of_the_other(database: Database) -> None:
    async with AsyncExitStack() as held:
        await holding(held, database.writer, 4)
        waiting = asyncio.create_task(holding(held, database.writer))
        await eventually(lambda: pool_of(database.writer).semaphore.waiting == 1)
        assert await database.reader.scalar(ONE) == 1
        await database.ping()
        await held.aclose()
        await waiting
        await held.aclose()


class TestSmall:
    """Four is the smallest budget: one connection reads, one writes."""

    @pytest.fixture
    def options(self, database_url: str, pool_timeout: float) -> EngineOptions:
        return EngineOptions(database_url, max_connections=4, pool_timeout=pool_timeout)

    @pytest.fixture
    def database(self, database: Database) -> Database:
        database.budget.set_aside("listener")
        return database

    async def test_reads_beside_transactions_cause_no_deadlock(self, database: Database) -> None:
        async def work(transaction: Transaction) -> int:
            await transaction.execute(ONE)
            found: int = await database.reader.scalar(ONE)
            return found

        commands = Commands(database)
        assert await asyncio.gather(*(commands(work) for _ in range(20))) == [1] * 20
        assert database.budget.open == 2

    @pytest.mark.parametrize("pool_timeout", [0.2])
    async def test_a_caller_without_a_connection_gets_an_error_in_time(
        self, database: Database
    ) -> None:
        async with AsyncExitStack() as held:
            await holding(held, database.writer)
            with pytest.raises(PoolTimeout, match=r"1 of 1 .* timed out, timeout 0\.20"):
                await holding(held, database.writer)
            with pytest.raises(DatabaseUnavailable):
                await database.write(ONE)
        assert await database.write(ONE)


async def test_a_place_is_free_again_however_its_connection_ends(
    database: Database, observer: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    writers = pool_of(database.writer)
    async with AsyncExitStack() as held:
        await holding(held, database.writer, 4)
        given_up = asyncio.create_task(holding(held, database.writer))
        await eventually(lambda: writers.semaphore.waiting == 1)
        given_up.cancel()
        await asyncio.wait({given_up})
        async with database.read_engine.connect() as broken:
            await broken.invalidate()
    assert (writers.checkedout(), pool_of(database.read_engine).open) == (0, 0)
    await observer.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await eventually(lambda: all(has_ended(each.record) for each in writers.idle))
    async with AsyncExitStack() as held:
        await holding(held, database.writer, 4)
        assert writers.checkedout() == writers.open == 4
    assert (await database.write(ONE))[0][0] == 1


async def test_a_disposed_pool_closes_connections_that_are_returned_later(
    database: Database, observer: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    async with AsyncExitStack() as held:
        await holding(held, database.writer, 2)
        await database.writer.dispose()
        assert await database.write(ONE)

    async def are_closed() -> bool:
        return await count(observer) == database.budget.open == 1

    await eventually(are_closed)


async def test_unused_connections_are_closed_down_to_the_minimum(
    database: Database, observer: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    budget = database.budget
    budget.idle_seconds, budget.tick_seconds = 0.0, 0.01
    async with AsyncExitStack() as held:
        await holding(held, database.writer, 2)
        await holding(held, database.read_engine, 4)
        await database.ping()
        assert await count(observer) == MOST

    async def has_shrunk() -> bool:
        return await count(observer) == 3 and budget.open == 2  # and one is that of probes

    await eventually(has_shrunk)
    assert budget.least == 2
    await eventually(lambda: budget._timer is None)
    assert await database.reader.scalar(ONE) == 1


async def test_a_connection_used_now_and_then_is_kept(database: Database) -> None:
    async with AsyncExitStack() as held:
        await holding(held, database.writer, 3)
    database.budget.tick()
    assert (database.budget.open, database.budget._timer is None) == (3, False)


async def test_connections_opened_ahead_stay_within_the_minimum(
    database: Database, observer: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await database.warm_up()
    assert await count(observer) == 2


async def test_a_waiting_task_is_given_no_outdated_connection(database: Database) -> None:
    """Such as one to a server that is no longer the primary, which was in use until now."""
    pool = pool_of(database.read_engine)
    async with AsyncExitStack() as held:
        for _ in range(pool.size() - 1):
            held.push_async_callback((await database.read_engine.connect()).close)
        connection = await database.read_engine.connect()
        taking = asyncio.create_task(pool.take())
        await eventually(lambda: pool.semaphore.waiting)
        pool._invalidate_time = time.time() + 60
        await connection.close()
        assert await taking is None
        assert len(pool.idle) == 1
