"""Steps for tests of jobs: send as a user, run workers, look at the rows."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import select, text, update

from backstay.composition import Backstay
from backstay.core.context import Origin, Sender
from backstay.core.messages import Message
from backstay.core.principal import Principal
from backstay.jobs.context import WorkerContext
from backstay.jobs.statements import NOW
from backstay.jobs.tables import Job
from backstay.jobs.worker import Worker
from backstay.testing.waiting import LIMIT, eventually
from tests.features.steps import execute

R = TypeVar("R")
Timing = dict[str, Any]
"""Intervals of a worker, by their names in its context."""
FAST_POLLING: Timing = {"lease": 10 * LIMIT, "beat": 0.1, "poll": 0.05, "idle": 0.2, "rest": 0.1}
"""Polls often; long leases and timeouts, so that a busy machine causes no failures."""
NO_POLLING = FAST_POLLING | {"poll": 10 * LIMIT, "idle": 10 * LIMIT}
"""Polls so rarely that a worker finds jobs only when it is notified."""
ORIGIN = Origin("request-1", "192.0.2.1", traceparent=f"00-{'a' * 32}-{'b' * 16}-01")


class UserSender:
    """Sends messages as one user."""

    def __init__(self, backstay: Backstay, principal: Principal) -> None:
        self.backstay = backstay
        self.principal = principal

    async def __call__(self, message: Message[R]) -> R:
        return await Sender(self.backstay.bus.send, self.principal, ORIGIN)(message)


class ObservedWorker(Worker):
    """A worker that shows whether it waits for jobs."""

    _waits = False

    @property
    def place(self) -> WorkerContext:
        """The worker's context."""
        return self._place

    @property
    def is_asleep(self) -> bool:
        """Whether it has found no job and waits for a notification or its next poll."""
        return self._waits and not self._called.is_set()

    async def _wait(self) -> None:
        self._waits = True
        await super()._wait()
        self._waits = False


def worker(backstay: Backstay, timing: Timing = FAST_POLLING, **options: Any) -> ObservedWorker:
    """A worker with fast polling."""
    return ObservedWorker(replace(backstay.worker_context, **timing), **options)


@asynccontextmanager
async def at_work(
    backstay: Backstay, timing: Timing = FAST_POLLING, **options: Any
) -> AsyncIterator[ObservedWorker]:
    """A worker that runs within the block; it releases unfinished jobs at the end."""
    busy = worker(backstay, timing, **options)
    working = asyncio.create_task(busy.work())
    try:
        yield busy
    finally:
        busy.stop(grace=0)
        await working


async def drain(backstay: Backstay, timing: Timing = FAST_POLLING, **options: Any) -> int:
    """Run the jobs that are due; the number of jobs run."""
    return await worker(backstay, timing, **options).drain()


async def drain_again(backstay: Backstay) -> int:
    """Run also the jobs that wait for their next attempt."""
    await execute(backstay, update(Job).where(Job.finished_at.is_(None)).values(due_at=NOW))
    return await drain(backstay)


async def becomes(backstay: Backstay, job_id: UUID, state: str) -> None:
    """Wait until a job is in this state."""

    async def is_it() -> bool:
        return bool((await job(backstay, job_id)).state == state)

    await eventually(is_it)


async def let_pass(backstay: Backstay, job_id: UUID, seconds: float) -> None:
    """Move the time at which a job is due, or its lease ends, this many seconds nearer."""
    due = (await job(backstay, job_id)).due_at - timedelta(seconds=seconds)
    await execute(backstay, update(Job).where(Job.id == job_id).values(due_at=due))


async def job(backstay: Backstay, job_id: UUID) -> Any:
    """The row of a job."""
    return (await execute(backstay, select(*Job.__table__.columns).where(Job.id == job_id))).one()


async def jobs(backstay: Backstay) -> Sequence[Any]:
    """The rows of all jobs, oldest first."""
    statement = select(*Job.__table__.columns).order_by(Job.position)
    return (await execute(backstay, statement)).all()


async def words(backstay: Backstay) -> list[str]:
    """The words in the table `voyages`, sorted."""
    found = await execute(backstay, text("SELECT word FROM voyages ORDER BY word"))
    return [row.word for row in found]
