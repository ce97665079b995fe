"""Shows that a cancelled read ends, and leaves a connection that nobody uses any more."""

import asyncio
from dataclasses import replace
from functools import partial

import pytest

from backstay.core.errors import DatabaseTimedOut
from backstay.db.database import Database
from backstay.testing.waiting import LIMIT, eventually
from tests.db.slow_reads import (
    CONNECTIONS,
    ENDLESS,
    SHORT,
    Other,
    cancel_at_every_moment,
    cancelled,
    database,
    everywhere,
    finds,
    on_postgres,
    options,
    other,
    readers,
    rests,
    sleeps,
    slept,
)

__all__ = ["database", "options", "other", "slept"]

pytestmark = pytest.mark.anyio


@everywhere
async def test_a_read_can_be_cancelled_at_any_moment(database: Database) -> None:
    """Also while its connection is opened, and while others wait for that one."""
    await cancel_at_every_moment(partial(finds, database), 60, partial(rests, database))
    assert await asyncio.gather(*(finds(database, each) for each in range(20))) == [True] * 20


@pytest.mark.parametrize(("database_kind", "pgbouncer"), [("sqlite", False)])
async def test_what_a_cancelled_read_leaves_running_delays_no_other(
    database: Database, slept: list[float]
) -> None:
    """SQLite runs on to the end of the statement: on a connection that nobody uses any more."""
    assert await finds(database, 1)
    used = readers(database).idle[-1].record.driver_connection
    read = asyncio.create_task(finds(database, 1, SHORT * 5))
    await eventually(lambda: slept[-1])
    assert await cancelled(read)
    assert await finds(database, 2)
    assert all(each.record.driver_connection is not used for each in readers(database).idle)
    await rests(database)


@pytest.mark.parametrize(("database_kind", "pgbouncer"), [("sqlite", False)])
async def test_a_cancelled_read_without_end_is_ended(database: Database, threads_end: None) -> None:
    """By its deadline: nothing else would ever end it."""
    hurried = Database(replace(database.options, read_timeout=10 * SHORT))
    for _ in range(3):
        with pytest.raises(DatabaseTimedOut):
            await hurried.reader.rows(ENDLESS)
    reads = [asyncio.create_task(hurried.reader.rows(ENDLESS)) for _ in range(CONNECTIONS)]
    await eventually(lambda: readers(hurried).checkedout() == CONNECTIONS)
    for read in reads:
        read.cancel()
    await asyncio.wait(reads)
    await rests(hurried)
    await hurried.dispose()


@on_postgres
async def test_a_cancelled_read_ends_in_the_server_too(database: Database, other: Other) -> None:
    assert await finds(database, 1)
    used = readers(database).idle[-1].record.driver_connection
    read = asyncio.create_task(finds(database, 1, 3 * LIMIT))
    await eventually(lambda: sleeps(other))
    assert await cancelled(read)

    async def is_over() -> bool:
        return not await sleeps(other)

    await eventually(is_over)
    assert await finds(database, 2)
    assert all(each.record.driver_connection is not used for each in readers(database).idle)
    await rests(database)
