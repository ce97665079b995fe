"""Questions about people."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import field_validator
from sqlalchemy import bindparam, select

from backstay.core.bus import Sender, handles
from backstay.core.errors import Forbidden, NotFound, RateLimited
from backstay.core.listing import CursorPage, Equals, ListQuery, Page, Range, Text
from backstay.core.messages import SIGNED_IN, SYSTEM_ONLY, FromPath, PermissionSpec, Query, Scope
from backstay.core.ports import Limiter, Passwords
from backstay.core.principal import Grant, Principal
from backstay.db.cursors import Cursors
from backstay.db.listing import Listing
from backstay.db.session import Reader
from backstay.features.access.queries import GetMembership, ListSuperusers
from backstay.features.users.model import User
from backstay.features.users.schemas import Account, Profile, Secret, UserDetail, UserSummary
from backstay.settings import SecuritySettings

LIST = PermissionSpec("users", "list", description="See the directory of users")
READ = PermissionSpec("users", "read", description="See a user in detail")


class GetMe(Query[Profile]):
    """Your own profile, with your roles and permissions."""

    permission = SIGNED_IN


@handles(GetMe)
async def get_me(query: GetMe, principal: Principal) -> Profile:
    return profile_of(principal, principal.profile)


def profile_of(principal: Principal, account: Account) -> Profile:
    """How an account looks to its owner."""
    return Profile(
        id=account.id,
        email=account.email,
        pending_email=account.pending_email,
        email_verified=account.email_verified,
        username=account.username,
        name=account.name,
        created_at=account.created_at,
        updated_at=account.updated_at,
        version=account.version,
        is_superuser=principal.is_superuser,
        roles=principal.roles,
        permissions={key: principal.grants[key].scope.value for key in sorted(principal.grants)},
    )


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
    created_at: Range[datetime] | None = None

    @field_validator("email", "username")
    @classmethod
    def _as_stored(cls, given: Text | None) -> Text | None:
        """Both are stored lower-cased."""
        if given is None:
            return None
        several = tuple(text.lower() for text in given.in_) if given.in_ else None
        one = given.eq.lower() if given.eq else given.eq
        return given.model_copy(update={"eq": one, "in_": several})


class GetUser(Query[UserDetail]):
    """One user, with roles."""

    permission = READ

    id: FromPath[UUID]


class GetUserByUsername(Query[UserDetail]):
    """One user, found by username."""

    permission = READ

    username: FromPath[str]


_DETAIL = select(
    User.id,
    User.email,
    User.username,
    User.name,
    User.created_at,
    User.updated_at,
    User.version,
    User.blocked_at.is_not(None).label("is_blocked"),
    User.deleted_at.is_not(None).label("is_deleted"),
    User.email_verified_at.is_not(None).label("email_verified"),
)
_BY_ID = _DETAIL.where(User.id == bindparam("id"))
_BY_USERNAME = _DETAIL.where(User.username == bindparam("username"), User.deleted_at.is_(None))


@handles(GetUser)
async def get_user(
    query: GetUser, reader: Reader, principal: Principal, grant: Grant, send: Sender
) -> UserDetail:
    if grant.scope is Scope.OWN and query.id != principal.user_id:
        raise Forbidden
    return await _detail(await reader.one_or_none(_BY_ID, {"id": query.id}), send)


@handles(GetUserByUsername)
async def get_user_by_username(
    query: GetUserByUsername, reader: Reader, principal: Principal, grant: Grant, send: Sender
) -> UserDetail:
    row = await reader.one_or_none(_BY_USERNAME, {"username": query.username.lower()})
    if grant.scope is Scope.OWN and (row is None or row.id != principal.user_id):
        raise Forbidden
    return await _detail(row, send)


async def _detail(row: Any, send: Sender) -> UserDetail:
    if row is None:
        raise NotFound
    membership = await send.as_system()(GetMembership(user_id=row.id))
    return UserDetail(**row._mapping, roles=membership.roles)


class FindAccount(Query[Account | None]):
    """The living account behind what somebody typed to sign in: an e-mail or a username."""

    permission = SYSTEM_ONLY

    login: str


class GetAccount(Query[Account | None]):
    """A living account by id."""

    permission = SYSTEM_ONLY

    user_id: UUID


_ACCOUNT = select(
    User.id,
    User.email,
    User.username,
    User.name,
    User.pending_email,
    User.email_verified_at.is_not(None).label("email_verified"),
    User.blocked_at.is_(None).label("is_active"),
    User.security_epoch,
    User.password_hash,
    User.created_at,
    User.updated_at,
    User.version,
).where(User.deleted_at.is_(None))
_ACCOUNT_BY_ID = _ACCOUNT.where(User.id == bindparam("user_id"))
_ACCOUNT_BY_EMAIL = _ACCOUNT.where(User.email == bindparam("login"))
_ACCOUNT_BY_USERNAME = _ACCOUNT.where(User.username == bindparam("login"))


@handles(FindAccount)
async def find_account(query: FindAccount, reader: Reader) -> Account | None:
    statement = _ACCOUNT_BY_EMAIL if "@" in query.login else _ACCOUNT_BY_USERNAME
    row = await reader.one_or_none(statement, {"login": query.login.strip().lower()})
    return Account(**row._mapping) if row else None


@handles(GetAccount)
async def get_account(query: GetAccount, reader: Reader) -> Account | None:
    row = await reader.one_or_none(_ACCOUNT_BY_ID, {"user_id": query.user_id})
    return Account(**row._mapping) if row else None


class CheckOwnPassword(Query[Account]):
    """Prove once more that the caller knows the password, before something sensitive changes.

    Attempts are limited per user, so that a stolen access token does not lead to the password.
    """

    permission = SIGNED_IN

    password: Secret


class WrongPassword(Forbidden):
    code, title = "users.wrong_password", "The current password is wrong"


@handles(CheckOwnPassword)
async def check_own_password(
    query: CheckOwnPassword,
    principal: Principal,
    send: Sender,
    passwords: Passwords,
    limiter: Limiter,
    security: SecuritySettings,
) -> Account:
    verdict = await limiter.hit(f"password:{principal.id}", security.login_rate_limit)
    if not verdict.allowed:
        raise RateLimited(headers={"Retry-After": str(int(verdict.retry_after) + 1)})
    account = await send.as_system()(GetAccount(user_id=principal.id))
    if account is None or not await passwords.verify(query.password, account.password_hash):
        raise WrongPassword
    return account


class HasAdmin(Query[bool]):
    """Whether a living superuser exists."""

    permission = SYSTEM_ONLY


@handles(HasAdmin)
async def has_admin(query: HasAdmin, reader: Reader, send: Sender) -> bool:
    ids = await send(ListSuperusers())
    living = select(User.id).where(
        User.id.in_(ids), User.deleted_at.is_(None), User.blocked_at.is_(None)
    )
    return await reader.one_or_none(living) is not None


USERS = Listing(
    ListUsers,
    User,
    UserSummary,
    owner=User.id,
    columns={
        "is_blocked": User.blocked_at.is_not(None),
        "is_deleted": User.deleted_at.is_not(None),
    },
)


@handles(ListUsers)
async def list_users(
    query: ListUsers, reader: Reader, principal: Principal, grant: Grant, cursors: Cursors
) -> Page[UserSummary] | CursorPage[UserSummary]:
    return await USERS.fetch(reader, query, principal, grant, cursors)
