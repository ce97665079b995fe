"""Queries about sessions, among them the one for the principal of a request."""

from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select

from backstay.core.bus import handles
from backstay.core.caching import Cached
from backstay.core.context import ActivityNote, Origin, Sender
from backstay.core.errors import NotFound, Unauthenticated
from backstay.core.feature import PersonalData
from backstay.core.messages import FromPath, Query, View
from backstay.core.names import normalised_login
from backstay.core.permissions import PUBLIC, SIGNED_IN, SYSTEM_ONLY, PermissionSpec
from backstay.core.ports import AccessTokens, Clock
from backstay.core.principal import Principal
from backstay.db.queries import columns_of
from backstay.db.session import Reader
from backstay.features.access.queries.membership import GetMembership
from backstay.features.auth.model import Device, Session
from backstay.features.auth.schemas import (
    MOST_DEVICES,
    DeviceExport,
    KeySet,
    KnownDevice,
    SessionExport,
    SessionList,
    SessionView,
)
from backstay.features.rate_rules.queries import GetRateRules
from backstay.features.users.queries.accounts import FindAccount, GetAccount, profile_of
from backstay.features.users.queries.authority import check_authority
from backstay.features.users.queries.impersonation import may_impersonate
from backstay.features.users.schemas import Account, Secret
from backstay.security.guesses import Guesses

LIVE = (
    Session.ended_at.is_(None),
    Session.idle_expires_at > bindparam("now"),
    Session.expires_at > bindparam("now"),
)


class GetPrincipal(Query[Principal | None]):
    """The principal of a live session, or None when it is over."""

    permission = SYSTEM_ONLY

    session_id: UUID


_SESSION = select(
    *(Session.user_id, Session.epoch, Session.idle_expires_at, Session.expires_at),
    *(Session.proven_at, Session.actor_id, Session.actor_session_id),
).where(Session.id == bindparam("session_id"), *LIVE)


@handles(GetPrincipal)
async def get_principal(
    query: GetPrincipal, reader: Reader, clock: Clock, send: Sender
) -> Principal | None:
    parameters = {"session_id": query.session_id, "now": clock()}
    session = await reader.one_or_none(_SESSION, parameters)
    if session is None:
        return None
    account = await send(GetAccount(user_id=session.user_id))
    if account is None or not account.is_active or account.security_epoch != session.epoch:
        return None
    ends = min(session.idle_expires_at, session.expires_at)
    if session.actor_id is not None:
        actor = await send(GetPrincipal(session_id=session.actor_session_id))
        if actor is None or not await may_impersonate(actor, account.id, send):
            return None
        ends = min(ends, actor.valid_until or ends)
    known = {"valid_until": ends, "proven_at": session.proven_at, "actor_id": session.actor_id}
    return await _principal_of(account, send, session_id=query.session_id, **known)


class GetPrincipalOfUser(Query[Principal | None]):
    """A user as they are now, signed in or not; None when they may not sign in."""

    permission = SYSTEM_ONLY

    user_id: UUID


@handles(GetPrincipalOfUser)
async def get_principal_of_user(query: GetPrincipalOfUser, send: Sender) -> Principal | None:
    account = await send(GetAccount(user_id=query.user_id))
    if account is None or not account.is_active:
        return None
    return await _principal_of(account, send)


async def _principal_of(account: Account, send: Sender, **of_session: Any) -> Principal:
    """The principal of an account, with what its roles add up to."""
    membership = await send(GetMembership(user_id=account.id))
    rules = await send(GetRateRules(tier=account.tier)) if account.tier else ()
    principal = Principal(
        user_id=account.id,
        is_superuser=membership.is_superuser,
        level=membership.level,
        roles=membership.roles,
        grants=membership.grants,
        tier=account.tier,
        rules=rules,
        **of_session,
    )
    return replace(principal, profile=profile_of(principal, account))


class CheckCredentials(Query[Account]):
    """The account that a login and a password belong to.

    An unknown login, a wrong password and a blocked account are refused alike, in the same time.
    Guesses at one account count together, whichever login names it.
    """

    permission = SYSTEM_ONLY

    login: str
    password: Secret


class _BadCredentials(Unauthenticated):
    title = "Wrong login or password"


@handles(CheckCredentials)
async def check_credentials(
    query: CheckCredentials, send: Sender, guesses: Guesses, origin: Origin, note: ActivityNote
) -> Account:
    account = await send(FindAccount(login=query.login))
    if account is not None:
        note.about(account.id)
    about = account.id if account else normalised_login(query.login)
    active = account if account and account.is_active else None
    hashed = active.password_hash if active else None
    fits = await guesses.fits(query.password, hashed, about=about, address=origin.address)
    if active is None or not fits:
        raise _BadCredentials
    return active


