"""The command that removes sessions that have ended or expired."""

from datetime import timedelta

from sqlalchemy import or_

from backstay.core.bus import handles
from backstay.core.messages import Command
from backstay.core.permissions import SYSTEM_ONLY
from backstay.core.ports import Clock
from backstay.features.auth.model import Session
from backstay.jobs.purging import Purge

KEPT = timedelta(days=7)
"""How long a session stays on record after its end."""


class PurgeSessions(Command[bool]):
    """Remove sessions a week after they ended or expired; whether more may be left."""

    permission = SYSTEM_ONLY


@handles(PurgeSessions)
async def purge_sessions(command: PurgeSessions, clock: Clock, purge: Purge) -> bool:
    end = clock() - KEPT
    over = (Session.idle_expires_at < end, Session.expires_at < end, Session.ended_at < end)
    return await purge(Session, or_(*over))
