"""What the server does to itself."""

from datetime import timedelta

from sqlalchemy import select

from backstay.core.bus import handles
from backstay.core.clock import first_id_at
from backstay.core.context import ActivityNote
from backstay.core.idempotency import KEPT
from backstay.core.messages import SYSTEM_ONLY, Command
from backstay.core.ports import Clock
from backstay.db.activity import Activity
from backstay.db.idempotency import StoredAnswer
from backstay.db.queries import delete_where
from backstay.db.session import Transaction
from backstay.settings import LogSettings

BATCH = 1000


class PurgeActivity(Command[bool]):
    """Remove the oldest rows of the audit trail once their time is over; whether more may be left.

    At most so many at once that nobody waits for it. Ids sort by time, so that only their index
    is looked at.
    """

    permission = SYSTEM_ONLY


@handles(PurgeActivity)
async def purge_activity(
    command: PurgeActivity, session: Transaction, clock: Clock, log: LogSettings, note: ActivityNote
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
    if not purged:
        note.skip()
    return purged == BATCH


class PurgeIdempotencyKeys(Command[bool]):
    """Remove stored answers that are no longer given again; whether more may be left."""

    permission = SYSTEM_ONLY


@handles(PurgeIdempotencyKeys)
async def purge_idempotency_keys(
    command: PurgeIdempotencyKeys, session: Transaction, clock: Clock, note: ActivityNote
) -> bool:
    oldest = (
        select(StoredAnswer.id)
        .where(StoredAnswer.created_at <= clock() - KEPT)
        .order_by(StoredAnswer.created_at)
        .limit(BATCH)
        .with_for_update(skip_locked=True)
    )
    purged = await delete_where(session, StoredAnswer, StoredAnswer.id.in_(oldest))
    if not purged:
        note.skip()
    return purged == BATCH
