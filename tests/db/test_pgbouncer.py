"""Shows that limits hold behind PgBouncer, and that no session state reaches its next client."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import asyncpg
import pytest
from sqlalchemy import text

from backstay.core.errors import AppError, DatabaseTimedOut
from backstay.db import migrate, reading
from backstay.db.database import Database
from backstay.db.options import EngineOptions
from backstay.db.session import Transaction
from backstay.testing.waiting import LIMIT, eventually
from tests.db.conftest import Commands
from tests.logs import logged
from tests.services.pgbouncer import PgBouncer

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database_kind", ["postgresql"])]

LIMITS = text(
    "SELECT current_setting('statement_timeout'),"
    " current_setting('idle_in_transaction_session_timeout'),"
    " current_setting('transaction_read_only')"
)
OF_THE_SESSION = (
    "SELECT name, setting FROM pg_settings"
    " WHERE source = 'session' AND name <> 'application_name' ORDER BY name"
)
"""Session settings, except those that PgBouncer resets for each client."""
LOCKS = (
    "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database"
    " WHERE locktype = 'advisory' AND datname = current_database()"
)
INSERT = text("INSERT INTO words VALUES ('written')")


@pytest.fixture
def role() -> str:
    """`default_transaction_read_only` of the database: whether a bare statement can write."""
    return "off"


@pytest.fixture
async def owner(
    database_url: str, role: str
) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A direct connection; its settings of the database hold for sessions that begin later."""
    connection = await asyncpg.connect(database_url.replace("+asyncpg", ""))
    await connection.execute("CREATE TABLE words (word text)")
    name = await connection.fetchval("SELECT current_database()")
    await connection.execute(
        f'ALTER DATABASE "{name}" SET default_transaction_read_only = {role};'
        f'ALTER DATABASE "{name}" SET statement_timeout = 7000'
    )
    yield connection
    await connection.close()


@pytest.fixture
def pooler(database_url: str, owner: object) -> Iterator[PgBouncer]:
    with PgBouncer(database_url) as pooler:
        yield pooler


@pytest.fixture
def options(pooler: PgBouncer) -> EngineOptions:
    return EngineOptions(
        pooler.url, statement_timeout=9.0, read_timeout=LIMIT, pool_timeout=LIMIT, pgbouncer=True
    )


@pytest.fixture
async def database(options: EngineOptions) -> AsyncIterator[Database]:
    database = Database(options)
    yield database
    await database.dispose()


either = pytest.mark.parametrize("role", ["off", "on"])


@either
async def test_a_command_has_its_limits_and_writes(database: Database) -> None:
    async def work(transaction: Transaction) -> tuple[str, ...]:
        await transaction.execute(INSERT)
        return tuple((await transaction.execute(LIMITS)).one())

    assert await Commands(database)(work) == ("9s", "9s", "off")
    assert await database.write(LIMITS) == [("9s", "9s", "off")]
    assert await database.reader.scalar(text("SELECT count(*) FROM words")) == 1


@either
@pytest.mark.parametrize("is_warm", [False, True])
async def test_a_read_cannot_write(
    database: Database, owner: "asyncpg.Connection[asyncpg.Record]", is_warm: bool
) -> None:
    if is_warm:
        await database.warm_up()
    for statement in (INSERT, text("WITH new AS (DELETE FROM words RETURNING 1) TABLE new")):
        with pytest.raises(AppError):
            await database.reader.rows(statement)
        async with database.read_engine.connect() as connection:
            with pytest.raises(Exception, match="read-only transaction"):
                await connection.execute(statement)
    assert await owner.fetchval("SELECT count(*) FROM words") == 0
    assert (await database.reader.rows(LIMITS))[0][2] == "on"


@either
async def test_a_read_needs_no_transaction_when_the_role_cannot_write(
    database: Database, role: str
) -> None:
    with logged(reading) as logs:
        await database.warm_up()
    told = [each for each in logs if "ALTER ROLE" in each.get("mend", "")]
    rows = await database.reader.rows(LIMITS)
    assert bool(told) == (role == "off")
    assert rows[0][0] == ("9s" if role == "off" else "7s")


async def test_a_command_that_takes_too_long_is_ended(options: EngineOptions) -> None:
    database = Database(replace(options, statement_timeout=0.1))
    with pytest.raises(DatabaseTimedOut):
        await database.write(text("SELECT pg_sleep(600)"))
    await database.dispose()


async def test_an_idle_transaction_is_ended_and_its_session_released(
    options: EngineOptions, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    database = Database(replace(options, statement_timeout=0.1))

    async def is_gone() -> bool:
        return not await owner.fetchval(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE state = 'idle in transaction' AND datname = current_database()"
        )

    async with database.writer.connect() as connection:
        await connection.execute(INSERT)
        await eventually(is_gone)
        await connection.invalidate()
    assert await owner.fetchval("SELECT count(*) FROM words") == 0
    await database.dispose()


@either
async def test_nothing_is_left_for_the_next_client(
    database: Database, pooler: PgBouncer, options: EngineOptions
) -> None:
    """All clients share one session, whose state is compared before and after."""
    other = await asyncpg.connect(pooler.url.replace("+asyncpg", ""), statement_cache_size=0)
    before = await other.fetch(OF_THE_SESSION)
    await database.warm_up()
    await database.write(INSERT)
    await database.ping()
    await database.reader.rows(LIMITS)
    with pytest.raises(AppError):
        await database.write(text("SELECT 1 / 0"))
    with pytest.raises(AppError):
        await database.reader.rows(INSERT)
    assert await migrate.upgrade(options)
    assert await other.fetch(OF_THE_SESSION) == before
    assert await other.fetchval("SHOW statement_timeout") == "7s"
    assert await other.fetchval("SELECT count(*) FROM pg_prepared_statements WHERE name <> ''") == 0
    assert not await other.fetchval(LOCKS)
    await other.close()


@either
async def test_clients_that_share_sessions_get_their_own_answers(
    database_url: str, owner: object, options: EngineOptions, role: str
) -> None:
    with PgBouncer(database_url, size=2) as pooler:
        database = Database(replace(options, url=pooler.url))
        await database.warm_up()

        async def ask(number: int) -> int:
            if number % 2:
                return int((await database.write(text(f"SELECT {number}")))[0][0])
            return int(await database.reader.scalar(text(f"SELECT :a + {number}"), {"a": 0}))

        assert await asyncio.gather(*(ask(number) for number in range(40))) == list(range(40))
        await database.dispose()
