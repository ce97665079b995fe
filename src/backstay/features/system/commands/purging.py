"""Commands that remove rows which are no longer needed."""

from datetime import timedelta

import structlog
from sqlalchemy import or_

from backstay.core.bus import handles
from backstay.core.clock import first_id_at
from backstay.core.context import ActivityNote
from backstay.core.idempotency import KEPT
from backstay.core.jobs import JobState
from backstay.core.messages import Command
from backstay.core.permissions import SYSTEM_ONLY
from backstay.core.ports import Clock
from backstay.db.activity import Activity
from backstay.db.base import SecondsFromNow
from backstay.db.idempotency import StoredAnswer
from backstay.db.session import Transaction
from backstay.features.system.model import MetricMinute
from backstay.jobs.outbox import Outbox
from backstay.jobs.purging import Purge
from backstay.jobs.statements import NOW
from backstay.jobs.tables import IS_ROW, UNFINISHED, Job
from backstay.settings import LogSettings

DAY = 86_400.0
MINUTES_KEPT = timedelta(hours=25)
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

    The rows of a bulk action go together, after a week, so that what is told of it is whole.
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
    is_over = or_(Job.state != JobState.FAILED.value, Job.finished_at < month, IS_ROW)
    return await purge(Job, Job.finished_at < week, is_over, oldest=Job.finished_at)


class PurgeMetricMinutes(Command[bool]):
    """Remove what was counted more than a day ago; whether more may be left."""

    permission = SYSTEM_ONLY


@handles(PurgeMetricMinutes)
async def purge_metric_minutes(command: PurgeMetricMinutes, clock: Clock, purge: Purge) -> bool:
    over = MetricMinute.minute < clock() - MINUTES_KEPT
    return await purge(MetricMinute, over, oldest=MetricMinute.minute)


class PurgeIdempotencyKeys(Command[bool]):
    """Remove stored answers that are too old to be sent again; whether more may be left."""

    permission = SYSTEM_ONLY


@handles(PurgeIdempotencyKeys)
async def purge_idempotency_keys(command: PurgeIdempotencyKeys, clock: Clock, purge: Purge) -> bool:
    over = StoredAnswer.created_at <= clock() - KEPT
    return await purge(StoredAnswer, over, oldest=StoredAnswer.created_at)
