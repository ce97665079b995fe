"""Commands by which operators run jobs again and cancel them."""

from uuid import UUID

from sqlalchemy import select

from backstay.core.bus import handles
from backstay.core.errors import NotFound
from backstay.core.messages import Command
from backstay.core.permissions import SYSTEM_ONLY
from backstay.db.session import Transaction
from backstay.features.system.schemas import JobSummary
from backstay.jobs.outbox import Jobs
from backstay.jobs.statements import NOW
from backstay.jobs.tables import Job, JobNotOver, JobOver


class RetryJob(Command[JobSummary]):
    """Run a job again that failed or was cancelled, of whatever kind."""

    permission = SYSTEM_ONLY

    id: UUID


@handles(RetryJob)
async def retry_job(command: RetryJob, session: Transaction, jobs: Jobs) -> JobSummary:
    job = await _locked(command.id, session)
    if not job.may_run_again:
        raise JobNotOver(f"It is {job.state}: only one that failed or was cancelled runs again.")
    job.run_again((await session.execute(select(NOW))).scalar_one())
    await session.flush()
    await jobs.wake(job.id)
    return JobSummary.model_validate(job)


class CancelJob(Command[JobSummary]):
    """Cancel a job of whatever kind; one that runs is stopped within seconds."""

    permission = SYSTEM_ONLY

    id: UUID


@handles(CancelJob)
async def cancel_job(command: CancelJob, session: Transaction) -> JobSummary:
    job = await _locked(command.id, session)
    if job.finished_at is not None:
        raise JobOver(f"It is {job.state} already.")
    job.cancel((await session.execute(select(NOW))).scalar_one())
    await session.flush()
    return JobSummary.model_validate(job)


async def _locked(job_id: UUID, session: Transaction) -> Job:
    found = await session.execute(select(Job).where(Job.id == job_id).with_for_update())
    if (job := found.scalar_one_or_none()) is None:
        raise NotFound(f"There is no job {job_id}.")
    return job
