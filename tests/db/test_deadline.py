"""Shows that a read over its time is cancelled, and that nothing else is."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event, text

from backstay.cli.readiness import _composed
from backstay.composition import compose
from backstay.core.clock import new_id
from backstay.core.context import UnitOfWork
from backstay.core.errors import DatabaseTimedOut
from backstay.core.feature import PersonalData
from backstay.core.jobs import JobRun
from backstay.core.messages import Message, Query
from backstay.core.permissions import PUBLIC
from backstay.core.principal import Principal
from backstay.db.database import Database
from backstay.db.options import EngineOptions, create_file
from backstay.db.session import Reader, Transaction
from backstay.testing import settings_with
from backstay.testing.waiting import LIMIT, eventually
from tests.db.conftest import Change, Commands, context

pytestmark = pytest.mark.anyio

ENDLESS = text("WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x FROM n) SELECT count(*) FROM n")
SECONDS = 0.3
NUMBERS = "(1), (2), (3), (4), (5), (6), (7), (8), (9), (10)"
SLOW = text(f"SELECT count(pg_sleep({SECONDS / 5})) AS n FROM (VALUES {NUMBERS}) AS numbers")
"""Takes twice the time limit of a query. The test defines the function on SQLite, too."""
ONE = text("SELECT 1")


class Look(Query[int]):
    permission = PUBLIC


class ExportLook(PersonalData):
    pass


everywhere = pytest.mark.parametrize(
    ("database_kind", "pgbouncer"),
    [("sqlite", False), ("postgresql", False), ("postgresql", True)],
)


@pytest.fixture
def options(database_url: str, pgbouncer: bool) -> EngineOptions:
    return EngineOptions(
        database_url,
        max_connections=1,
        pool_timeout=LIMIT,
        read_timeout=SECONDS,
        statement_timeout=LIMIT,
        pgbouncer=pgbouncer,
    )


@pytest.fixture
async def hurried(options: EngineOptions) -> AsyncIterator[Database]:
    """A database with a short time limit for queries, and one connection for them."""
    create_file(options)
    database = Database(options)
    for engine in (database.read_engine, database.writer) if options.is_sqlite else ():
        event.listen(engine.sync_engine, "connect", _sleepily)
    yield database
    await database.dispose()


def _sleepily(connection: Any, _: Any) -> None:
    connection.create_function("pg_sleep", 1, _sleep)


def _sleep(seconds: float) -> int:
    time.sleep(seconds)
    return 1


def reader_of(database: Database, message: Message[Any] | None = None) -> Reader:
    return database.reader_of(context(message or Look(), Principal(user_id=new_id())))


async def answers(reader: Reader) -> bool:
    """Whether a quick read ends in time; a slow machine may need several attempts."""
    try:
        return bool(await reader.scalar(ONE))
    except DatabaseTimedOut:
        return False


@everywhere
async def test_a_read_over_its_time_ends_and_the_next_succeeds(
    hurried: Database,
) -> None:
    """Behind PgBouncer the driver cancels the read; SQLAlchemy then opens another connection."""
    made: list[object] = []
    event.listen(hurried.read_engine.sync_engine, "connect", lambda *_: made.append(1))
    reader = reader_of(hurried)
    for _ in range(3):
        with pytest.raises(DatabaseTimedOut, match="narrow the search") as told:
            await reader.rows(ENDLESS)
        assert int(told.value.headers["Retry-After"]) >= 1
        assert (told.value.status, told.value.code) == (503, "db_timeout")
        await eventually(lambda: answers(reader))
    assert len(made) == (4 if hurried.options.pgbouncer else 1)


@pytest.mark.parametrize(
    ("database_kind", "pgbouncer"), [("postgresql", False), ("postgresql", True)]
)
async def test_the_database_server_stops_a_cancelled_read(hurried: Database) -> None:
    with pytest.raises(DatabaseTimedOut):
        await reader_of(hurried).rows(ENDLESS)
    running = text(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE state = 'active' AND query LIKE 'WITH RECURSIVE%' AND datname = current_database()"
    )

    async def is_idle() -> bool:
        async with hurried.writer.connect() as connection:
            return not (await connection.execute(running)).scalar_one()

    await eventually(is_idle)


@pytest.mark.parametrize(("database_kind", "pgbouncer"), [("sqlite", False)])
async def test_the_deadline_of_a_read_does_not_cancel_the_next(hurried: Database) -> None:
    await eventually(lambda: answers(reader_of(hurried)))
    async with hurried.read_engine.connect() as connection:
        assert (await connection.execute(SLOW)).scalar_one() == 10


@everywhere
async def test_a_query_marked_as_long_has_a_commands_time(hurried: Database) -> None:
    with pytest.raises(DatabaseTimedOut):
        await reader_of(hurried).rows(SLOW)
    export = reader_of(hurried, ExportLook(user_id=new_id()))
    assert await export.scalar(SLOW) == 10


@everywhere
async def test_jobs_have_the_time_of_a_command(hurried: Database) -> None:
    inside = context(Look(), Principal(user_id=new_id()))
    run = JobRun.__new__(JobRun)
    inside.origin = type(inside.origin)(job=run)
    assert await hurried.reader_of(inside).scalar(SLOW) == 10


@everywhere
async def test_queries_of_a_command_have_its_time(hurried: Database) -> None:
    async def work(session: Transaction) -> Any:
        inside = context(Change(), Principal(user_id=new_id()))
        inside.unit_of_work = UnitOfWork(session)
        return await hurried.reader_of(inside).scalar(SLOW)

    assert await Commands(hurried)(work) == 10


@everywhere
async def test_a_query_marked_as_long_cannot_write(hurried: Database) -> None:
    export = reader_of(hurried, ExportLook(user_id=UUID(int=1)))
    with pytest.raises(Exception, match="database failed"):
        await export.rows(text("CREATE TABLE made (id INTEGER)"))


@pytest.mark.parametrize("database_kind", ["sqlite"])
async def test_reads_of_workers_have_the_time_of_a_command(seeded_url: str, tmp_path: Path) -> None:
    settings = settings_with(seeded_url, tmp_path, DB_READ_TIMEOUT="2", DB_STATEMENT_TIMEOUT="20")
    serving, working = compose(settings), _composed(settings)
    assert (serving.database.options.read_seconds, working.database.options.read_seconds) == (2, 20)
    for backstay in (serving, working):
        await backstay.close()
