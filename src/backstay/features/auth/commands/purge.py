"""Removing sessions that nobody can use any longer."""

from datetime import timedelta

from sqlalchemy import or_, select

from backstay.core.bus import handles
from backstay.core.context import ActivityNote
from backstay.core.messages import SYSTEM_ONLY, Command
from backstay.core.outbox import Jobs
from backstay.core.ports import Clock
from backstay.db.queries import delete_where
from backstay.db.session import Transaction
from backstay.features.auth.model import Session

BATCH = 1000
KEPT = timedelta(days=7)
"""How long a session can still be looked into after its end."""


class PurgeSessions(Command[bool]):
    """Remove sessions a week after they ended or expired; whether more may be left."""

    permission = SYSTEM_ONLY


@handles(PurgeSessions)
async def purge_sessions(
    command: PurgeSessions, session: Transaction, clock: Clock, note: ActivityNote, jobs: Jobs
) -> bool:
    end = clock() - KEPT
    over = (
        select(Session.id)
        .where(or_(Session.idle_expires_at < end, Session.expires_at < end, Session.ended_at < end))
        .limit(BATCH)
        .with_for_update(skip_locked=True)
    )
    purged = await delete_where(session, Session, Session.id.in_(over))
    if not purged:
        note.skip()
    if purged == BATCH:
        await jobs.enqueue(command)
    return purged == BATCH
