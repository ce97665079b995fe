"""Queries of the directory, for users who may see others."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import Field, field_validator
from sqlalchemy import bindparam, select

from backstay.core.bus import handles
from backstay.core.context import Sender
from backstay.core.errors import NotFound
from backstay.core.listing import CursorPage, Equals, ListQuery, Page, Range, Text
from backstay.core.messages import FromPath, Query
from backstay.core.names import normalised_login
from backstay.core.permissions import PermissionSpec
from backstay.core.principal import Grant, Principal
from backstay.db.listing import Listing
from backstay.db.paging import Paginator
from backstay.db.queries import columns_of
from backstay.db.session import Reader
from backstay.features.access.queries.membership import MEMBERS_BY_NAME, GetMembership
from backstay.features.users.model import User
from backstay.features.users.schemas import UserDetail, UserSummary

LIST = PermissionSpec("users", "list", description="See the directory of users")
READ = PermissionSpec("users", "read", description="See a user in detail")


class ListUsers(ListQuery[UserSummary]):
    """The directory of users."""

    permission = LIST
    sortable = ("created_at", "email")
    searchable = ("email", "username", "name")

    email: Text | None = None
    username: Text | None = None
    name: Text | None = None
    is_blocked: Equals[bool] | None = None
    is_deleted: Equals[bool] | None = None
    role: str | None = Field(default=None, max_length=64, description="The name of a role.")
    tier: Equals[str] | None = None
    created_at: Range[datetime] | None = None

    @field_validator("email", "username")
    @classmethod
    def _as_stored(cls, given: Text | None) -> Text | None:
        """Normalise the values, as the columns are. A name with NUL stays, and is refused later."""
        if given is None:
            return None
        several = tuple(map(_stored, given.in_)) if given.in_ else given.in_
        one = _stored(given.eq) if given.eq else given.eq
        return given.model_copy(update={"eq": one, "in_": several})


def _stored(name: str) -> str:
    return name if "\0" in name else normalised_login(name)


class GetUser(Query[UserDetail]):
    """One user, with roles."""

    permission = READ

    id: FromPath[UUID]


class GetUserByUsername(Query[UserDetail]):
    """One user, found by username."""

    permission = READ

    username: FromPath[str]


_FLAGS = {"is_blocked": User.blocked_at.is_not(None), "is_deleted": User.deleted_at.is_not(None)}
_DETAIL = select(
    *columns_of(UserSummary, User, _FLAGS),
    User.updated_at,
    User.version,
    User.email_verified_at.is_not(None).label("email_verified"),
)
_BY_ID = _DETAIL.where(User.id == bindparam("id"))
_BY_USERNAME = _DETAIL.where(User.username == bindparam("username"), User.deleted_at.is_(None))


@handles(GetUser)
async def get_user(
    query: GetUser, reader: Reader, principal: Principal, grant: Grant, send: Sender
) -> UserDetail:
    """Handles `GetUser`, unless a project names it in ``instead_of=``."""
    principal.check_reach(query.id, grant)
    return await _detail(await reader.one_or_none(_BY_ID, {"id": query.id}), send)


@handles(GetUserByUsername)
async def get_user_by_username(
    query: GetUserByUsername, reader: Reader, principal: Principal, grant: Grant, send: Sender
) -> UserDetail:
    row = await reader.one_or_none(_BY_USERNAME, {"username": normalised_login(query.username)})
    principal.check_reach(row.id if row else None, grant)
    return await _detail(row, send)


async def _detail(row: Any, send: Sender) -> UserDetail:
    if row is None:
        raise NotFound
    membership = await send.as_system()(GetMembership(user_id=row.id))
    return UserDetail(**row._mapping, roles=membership.roles)


USERS = Listing(ListUsers, User, UserSummary, columns=_FLAGS)
USERS_WITH_ROLE = Listing(
    ListUsers, User, UserSummary, columns=_FLAGS, where=User.id.in_(MEMBERS_BY_NAME)
)


@handles(ListUsers)
async def list_users(
    query: ListUsers, paginate: Paginator
) -> Page[UserSummary] | CursorPage[UserSummary]:
    if query.role is None:
        return await paginate(USERS, query)
    return await paginate(USERS_WITH_ROLE, query, {"role": query.role})
