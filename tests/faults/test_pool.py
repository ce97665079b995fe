"""Shows that a busy database is reported as busy, for as long as it is."""

import asyncio
import threading
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import anyio
import asyncpg
import httpx
import pytest
from sqlalchemy import event

from backstay.testing.waiting import LIMIT, eventually
from backstay.web import errors
from tests.faults.conftest import Running
from tests.features.steps import API, ME, needs
from tests.files import look_into
from tests.logs import logged
from tests.web.problems import problem

pytestmark = [pytest.mark.anyio, needs("items"), needs("system")]


@pytest.fixture
def pool_timeout() -> float:
    """Seconds; opening a connection on a busy machine must fit in, too."""
    return 1.0


@pytest.fixture
def variables(pool_timeout: float, database_kind: str) -> dict[str, str]:
    """Two connections to read; on PostgreSQL two to write; three in all."""
    return {
        "DB_MAX_CONNECTIONS": "2" if database_kind == "sqlite" else "5",
        "DB_MIN_CONNECTIONS": "1",
        "DB_POOL_TIMEOUT": str(pool_timeout),
    }


def busy(answer: httpx.Response) -> None:
    problem(answer, 503, "db_unavailable")
    assert int(answer.headers["retry-after"]) >= 1


async def test_writes_without_a_free_connection_are_503_with_retry_after(
    running: Running, pool_timeout: float
) -> None:
    backstay = running.backstay
    async with AsyncExitStack() as held:
        for _ in range(1 if backstay.settings.db.is_sqlite else 2):
            connection = backstay.database.writer.connect()
            held.push_async_callback((await connection).close)
        with logged(errors) as logs:
            busy(await running.create())
        (told,) = logs
        assert told["event"] == "unavailable"
        assert f"connection timed out, timeout {pool_timeout:.2f}" in told["reason"]
        assert "exc_info" not in told
        assert (await running.client.get(f"{API}/items")).status_code == 200
        assert (await running.client.get("/livez")).status_code == 200
    assert (await running.create()).status_code == 201
    assert await running.titles() == ["Sextant"]


async def test_reads_without_a_free_connection_are_503_with_retry_after(running: Running) -> None:
    backstay = running.backstay
    async with AsyncExitStack() as held:
        for _ in range(2):
            connection = backstay.database.read_engine.connect()
            held.push_async_callback((await connection).close)
        busy(await running.client.get(f"{API}/items"))
        backstay.principals.forget_all()
        paths = (ME, "/livez", "/health", "/readyz")
        me, alive, health, ready = await asyncio.gather(*map(running.client.get, paths))
        busy(me)
        assert [each.status_code for each in (alive, health, ready)] == [200, 200, 200]
    assert (await running.client.get(f"{API}/items")).status_code == 200
    assert (await running.client.get("/health")).status_code == 200


@pytest.mark.parametrize("database_kind", ["postgresql"])
@pytest.mark.parametrize("pool_timeout", [LIMIT])
async def test_a_server_whose_requests_wait_for_a_lock_is_ready(
    running: Running, seeded_url: str
) -> None:
    budget = running.backstay.database.budget
    other = await asyncpg.connect(seeded_url)
    async with other.transaction():
        await other.execute("LOCK TABLE items")
        waiting = [asyncio.create_task(running.create(f"{number}")) for number in range(9)]
        listing = asyncio.create_task(running.titles())
        await eventually(lambda: sum(pool.checkedout() for pool in budget.pools) == 3)
        assert (await running.client.get("/readyz")).status_code == 200
        assert (await running.client.get("/health")).json()["checks"]["database"] == "ok"
        assert not any(each.done() for each in (*waiting, listing))
    await other.close()
    assert {(await each).status_code for each in waiting} == {201}
    await listing


