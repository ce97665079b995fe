"""Shows that reads go to a streaming replica, and always show the reader's own writes."""

from collections.abc import AsyncIterator, Iterator
from math import isnan
from pathlib import Path
from time import monotonic
from typing import Any

import asyncpg
import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import event, text

from backstay.application import create_app
from backstay.core.clock import new_id
from backstay.core.errors import DatabaseTimedOut
from backstay.core.principal import Principal
from backstay.db import reading
from backstay.db.database import Database
from backstay.db.faults import ShareInUse
from backstay.db.options import EngineOptions
from backstay.testing import PASSWORD, Templates, client_of, settings_with
from backstay.testing.postgres_server import PostgresServer
from backstay.testing.waiting import LIMIT, eventually
from tests.db.conftest import context
from tests.db.test_deadline import Look
from tests.features.steps import API, hears
from tests.observability.steps import scraped, value
from tests.patient import PATIENT
from tests.services.postgres_replica import PostgresReplica


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[PostgresServer, PostgresReplica]]:
    with PostgresServer() as primary:
        primary.create_database()
        with PostgresReplica(primary) as replica:
            yield primary, replica


@pytest.fixture(scope="module")
def templates(
    servers: tuple[PostgresServer, PostgresReplica], tmp_path_factory: pytest.TempPathFactory
) -> Templates:
    return Templates(tmp_path_factory.mktemp("templates"), lambda: servers[0])


@pytest.fixture
def seeded_url(templates: Templates, tmp_path: Path) -> Iterator[str]:
    url, remove = templates.copy("postgresql", tmp_path)
    yield url
    remove()


@pytest.fixture
async def primary_and_replica(
    servers: tuple[PostgresServer, PostgresReplica], seeded_url: str
) -> AsyncIterator[tuple[str, PostgresReplica]]:
    """The URL of a seeded database, and a replica of its server."""
    replica = servers[1]
    replica.start()
    await _until_level(seeded_url, replica)
    yield seeded_url, replica
    if replica._guard is not None:
        replica.resume()


async def _until_level(url: str, replica: PostgresReplica) -> None:
    """Wait until a replica has replayed whatever its primary holds."""
    written = await _ask(url, "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint")
    there = replica.url_of(url).rpartition("/")[0] + "/postgres"
    replayed = f"SELECT (pg_last_wal_replay_lsn() - '0/0')::bigint >= {written}"
    await eventually(lambda: _ask(there, replayed))


async def _ask(url: str, statement: str) -> Any:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


@pytest.fixture
def ttl() -> str:
    """No answer is cached, so that every read asks a database."""
    return "0"


@pytest.fixture
async def app(
    primary_and_replica: tuple[str, PostgresReplica], tmp_path: Path, ttl: str
) -> AsyncIterator[FastAPI]:
    url, replica = primary_and_replica
    settings = settings_with(
        url, tmp_path, DB_REPLICA_URL=replica.url_of(url), CACHE_TTL_SECONDS=ttl, **PATIENT
    )
    application = create_app(settings)
    async with application.router.lifespan_context(application):
        yield application


async def _signed_in(client: httpx.AsyncClient, email: str) -> dict[str, str]:
    await client.post(f"{API}/users", json={"email": email, "password": PASSWORD})
    body = {"email": email, "password": PASSWORD}
    answer = await client.post(f"{API}/auth/login", json=body)
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


async def _items(client: httpx.AsyncClient, headers: dict[str, str]) -> list[str]:
    answer = await client.get(f"{API}/items", headers=headers)
    assert answer.status_code == 200, answer.text
    return [item["title"] for item in answer.json()["items"]]


async def _sessions(client: httpx.AsyncClient, headers: dict[str, str]) -> int:
    return len((await client.get(f"{API}/auth/sessions", headers=headers)).json()["items"])


async def _until_replayed(
    app: FastAPI, client: httpx.AsyncClient, *readers: dict[str, str]
) -> None:
    """Read until the replica has everything that an application has heard of."""
    backstay = app.state.backstay
    await hears(backstay, since=monotonic())

    async def is_level() -> bool:
        for headers in readers:
            await _items(client, headers)
        replica = backstay.database.replica
        return not (replica._unplaced or replica._placed)

    await eventually(is_level)


async def test_a_reader_sees_its_own_writes_despite_replica_lag(
    app: FastAPI, primary_and_replica: tuple[str, PostgresReplica]
) -> None:
    replica = primary_and_replica[1]
    async with client_of(app) as client:
        ann = await _signed_in(client, "ann@example.org")
        replica.pause()
        await client.post(f"{API}/items", json={"title": "rope"}, headers=ann)
        assert await _items(client, ann) == ["rope"]
        assert await _sessions(client, ann) == 1
        replica.resume()
        assert await _items(client, ann) == ["rope"]


