"""Commands with which users create, change and delete their own accounts."""

from sqlalchemy import select

from backstay.core.bus import handles, prepares
from backstay.core.context import PrincipalChanges, Sender
from backstay.core.errors import FieldError, Forbidden, Impersonated, Invalid, NotFound
from backstay.core.messages import Command, optional
from backstay.core.permissions import PUBLIC, SIGNED_IN
from backstay.core.ports import Clock, Passwords
from backstay.core.principal import Principal
from backstay.core.representation import Preconditions
from backstay.db.session import Transaction
from backstay.features.access.commands.seeding import USER
from backstay.features.users.commands.credentials import check_epoch
from backstay.features.users.commands.people import add_user, keep_a_superuser, locked_user
from backstay.features.users.events import EmailChangeRequested, UserRegistered
from backstay.features.users.model import EmailTaken, User
from backstay.features.users.queries.accounts import CheckOwnPassword, GetAccount, profile_of
from backstay.features.users.queries.directory import GetUser
from backstay.features.users.queries.passwords import vet_and_hash
from backstay.features.users.schemas import (
    Account,
    Email,
    Name,
    NewPassword,
    Password,
    Profile,
    Secret,
    UserDetail,
    Username,
)
from backstay.jobs.outbox import Events
from backstay.settings import SecuritySettings


class _RegistrationClosed(Forbidden):
    code, title = "users.registration_closed", "Registration is closed"


class RegisterUser(Command[UserDetail]):
    """Create an account for yourself."""

    permission = PUBLIC

    email: Email
    password: Password
    username: Username | None = None
    name: Name | None = None


@prepares(RegisterUser)
async def hash_for_registration(
    command: RegisterUser, passwords: Passwords, security: SecuritySettings, send: Sender
) -> NewPassword:
    if security.registration == "closed":
        raise _RegistrationClosed
    return NewPassword(await vet_and_hash(command.password, command.email, passwords, send))


@handles(RegisterUser)
async def register_user(
    command: RegisterUser, session: Transaction, password: NewPassword, send: Sender, events: Events
) -> UserDetail:
    user = User(
        email=command.email,
        username=command.username,
        name=command.name,
        password_hash=password.hashed,
    )
    await add_user(user, session, send, USER)
    await events.publish(UserRegistered(user_id=user.id))
    return await send.as_system()(GetUser(id=user.id))


class UpdateMe(Command[Profile]):
    """Change your profile. A new e-mail address asks for your password and counts once verified."""

    permission = SIGNED_IN

    name: Name | None = optional()
    username: Username | None = optional()
    email: Email = optional()
    current_password: Secret = optional()


@prepares(UpdateMe)
async def prove_for_update(command: UpdateMe, principal: Principal, send: Sender) -> Account | None:
    """The caller's account once the password is proven; None if no proof is needed."""
    changes = command.changes()
    if principal.actor_id is not None and not changes.keys().isdisjoint({"email", "username"}):
        raise Impersonated
    if "email" not in changes:
        return None
    if "current_password" not in changes:
        fault = FieldError("current_password", "missing", "A new e-mail needs the password")
        raise Invalid(errors=(fault,))
    return await send(CheckOwnPassword(password=command.current_password))


@handles(UpdateMe)
async def update_me(
    command: UpdateMe,
    session: Transaction,
    principal: Principal,
    preconditions: Preconditions,
    proven: Account | None,
    send: Sender,
    changes: PrincipalChanges,
    events: Events,
) -> Profile:
    user = await _own_row(session, principal, proven)
    preconditions.check(await _profile(principal, send))
    fields = command.changes()
    fields.pop("current_password", None)
    if "email" in fields:
        await _ask_for_email(session, events, user, fields.pop("email"))
    for name, value in fields.items():
        setattr(user, name, value)
    changes.touch(user.id)
    return await _profile(principal, send)


async def _own_row(session: Transaction, principal: Principal, proven: Account | None) -> User:
    user = await locked_user(principal.id, session)
    check_epoch(user, proven.security_epoch if proven else None)
    return user


async def _profile(principal: Principal, send: Sender) -> Profile:
    """The caller's profile, as the running transaction sees it."""
    account = await send.as_system()(GetAccount(user_id=principal.id))
    if account is None:
        raise NotFound
    return profile_of(principal, account)


async def _ask_for_email(session: Transaction, events: Events, user: User, email: str) -> None:
    """Store a new address as pending until it is confirmed; the current one cancels that."""
    if email == user.email:
        user.pending_email = None
        return
    await _must_be_free(session, email)
    user.pending_email = email
    await events.publish(EmailChangeRequested(user_id=user.id, email=user.email))


async def _must_be_free(session: Transaction, email: str) -> None:
    holder = select(User.id).where(User.email == email, User.deleted_at.is_(None))
    if await session.scalar(holder) is not None:
        raise EmailTaken


class DeleteMe(Command[None]):
    """Delete your account. It is hidden and every session ends."""

    permission = SIGNED_IN
    in_person = True

    current_password: Secret


@prepares(DeleteMe)
async def prove_for_deletion(command: DeleteMe, send: Sender) -> Account:
    return await send(CheckOwnPassword(password=command.current_password))


@handles(DeleteMe)
async def delete_me(
    command: DeleteMe,
    session: Transaction,
    principal: Principal,
    preconditions: Preconditions,
    proven: Account,
    clock: Clock,
    send: Sender,
    changes: PrincipalChanges,
) -> None:
    await keep_a_superuser(session, principal.id, send)
    user = await _own_row(session, principal, proven)
    preconditions.check(await _profile(principal, send))
    user.deleted_at = clock()
    user.security_epoch += 1
    changes.touch(user.id)
