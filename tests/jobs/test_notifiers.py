"""Shows that workers of other processes are notified of jobs, and that polling would suffice."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aio_pika import ExchangeType
from sqlalchemy import text, update

from backstay.composition import Backstay, compose
from backstay.db import listener as listener_module
from backstay.features.tasks.commands import RetryTask
from backstay.jobs import notify
from backstay.jobs.statements import NOW
from backstay.jobs.tables import Job
from backstay.testing import settings_with
from backstay.testing.waiting import LIMIT, eventually
from tests.features.steps import execute, hears, needs
from tests.jobs.sample_jobs import Order
from tests.jobs.steps import NO_POLLING, ObservedWorker, Timing, UserSender, words
from tests.patient import PATIENT
from tests.services.nats import NatsServer
from tests.services.valkey import ValkeyServer

pytestmark = pytest.mark.anyio

LISTENERS = text(
    "SELECT pid FROM pg_stat_activity"
    " WHERE application_name ~ 'listener|jobs' AND datname = current_database()"
)
Broker = ValkeyServer | NatsServer
Elsewhere = Callable[[Timing], AbstractAsyncContextManager[ObservedWorker]]


@pytest.fixture
def elsewhere(ships: Backstay) -> Elsewhere:
    """A worker that shares only the database and the broker with the application."""

    @asynccontextmanager
    async def at_work(timing: Timing) -> AsyncIterator[ObservedWorker]:
        other = compose(ships.settings, ships.features)
        hired = ObservedWorker(replace(other.worker_context, schedule=(), **timing))
        try:
            async with hired.running(grace=1):
                yield hired
        finally:
            await other.close()

    return at_work


def is_told(hired: ObservedWorker) -> bool:
    return all(job_notifier.is_healthy for job_notifier in hired.place.outbox.job_notifiers)


async def told(hired: ObservedWorker) -> None:
    await eventually(lambda: is_told(hired))


async def asleep(hired: ObservedWorker) -> None:
    """Wait until the worker is idle and only a notification can wake it."""
    await eventually(lambda: is_told(hired) and hired.is_asleep)


async def ran(backstay: Backstay, count: int) -> None:
    async def all_there() -> bool:
        return len(await words(backstay)) == count

    await eventually(all_there)


class TestPostgres:
    @pytest.fixture
    def database_kind(self) -> str:
        return "postgresql"

    async def test_a_commit_notifies_workers_of_other_processes(
        self, ships: Backstay, captain: UserSender, elsewhere: Elsewhere
    ) -> None:
        async with elsewhere(NO_POLLING) as other:
            await asleep(other)
            await captain(Order(words=("a",)))
            await ran(ships, 1)

    @needs("tasks")
    async def test_repeating_a_job_notifies_workers_of_other_processes(
        self, ships: Backstay, captain: UserSender, elsewhere: Elsewhere
    ) -> None:
        (job_id,) = await captain(Order(words=("a",)))
        await execute(ships, update(Job).values(state="failed", finished_at=NOW))
        async with elsewhere(NO_POLLING) as other:
            await asleep(other)
            await ships.system(RetryTask(id=job_id))
            await ran(ships, 1)

    async def test_jobs_and_principals_share_one_listening_connection(
        self, ships: Backstay
    ) -> None:
        await ships.start()
        hired = ObservedWorker(replace(ships.worker_context, schedule=()))
        async with hired.running(grace=1):
            await told(hired)
            await hears(ships)
            found = await execute(ships, LISTENERS)
            assert len(found.all()) == 1

    async def test_a_lost_connection_is_reopened(
        self,
        ships: Backstay,
        captain: UserSender,
        elsewhere: Elsewhere,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(listener_module, "BEAT_SECONDS", 0.05)
        async with elsewhere(NO_POLLING) as other:
            await asleep(other)
            notifier = other.place.outbox.subscribe()
            cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name ="
            await execute(
                ships, text(f"{cut} 'backstay listener' AND datname = current_database()")
            )
            await asyncio.wait_for(notifier.wait(), LIMIT)
            await captain(Order(words=("a",)))
            await ran(ships, 1)
            await asleep(other)
            await captain(Order(words=("b",)))
            await ran(ships, 2)


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
        settings = settings_with(url, tmp_path, QUEUE_URL=broker.url, **PATIENT)
        backstay = compose(settings, ships.features)
        yield backstay
        await backstay.close()

    @pytest.fixture
    def patient(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Raise the timeout of the broker, so that a busy broker is not taken for unreachable."""
        monkeypatch.setattr(notify, "PATIENCE", 10 * LIMIT)

    @pytest.mark.usefixtures("patient")
    async def test_job_ids_notify_workers_of_other_processes(
        self, ships: Backstay, captain: UserSender, elsewhere: Elsewhere
    ) -> None:
        async with elsewhere(NO_POLLING) as other:
            count = await enqueue_until_heard(captain, other)
            await ran(ships, count)
            await asleep(other)
            await captain(Order(words=("a", "b")))
            await ran(ships, count + 2)

    @pytest.mark.usefixtures("patient")
    async def test_each_of_several_workers_is_notified(
        self, ships: Backstay, captain: UserSender, elsewhere: Elsewhere
    ) -> None:
        async with elsewhere(NO_POLLING) as one, elsewhere(NO_POLLING) as two:
            await ran(
                ships,
                await enqueue_until_heard(captain, one) + await enqueue_until_heard(captain, two),
            )
            notifiers = [each.place.outbox.subscribe() for each in (one, two)]
            await captain(Order(words=("a",)))
            for notifier in notifiers:
                await asyncio.wait_for(notifier.wait(), LIMIT)

    async def test_an_unreachable_broker_loses_no_job(
        self,
        ships: Backstay,
        captain: UserSender,
        elsewhere: Elsewhere,
        broker: Broker,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(notify, "REST_SECONDS", 0.2)
        monkeypatch.setattr(listener_module, "LAST_DELAY", 0.2)
        async with elsewhere(NO_POLLING | {"poll": 0.1}) as other:
            await told(other)
            broker.kill()
            try:
                await eventually(lambda: not is_told(other))
                await captain(Order(words=("a", "b", "c")))
                await ran(ships, 3)
            finally:
                broker.start()
            await told(other)
            await ran(ships, 3 + await enqueue_until_heard(captain, other))

    @pytest.mark.usefixtures("patient")
    @pytest.mark.parametrize("is_away", [False, True], ids=["frozen", "away"])
    async def test_a_hanging_broker_delays_no_request(
        self,
        ships: Backstay,
        captain: UserSender,
        broker: Broker,
        is_away: bool,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """No request waits for the broker: the wait would be longer than this test."""
        monkeypatch.setattr(notify, "REST_SECONDS", 10 * LIMIT)
        if is_away:
            broker.kill()
        with nullcontext() if is_away else broker.frozen():
            for word in "abc":
                await asyncio.wait_for(captain(Order(words=(word,))), LIMIT)
        if is_away:
            broker.start()


async def enqueue_until_heard(captain: UserSender, hired: ObservedWorker) -> int:
    """Enqueue jobs until a worker is notified, and so listens; the number of jobs.

    A healthy notifier may still miss jobs: brokers complete a subscription a moment later.
    """
    await told(hired)
    notifier, count = hired.place.outbox.subscribe(), 0

    async def is_heard() -> bool:
        nonlocal count
        count += 1
        await captain(Order(words=(f"called {count}",)))
        with suppress(TimeoutError):
            await asyncio.wait_for(notifier.wait(), count / 5)
        return notifier.is_set()

    await eventually(is_heard)
    return count


def test_on_rabbitmq_each_workers_queue_gets_every_id() -> None:
    brokers: list[Any] = [notify._broker("amqp://127.0.0.1") for _ in range(2)]
    assert {each._exchange.type for each in brokers} == {ExchangeType.FANOUT}
    assert len({each._exchange.name for each in brokers}) == 1
    queues = [queue for each in brokers for queue in each._task_queues]
    assert len({queue.name for queue in queues}) == len(queues) == 2
    assert all(queue.arguments["x-expires"] for queue in queues)
