"""Shows that workers elsewhere are told of jobs, and that nothing depends on their being told."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from aio_pika import ExchangeType
from sqlalchemy import text, update

from backstay.adapters import wakeups_broker
from backstay.composition import Backstay, compose
from backstay.core.patience import Pace
from backstay.core.shift import shift
from backstay.core.worker import Worker
from backstay.db.job_store import NOW
from backstay.db.jobs import Job
from backstay.features.tasks.commands import RetryTask
from tests.conftest import settings_with
from tests.features.steps import execute, needs
from tests.jobs.fleet import Order
from tests.jobs.steps import Captain, eventually, words
from tests.services.nats import NatsServer
from tests.services.valkey import ValkeyServer

pytestmark = pytest.mark.anyio

DEAF = Pace(lease=60, beat=1, poll=60, idle=60)
"""Whoever has this pace finds nothing in time by itself."""
QUICK = replace(DEAF, poll=0.1)

Broker = ValkeyServer | NatsServer
Elsewhere = Callable[[Pace], AbstractAsyncContextManager[Backstay]]


@pytest.fixture
def elsewhere(ships: Backstay, tmp_path: Path) -> Elsewhere:
    """A worker that shares nothing with the application but its database and broker."""

    @asynccontextmanager
    async def at_work(pace: Pace) -> AsyncIterator[Backstay]:
        other = compose(ships.settings, ships.features)
        place = replace(other.workplace, pace=pace, schedule=())
        async with shift(place, Worker(place), grace=1):
            yield other
        await other.close()

    return at_work


async def is_told(backstay: Backstay) -> bool:
    return all(wakeups.is_healthy for wakeups in backstay.workplace.outbox.wakeups)


def told(backstay: Backstay) -> Callable[[], Awaitable[bool]]:
    return lambda: is_told(backstay)


def untold(backstay: Backstay) -> Callable[[], Awaitable[bool]]:
    async def ask() -> bool:
        return not await is_told(backstay)

    return ask


async def ran(backstay: Backstay, count: int) -> None:
    async def all_there() -> bool:
        return len(await words(backstay)) == count

    await eventually(all_there)


class TestPostgres:
    @pytest.fixture
    def database_kind(self) -> str:
        return "postgresql"

    async def test_a_commit_calls_workers_elsewhere(
        self, ships: Backstay, captain: Captain, elsewhere: Elsewhere
    ) -> None:
        async with elsewhere(DEAF) as other:
            await eventually(told(other))
            await asyncio.sleep(0.2)
            await captain(Order(words=("a",)))
            await ran(ships, 1)

    @needs("tasks")
    async def test_repeating_a_job_calls_workers_elsewhere(
        self, ships: Backstay, captain: Captain, elsewhere: Elsewhere
    ) -> None:
        (job_id,) = await captain(Order(words=("a",)))
        await execute(ships, update(Job).values(state="failed", finished_at=NOW))
        async with elsewhere(DEAF) as other:
            await eventually(told(other))
            await asyncio.sleep(0.2)
            await ships.system(RetryTask(id=job_id))
            await ran(ships, 1)

    async def test_a_connection_that_was_cut_is_made_anew(
        self, ships: Backstay, captain: Captain, elsewhere: Elsewhere
    ) -> None:
        async with elsewhere(DEAF) as other:
            await eventually(told(other))
            cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name ="
            await execute(ships, text(f"{cut} 'backstay jobs' AND datname = current_database()"))
            await eventually(untold(other))
            await captain(Order(words=("a",)))
            await eventually(told(other))
            await ran(ships, 1)


class TestBroker:
    @pytest.fixture
    def database_kind(self) -> str:
        return "sqlite"

    @pytest.fixture(params=["valkey", "nats"])
    def broker(self, request: pytest.FixtureRequest) -> Iterator[Broker]:
        if request.param == "valkey":
            yield request.getfixturevalue("valkey")
            return
        with NatsServer() as server:
            yield server

    @pytest.fixture
    async def ships(
        self, ships: Backstay, broker: Broker, tmp_path: Path
    ) -> AsyncIterator[Backstay]:
        url = f"sqlite:///{tmp_path}/test.db"
        settings = settings_with(url, tmp_path, QUEUE_URL=broker.url)
        backstay = compose(settings, ships.features)
        yield backstay
        await backstay.close()

    async def test_ids_call_workers_elsewhere(
        self, ships: Backstay, captain: Captain, elsewhere: Elsewhere
    ) -> None:
        async with elsewhere(DEAF) as other:
            await eventually(told(other))
            await asyncio.sleep(0.2)
            await captain(Order(words=("a", "b")))
            await ran(ships, 2)

    async def test_each_of_several_workers_is_called(
        self, ships: Backstay, captain: Captain, elsewhere: Elsewhere
    ) -> None:
        async with elsewhere(DEAF) as one, elsewhere(DEAF) as two:
            bells = [worker.workplace.outbox.bell.hung() for worker in (one, two)]
            for worker in (one, two):
                await eventually(told(worker))
            await asyncio.sleep(0.2)
            for bell in bells:
                bell.clear()
            await captain(Order(words=("a",)))
            for bell in bells:
                await asyncio.wait_for(bell.wait(), 10)

    async def test_a_broker_that_is_away_costs_no_request_and_loses_no_job(
        self,
        ships: Backstay,
        captain: Captain,
        elsewhere: Elsewhere,
        broker: Broker,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(wakeups_broker, "REST_SECONDS", 0.2)
        async with elsewhere(QUICK) as other:
            await eventually(told(other))
            broker.kill()
            try:
                await eventually(untold(other))
                started = monotonic()
                await captain(Order(words=("a", "b", "c")))
                assert monotonic() - started < 1
                await ran(ships, 3)
            finally:
                broker.start()
            await eventually(told(other))
            await captain(Order(words=("d",)))
            await ran(ships, 4)

    async def test_a_frozen_broker_costs_no_request(
        self, ships: Backstay, captain: Captain, broker: Broker
    ) -> None:
        with broker.frozen():
            started = monotonic()
            for word in "abc":
                await captain(Order(words=(word,)))
            assert monotonic() - started < 1


def test_at_rabbitmq_each_worker_has_a_queue_that_gets_every_id() -> None:
    brokers: list[Any] = [wakeups_broker._broker("amqp://127.0.0.1") for _ in range(2)]
    assert {each._exchange.type for each in brokers} == {ExchangeType.FANOUT}
    assert len({each._exchange.name for each in brokers}) == 1
    queues = [queue for each in brokers for queue in each._task_queues]
    assert len({queue.name for queue in queues}) == len(queues) == 2
    assert all(queue.arguments["x-expires"] for queue in queues)
