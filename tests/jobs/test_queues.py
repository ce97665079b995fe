"""Shows that tasks of users never occupy every slot of a worker."""

from typing import Any

import pytest
from sqlalchemy import update

from backstay.composition import Backstay
from backstay.core.jobs import TASK_QUEUE
from backstay.jobs.tables import Job
from backstay.testing.waiting import eventually
from tests.features.steps import execute
from tests.jobs.sample_jobs import Enlist, Order
from tests.jobs.steps import UserSender, at_work, drain, job, jobs

pytestmark = pytest.mark.anyio


async def long_tasks(captain: UserSender, count: int) -> None:
    for _ in range(count):
        await captain(Enlist())
    await execute(captain.backstay, update(Job).values(queue=TASK_QUEUE))


async def becomes_busy(backstay: Backstay, count: int) -> None:
    """Wait until this many tasks run."""

    async def ask() -> bool:
        return await running(backstay) == count

    await eventually(ask)


async def running(backstay: Backstay) -> int:
    rows = await jobs(backstay)
    return sum(row.queue == TASK_QUEUE and row.state == "running" for row in rows)


@pytest.mark.parametrize("queues", [None, ["default", TASK_QUEUE]])
async def test_tasks_leave_a_slot_to_everything_else(
    ships: Backstay, captain: UserSender, queues: list[str] | None
) -> None:
    await long_tasks(captain, 4)
    async with at_work(ships, queues=queues, concurrency=3):
        await becomes_busy(ships, 2)
        for word in "abc":
            (other,) = await captain(Order(words=(word,)))

            async def is_done(other: Any = other) -> bool:
                return (await job(ships, other)).finished_at is not None

            await eventually(is_done)
        assert await running(ships) == 2


@pytest.mark.parametrize("concurrency", [1, 2])
async def test_a_worker_for_tasks_alone_gives_them_every_slot(
    ships: Backstay, captain: UserSender, concurrency: int
) -> None:
    await long_tasks(captain, 3)
    async with at_work(ships, queues=[TASK_QUEUE], concurrency=concurrency):
        await becomes_busy(ships, concurrency)


async def test_a_worker_with_one_slot_takes_tasks_last(
    ships: Backstay, captain: UserSender
) -> None:
    await captain(Order(words=("task",), queue=TASK_QUEUE))
    await captain(Order(words=("mail", "post")))
    assert await drain(ships, concurrency=1) == 3
    done = sorted(await jobs(ships), key=lambda row: row.finished_at)
    assert [row.result for row in done] == ["mail", "post", "task"]
