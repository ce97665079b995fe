"""Queries about sessions: one's own, those of a user, and those of everybody."""

from datetime import date, datetime
from uuid import UUID

from pydantic import Field
from sqlalchemy import and_, bindparam, select

from backstay.core.bus import handles
from backstay.core.context import Sender
from backstay.core.errors import NotFound
from backstay.core.feature import PersonalData
from backstay.core.listing import CursorPage, Equals, ListQuery, Page, Range, Text
from backstay.core.messages import FromPath, Query, View
from backstay.core.permissions import SIGNED_IN, SYSTEM_ONLY, PermissionSpec, Scope
from backstay.core.ports import Clock
from backstay.core.principal import Grant, Principal
from backstay.db.listing import Listing
from backstay.db.paging import Paginator
from backstay.db.queries import columns_of
from backstay.db.session import Reader
from backstay.features.access.queries.membership import ABOVE, standing_of
from backstay.features.auth.model import Session
from backstay.features.auth.schemas import (
    SessionExport,
    SessionList,
    SessionOfUser,
    SessionView,
)
from backstay.features.users.queries.accounts import GetAccount, may_sign_in
from backstay.features.users.queries.authority import check_authority

LIST = PermissionSpec("sessions", "list", description="See where users are signed in")
LIVE = (
    Session.ended_at.is_(None),
    Session.idle_expires_at > bindparam("now"),
    Session.expires_at > bindparam("now"),
)


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

    permission = LIST

    id: FromPath[UUID]


@handles(ListSessionsOfUser)
async def list_sessions_of_user(
    query: ListSessionsOfUser, reader: Reader, principal: Principal, clock: Clock, send: Sender
) -> SessionList:
    await check_authority(query, query.id, send)
    return await _sessions_of(query.id, reader, principal, clock, send)


class ListLiveSessions(ListQuery[SessionOfUser]):
    """Where everybody is signed in, newest first; not shown is whose level is above yours.

    At the scope `OWN` you see your own sessions.
    """

    permission = LIST
    sortable = ("created_at",)

    user_id: Equals[UUID] | None = None
    device: Text | None = None
    address: Text | None = None
    created_at: Range[datetime] | None = None
    last_used_at: Range[date] | None = Field(
        default=None, description="Whole days: when the next refresh is due is told to nobody."
    )


_DEVICE = {"device": Session.user_agent, "impersonated_by": Session.actor_id}
_ANYBODY = and_(*LIVE, may_sign_in(Session.user_id, Session.epoch))
ALL_SESSIONS = Listing(ListLiveSessions, Session, SessionOfUser, where=_ANYBODY, columns=_DEVICE)
SESSIONS_UP_TO = Listing(
    ListLiveSessions,
    Session,
    SessionOfUser,
    where=and_(_ANYBODY, Session.user_id.not_in(ABOVE)),
    columns=_DEVICE,
)


@handles(ListLiveSessions)
async def list_live_sessions(
    query: ListLiveSessions, paginate: Paginator, grant: Grant, clock: Clock, send: Sender
) -> Page[SessionOfUser] | CursorPage[SessionOfUser]:
    bound = {"now": clock()}
    held = await standing_of(query, send)
    if held.is_superuser or grant.scope is Scope.OWN:
        return await paginate(ALL_SESSIONS, query, bound)
    return await paginate(SESSIONS_UP_TO, query, bound | {"level": held.level})


class ExportSessions(PersonalData):
    """Every sign-in of a person that is still on record, without its secrets."""

    permission = SYSTEM_ONLY


_EXPORT = (
    select(*columns_of(SessionExport, Session, _DEVICE))
    .where(Session.user_id == bindparam("user_id"))
    .order_by(Session.id)
)


@handles(ExportSessions)
async def export_sessions(query: ExportSessions, reader: Reader) -> tuple[View, ...]:
    rows = await reader.rows(_EXPORT, {"user_id": query.user_id})
    return tuple(SessionExport.model_validate(row) for row in rows)