@pytest.mark.parametrize("database_kind", ["postgresql"])
@pytest.mark.parametrize("pool_timeout", [LIMIT])
async def test_a_server_opens_no_more_connections_than_it_may(
    running: Running, seeded_url: str
) -> None:
    """The listeners' connections and that of the probes are included."""
    observer = await asyncpg.connect(seeded_url)
    opened = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    asked = [running.client.get(path) for path in (f"{API}/items", ME, "/readyz") for _ in range(9)]
    work = asyncio.gather(*asked, *(running.create(f"{number}") for number in range(9)))
    seen = {await observer.fetchval(opened)}
    while not work.done():
        seen.add(await observer.fetchval(opened))
    assert {answer.status_code for answer in await work} == {200, 201}
    assert max(seen) <= 6
    budget = running.backstay.database.budget
    budget.idle_seconds = budget.tick_seconds = 0.0

    async def has_shrunk() -> bool:  # to one for requests, one that listens, one for probes
        return bool(await observer.fetchval(opened) == 3)

    budget.tick()
    await eventually(has_shrunk)
    await observer.close()


@pytest.mark.parametrize("pool_timeout", [LIMIT])
async def test_metrics_count_connections_in_use_and_waiting_requests(running: Running) -> None:
    async def told() -> dict[str, float]:
        lines = (await running.client.get("/metrics")).text.splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if line.startswith("backstay_db_"))
        return {name.removeprefix("backstay_db_"): float(value) for name, value in pairs}

    async def waits() -> bool:
        return (await told())['connections_waiting{pool="writer"}'] == 1

    async def rests() -> bool:
        return (await told())[used] == 0

    used, idle = (f'connections{{pool="writer",state="{each}"}}' for each in ("in_use", "idle"))
    is_sqlite = running.backstay.settings.db.is_sqlite
    writers = 1 if is_sqlite else 2
    async with AsyncExitStack() as held:
        for _ in range(writers):
            connection = running.backstay.database.writer.connect()
            held.push_async_callback((await connection).close)
        creating = asyncio.create_task(running.create())
        await eventually(waits)
        during = await told()
    assert (await creating).status_code == 201
    await eventually(rests)  # the server writes for itself, too
    after = await told()
    assert (during[used], during[idle]) == (writers, 0)
    assert after[idle] == writers
    assert after['connections_budget{server="primary"}'] == 3
    assert after['connection_wait_seconds_count{pool="writer"}'] >= 1
    assert after['connections_waiting{pool="writer"}'] == 0


async def test_many_requests_at_once_succeed_or_are_refused_without_loss(running: Running) -> None:
    answers: list[httpx.Response] = []

    async def one(number: int) -> None:
        answers.append(await running.create(f"{number}"))

    running.backstay.principals.forget_all()
    async with anyio.create_task_group() as group:
        for number in range(30):
            group.start_soon(one, number)
    statuses = Counter(answer.status_code for answer in answers)
    assert set(statuses) <= {201, 503}
    created = {answer.json()["title"] for answer in answers if answer.status_code == 201}
    listed = await running.client.get(f"{API}/items", params={"per_page": 100})
    assert {item["title"] for item in listed.json()["items"]} == created
    assert created


@pytest.mark.parametrize("database_kind", ["sqlite"])
async def test_a_file_locked_by_another_process_is_busy(running: Running, tmp_path: Path) -> None:
    with look_into(tmp_path / "test.db") as other:
        other.execute("BEGIN IMMEDIATE")
        busy(await running.create())
        assert (await running.client.get(f"{API}/items")).status_code == 200
        other.execute("ROLLBACK")


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize("pool_timeout", [LIMIT])
async def test_a_write_to_a_busy_file_waits(running: Running, tmp_path: Path) -> None:
    begun = threading.Event()
    engine = running.backstay.database.writer.sync_engine

    def note(*_: object) -> None:
        begun.set()

    event.listen(engine, "before_cursor_execute", note)
    with look_into(tmp_path / "test.db") as other:
        other.execute("BEGIN IMMEDIATE")
        writing = asyncio.ensure_future(running.create("Waited"))
        await eventually(begun.is_set)
        other.execute("ROLLBACK")
    assert (await writing).status_code == 201
    assert await running.titles() == ["Waited"]
