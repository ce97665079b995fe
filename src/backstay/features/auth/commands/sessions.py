"""Finds, checks and ends sessions, for the commands that refresh or end them; removes old ones."""

from dataclasses import fields
from datetime import datetime, timedelta
from hmac import compare_digest
from uuid import UUID

import structlog
from sqlalchemy import ColumnElement, bindparam, or_, select

from backstay.core.bus import handles
from backstay.core.context import Origin
from backstay.core.errors import Unauthenticated
from backstay.core.messages import Command
from backstay.core.permissions import SYSTEM_ONLY
from backstay.core.ports import Clock, RefreshTokens
from backstay.db.session import Transaction
from backstay.features.auth.model import Session
from backstay.features.auth.queries.sessions import LIVE
from backstay.features.auth.schemas import EndReason, LiveSession
from backstay.jobs.purging import Purge

log = structlog.get_logger("backstay.security")

KEPT = timedelta(days=7)
"""How long a session stays on record after its end."""


class SessionOver(Unauthenticated):
    title = "The session has ended or the token is not valid"


_LIVE = select(*(getattr(Session, field.name) for field in fields(LiveSession))).where(
    Session.id == bindparam("session_id"), *LIVE
)


async def live_session(session: Transaction, session_id: UUID, now: datetime) -> LiveSession | None:
    """A session that has neither ended nor expired."""
    row = (await session.execute(_LIVE, {"session_id": session_id, "now": now})).one_or_none()
    return LiveSession(*row) if row else None


def check_fingerprint(
    row: LiveSession, fingerprint: str | None, refresh: RefreshTokens, origin: Origin
) -> None:
    """Refuse a client that is not the one the session was bound to.

    Raises:
        SessionOver: the fingerprint is missing, or another one than at sign-in.
    """
    if row.fingerprint_hash is None:
        return
    given = b"" if fingerprint is None else refresh.keyed_hash("fingerprint", row.id, fingerprint)
    if not compare_digest(given, row.fingerprint_hash):
        log.warning("fingerprint_mismatch", session_id=str(row.id), address=origin.address)
        raise SessionOver


def client_hash(
    session_id: UUID, fingerprint: str | None, refresh: RefreshTokens, origin: Origin
) -> bytes:
    """A hash that distinguishes a session's client from one with a copy of its token."""
    identity = f"{origin.user_agent}\n{fingerprint or ''}"
    return refresh.keyed_hash("client", session_id, identity)


async def end_sessions(
    session: Transaction, now: datetime, reason: EndReason, *which: ColumnElement[bool]
) -> int:
    """End the live sessions that match every predicate, and return how many did."""
    return await session.update_where(
        Session, Session.ended_at.is_(None), *which, ended_at=now, end_reason=reason.value
    )


class PurgeSessions(Command[bool]):
    """Remove sessions a week after they ended or expired; whether more may be left."""

    permission = SYSTEM_ONLY


@handles(PurgeSessions)
async def purge_sessions(command: PurgeSessions, clock: Clock, purge: Purge) -> bool:
    end = clock() - KEPT
    over = (Session.idle_expires_at < end, Session.expires_at < end, Session.ended_at < end)
    return await purge(Session, or_(*over))
