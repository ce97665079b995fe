"""Shows that operators repeat and cancel jobs of every kind, on both databases."""

import asyncio
from uuid import UUID

import pytest
from sqlalchemy import update

from backstay.composition import Backstay
from backstay.core.clock import new_id
from backstay.core.errors import NotFound
from backstay.core.jobs import JobState
from backstay.core.listing import Equals
from backstay.features.system.commands.jobs import CancelJob, RetryJob
from backstay.features.system.queries.jobs import GetJob, ListJobs
from backstay.jobs.statements import NOW
from backstay.jobs.tables import Job, JobNotOver, JobOver
from tests.features.steps import execute
from tests.jobs.sample_jobs import Enlist, Order
from tests.jobs.steps import UserSender, at_work, becomes, drain


async def test_a_failed_job_runs_again_once_repeated(ships: Backstay, captain: UserSender) -> None:
    (job_id,) = await captain(Order(words=("north",)))
    dead = update(Job).values(state="failed", attempts=30, finished_at=NOW, error_code="jobs.lost")
    await execute(ships, dead)
    assert await drain(ships) == 0
    user_id = captain.principal.user_id
    asked = ListJobs(state=Equals[JobState](eq=JobState.FAILED), user_id=Equals[UUID](eq=user_id))
    (listed,) = (await ships.system(asked)).items
    assert (listed.id, listed.error_code) == (job_id, "jobs.lost")
    again = await asyncio.gather(
        *(ships.system(RetryJob(id=job_id)) for _ in range(9)), return_exceptions=True
    )
    assert sorted(type(each).__name__ for each in again) == [*["JobNotOver"] * 8, "JobSummary"]
    assert await drain(ships) == 1
    shown = await ships.system(GetJob(id=job_id))
    assert (shown.state, shown.attempts, shown.uncounted_attempts) == ("succeeded", 31, 30)


async def test_a_running_job_stops_when_it_is_cancelled(
    ships: Backstay, captain: UserSender
) -> None:
    job_id = await captain(Enlist())
    async with at_work(ships):
        await becomes(ships, job_id, "running")
        assert (await ships.system(CancelJob(id=job_id))).is_cancelled
        await becomes(ships, job_id, "cancelled")
    with pytest.raises(JobOver):
        await ships.system(CancelJob(id=job_id))


async def test_what_is_no_job_or_waits_is_refused(ships: Backstay, captain: UserSender) -> None:
    (job_id,) = await captain(Order(words=("north",)))
    with pytest.raises(JobNotOver, match="It is queued"):
        await ships.system(RetryJob(id=job_id))
    for message in (RetryJob, CancelJob):
        with pytest.raises(NotFound, match="There is no job"):
            await ships.system(message(id=new_id()))
