"""Reads that go straight to the driver of a real replica, and what becomes of them if it fails."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import asyncpg
import pytest
from sqlalchemy import func, insert, select, text

from backstay.core.clock import new_id
from backstay.core.errors import AppError, DatabaseTimedOut
from backstay.core.principal import Principal
from backstay.db import reading
from backstay.db.database import Database
from backstay.db.options import EngineOptions
from backstay.db.pool import SharedPool, pool_of
from backstay.db.session import Reader
from backstay.testing.postgres_server import PostgresServer
from backstay.testing.waiting import LIMIT, eventually
from tests.db.books import book, store
from tests.db.conftest import context
from tests.db.slow_reads import ENDLESS, FIND, WAIT, cancel_at_every_moment, cancelled, title
from tests.db.tables import TABLES, Book
from tests.db.test_deadline import Look
from tests.faults.proxy import wire_to
from tests.services.postgres_replica import PostgresReplica

pytestmark = pytest.mark.anyio

WHERE = select(func.pg_is_in_recovery().label("is_replica"))
SLOW = WAIT.add_columns(func.pg_is_in_recovery().label("is_replica"))
Servers = tuple[PostgresServer, PostgresReplica]


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with PostgresServer() as primary:
        primary.create_database()
        with PostgresReplica(primary) as replica:
            yield primary, replica


@pytest.fixture
def replica(servers: Servers) -> Iterator[PostgresReplica]:
    servers[1].start()
    yield servers[1]
    if servers[1]._guard is not None:
        servers[1].resume()


@pytest.fixture
async def database(servers: Servers, replica: PostgresReplica) -> AsyncIterator[Database]:
    """Books on both servers, and statements that have been run as often as it takes."""
    url = servers[0].create_database()
    options = EngineOptions(
        _async(url),
        _async(replica.url_of(url)),
        max_connections=6,
        replica_max_connections=2,
        pool_timeout=LIMIT,
        read_timeout=LIMIT,
        statement_timeout=LIMIT,
    )
    database = Database(options)
    async with database.writer.begin() as connection:
        await connection.run_sync(Book.metadata.create_all, tables=TABLES)
    await store(database, [book(number, title=title(number)) for number in range(20)])
    await _until_level(database)
    for _ in range(3):
        assert await reader_of(database).scalar(WHERE)
        assert await finds(database, 1)
        assert await finds(database, 1, 0.0)
        await reader_of(database).rows(SLOW, {"title": title(1), "seconds": 0.0})
    yield database
    await database.dispose()


def _async(url: str) -> str:
    return url.replace("postgresql:", "postgresql+asyncpg:")


async def _until_level(database: Database) -> None:
    async def is_level() -> bool:
        assert database.replica is not None
        try:
            return (await database.replica.lag())[0] == 0
        except AppError:
            return False  # the replica has not heard of the database

    await eventually(is_level)


def reader_of(database: Database, who: Principal | None = None) -> Reader:
    return database.reader_of(context(Look(), who or Principal(user_id=new_id())))


async def finds(database: Database, number: int, seconds: float | None = None) -> bool:
    asked: dict[str, Any] = {"title": title(number)}
    statement = FIND
    if seconds is not None:
        statement, asked["seconds"] = WAIT, seconds
    rows = await reader_of(database).rows(statement, asked)
    return [row.title for row in rows] == [title(number)]


def replicas(database: Database) -> SharedPool:
    assert database.replica_engine is not None
    return pool_of(database.replica_engine)


async def rests(database: Database) -> None:
    await eventually(lambda: replicas(database).checkedout() == 0)


@pytest.fixture
def run_by_sqlalchemy(database: Database) -> dict[str, list[str]]:
    """The statements that did not go the direct way, by server."""
    seen: dict[str, list[str]] = {"replica": [], "primary": []}
    engines = {"replica": database.replica_engine, "primary": database.read_engine}
    for name, engine in engines.items():
        assert engine is not None
        pool = pool_of(engine)
        create = pool._do_get

        def note(name: str = name, create: Any = create) -> Any:
            seen[name].append("checkout")
            return create()

        pool._do_get = note  # type: ignore[method-assign]
    return seen


@pytest.fixture
async def on_replica(database: Database) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A connection to the replica that does not belong to the application."""
    connection = await asyncpg.connect((database.options.replica_url or "").replace("+asyncpg", ""))
    yield connection
    connection.terminate()


SLEEPS = (
    "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    " AND wait_event = 'PgSleep'"
)


async def test_a_repeated_read_goes_straight_to_the_replica(
    database: Database, run_by_sqlalchemy: dict[str, list[str]]
) -> None:
    for number in range(5):
        assert await finds(database, number)
    assert await reader_of(database).scalar(WHERE)
    assert run_by_sqlalchemy == {"replica": [], "primary": []}


