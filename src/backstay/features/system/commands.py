"""What the server does to itself."""

from datetime import timedelta

from sqlalchemy import or_

from backstay.core.bus import handles
from backstay.core.clock import first_id_at
from backstay.core.context import ActivityNote
from backstay.core.idempotency import KEPT
from backstay.core.jobs import JobState
from backstay.core.messages import SYSTEM_ONLY, Command
from backstay.core.ports import Clock
from backstay.db.activity import Activity
from backstay.db.idempotency import StoredAnswer
from backstay.db.jobs import Job
from backstay.db.now import SecondsFromNow
from backstay.db.purging import Purge
from backstay.settings import LogSettings

DAY = 86_400.0


class PurgeActivity(Command[bool]):
    """Remove the oldest rows of the audit trail once their time is over; whether more may be left.

    At most so many at once that nobody waits for it. Ids sort by time, so that only their index
    is looked at.
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
    """Remove jobs that ended a week ago, failed ones after a month; whether more may be left."""

    permission = SYSTEM_ONLY


@handles(PurgeJobs)
async def purge_jobs(command: PurgeJobs, purge: Purge) -> bool:
    week, month = SecondsFromNow(-7 * DAY), SecondsFromNow(-30 * DAY)
    is_over = or_(Job.state != JobState.FAILED.value, Job.finished_at < month)
    return await purge(Job, Job.finished_at < week, is_over, oldest=Job.finished_at)


class PurgeIdempotencyKeys(Command[bool]):
    """Remove stored answers that are no longer given again; whether more may be left."""

    permission = SYSTEM_ONLY


@handles(PurgeIdempotencyKeys)
async def purge_idempotency_keys(command: PurgeIdempotencyKeys, clock: Clock, purge: Purge) -> bool:
    over = StoredAnswer.created_at <= clock() - KEPT
    return await purge(StoredAnswer, over, oldest=StoredAnswer.created_at)
