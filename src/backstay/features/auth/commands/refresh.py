"""Staying signed in: refresh tokens are rotated, and a reused one ends its session."""

from datetime import datetime, timedelta

import structlog

from backstay.core.bus import Sender, handles
from backstay.core.context import ActivityNote, Origin, PrincipalChanges
from backstay.core.errors import Refused
from backstay.core.messages import PUBLIC, Command
from backstay.core.ports import AccessTokens, Clock, RefreshToken, RefreshTokens
from backstay.db.queries import update_where
from backstay.db.session import Transaction
from backstay.features.auth.commands.sessions import (
    SessionOver,
    check_fingerprint,
    end_sessions,
    live_session,
)
from backstay.features.auth.commands.sign_in import answer_with
from backstay.features.auth.model import Session
from backstay.features.auth.schemas import (
    EndReason,
    Fingerprint,
    LiveSession,
    TokenAnswer,
    TokenText,
)
from backstay.features.users.queries.accounts import GetAccount
from backstay.settings import SecuritySettings

events = structlog.get_logger("backstay.security")

GRACE_SECONDS = 10.0
"""For this long after a rotation the replaced token still yields its successor."""
MAX_RECENT = 32


class RefreshSession(Command[TokenAnswer]):
    """Exchange a refresh token for its successor and a new access token."""

    permission = PUBLIC

    refresh_token: TokenText
    fingerprint: Fingerprint | None = None


@handles(RefreshSession)
async def refresh_session(
    command: RefreshSession,
    session: Transaction,
    clock: Clock,
    origin: Origin,
    refresh: RefreshTokens,
    access: AccessTokens,
    security: SecuritySettings,
    send: Sender,
    changes: PrincipalChanges,
    note: ActivityNote,
) -> TokenAnswer | Refused:
    """Rotate in one conditional UPDATE; whoever loses it walks the chain to the same successor.

    Within the grace window every older token leads to the live one. Outside of it a token used
    again ends its session (RFC 9700, 4.14.2).
    """
    now, presented = clock(), refresh.read(command.refresh_token)
    if presented is None:
        raise SessionOver
    row, age = await _locate(presented, session, refresh, now)
    note.about(row.user_id, row.id)
    check_fingerprint(row, command.fingerprint, refresh, origin)
    account = await send.as_system()(GetAccount(user_id=row.user_id))
    if account is None or not account.is_active or account.security_epoch != row.epoch:
        raise SessionOver
    successor = refresh.successor(presented)
    if age == 0 and not await _rotate(session, row, successor, refresh, now, origin, security):
        row, age = await _locate(presented, session, refresh, now)
    if age > 0 and not _within_grace(row, age, now):
        await end_sessions(session, now, EndReason.REUSE, Session.id == row.id)
        changes.touch(row.user_id)
        events.warning("refresh_token_reused", session_id=str(row.id), address=origin.address)
        return Refused(SessionOver())
    for _ in range(age - 1):
        successor = refresh.successor(successor)
    left = _idle_end(row, now, security) - now
    return answer_with(row.user_id, successor, left, refresh, access, security)


async def _locate(
    presented: RefreshToken, session: Transaction, refresh: RefreshTokens, now: datetime
) -> tuple[LiveSession, int]:
    """The live session of a token and how often the token was rotated since."""
    row = await live_session(session, presented.session_id, now)
    age = refresh.age(presented, row.generation, row.token_hash) if row else None
    if row is None or age is None:
        raise SessionOver
    return row, age


def _within_grace(row: LiveSession, age: int, now: datetime) -> bool:
    """Whether the rotation that replaced a token ``age`` generations old is recent enough."""
    if age > len(row.rotations):
        return False
    return now.timestamp() - row.rotations[age - 1] <= GRACE_SECONDS


async def _rotate(
    session: Transaction,
    row: LiveSession,
    successor: RefreshToken,
    refresh: RefreshTokens,
    now: datetime,
    origin: Origin,
    security: SecuritySettings,
) -> bool:
    """Make the successor the live token, unless somebody did so first."""
    moment = now.timestamp()
    recent = [moment, *(t for t in row.rotations if moment - t <= GRACE_SECONDS)][:MAX_RECENT]
    changed = await update_where(
        session,
        Session,
        Session.id == row.id,
        Session.token_hash == row.token_hash,
        Session.ended_at.is_(None),
        token_hash=refresh.hash(successor),
        generation=successor.generation,
        rotations=recent,
        last_used_at=now,
        idle_expires_at=_idle_end(row, now, security),
        address=origin.address,
        user_agent=origin.user_agent,
    )
    return changed == 1


def _idle_end(row: LiveSession, now: datetime, security: SecuritySettings) -> datetime:
    """When the session ends if it is not refreshed again; never after its lifetime."""
    return min(now + timedelta(seconds=security.refresh_token_expire_seconds), row.expires_at)
