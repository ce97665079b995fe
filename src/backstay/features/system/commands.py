"""What the server does to itself."""

from datetime import timedelta

from sqlalchemy import or_, select

from backstay.core.bus import handles
from backstay.core.clock import first_id_at
from backstay.core.context import ActivityNote
from backstay.core.idempotency import KEPT
from backstay.core.jobs import JobState
from backstay.core.messages import SYSTEM_ONLY, Command
from backstay.core.outbox import Jobs
from backstay.core.ports import Clock
from backstay.db.activity import Activity
from backstay.db.idempotency import StoredAnswer
from backstay.db.jobs import Job
from backstay.db.now import SecondsFromNow
from backstay.db.queries import delete_where
from backstay.db.session import Transaction
from backstay.settings import LogSettings

BATCH = 1000
DAY = 86_400.0


class PurgeActivity(Command[bool]):
    """Remove the oldest rows of the audit trail once their time is over; whether more may be left.

    At most so many at once that nobody waits for it. Ids sort by time, so that only their index
    is looked at.
    """

    permission = SYSTEM_ONLY


@handles(PurgeActivity)
async def purge_activity(
    command: PurgeActivity,
    session: Transaction,
    clock: Clock,
    log: LogSettings,
    note: ActivityNote,
    jobs: Jobs,
) -> bool:
    purged = 0
    if log.activity_days:
        end = first_id_at(clock() - timedelta(days=log.activity_days))
        oldest = (
            select(Activity.id)
            .where(Activity.id < end)
            .order_by(Activity.id)
            .limit(BATCH)
            .with_for_update(skip_locked=True)
        )
        purged = await delete_where(session, Activity, Activity.id.in_(oldest))
    return await _went_on(command, purged, note, jobs)


class PurgeJobs(Command[bool]):
    """Remove jobs that ended a week ago, failed ones after a month; whether more may be left."""

    permission = SYSTEM_ONLY


@handles(PurgeJobs)
async def purge_jobs(
    command: PurgeJobs, session: Transaction, note: ActivityNote, jobs: Jobs
) -> bool:
    week, month = SecondsFromNow(-7 * DAY), SecondsFromNow(-30 * DAY)
    oldest = (
        select(Job.id)
        .where(
            Job.finished_at < week,
            or_(Job.state != JobState.FAILED.value, Job.finished_at < month),
        )
        .order_by(Job.finished_at)
        .limit(BATCH)
        .with_for_update(skip_locked=True)
    )
    purged = await delete_where(session, Job, Job.id.in_(oldest))
    return await _went_on(command, purged, note, jobs)


async def _went_on(command: Command[bool], purged: int, note: ActivityNote, jobs: Jobs) -> bool:
    """Whether a batch was full, so that another follows."""
    if not purged:
        note.skip()
    if purged == BATCH:
        await jobs.enqueue(command)
    return purged == BATCH


class PurgeIdempotencyKeys(Command[bool]):
    """Remove stored answers that are no longer given again; whether more may be left."""

    permission = SYSTEM_ONLY


@handles(PurgeIdempotencyKeys)
async def purge_idempotency_keys(
    command: PurgeIdempotencyKeys,
    session: Transaction,
    clock: Clock,
    note: ActivityNote,
    jobs: Jobs,
) -> bool:
    oldest = (
        select(StoredAnswer.id)
        .where(StoredAnswer.created_at <= clock() - KEPT)
        .order_by(StoredAnswer.created_at)
        .limit(BATCH)
        .with_for_update(skip_locked=True)
    )
    purged = await delete_where(session, StoredAnswer, StoredAnswer.id.in_(oldest))
    return await _went_on(command, purged, note, jobs)
