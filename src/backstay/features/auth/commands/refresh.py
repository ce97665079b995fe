"""Rotates refresh tokens, and ends a session whose token was copied."""

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime

import structlog
from pydantic import Field

from backstay.core.bus import handles
from backstay.core.context import ActivityNote, Origin, PrincipalChanges, Sender
from backstay.core.errors import Refusal
from backstay.core.messages import Command
from backstay.core.permissions import PUBLIC
from backstay.core.ports import AccessTokens, Clock, RefreshToken, RefreshTokens
from backstay.db.session import Transaction
from backstay.features.auth.commands.rotation import (
    WITHIN,
    idle_end,
    rotate,
    rotate_usual,
    rotated_values,
)
from backstay.features.auth.commands.sessions import (
    SessionOver,
    check_fingerprint,
    client_hash,
    end_sessions,
    live_session,
)
from backstay.features.auth.commands.sign_in import answer_with
from backstay.features.auth.events import RefreshTokenCopied
from backstay.features.auth.model import Session
from backstay.features.auth.schemas import (
    MOST_TOKENS,
    EndReason,
    Fingerprint,
    LiveSession,
    TokenAnswer,
)
from backstay.features.users.queries.accounts import GetAccount
from backstay.features.users.schemas import Account
from backstay.jobs.outbox import Events
from backstay.settings import SecuritySettings

log = structlog.get_logger("backstay.security")

GRACE_SECONDS = 10.0
"""How long after a rotation the replaced token is still accepted, and yields its successor."""


class RefreshSession(Command[TokenAnswer]):
    """Exchange a refresh token for its successor and a new access token.

    Of several cookies the first counts that belongs to a live session.
    """

    permission = PUBLIC
    allowed_in_maintenance = True

    tokens: tuple[str, ...] = Field(min_length=1, max_length=MOST_TOKENS)
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
    events: Events,
) -> TokenAnswer | Refusal:
    """Rotate with one conditional UPDATE; concurrent requests get the same successor.

    What is usual is written without a lock (``rotate_usual``), and comes here if it was overtaken.
    A request whose UPDATE finds the token already replaced derives the successors up to the live
    one.

    A token replaced within the last ``GRACE_SECONDS`` yields the live one. One replaced earlier
    ends its session (RFC 9700, 4.14.2), and so do two clients that rotate in turn.
    """
    now = clock()
    asked = command.tokens, command.fingerprint
    usual = await rotate_usual(*asked, session, now, origin, refresh, security, note)
    if usual is not None:
        successor, seen = usual
        left = seen.idle_expires_at - now
        return answer_with(seen.user_id, successor, left, refresh, access, security)
    for text in command.tokens:
        with suppress(SessionOver):
            presented, row, age = await _choose(text, command.tokens, session, refresh, now)
            note.about(row.user_id, row.id)
            check_fingerprint(row, command.fingerprint, refresh, origin)
            account = await _account_of(row, send)
            break
    else:
        raise SessionOver
    successor = refresh.successor(presented)
    client = client_hash(row.id, command.fingerprint, refresh, origin)
    reason = _end_reason(row, age, client, now)
    if age == 0 and reason is None:
        values = rotated_values(row, successor, client, refresh, now, origin, security)
        if not await rotate(session, row, values):
            row, age = await _locate(presented, session, refresh, now)
            reason = _end_reason(row, age, client, now)
    if reason is not None or (age > 0 and row.client_hash not in {None, client}):
        await _record_copy(row, reason, account, session, events, now, origin)
    if reason is not None:
        await end_sessions(session, now, reason, Session.id == row.id)
        changes.touch(row.user_id)
        return Refusal(SessionOver())
    for _ in range(age - 1):
        successor = refresh.successor(successor)
    left = idle_end(row, now, security) - now
    return answer_with(row.user_id, successor, left, refresh, access, security)


async def _account_of(row: LiveSession, send: Sender) -> Account:
    """The account of a session; SessionOver if it is gone, blocked or in another security epoch."""
    account = await send.as_system()(GetAccount(user_id=row.user_id))
    if account is None or not account.is_active or account.security_epoch != row.epoch:
        raise SessionOver
    return account


async def _choose(
    text: str, beside: Iterable[str], session: Transaction, refresh: RefreshTokens, now: datetime
) -> tuple[RefreshToken, LiveSession, int]:
    """The token to rotate, with the result of ``_locate`` for it.

    If the request has several tokens of one session, the newest counts. A browser may still have an
    older one in the cookie of another path; that is not a copy.
    """
    token = refresh.read(text)
    if token is None:
        raise SessionOver
    row, age = await _locate(token, session, refresh, now)
    for other in filter(None, map(refresh.read, beside)):
        if other.session_id == row.id:
            age_of_other = refresh.age(other, row.generation, row.token_hash)
            if age_of_other is not None and age_of_other < age:
                token, age = other, age_of_other
    return token, row, age


async def _locate(
    presented: RefreshToken, session: Transaction, refresh: RefreshTokens, now: datetime
) -> tuple[LiveSession, int]:
    """The live session of a token and how often the token was rotated since."""
    row = await live_session(session, presented.session_id, now)
    age = refresh.age(presented, row.generation, row.token_hash) if row else None
    if row is None or age is None:
        raise SessionOver
    return row, age


def _end_reason(row: LiveSession, age: int, client: bytes, now: datetime) -> EndReason | None:
    """Why the session must end if this client uses a token that was rotated ``age`` times since.

    Two clients that rotate in turn may belong to one person and share their storage, like an
    application and its embedded pages. They do not if one was seen with a copy before, or if the
    turns follow within ``WITHIN`` seconds.
    """
    if age == 0:
        quick = len(row.rotations) > 1 and now.timestamp() - row.rotations[1] < WITHIN
        is_shared = row.shared_at is not None or quick
        return EndReason.SHARED if is_shared and client == row.former_client_hash else None
    replaced_at = row.rotations[age - 1] if age <= len(row.rotations) else 0.0
    return None if now.timestamp() - replaced_at <= GRACE_SECONDS else EndReason.REUSE


_LOG_EVENTS = {
    None: "refresh_token_copied",
    EndReason.REUSE: "refresh_token_reused",
    EndReason.SHARED: "refresh_clients_alternate",
}


async def _record_copy(
    row: LiveSession,
    reason: EndReason | None,
    account: Account,
    session: Transaction,
    events: Events,
    now: datetime,
    origin: Origin,
) -> None:
    """Record that another client used a token of the session, or that a token was reused.

    The event, from which the owner's mail is made, is published the first time and at the session's
    end.
    """
    log.warning(_LOG_EVENTS[reason], session_id=str(row.id), address=origin.address)
    if row.shared_at is None:
        await session.update_where(Session, Session.id == row.id, shared_at=now)
    elif reason is None:
        return
    await events.publish(
        RefreshTokenCopied(
            user_id=account.id,
            email=account.email,
            is_confirmed=account.email_verified,
            device=origin.user_agent,
            address=origin.address,
            ended=reason is not None,
        )
    )
