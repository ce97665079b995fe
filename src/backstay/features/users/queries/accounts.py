"""Queries of users about their own accounts, and of the application about any account."""

from uuid import UUID

from sqlalchemy import ColumnElement, SQLColumnExpression, bindparam, or_, select

from backstay.core.bus import handles
from backstay.core.context import Origin, Sender
from backstay.core.errors import Forbidden, NotFound, RateLimited
from backstay.core.feature import Feature
from backstay.core.messages import Query
from backstay.core.names import normalised_login
from backstay.core.permissions import SIGNED_IN, SYSTEM_ONLY
from backstay.core.principal import Principal
from backstay.core.rates import Limiter
from backstay.db.session import Reader
from backstay.features.access.queries.membership import ListSuperusers
from backstay.features.users.model import User
from backstay.features.users.schemas import Account, Export, Profile, Secret
from backstay.security.guesses import Guesses
from backstay.settings import SecuritySettings


class GetMe(Query[Profile]):
    """Your own profile, with your roles and permissions."""

    permission = SIGNED_IN


@handles(GetMe)
async def get_me(query: GetMe, principal: Principal) -> Profile:
    """Handles `GetMe`, unless a project names it in ``instead_of=``."""
    profile: Profile = principal.profile
    return profile


def profile_of(principal: Principal, account: Account) -> Profile:
    """An account as its owner sees it."""
    return Profile(
        id=account.id,
        email=account.email,
        pending_email=account.pending_email,
        email_verified=account.email_verified,
        username=account.username,
        name=account.name,
        tier=account.tier,
        created_at=account.created_at,
        updated_at=account.updated_at,
        version=account.version,
        is_superuser=principal.is_superuser,
        roles=principal.roles,
        permissions={key: principal.grants[key].scope.value for key in sorted(principal.grants)},
        impersonated_by=principal.actor_id,
    )


class FindAccount(Query[Account | None]):
    """The account that an e-mail address or a username signs in to, unless it is deleted."""

    permission = SYSTEM_ONLY

    login: str


class GetAccount(Query[Account | None]):
    """An account by id, unless it is deleted."""

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
    User.tier,
    User.created_at,
    User.updated_at,
    User.version,
).where(User.deleted_at.is_(None))
_ACCOUNT_BY_ID = _ACCOUNT.where(User.id == bindparam("user_id"))
_EMAIL = User.email == bindparam("login")
_ACCOUNT_BY_EMAIL = (
    _ACCOUNT.where(or_(_EMAIL, User.email == bindparam("typed"))).order_by(_EMAIL.desc()).limit(1)
)
"""Finds an account by the normalised address, else by the address as typed.

Rows that are older than the normalisation hold addresses as they were typed.
"""
_ACCOUNT_BY_USERNAME = _ACCOUNT.where(User.username == bindparam("login"))


def may_sign_in(
    user_id: SQLColumnExpression[UUID], epoch: SQLColumnExpression[int]
) -> ColumnElement[bool]:
    """The predicate for rows whose account is neither deleted nor blocked, and in this epoch."""
    same = User.id == user_id, User.security_epoch == epoch
    return (
        select(User.id).where(*same, User.deleted_at.is_(None), User.blocked_at.is_(None)).exists()
    )


@handles(FindAccount)
async def find_account(query: FindAccount, reader: Reader) -> Account | None:
    login = normalised_login(query.login)
    if "@" in login:
        names = {"login": login, "typed": query.login.strip().lower()}
        row = await reader.one_or_none(_ACCOUNT_BY_EMAIL, names)
    else:
        row = await reader.one_or_none(_ACCOUNT_BY_USERNAME, {"login": login})
    return Account(**row._mapping) if row else None


@handles(GetAccount)
async def get_account(query: GetAccount, reader: Reader) -> Account | None:
    row = await reader.one_or_none(_ACCOUNT_BY_ID, {"user_id": query.user_id})
    return Account(**row._mapping) if row else None


class ExportMe(Query[Export]):
    """Everything held about you: your profile and what each feature keeps of yours."""

    permission = SIGNED_IN
    in_person = True


@handles(ExportMe)
async def export_me(
    query: ExportMe, principal: Principal, features: tuple[Feature, ...], send: Sender
) -> Export:
    system = send.as_system()
    account = await system(GetAccount(user_id=principal.id))
    if account is None:
        raise NotFound
    return Export(
        profile=profile_of(principal, account),
        data={
            name: await system(question(user_id=principal.id))
            for feature in features
            for name, question in feature.personal_data.items()
        },
    )


class CheckOwnPassword(Query[Account]):
    """Prove once more that the caller knows the password, before something sensitive changes.

    Attempts are limited per user, so that a stolen access token does not lead to the password.
    """

    permission = SIGNED_IN
    in_person = True

    password: Secret


class _WrongPassword(Forbidden):
    code, title = "users.wrong_password", "The current password is wrong"


@handles(CheckOwnPassword)
async def check_own_password(
    query: CheckOwnPassword,
    principal: Principal,
    send: Sender,
    origin: Origin,
    guesses: Guesses,
    limiter: Limiter,
    security: SecuritySettings,
) -> Account:
    verdict = await limiter.hit(f"password:{principal.id}", security.login_rate_limit)
    if not verdict.allowed:
        raise RateLimited(headers={"Retry-After": str(int(verdict.retry_after) + 1)})
    account = await send.as_system()(GetAccount(user_id=principal.id))
    if account is None:
        raise _WrongPassword
    fits = guesses.fits(
        query.password, account.password_hash, about=account.id, address=origin.address
    )
    if not await fits:
        raise _WrongPassword
    return account


class HasAdmin(Query[bool]):
    """Whether there is a superuser who can sign in."""

    permission = SYSTEM_ONLY


@handles(HasAdmin)
async def has_admin(query: HasAdmin, reader: Reader, send: Sender) -> bool:
    ids = await send(ListSuperusers())
    living = select(User.id).where(
        User.id.in_(ids), User.deleted_at.is_(None), User.blocked_at.is_(None)
    )
    return await reader.one_or_none(living) is not None
