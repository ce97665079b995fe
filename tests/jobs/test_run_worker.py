"""Shows that a running worker is waited for, even one that stops late, and reports a death."""

import asyncio
from dataclasses import replace

import pytest

from backstay.composition import Backstay
from backstay.jobs import timing
from backstay.jobs import worker as worker_module
from backstay.jobs.scheduler import Scheduler
from backstay.jobs.worker import Worker
from backstay.testing.waiting import LIMIT, eventually
from tests.logs import logged

pytestmark = pytest.mark.anyio


class SlowToStop(Worker):
    """Ignores the request to stop, and takes a moment when it is cancelled."""

    has_ended = False

    async def work(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            for _ in range(100):
                await asyncio.sleep(0)
            self.has_ended = True


@pytest.fixture
def database_kind() -> str:
    return "sqlite"


async def test_cancelled_tasks_end_before_the_connections_close(
    ships: Backstay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "PATIENCE", 0.0)
    monkeypatch.setattr(worker_module, "LAST_SECONDS", LIMIT)
    tick, has_looked = Scheduler.tick, asyncio.Event()

    async def look(scheduler: Scheduler) -> float:
        nap = await tick(scheduler)
        has_looked.set()
        return nap

    monkeypatch.setattr(Scheduler, "tick", look)
    place = replace(ships.worker_context, schedule=())
    worker = SlowToStop(place)
    async with worker.running(grace=0.0):
        await has_looked.wait()
    assert worker.has_ended


async def test_a_scheduler_that_dies_is_reported_at_once(
    ships: Backstay, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def die(scheduler: Scheduler) -> None:
        raise LookupError("the plan is gone")

    monkeypatch.setattr(Scheduler, "work", die)
    with logged(timing) as logs:
        async with SlowToStop(ships.worker_context).running(grace=0.0):
            await eventually(lambda: logs)
    (event,) = logs
    assert event["event"] == "no more jobs are run or scheduled here"
    assert isinstance(event["exc_info"], LookupError)