async def test_a_reader_sees_its_own_writes_through_another_process(
    app: FastAPI,
    primary_and_replica: tuple[str, PostgresReplica],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reading, "LOOK_SECONDS", 0)
    url, replica = primary_and_replica
    replica_url = replica.url_of(url)
    neighbour = create_app(
        settings_with(url, tmp_path, DB_REPLICA_URL=replica_url, CACHE_TTL_SECONDS="0", **PATIENT)
    )
    async with (
        neighbour.router.lifespan_context(neighbour),
        client_of(app) as client,
        client_of(neighbour) as elsewhere,
    ):
        ann = await _signed_in(client, "ann@example.org")
        await _until_replayed(neighbour, elsewhere, ann)
        replica.pause()
        await client.post(f"{API}/items", json={"title": "rope"}, headers=ann)
        await hears(neighbour.state.backstay, since=monotonic())
        assert await _items(elsewhere, ann) == ["rope"]
        replica.resume()
        for each in ((neighbour, elsewhere), (app, client)):
            await _until_replayed(*each, ann)
        assert await _items(elsewhere, ann) == ["rope"]
        replica.pause()
        monkeypatch.setattr(app.state.backstay.channel, "notified", str)  # not even of itself
        await _signed_in(client, "ann@example.org")
        await hears(neighbour.state.backstay, since=monotonic())
        assert [await _sessions(each, ann) for each in (client, elsewhere)] == [2, 2]


async def test_others_are_served_by_the_replica(
    app: FastAPI, primary_and_replica: tuple[str, PostgresReplica], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "LOOK_SECONDS", 0)
    replica = primary_and_replica[1]
    async with client_of(app) as client:
        ann = await _signed_in(client, "ann@example.org")
        admin = await _signed_in(client, "admin@example.com")
        await _until_replayed(app, client, ann, admin)
        replica.pause()
        await client.post(f"{API}/items", json={"title": "rope"}, headers=ann)
        assert await _items(client, admin) == []
        assert await _items(client, ann) == ["rope"]


@pytest.mark.parametrize("ttl", ["30"])
async def test_cached_answers_are_never_older_than_the_last_commit(
    app: FastAPI, primary_and_replica: tuple[str, PostgresReplica]
) -> None:
    replica = primary_and_replica[1]
    async with client_of(app) as client:
        ann = await _signed_in(client, "ann@example.org")
        admin = await _signed_in(client, "admin@example.com")
        replica.pause()
        await client.post(f"{API}/items", json={"title": "rope"}, headers=ann)
        app.state.backstay.database.replica._placed.clear()
        app.state.backstay.database.replica._unplaced.clear()
        assert await _items(client, admin) == ["rope"]


async def test_the_lag_of_the_replica_is_measured(
    app: FastAPI, primary_and_replica: tuple[str, PostgresReplica]
) -> None:
    replica = primary_and_replica[1]
    bytes_and_seconds = "db_replica_lag_bytes", "db_replica_lag_seconds"

    async def lags() -> tuple[float, float]:
        samples = await scraped(client)
        behind, seconds = (value(samples, name, server="replica") for name in bytes_and_seconds)
        return behind, seconds

    async def is_level() -> bool:
        return await lags() == (0, 0)

    async def is_behind() -> bool:
        return all(each > 0 for each in await lags())

    async with client_of(app) as client:
        await eventually(is_level)
        replica.pause()
        await _signed_in(client, "ann@example.org")
        await eventually(is_behind)
        replica.resume()
        await eventually(is_level)
        replica.stop()
        samples = await scraped(client)
        assert all(isnan(value(samples, name, server="replica")) for name in bytes_and_seconds)
        assert value(samples, "health", check="replica", state="error") == 1


async def test_a_dead_replica_degrades_to_the_primary(
    app: FastAPI, primary_and_replica: tuple[str, PostgresReplica]
) -> None:
    async with client_of(app) as client:
        ann = await _signed_in(client, "ann@example.org")
        await client.post(f"{API}/items", json={"title": "rope"}, headers=ann)
        primary_and_replica[1].stop()
        assert await _items(client, ann) == ["rope"]
        health = (await client.get("/health")).json()
        assert (health["status"], health["checks"]["replica"]) == ("degraded", "error")
        assert (await client.get("/readyz")).status_code == 200


async def test_a_read_that_timed_out_is_not_repeated_on_primary(
    primary_and_replica: tuple[str, PostgresReplica],
) -> None:
    url, replica = primary_and_replica
    database, on_primary = _beside(url, replica), list[str]()

    def remember(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        on_primary.append(statement)

    event.listen(database.read_engine.sync_engine, "before_cursor_execute", remember)
    reader = database.reader_of(context(Look(), Principal(user_id=new_id())))
    with pytest.raises(DatabaseTimedOut):
        await reader.rows(text("SELECT pg_sleep(1000)"))
    assert database.replica is not None
    assert await database.replica.serves(Principal(user_id=new_id()))
    assert on_primary == []
    await database.dispose()


async def test_exceeding_ones_share_does_not_mark_the_replica_as_failed(
    primary_and_replica: tuple[str, PostgresReplica],
) -> None:
    database, ann = _beside(*primary_and_replica), Principal(user_id=new_id())
    assert database.replica is not None
    turns = database.replica.reads.semaphore
    turns._timeout = 0.01
    reader = database.reader_of(context(Look(), ann))
    async with turns.of(ann.user_id):
        with pytest.raises(ShareInUse):
            await reader.rows(text("SELECT 1"))
    assert await database.replica.serves(ann)
    await database.dispose()


def _beside(url: str, replica: PostgresReplica) -> Database:
    """A database with a replica, a short time limit for queries and one read per user at once."""
    address, there = (
        each.replace("postgresql:", "postgresql+asyncpg:") for each in (url, replica.url_of(url))
    )
    return Database(
        EngineOptions(address, there, pool_timeout=LIMIT, read_timeout=0.3, max_reads_per_user=1)
    )
