"""Who a request comes from: the principal of a session, and the account of a password."""

from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select

from backstay.core.bus import handles
from backstay.core.caching import Cached
from backstay.core.context import ActivityNote, Origin, Sender
from backstay.core.errors import Unauthenticated
from backstay.core.messages import Query
from backstay.core.names import normalised_login
from backstay.core.permissions import PUBLIC, SYSTEM_ONLY
from backstay.core.ports import AccessTokens, Clock
from backstay.core.principal import Principal
from backstay.db.session import Reader
from backstay.features.access.queries.membership import GetMembership
from backstay.features.auth.model import Session
from backstay.features.auth.queries.sessions import LIVE
from backstay.features.auth.schemas import (
    KeySet,
)
from backstay.features.rate_rules.queries import GetRateRules
from backstay.features.users.queries.accounts import FindAccount, GetAccount, profile_of
from backstay.features.users.queries.impersonation import may_impersonate
from backstay.features.users.schemas import Account, Secret
from backstay.security.guesses import Guesses


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


class GetKeySet(Query[KeySet]):
    """The public keys that access tokens are signed with; none under HS256."""

    permission = PUBLIC
    cache = Cached(ttl=0, client=True)


@handles(GetKeySet)
async def get_key_set(query: GetKeySet, tokens: AccessTokens) -> KeySet:
    return KeySet(keys=tokens.public_keys()["keys"])
