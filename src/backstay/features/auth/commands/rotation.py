"""How a session's refresh token is replaced: usually without a lock, else by one UPDATE."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from math import ceil
from typing import Any, cast

import structlog
from sqlalchemy import CursorResult, Table, bindparam, or_, update

from backstay.core.context import ActivityNote, Origin
from backstay.core.errors import RateLimited
from backstay.core.ports import RefreshToken, RefreshTokens
from backstay.db.session import Transaction
from backstay.db.sight import Sight
from backstay.features.auth.commands.sessions import client_hash
from backstay.features.auth.model import Session
from backstay.features.auth.queries.sessions import LIVE
from backstay.features.auth.schemas import LiveSession
from backstay.features.users.queries.accounts import may_sign_in
from backstay.settings import SecuritySettings

log = structlog.get_logger("backstay.security")

MOST, WITHIN = 30, 60.0
"""The most rotations of a session within so many seconds; clients need one every ten minutes."""

_SIGHT = Sight(Session)
_client, _print = Session.client_hash, Session.fingerprint_hash
_USUAL = _SIGHT.select.where(
    Session.id == bindparam("session_id"),
    Session.token_hash == bindparam("token_hash"),
    or_(_client.is_(None), _client == bindparam("client_hash")),
    or_(_print.is_(None), _print == bindparam("fingerprint_hash")),
    may_sign_in(Session.user_id, Session.epoch),
    *LIVE,
)
"""The session of a live token, if it has its client, its fingerprint and its account.

No two clients rotate in turn here: the client of the last rotation is never the one before it.
"""


async def rotate_usual(
    tokens: Sequence[str],
    fingerprint: str | None,
    session: Transaction,
    now: datetime,
    origin: Origin,
    refresh: RefreshTokens,
    security: SecuritySettings,
    note: ActivityNote,
) -> tuple[RefreshToken, Session] | None:
    """Rotate the first token if nothing about it is unusual, without a lock: its successor and its
    session."""
    token = refresh.read(tokens[0])
    if token is None:
        return None
    client = client_hash(token.session_id, fingerprint, refresh, origin)
    parameters = {
        "session_id": token.session_id,
        "token_hash": refresh.hash(token),
        "client_hash": client,
        "fingerprint_hash": fingerprint
        and refresh.keyed_hash("fingerprint", token.session_id, fingerprint),
        "now": now,
    }
    found = await session.see(_SIGHT, _USUAL, parameters)
    if not found:
        return None
    row: Session = found[0]
    note.about(row.user_id, row.id)
    successor = refresh.successor(token)
    values = rotated_values(row, successor, client, refresh, now, origin, security)
    for name, value in values.items():
        setattr(row, name, value)
    return successor, row


_ROTATE = update(cast(Table, Session.__table__)).where(
    Session.id == bindparam("session_id"),
    Session.token_hash == bindparam("live_hash"),
    Session.ended_at.is_(None),
)


async def rotate(session: Transaction, row: LiveSession, values: dict[str, Any]) -> bool:
    """Make the successor the live token; False if the token was rotated or the session ended."""
    live = {"session_id": row.id, "live_hash": row.token_hash}
    return cast(CursorResult[Any], await session.execute(_ROTATE, values | live)).rowcount == 1


def rotated_values(
    row: LiveSession | Session,
    successor: RefreshToken,
    client: bytes,
    refresh: RefreshTokens,
    now: datetime,
    origin: Origin,
    security: SecuritySettings,
) -> dict[str, Any]:
    """The new values of a session whose token is rotated.

    Raises:
        RateLimited: it was rotated ``MOST`` times within ``WITHIN`` seconds.
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
        "idle_expires_at": idle_end(row, now, security),
        "address": origin.address,
        "user_agent": origin.user_agent,
        "client_hash": client,
        "former_client_hash": row.former_client_hash,
    }
    if row.client_hash in {None, client}:
        return values
    log.info("refresh_client_changed", session_id=str(row.id), address=origin.address)
    return values | {"former_client_hash": row.client_hash}


def idle_end(row: LiveSession | Session, now: datetime, security: SecuritySettings) -> datetime:
    """When the session expires if it is not refreshed again; never later than its lifetime."""
    return min(now + timedelta(seconds=security.refresh_token_expire_seconds), row.expires_at)
