"""Staying signed in: refresh tokens are rotated, and one used twice over ends its session."""

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from math import ceil
from operator import itemgetter
from typing import Any

import structlog
from pydantic import Field

from backstay.core.bus import Sender, handles
from backstay.core.context import ActivityNote, Origin, PrincipalChanges
from backstay.core.errors import RateLimited, Refused
from backstay.core.messages import PUBLIC, Command
from backstay.core.outbox import Events
from backstay.core.ports import AccessTokens, Clock, RefreshToken, RefreshTokens
from backstay.db.queries import update_where
from backstay.db.session import Transaction
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
from backstay.settings import SecuritySettings

log = structlog.get_logger("backstay.security")

GRACE_SECONDS = 10.0
"""For this long after a rotation the replaced token still yields its successor."""
MOST, WITHIN = 30, 60.0
"""How often a session is rotated within so many seconds; clients need one in ten minutes."""


class RefreshSession(Command[TokenAnswer]):
    """Exchange a refresh token for its successor and a new access token.

    Of several cookies the first counts that belongs to a live session.
    """

    permission = PUBLIC

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
) -> TokenAnswer | Refused:
    """Rotate in one conditional UPDATE; whoever loses it walks the chain to the same successor.

    Within the grace window every older token leads to the live one. Outside of it a token used
    again ends its session (RFC 9700, 4.14.2), and so do two clients that rotate in turn.
    """
    now = clock()
    presented, row, age = await _choose(command.tokens, session, refresh, now)
    note.about(row.user_id, row.id)
    check_fingerprint(row, command.fingerprint, refresh, origin)
    account = await send.as_system()(GetAccount(user_id=row.user_id))
    if account is None or not account.is_active or account.security_epoch != row.epoch:
        raise SessionOver
    successor = refresh.successor(presented)
    client = client_hash(row.id, command.fingerprint, refresh, origin)
    over = _over(row, age, client, now)
    if age == 0 and over is None:
        values = _values(row, successor, client, refresh, now, origin, security)
        if not await _rotate(session, row, values):
            row, age = await _locate(presented, session, refresh, now)
            over = _over(row, age, client, now)
    if over is not None or (age > 0 and row.client_hash not in {None, client}):
        await _record_copy(row, over, account, session, events, now, origin)
    if over is not None:
        await end_sessions(session, now, over, Session.id == row.id)
        changes.touch(row.user_id)
        return Refused(SessionOver())
    for _ in range(age - 1):
        successor = refresh.successor(successor)
    left = _idle_end(row, now, security) - now
    return answer_with(row.user_id, successor, left, refresh, access, security)


async def _choose(
    tokens: Iterable[str], session: Transaction, refresh: RefreshTokens, now: datetime
) -> tuple[RefreshToken, LiveSession, int]:
    """The first token of a live session, and what ``_locate`` says of it.

    Of several tokens of that session the newest counts: a browser that keeps an older one beside
    it, in the cookie of another path, holds no copy.
    """
    read = [token for token in map(refresh.read, tokens) if token is not None]
    for token in read:
        with suppress(SessionOver):
            row, _ = await _locate(token, session, refresh, now)
            of_row = [each for each in read if each.session_id == row.id]
            ages = [refresh.age(each, row.generation, row.token_hash) for each in of_row]
            known = [(age, each) for age, each in zip(ages, of_row, strict=True) if age is not None]
            age, newest = min(known, key=itemgetter(0))
            return newest, row, age
    raise SessionOver


async def _locate(
    presented: RefreshToken, session: Transaction, refresh: RefreshTokens, now: datetime
) -> tuple[LiveSession, int]:
    """The live session of a token and how often the token was rotated since."""
    row = await live_session(session, presented.session_id, now)
    age = refresh.age(presented, row.generation, row.token_hash) if row else None
    if row is None or age is None:
        raise SessionOver
    return row, age


def _over(row: LiveSession, age: int, client: bytes, now: datetime) -> EndReason | None:
    """Why a session ends when a client uses a token that was rotated ``age`` times since.

    Two clients that rotate in turn are one person's where they share what they keep, as an
    application and the pages within it do; not where one was seen with a copy, or within a minute.
    """
    if age == 0:
        quick = len(row.rotations) > 1 and now.timestamp() - row.rotations[1] < WITHIN
        is_shared = row.shared_at is not None or quick
        return EndReason.SHARED if is_shared and client == row.former_client_hash else None
    replaced_at = row.rotations[age - 1] if age <= len(row.rotations) else 0.0
    return None if now.timestamp() - replaced_at <= GRACE_SECONDS else EndReason.REUSE


def _values(
    row: LiveSession,
    successor: RefreshToken,
    client: bytes,
    refresh: RefreshTokens,
    now: datetime,
    origin: Origin,
    security: SecuritySettings,
) -> dict[str, Any]:
    """What a session becomes when its token is rotated.

    Raises:
        RateLimited: it was rotated too often of late.
    """
    moment = now.timestamp()
    recent = [t for t in row.rotations if moment - t < WITHIN]
    if len(recent) >= MOST:
        wait = ceil(recent[-1] + WITHIN - moment)
        raise RateLimited(headers={"Retry-After": str(max(1, wait))})
    values = {
        "token_hash": refresh.hash(successor),
        "generation": successor.generation,
        "rotations": [moment, *recent],
        "last_used_at": now,
        "idle_expires_at": _idle_end(row, now, security),
        "address": origin.address,
        "user_agent": origin.user_agent,
        "client_hash": client,
    }
    if row.client_hash in {None, client}:
        return values
    log.info("refresh_client_changed", session_id=str(row.id), address=origin.address)
    return values | {"former_client_hash": row.client_hash}


async def _rotate(session: Transaction, row: LiveSession, values: dict[str, Any]) -> bool:
    """Make the successor the live token, unless somebody did so first."""
    live = (Session.token_hash == row.token_hash, Session.ended_at.is_(None))
    return await update_where(session, Session, Session.id == row.id, *live, **values) == 1


_TOLD = {
    None: "refresh_token_copied",
    EndReason.REUSE: "refresh_token_reused",
    EndReason.SHARED: "refresh_clients_alternate",
}


async def _record_copy(
    row: LiveSession,
    over: EndReason | None,
    account: Account,
    session: Transaction,
    events: Events,
    now: datetime,
    origin: Origin,
) -> None:
    """Record that a token was used by another client than its own, or again.

    The owner is told of the first time, and of the end.
    """
    log.warning(
        _TOLD[over],
        session_id=str(row.id),
        address=origin.address,
    )
    if row.shared_at is None:
        await update_where(session, Session, Session.id == row.id, shared_at=now)
    elif over is None:
        return
    await events.publish(
        RefreshTokenCopied(
            user_id=account.id,
            email=account.email,
            is_confirmed=account.email_verified,
            device=origin.user_agent,
            address=origin.address,
            ended=over is not None,
        )
    )


def _idle_end(row: LiveSession, now: datetime, security: SecuritySettings) -> datetime:
    """When the session ends if it is not refreshed again; never after its lifetime."""
    return min(now + timedelta(seconds=security.refresh_token_expire_seconds), row.expires_at)
