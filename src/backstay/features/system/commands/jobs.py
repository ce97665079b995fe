"""Commands that run jobs again and cancel them, whatever their kind."""

from uuid import UUID

from sqlalchemy import select

from backstay.core.bus import handles
from backstay.core.errors import NotFound
from backstay.core.messages import Command, FromPath
from backstay.core.permissions import PermissionSpec
from backstay.core.principal import Grant, Principal
from backstay.db.session import Transaction
from backstay.features.system.queries.jobs import reached
from backstay.features.system.schemas.jobs import JobSummary
from backstay.jobs.outbox import Jobs
from backstay.jobs.statements import NOW
from backstay.jobs.tables import Job, JobNotOver, JobOver


class RetryJob(Command[JobSummary]):
    """Run a job again that failed or was cancelled, of whatever kind, as whom it ran as."""

    permission = PermissionSpec("jobs", "retry", description="Run jobs of every kind again")

    id: FromPath[UUID]


@handles(RetryJob)
async def retry_job(
    command: RetryJob, session: Transaction, jobs: Jobs, principal: Principal, grant: Grant
) -> JobSummary:
    job = await _locked(command.id, session, principal, grant)
    if not job.may_run_again:
        raise JobNotOver(f"It is {job.state}: only one that failed or was cancelled runs again.")
    job.run_again((await session.execute(select(NOW))).scalar_one())
    await session.flush()
    await jobs.wake(job.id)
    return JobSummary.model_validate(job)


class CancelJob(Command[JobSummary]):
    """Cancel a job of whatever kind; one that runs is stopped within seconds."""

    permission = PermissionSpec("jobs", "cancel", description="Cancel jobs of every kind")

    id: FromPath[UUID]


@handles(CancelJob)
async def cancel_job(
    command: CancelJob, session: Transaction, principal: Principal, grant: Grant
) -> JobSummary:
    job = await _locked(command.id, session, principal, grant)
    if job.finished_at is not None:
        raise JobOver(f"It is {job.state} already.")
    job.cancel((await session.execute(select(NOW))).scalar_one())
    await session.flush()
    return JobSummary.model_validate(job)


async def _locked(job_id: UUID, session: Transaction, principal: Principal, grant: Grant) -> Job:
    which = reached(job_id, principal, grant)
    found = await session.execute(select(Job).where(*which).with_for_update())
    if (job := found.scalar_one_or_none()) is None:
        raise NotFound(f"There is no job {job_id}.")
    return job