async def test_who_wrote_reads_from_the_primary_until_the_replica_follows(
    database: Database, replica: PostgresReplica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "LOOK_SECONDS", 0)
    ann, ben = (Principal(user_id=new_id()) for _ in range(2))
    replica.pause()
    await store(database, [book(100, title=title(100))])
    database.wrote(ann.user_id)
    for _ in range(3):
        assert await reader_of(database, ann).scalar(WHERE) is False
        assert await reader_of(database, ann).scalar(FIND, {"title": title(100)})
        assert await reader_of(database, ben).scalar(WHERE) is True
        assert not await reader_of(database, ben).rows(FIND, {"title": title(100)})
    replica.resume()

    async def has_it() -> bool:
        return bool(await reader_of(database, ann).scalar(WHERE))

    await eventually(has_it)
    assert await reader_of(database, ann).scalar(FIND, {"title": title(100)})


async def test_a_repeated_write_is_refused_also_after_a_promotion(
    database: Database, replica: PostgresReplica
) -> None:
    """The replica refuses it as such, and the connection, once the replica is none any more."""
    write = insert(Book).inline().returning(Book.id)
    for is_promoted in (False, True):
        if is_promoted:
            replica._sql("SELECT pg_promote()")
        for number in range(3):
            with pytest.raises(AppError) as told:
                await reader_of(database).rows(write, book(number + 100))
            assert "read-only transaction" in str(told.value.__cause__)
        assert await reader_of(database).scalar(WHERE) is not is_promoted
    await rests(database)
    replica.stop()


async def test_a_read_over_its_time_is_not_repeated(
    database: Database,
) -> None:
    hurried = Database(replace(database.options, read_timeout=0.3))
    for _ in range(3):
        with pytest.raises(DatabaseTimedOut):
            await reader_of(hurried).rows(ENDLESS)
    assert pool_of(hurried.read_engine).open == 0  # the primary was not asked
    assert await reader_of(hurried).scalar(WHERE)
    assert replicas(hurried).open == 1  # it is still the first connection
    await hurried.dispose()


async def test_a_read_there_can_be_cancelled_at_any_moment(
    database: Database,
) -> None:
    await cancel_at_every_moment(partial(finds, database), 30)
    await rests(database)
    assert await reader_of(database).scalar(WHERE)


async def test_a_read_whose_session_ends_is_repeated_there(
    database: Database, on_replica: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    read = asyncio.create_task(reader_of(database).rows(SLOW, {"title": title(1), "seconds": 1.0}))
    await eventually(lambda: on_replica.fetchval(f"SELECT count(*) {SLEEPS}"))
    await on_replica.execute(f"SELECT pg_terminate_backend(pid) {SLEEPS}")
    assert [row.is_replica for row in await read] == [True]
    await rests(database)


async def test_a_read_that_conflicts_with_replay_goes_to_the_primary(
    database: Database, replica: PostgresReplica, on_replica: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """The replica ends whoever reads what it has to replay (PostgreSQL manual, 27.4.2)."""
    replica._sql("ALTER SYSTEM SET max_standby_streaming_delay = 0")
    replica._sql("SELECT pg_reload_conf()")
    read = asyncio.create_task(finds(database, 1, LIMIT / 2))
    await eventually(lambda: on_replica.fetchval(f"SELECT count(*) {SLEEPS}"))
    async with database.writer.begin() as connection:
        await connection.exec_driver_sql("ALTER TABLE test_books ADD COLUMN new text")

    async def is_on_primary() -> bool:
        ((sleeping,),) = await database.write(text(f"SELECT count(*) {SLEEPS}"))
        return bool(sleeping)

    await eventually(is_on_primary)
    assert not await on_replica.fetchval(f"SELECT count(*) {SLEEPS}")
    assert await cancelled(read)
    await rests(database)


async def test_a_read_on_a_killed_replica_goes_to_the_primary(
    database: Database, replica: PostgresReplica, on_replica: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    read = asyncio.create_task(reader_of(database).rows(SLOW, {"title": title(1), "seconds": 1.0}))
    await eventually(lambda: on_replica.fetchval(f"SELECT count(*) {SLEEPS}"))
    replica.stop()
    assert [row.is_replica for row in await read] == [False]
    for number in range(5):
        assert await finds(database, number)
    await rests(database)


async def test_a_replica_that_was_away_is_used_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "REST_SECONDS", 0.0)
    async with wire_to(database.options.replica_url or "") as (wire, _):
        behind = Database(replace(database.options, replica_url=wire.url))
        for _ in range(3):
            assert await reader_of(behind).scalar(WHERE) is True
        async with wire.gone():
            for _ in range(3):
                assert await reader_of(behind).scalar(WHERE) is False
        for _ in range(3):
            assert await reader_of(behind).scalar(WHERE) is True
        found = await asyncio.gather(*(finds(behind, number) for number in range(8)))
        assert found == [True] * 8
        await rests(behind)
        await behind.dispose()
