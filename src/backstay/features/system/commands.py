"""Commands that remove rows which are no longer needed, and what operators do with jobs."""

from datetime import timedelta
from uuid import UUID

import structlog
from pydantic import Field
from sqlalchemy import or_, select

from backstay.core.bus import handles
from backstay.core.clock import first_id_at
from backstay.core.context import ActivityNote, Origin
from backstay.core.errors import NotFound
from backstay.core.idempotency import KEPT
from backstay.core.jobs import JobState
from backstay.core.messages import Command
from backstay.core.permissions import SYSTEM_ONLY
from backstay.core.ports import Clock
from backstay.db.activity import Activity
from backstay.db.base import SecondsFromNow
from backstay.db.idempotency import StoredAnswer
from backstay.db.maintenance import MaintenanceSwitch
from backstay.db.session import Transaction
from backstay.features.system.schemas import JobSummary
from backstay.jobs.outbox import Jobs, Outbox
from backstay.jobs.purging import Purge
from backstay.jobs.store import NOW
from backstay.jobs.tables import UNFINISHED, Job, JobNotOver, JobOver
from backstay.settings import LogSettings

DAY = 86_400.0
MONTH = 30 * 86_400
"""Seconds: the longest maintenance that ends by itself."""
log = structlog.get_logger("backstay.jobs")


class PurgeActivity(Command[bool]):
    """Remove rows of the audit trail after ``LOG_ACTIVITY_DAYS``; whether more may be left.

    Ids sort by time, so the index of the primary key finds the oldest.
    """

    permission = SYSTEM_ONLY


@handles(PurgeActivity)
async def purge_activity(
    command: PurgeActivity, clock: Clock, log: LogSettings, note: ActivityNote, purge: Purge
) -> bool:
    if not log.activity_days:
        note.skip()
        return False
    end = first_id_at(clock() - timedelta(days=log.activity_days))
    return await purge(Activity, Activity.id < end, oldest=Activity.id)


class PurgeJobs(Command[bool]):
    """Remove jobs a week after their end, failed ones after a month; whether more may be left.

    An unfinished job fails when no worker has known its command for a day.
    """

    permission = SYSTEM_ONLY


@handles(PurgeJobs)
async def purge_jobs(
    command: PurgeJobs, purge: Purge, session: Transaction, outbox: Outbox
) -> bool:
    unknown = await session.update_where(
        Job,
        UNFINISHED,
        Job.due_at < SecondsFromNow(-DAY),
        Job.name.not_in(list(outbox.commands)),
        state=JobState.FAILED.value,
        finished_at=NOW,
        error_code="jobs.unknown",
        error="No worker has known its command for a day.",
    )
    if unknown:
        log.warning("jobs failed whose commands nobody knows", count=unknown)
    week, month = SecondsFromNow(-7 * DAY), SecondsFromNow(-30 * DAY)
    is_over = or_(Job.state != JobState.FAILED.value, Job.finished_at < month)
    return await purge(Job, Job.finished_at < week, is_over, oldest=Job.finished_at)


class PurgeIdempotencyKeys(Command[bool]):
    """Remove stored answers that are too old to be sent again; whether more may be left."""

    permission = SYSTEM_ONLY


@handles(PurgeIdempotencyKeys)
async def purge_idempotency_keys(command: PurgeIdempotencyKeys, clock: Clock, purge: Purge) -> bool:
    over = StoredAnswer.created_at <= clock() - KEPT
    return await purge(StoredAnswer, over, oldest=StoredAnswer.created_at)


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


class BeginMaintenance(Command[None]):
    """Refuse the commands of requests, and let jobs pause, until the end or for ``seconds``.

    Clients read the ``reason``. If it is on already, only why and how long change.
    """

    permission = SYSTEM_ONLY
    allowed_in_maintenance = True

    reason: str = Field(default="", max_length=500)
    seconds: int | None = Field(default=None, ge=1, le=MONTH)


@handles(BeginMaintenance)
async def begin_maintenance(
    command: BeginMaintenance, switch: MaintenanceSwitch, origin: Origin
) -> None:
    await switch.on(command.reason, origin.operator, command.seconds)


class EndMaintenance(Command[bool]):
    """Carry out commands and jobs again; whether maintenance was on."""

    permission = SYSTEM_ONLY
    allowed_in_maintenance = True


@handles(EndMaintenance)
async def end_maintenance(command: EndMaintenance, switch: MaintenanceSwitch) -> bool:
    return await switch.off()
