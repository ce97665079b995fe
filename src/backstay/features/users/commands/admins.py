"""Commands that create administrators and reset their passwords."""

from dataclasses import dataclass
from secrets import token_urlsafe
from typing import Annotated

from pydantic import StringConstraints

from backstay.core.bus import handles, prepares
from backstay.core.context import Sender
from backstay.core.errors import NotFound
from backstay.core.messages import Command
from backstay.core.permissions import SYSTEM_ONLY
from backstay.core.ports import Clock, Passwords
from backstay.db.session import Transaction
from backstay.features.access.commands.seeding import ADMIN, USER, LockSuperusers
from backstay.features.access.queries.membership import ListSuperusers
from backstay.features.users.commands.credentials import StorePassword
from backstay.features.users.commands.people import add_user
from backstay.features.users.events import PasswordSetter
from backstay.features.users.model import User
from backstay.features.users.queries.accounts import FindAccount, HasAdmin
from backstay.features.users.queries.passwords import vet_and_hash
from backstay.features.users.schemas import (
    Account,
    Email,
    Name,
    NewPassword,
    Password,
    Username,
)


@dataclass(frozen=True, slots=True)
class _AdminPassword:
    """The administrator's hashed password, and its text if it was generated."""

    hashed: str | None
    generated: str | None


@dataclass(frozen=True, slots=True)
class Admin:
    """The outcome of seeding; only here is a generated password available."""

    created: bool
    email: str
    generated_password: str | None


class EnsureAdmin(Command[Admin]):
    """Create the administrator, unless there is one who can sign in."""

    permission = SYSTEM_ONLY

    email: Email
    username: Username
    name: Name
    password: Password | None = None


@prepares(EnsureAdmin)
async def hash_for_admin(
    command: EnsureAdmin, passwords: Passwords, send: Sender
) -> _AdminPassword:
    if await send(HasAdmin()):
        return _AdminPassword(None, None)
    if command.password is None:
        generated = token_urlsafe(15)
        return _AdminPassword(await passwords.hash(generated), generated)
    hashed = await vet_and_hash(
        command.password, command.email, passwords, send, field="ADMIN_PASSWORD"
    )
    return _AdminPassword(hashed, None)


@handles(EnsureAdmin)
async def ensure_admin(
    command: EnsureAdmin, session: Transaction, send: Sender, clock: Clock, password: _AdminPassword
) -> Admin:
    await send(LockSuperusers())
    if password.hashed is None or await send(HasAdmin()):
        return Admin(created=False, email=command.email, generated_password=None)
    await _add(session, send, clock, command, password.hashed)
    return Admin(created=True, email=command.email, generated_password=password.generated)


class CreateAdmin(Command[None]):
    """Create an administrator, even if there is one already."""

    permission = SYSTEM_ONLY

    email: Email
    username: Username | None = None
    name: Name | None = None
    password: Password


@prepares(CreateAdmin)
async def hash_for_new_admin(
    command: CreateAdmin, passwords: Passwords, send: Sender
) -> NewPassword:
    return NewPassword(await vet_and_hash(command.password, command.email, passwords, send))


@handles(CreateAdmin)
async def create_admin(
    command: CreateAdmin, session: Transaction, send: Sender, clock: Clock, password: NewPassword
) -> None:
    await _add(session, send, clock, command, password.hashed)


async def _add(
    session: Transaction,
    send: Sender,
    clock: Clock,
    person: EnsureAdmin | CreateAdmin,
    password_hash: str,
) -> None:
    """Add an administrator. The address counts as confirmed: the operator gave it."""
    user = User(
        email=person.email,
        username=person.username,
        name=person.name,
        email_verified_at=clock(),
        password_hash=password_hash,
    )
    await add_user(user, session, send, ADMIN, USER)


class ResetAdminPassword(Command[Account]):
    """Give an administrator a new password and end their sessions; their address is confirmed."""

    permission = SYSTEM_ONLY

    login: Annotated[str, StringConstraints(min_length=1)]
    password: Password


@prepares(ResetAdminPassword)
async def hash_for_reset(
    command: ResetAdminPassword, passwords: Passwords, send: Sender
) -> NewPassword:
    account = await _administrator(command.login, send)
    return NewPassword(await vet_and_hash(command.password, account.email, passwords, send))


@handles(ResetAdminPassword)
async def reset_admin_password(
    command: ResetAdminPassword,
    session: Transaction,
    send: Sender,
    clock: Clock,
    password: NewPassword,
) -> Account:
    account = await _administrator(command.login, send)
    stored = StorePassword(
        user_id=account.id, password_hash=password.hashed, new_by=PasswordSetter.ADMINISTRATOR
    )
    await send(stored)
    unconfirmed = User.id == account.id, User.email_verified_at.is_(None)
    await session.update_where(User, *unconfirmed, email_verified_at=clock())
    return account


async def _administrator(login: str, send: Sender) -> Account:
    account = await send(FindAccount(login=login))
    if account is None or account.id not in await send(ListSuperusers()):
        raise NotFound(f"There is no administrator {login}.")
    return account
