"""What tests of jobs do again and again: enqueue as somebody, work, look at what became of it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import select, text, update

from backstay.composition import Backstay
from backstay.core.bus import Sender
from backstay.core.context import Origin
from backstay.core.messages import Message
from backstay.core.patience import Pace
from backstay.core.principal import Principal
from backstay.core.worker import Worker
from backstay.db.job_store import NOW
from backstay.db.jobs import Job
from tests.features.steps import execute

R = TypeVar("R")
BRISK = Pace(lease=1.0, beat=0.1, poll=0.05, idle=0.2, rest=0.1)
STEADY = replace(BRISK, lease=15.0)
"""For a busy machine, where a claim may take a moment."""
ORIGIN = Origin("request-1", "192.0.2.1", traceparent=f"00-{'a' * 32}-{'b' * 16}-01")


class Captain:
    """Sends messages as one user."""

    def __init__(self, backstay: Backstay, principal: Principal) -> None:
        self.backstay = backstay
        self.principal = principal

    async def __call__(self, message: Message[R]) -> R:
        return await Sender(self.backstay.buses, self.principal, ORIGIN)(message)


def worker(backstay: Backstay, pace: Pace = BRISK, **options: Any) -> Worker:
    """A worker that hurries."""
    return Worker(replace(backstay.workplace, pace=pace), **options)


async def drain(backstay: Backstay, pace: Pace = STEADY, **options: Any) -> int:
    """Run what is ready now."""
    return await worker(backstay, pace, **options).drain()


async def drain_again(backstay: Backstay) -> int:
    """Run what waits for its next attempt, too."""
    await execute(backstay, update(Job).where(Job.finished_at.is_(None)).values(due_at=NOW))
    return await drain(backstay)


async def settle(backstay: Backstay) -> None:
    """Run what is new, whatever its delay, and what that leaves behind."""
    new = update(Job).where(Job.attempts == 0, Job.finished_at.is_(None)).values(due_at=NOW)
    await execute(backstay, new)
    while await drain(backstay):
        await execute(backstay, new)


async def eventually(ask: Callable[[], Awaitable[Any]], *, seconds: float = 10) -> None:
    """Wait until the answer is true."""
    for _ in range(int(seconds / 0.05)):
        if await ask():
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"not within {seconds} s")


async def becomes(backstay: Backstay, job_id: UUID, state: str, *, seconds: float = 10) -> None:
    """Wait until a job is in this state."""

    async def is_it() -> bool:
        return bool((await job(backstay, job_id)).state == state)

    await eventually(is_it, seconds=seconds)


async def job(backstay: Backstay, job_id: UUID) -> Any:
    """The row of a job."""
    return (await execute(backstay, select(*Job.__table__.columns).where(Job.id == job_id))).one()


async def jobs(backstay: Backstay) -> Sequence[Any]:
    """The rows of all jobs, oldest first."""
    statement = select(*Job.__table__.columns).order_by(Job.position)
    return (await execute(backstay, statement)).all()


async def words(backstay: Backstay) -> list[str]:
    """What was left in the table, sorted."""
    found = await execute(backstay, text("SELECT word FROM voyages ORDER BY word"))
    return [row.word for row in found]
