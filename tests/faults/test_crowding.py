"""Shows that slow requests of one user are ended, and leave connections for other users."""

import asyncio
import sys
import threading
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from fastapi import FastAPI
from sqlalchemy import event, text

from backstay.composition import Backstay
from backstay.core.bus import handles
from backstay.core.context import Sender
from backstay.core.feature import Feature
from backstay.core.messages import Query, View
from backstay.core.permissions import PUBLIC, SYSTEM_ONLY
from backstay.db.session import Reader
from backstay.testing.waiting import LIMIT, eventually
from backstay.web import errors
from backstay.web.routes import Routes
from tests.features.steps import API, client_at
from tests.logs import logged
from tests.web.problems import problem

pytestmark = pytest.mark.anyio

ENDLESS = text("WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x FROM n) SELECT count(*) FROM n")
BLOCKED = text("SELECT pg_advisory_lock_shared(7)")
"""Blocks until the test releases it. The test defines the function on SQLite, too."""


class Found(View):
    count: int


class Search(Query[Found]):
    """A search that never ends by itself."""

    permission = PUBLIC


class Wait(Query[Found]):
    """Wait for a read that the application itself makes for the caller."""

    permission = PUBLIC


class WaitInside(Query[Found]):
    permission = SYSTEM_ONLY


class Pass(Query[Found]):
    """A quick read."""

    permission = PUBLIC


@handles(Search)
async def search(query: Search, reader: Reader) -> Found:
    return Found(count=await reader.scalar(ENDLESS))


@handles(Wait)
async def wait(query: Wait, send: Sender) -> Found:
    return await send.as_system()(WaitInside())


@handles(WaitInside)
async def wait_inside(query: WaitInside, reader: Reader) -> Found:
    await reader.rows(BLOCKED)
    return Found(count=1)


@handles(Pass)
async def go_past(query: Pass, reader: Reader) -> Found:
    return Found(count=await reader.scalar(text("SELECT 1")))


routes = Routes("/planted", tag="planted")
routes.get("/search", Search)
routes.get("/wait", Wait)
routes.get("/pass", Pass)


@pytest.fixture
def features(features: list[Feature]) -> list[Feature]:
    here = sys.modules[__name__]
    return [*features, Feature("planted", modules=(here,), routes=(routes,))]


@pytest.fixture
def variables() -> dict[str, str]:
    return {
        "DB_MAX_CONNECTIONS": "7",
        "DB_MAX_READS_PER_USER": "2",
        "DB_POOL_TIMEOUT": str(LIMIT),
        "DB_READ_TIMEOUT": "0.5",
    }


async def test_a_search_over_its_time_is_a_503_with_advice(
    app: FastAPI, backstay: Backstay
) -> None:
    async with client_at(app, "192.0.2.7") as client:
        with logged(errors) as logs:
            answers = await asyncio.gather(*(client.get(f"{API}/planted/search") for _ in range(5)))
        for answer in answers:
            body = problem(answer, 503, "db_timeout")
            assert "narrow the search" in body["detail"]
            assert int(answer.headers["retry-after"]) >= 1
        assert len(logs) == 5
        assert not any("exc_info" in told for told in logs)

        async def passes() -> bool:
            return (await client.get(f"{API}/planted/pass")).status_code == 200

        await eventually(passes)


class Gate:
    """Holds up every query that runs :data:`BLOCKED`, and counts them."""

    def __init__(self) -> None:
        self.waiting = 0
        self.may_pass = threading.Event()
        self.lock: asyncpg.Connection[asyncpg.Record] | None = None

    async def open(self) -> None:
        """Let every query pass from now on."""
        self.may_pass.set()
        if self.lock is not None:
            await self.lock.close()


@pytest.fixture
async def gate(backstay: Backstay) -> AsyncIterator[Gate]:
    gate, engine = Gate(), backstay.database.read_engine.sync_engine

    def count(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        gate.waiting += "pg_advisory_lock_shared" in statement

    def wait(_: int) -> int:
        gate.may_pass.wait()
        return 1

    def gated(connection: Any, _: Any) -> None:
        connection.create_function("pg_advisory_lock_shared", 1, wait)

    event.listen(engine, "before_cursor_execute", count)
    if backstay.settings.db.is_sqlite:
        await backstay.database.read_engine.dispose()
        event.listen(engine, "connect", gated)
    else:
        url = backstay.settings.db.sqlalchemy_url.replace("+asyncpg", "")
        gate.lock = await asyncpg.connect(url)
        await gate.lock.execute("SELECT pg_advisory_lock(7)")
    yield gate
    await gate.open()


class TestCrowd:
    @pytest.fixture
    def variables(self, variables: dict[str, str]) -> dict[str, str]:
        return variables | {"DB_READ_TIMEOUT": "300", "DB_STATEMENT_TIMEOUT": "0"}

    async def test_ten_reads_of_one_caller_leave_room_for_another(
        self, app: FastAPI, gate: Gate
    ) -> None:
        async with client_at(app, "192.0.2.7") as greedy, client_at(app, "192.0.2.8") as other:
            crowd = [asyncio.create_task(greedy.get(f"{API}/planted/wait")) for _ in range(10)]
            await eventually(lambda: gate.waiting == 2)
            for _ in range(3):
                assert (await other.get(f"{API}/planted/pass")).status_code == 200
            assert gate.waiting == 2
            assert not any(task.done() for task in crowd)
            await gate.open()
            answers = await asyncio.gather(*crowd)
        assert {answer.status_code for answer in answers} == {200}
        assert gate.waiting == 10
