"""Commands that end one session, or all of an account's."""

from datetime import datetime
from uuid import UUID

from pydantic import Field

from backstay.core.bus import handles
from backstay.core.context import ActivityNote, Origin, PrincipalChanges, Sender
from backstay.core.errors import NotFound, Unauthenticated
from backstay.core.messages import Command, FromPath, FromQuery
from backstay.core.permissions import PUBLIC, SIGNED_IN, PermissionSpec
from backstay.core.ports import AccessTokens, Clock, RefreshTokens
from backstay.core.principal import Principal
from backstay.db.session import Transaction
from backstay.features.auth.commands.sessions import (
    SessionOver,
    check_fingerprint,
    end_sessions,
    live_session,
)
from backstay.features.auth.model import Session
from backstay.features.auth.schemas import MOST_TOKENS, EndReason, Fingerprint, LiveSession
from backstay.features.users.queries.accounts import GetAccount
from backstay.features.users.queries.authority import check_authority


class Logout(Command[None]):
    """End the session that the first usable token belongs to; nothing happens without one."""

    permission = PUBLIC
    allowed_in_maintenance = True

    tokens: tuple[str, ...] = Field(max_length=2 + MOST_TOKENS)
    fingerprint: Fingerprint | None = None


@handles(Logout)
async def logout(
    command: Logout,
    session: Transaction,
    clock: Clock,
    origin: Origin,
    refresh: RefreshTokens,
    access: AccessTokens,
    changes: PrincipalChanges,
    note: ActivityNote,
) -> None:
    now = clock()
    refused: SessionOver | None = None
    for text in command.tokens:
        row = await _session_of(text, session, now, refresh, access)
        if row is None:
            continue
        note.about(row.user_id, row.id)
        try:
            check_fingerprint(row, command.fingerprint, refresh, origin)
        except SessionOver as error:
            refused = refused or error
            continue
        await end_sessions(session, now, EndReason.LOGOUT, Session.id == row.id)
        changes.touch(row.user_id)
        return
    if refused is not None:
        raise refused
    note.skip()


async def _session_of(
    text: str, session: Transaction, now: datetime, refresh: RefreshTokens, access: AccessTokens
) -> LiveSession | None:
    token = refresh.read(text)
    if token is not None:
        row = await live_session(session, token.session_id, now)
        genuine = row and refresh.age(token, row.generation, row.token_hash) is not None
        return row if genuine else None
    try:
        return await live_session(session, access.verify(text).session_id, now)
    except Unauthenticated:
        return None


class EndSession(Command[None]):
    """End one of your sessions."""

    permission = SIGNED_IN
    allowed_in_maintenance = True
    in_person = True

    id: FromPath[UUID]


@handles(EndSession)
async def end_session(
    command: EndSession,
    session: Transaction,
    principal: Principal,
    clock: Clock,
    changes: PrincipalChanges,
) -> None:
    own = (Session.id == command.id, Session.user_id == principal.id)
    if not await end_sessions(session, clock(), EndReason.ENDED, *own):
        raise NotFound
    changes.touch(principal.id)


class EndSessions(Command[None]):
    """End every session of yours but this one; with `all=true` this one too."""

    permission = SIGNED_IN
    allowed_in_maintenance = True
    in_person = True

    all: FromQuery[bool] = False


@handles(EndSessions)
async def end_all_sessions(
    command: EndSessions,
    session: Transaction,
    principal: Principal,
    clock: Clock,
    changes: PrincipalChanges,
) -> None:
    which = [Session.user_id == principal.id]
    if not command.all:
        which.append(Session.id != principal.session_id)
    await end_sessions(session, clock(), EndReason.ENDED, *which)
    changes.touch(principal.id)


END = PermissionSpec("sessions", "end", description="Sign users out")


class EndSessionsOfUser(Command[None]):
    """Sign a user out everywhere."""

    permission = END
    allowed_in_maintenance = True
    in_person = True

    id: FromPath[UUID]


@handles(EndSessionsOfUser)
async def end_sessions_of_user(
    command: EndSessionsOfUser,
    session: Transaction,
    clock: Clock,
    send: Sender,
    changes: PrincipalChanges,
) -> None:
    await check_authority(command, command.id, send)
    if await send.as_system()(GetAccount(user_id=command.id)) is None:
        raise NotFound
    await end_sessions(session, clock(), EndReason.ENDED, Session.user_id == command.id)
    changes.touch(command.id)


class EndSessionOfUser(Command[None]):
    """Sign a user out on one device."""

    permission = END
    allowed_in_maintenance = True

    id: FromPath[UUID]
    session_id: FromPath[UUID]


@handles(EndSessionOfUser)
async def end_session_of_user(
    command: EndSessionOfUser,
    session: Transaction,
    clock: Clock,
    send: Sender,
    changes: PrincipalChanges,
) -> None:
    await check_authority(command, command.id, send)
    which = (Session.id == command.session_id, Session.user_id == command.id)
    if not await end_sessions(session, clock(), EndReason.ENDED, *which):
        raise NotFound
    changes.touch(command.id)