class ListKnownDevices(Query[tuple[KnownDevice, ...]]):
    """The devices from which an account signed in before, last seen first."""

    permission = SYSTEM_ONLY

    user_id: UUID


_KNOWN_DEVICES = (
    select(Device.id, Device.device_hash, Device.last_seen_at)
    .where(Device.user_id == bindparam("user_id"))
    .order_by(Device.last_seen_at.desc())
    .limit(2 * MOST_DEVICES)
)


@handles(ListKnownDevices)
async def list_known_devices(query: ListKnownDevices, reader: Reader) -> tuple[KnownDevice, ...]:
    rows = await reader.rows(_KNOWN_DEVICES, {"user_id": query.user_id})
    return tuple(KnownDevice(*row) for row in rows)


class MayReadDocs(Query[bool]):
    """Whether a login and password belong to a superuser."""

    permission = SYSTEM_ONLY

    login: str
    password: Secret


@handles(MayReadDocs)
async def may_read_docs(query: MayReadDocs, send: Sender) -> bool:
    try:
        account = await send(CheckCredentials(login=query.login, password=query.password))
    except _BadCredentials:
        return False
    return (await send(GetMembership(user_id=account.id))).is_superuser


class ListSessions(Query[SessionList]):
    """The devices on which you are signed in, last used first."""

    permission = SIGNED_IN


_SESSIONS = (
    select(
        Session.id,
        Session.user_agent.label("device"),
        Session.address,
        Session.created_at,
        Session.last_used_at,
        Session.expires_at,
        Session.shared_at,
        Session.actor_id.label("impersonated_by"),
    )
    .where(Session.user_id == bindparam("user_id"), Session.epoch == bindparam("epoch"), *LIVE)
    .order_by(Session.last_used_at.desc(), Session.id.desc())
    .limit(1000)
)


@handles(ListSessions)
async def list_sessions(
    query: ListSessions, reader: Reader, principal: Principal, clock: Clock, send: Sender
) -> SessionList:
    return await _sessions_of(principal.id, reader, principal, clock, send)


async def _sessions_of(
    user_id: UUID, reader: Reader, principal: Principal, clock: Clock, send: Sender
) -> SessionList:
    account = await send.as_system()(GetAccount(user_id=user_id))
    if account is None:
        raise NotFound
    parameters = {"user_id": account.id, "epoch": account.security_epoch, "now": clock()}
    rows = await reader.rows(_SESSIONS, parameters)
    return SessionList(
        items=tuple(
            SessionView(
                **row._mapping,  # pyright: ignore[reportPrivateUsage]
                current=row.id == principal.session_id,
            )
            for row in rows
        )
    )


class ListSessionsOfUser(Query[SessionList]):
    """The devices on which a user is signed in, last used first."""

    permission = PermissionSpec("sessions", "list", description="See where users are signed in")

    id: FromPath[UUID]


@handles(ListSessionsOfUser)
async def list_sessions_of_user(
    query: ListSessionsOfUser, reader: Reader, principal: Principal, clock: Clock, send: Sender
) -> SessionList:
    await check_authority(query, query.id, send)
    return await _sessions_of(query.id, reader, principal, clock, send)


class ExportSessions(PersonalData):
    """Every sign-in of a person that is still on record, without its secrets."""

    permission = SYSTEM_ONLY


_SHOWN = {"device": Session.user_agent, "impersonated_by": Session.actor_id}
_EXPORT = (
    select(*columns_of(SessionExport, Session, _SHOWN))
    .where(Session.user_id == bindparam("user_id"))
    .order_by(Session.id)
)


@handles(ExportSessions)
async def export_sessions(query: ExportSessions, reader: Reader) -> tuple[View, ...]:
    rows = await reader.rows(_EXPORT, {"user_id": query.user_id})
    return tuple(SessionExport.model_validate(row) for row in rows)


class ExportDevices(PersonalData):
    """The devices that a person has signed in from."""

    permission = SYSTEM_ONLY


_DEVICES = (
    select(*columns_of(DeviceExport, Device))
    .where(Device.user_id == bindparam("user_id"))
    .order_by(Device.id)
)


@handles(ExportDevices)
async def export_devices(query: ExportDevices, reader: Reader) -> tuple[View, ...]:
    rows = await reader.rows(_DEVICES, {"user_id": query.user_id})
    return tuple(DeviceExport.model_validate(row) for row in rows)


class GetKeySet(Query[KeySet]):
    """The public keys that access tokens are signed with; none under HS256."""

    permission = PUBLIC
    cache = Cached(ttl=0, client=True)


@handles(GetKeySet)
async def get_key_set(query: GetKeySet, tokens: AccessTokens) -> KeySet:
    return KeySet(keys=tokens.public_keys()["keys"])
