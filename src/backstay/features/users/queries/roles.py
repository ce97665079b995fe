"""Queries about the users of a role, and the handlers of queries that `access` declares."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam, select

from backstay.core.bus import handles
from backstay.core.context import Sender
from backstay.core.errors import Conflict, NotFound, Unauthenticated
from backstay.core.listing import CursorPage, Equals, ListQuery, Page, Range, Text
from backstay.core.messages import FromPath
from backstay.db.listing import Listing
from backstay.db.paging import Paginator
from backstay.db.session import Reader
from backstay.features.access.queries.accounts import RequireActive, RequireSuperuser, RequireUser
from backstay.features.access.queries.membership import MEMBERS
from backstay.features.access.queries.roles import READ, GetRole
from backstay.features.users.model import User
from backstay.features.users.queries.accounts import HasAdmin
from backstay.features.users.schemas import UserSummary


class ListUsersOfRole(ListQuery[UserSummary]):
    """The users who have a role."""

    permission = READ
    sortable = ("created_at", "email")
    searchable = ("email", "username", "name")

    role_id: FromPath[UUID]
    email: Text | None = None
    username: Text | None = None
    name: Text | None = None
    is_blocked: Equals[bool] | None = None
    created_at: Range[datetime] | None = None


USERS_OF_ROLE = Listing(
    ListUsersOfRole,
    User,
    UserSummary,
    where=User.id.in_(MEMBERS),
    columns={"is_blocked": User.blocked_at.is_not(None)},
)


@handles(ListUsersOfRole)
async def list_users_of_role(
    query: ListUsersOfRole, paginate: Paginator, send: Sender
) -> Page[UserSummary] | CursorPage[UserSummary]:
    await send.as_system()(GetRole(role_id=query.role_id))
    return await paginate(USERS_OF_ROLE, query)


_LIVING = select(User.id).where(User.id == bindparam("user_id"), User.deleted_at.is_(None))


@handles(RequireUser)
async def require_user(query: RequireUser, reader: Reader) -> None:
    if await reader.one_or_none(_LIVING, {"user_id": query.user_id}) is None:
        raise NotFound


_ACTIVE = _LIVING.where(User.blocked_at.is_(None))


@handles(RequireActive)
async def require_active(query: RequireActive, reader: Reader) -> None:
    if await reader.one_or_none(_ACTIVE, {"user_id": query.user_id}) is None:
        raise Unauthenticated("This account was blocked or deleted.")


class LastSuperuser(Conflict):
    code, title = "users.last_superuser", "The last superuser cannot be removed"


@handles(RequireSuperuser)
async def require_superuser(query: RequireSuperuser, send: Sender) -> None:
    if not await send(HasAdmin()):
        raise LastSuperuser
