"""Shows that writes go to the promoted standby after the primary is lost."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from backstay.application import create_app
from backstay.testing import ADMIN_EMAIL, FrozenClock, Templates, client_of, settings_with
from backstay.testing.postgres_server import PostgresServer
from backstay.testing.waiting import eventually
from tests.faults.conftest import Running, signed_in
from tests.faults.proxy import wire_to
from tests.faults.test_read_only import is_well, refuses_to_write, unavailable
from tests.features.steps import needs, sign_in
from tests.services.postgres_replica import PostgresReplica

pytestmark = [pytest.mark.anyio, needs("items"), needs("system")]


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[PostgresServer, PostgresReplica]]:
    with PostgresServer() as primary:
        primary.create_database()
        with PostgresReplica(primary) as standby:
            yield primary, standby


@pytest.fixture
def url(
    servers: tuple[PostgresServer, PostgresReplica],
    tmp_path_factory: pytest.TempPathFactory,
    tmp_path: Path,
) -> str:
    """A seeded database of the primary."""
    templates = Templates(tmp_path_factory.mktemp("templates"), lambda: servers[0])
    return templates.copy("postgresql", tmp_path)[0]


async def test_the_next_write_goes_to_the_new_primary(
    servers: tuple[PostgresServer, PostgresReplica], url: str, tmp_path: Path, clock: FrozenClock
) -> None:
    """One application knows both servers, another one the standby alone."""
    standby = servers[1]
    standby.start()
    alone = standby.url_of(url)
    await _until_level(url, alone)
    async with wire_to(url) as (wire, through):
        hosts = f"{urlsplit(through).netloc},{urlsplit(alone).netloc.rpartition('@')[2]}"
        query = "target_session_attrs=read-write"
        both = urlsplit(through)._replace(netloc=hosts, query=query).geturl()
        async with _at(both, tmp_path, clock) as one, _at(alone, tmp_path, clock) as other:
            await signed_in(one.app, one.client)
            other.client.headers.update(one.client.headers)
            assert await is_well(one.client)
            await _until_level(url, alone)
            await refuses_to_write(other.client)
            await wire.cut()
            for _ in range(3):
                unavailable(await one.create())
            assert (await one.client.get("/readyz")).status_code == 503
            standby._sql("SELECT pg_promote()")
            assert await is_well(one.client)
            assert await is_well(other.client)
            assert (await sign_in(one.client, ADMIN_EMAIL)).status_code == 200
            assert await one.titles() == ["Kept"] * 3


@asynccontextmanager
async def _at(url: str, folder: Path, clock: FrozenClock) -> AsyncIterator[Running]:
    app = create_app(settings_with(url, folder), clock=clock, worker=False)
    async with app.router.lifespan_context(app), client_of(app) as client:
        yield Running(app, client)


async def _until_level(url: str, standby: str) -> None:
    written = await _ask(url, "SELECT pg_current_wal_insert_lsn()::text")
    at = standby.rpartition("/")[0] + "/postgres"
    await eventually(lambda: _ask(at, f"SELECT pg_last_wal_replay_lsn() >= '{written}'"))


async def _ask(url: str, statement: str) -> Any:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()
