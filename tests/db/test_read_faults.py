"""Shows what becomes of a read whose connection is lost, and of a read that fails."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import bindparam, func, select, text

from backstay.core.errors import (
    AppError,
    DatabaseFailed,
    DatabaseTimedOut,
    DatabaseUnavailable,
    Invalid,
)
from backstay.db import engine as engine_module
from backstay.db import pool as pool_module
from backstay.db.database import Database
from backstay.testing.waiting import LIMIT, eventually
from tests.db.slow_reads import (
    CONNECTIONS,
    SHORT,
    SLEEPING,
    Other,
    database,
    end,
    everywhere,
    finds,
    on_postgres,
    options,
    other,
    prepared,
    readers,
    rests,
    sleeps,
    slept,
)
from tests.db.tables import Book
from tests.faults.proxy import Wire, wire_to

__all__ = ["database", "options", "other", "slept"]

pytestmark = pytest.mark.anyio


async def interrupted(
    database: Database, other: Other, how: str, seconds: float = LIMIT
) -> "asyncio.Task[bool]":
    """A read whose session was ended, or whose statement was cancelled, while it ran."""
    read = asyncio.create_task(finds(database, 1, seconds))
    await eventually(lambda: sleeps(other))
    await end(other, how, SLEEPING)
    return read


@on_postgres
async def test_a_read_whose_session_ends_is_made_again(database: Database, other: Other) -> None:
    assert await finds(database, 1)
    read = await interrupted(database, other, "pg_terminate_backend", 1.0)
    assert await read
    await rests(database)


@on_postgres
async def test_after_a_lost_connection_no_older_one_is_used(
    database: Database, other: Other
) -> None:
    """The server may have ended all: a read is repeated once, and must not meet the next."""
    assert await asyncio.gather(*(finds(database, each, SHORT) for each in range(2)))
    old = [each.record.driver_connection for each in readers(database).idle]
    assert len(old) == CONNECTIONS
    assert await (await interrupted(database, other, "pg_terminate_backend", 1.0))
    await rests(database)
    assert await asyncio.gather(*(finds(database, each, SHORT) for each in range(2)))
    assert not any(each.record.driver_connection in old for each in readers(database).idle)


@on_postgres
async def test_a_read_whose_sessions_end_twice_is_503(database: Database, other: Other) -> None:
    read = await interrupted(database, other, "pg_terminate_backend")

    async def has_ended() -> bool:
        await end(other, "pg_terminate_backend", SLEEPING)
        return read.done()

    await eventually(has_ended)
    with pytest.raises(DatabaseUnavailable) as told:
        await read
    assert told.value.headers["Retry-After"] == "1"
    assert await finds(database, 2)
    await rests(database)


@on_postgres
async def test_a_read_that_an_operator_cancels_has_timed_out(
    database: Database, other: Other
) -> None:
    read = await interrupted(database, other, "pg_cancel_backend")
    with pytest.raises(DatabaseTimedOut):
        await read
    assert await finds(database, 2)
    await rests(database)


@on_postgres
async def test_reads_on_connections_that_died_while_idle_succeed(
    database: Database, other: Other
) -> None:
    """At once, whether or not the driver has noticed, and after it has."""
    for is_known in (False, True):
        assert await asyncio.gather(*(finds(database, each) for each in range(4)))
        dead: list[Any] = [each.record.driver_connection for each in readers(database).idle]
        await end(other, "pg_terminate_backend")
        for each in dead if is_known else ():
            await eventually(each.is_closed)
        assert await asyncio.gather(*(finds(database, each) for each in range(4))) == [True] * 4
        await rests(database)


@on_postgres
async def test_a_connection_idle_for_long_is_pinged(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    pinged: list[object] = []
    dialect = database.read_engine.sync_engine.dialect
    ping = dialect.do_ping

    def note(connection: Any) -> bool:
        pinged.append(connection)
        return bool(ping(connection))

    monkeypatch.setattr(dialect, "do_ping", note)
    assert await finds(database, 1)
    assert await finds(database, 2)
    assert not pinged
    for module in (engine_module, pool_module):
        monkeypatch.setattr(module, "FRESH_SECONDS", -1.0)
    assert await finds(database, 3)
    assert len(pinged) == 1


BROKEN = [
    (select(func.no_such_function()), {}, DatabaseFailed),
    (select(Book.id).where(Book.pages == bindparam("pages")), {"pages": 2**70}, Invalid),
    (text("DELETE FROM test_books"), {}, DatabaseFailed),
]


@everywhere
@pytest.mark.parametrize(("statement", "parameters", "error"), BROKEN)
async def test_a_failed_read_raises_the_applications_error(
    database: Database, statement: Any, parameters: dict[str, Any], error: type[AppError]
) -> None:
    for _ in range(CONNECTIONS + 1):
        with pytest.raises(error):
            await database.reader.rows(statement, parameters)
        await rests(database)
    assert await finds(database, 1)


@on_postgres
class TestBehindAWire:
    """The server goes away, or stops to answer, as machines do."""

    @pytest.fixture
    async def wire(self, database_url: str) -> AsyncIterator[Wire]:
        async with wire_to(database_url) as (wire, _):
            yield wire

    @pytest.fixture
    async def database(self, database: Database, wire: Wire) -> AsyncIterator[Database]:
        behind = Database(replace(database.options, url=wire.url))
        await prepared(behind)
        yield behind
        await wire.hint()
        await behind.dispose()

    async def test_reads_are_503_while_the_server_is_gone(
        self, database: Database, wire: Wire
    ) -> None:
        assert await finds(database, 1)
        async with wire.gone():
            for _ in range(2 * CONNECTIONS):
                with pytest.raises(DatabaseUnavailable):
                    await finds(database, 2)
                await rests(database)
        assert await finds(database, 3)

    async def test_a_read_cancelled_while_nothing_arrives_holds_nothing_up(
        self, database: Database, wire: Wire
    ) -> None:
        assert await finds(database, 1)
        wire.jam()
        held = wire.held
        read = asyncio.create_task(finds(database, 2))
        await eventually(lambda: wire.held > held)
        read.cancel()
        wire.unjam()
        await asyncio.wait({read})
        assert await asyncio.gather(*(finds(database, each) for each in range(8))) == [True] * 8
        await rests(database)
