"""What people do to their own accounts."""

from dataclasses import dataclass
from uuid import UUID

from pydantic import ValidationInfo, field_validator
from sqlalchemy import select

from backstay.core.bus import Sender, handles, prepares
from backstay.core.context import PrincipalChanges
from backstay.core.errors import Conflict, FieldFault, Forbidden, Invalid
from backstay.core.messages import PUBLIC, SIGNED_IN, Command, optional
from backstay.core.ports import Clock, Passwords
from backstay.core.principal import Principal
from backstay.core.representation import Preconditions
from backstay.db.queries import one_or_404
from backstay.db.session import Transaction
from backstay.features.access.commands import USER, JoinRole, LockSuperusers
from backstay.features.users.model import EmailTaken, User
from backstay.features.users.queries.accounts import CheckOwnPassword, profile_of
from backstay.features.users.schemas import (
    Account,
    Email,
    Name,
    Password,
    Profile,
    Secret,
    UserDetail,
    Username,
    check_password,
)
from backstay.settings import SecuritySettings


@dataclass(frozen=True, slots=True)
class NewPassword:
    """A password that was hashed before the transaction began."""

    hashed: str


class RegistrationClosed(Forbidden):
    code, title = "users.registration_closed", "Registration is closed"


class LastSuperuser(Conflict):
    code, title = "users.last_superuser", "The last superuser cannot be removed"


class RegisterUser(Command[UserDetail]):
    """Create an account for yourself."""

    permission = PUBLIC

    email: Email
    password: Password
    username: Username | None = None
    name: Name | None = None

    @field_validator("password")
    @classmethod
    def _not_guessable(cls, password: str, info: ValidationInfo) -> str:
        return check_password(password, info.data.get("email"))


@prepares(RegisterUser)
async def hash_for_registration(
    command: RegisterUser, passwords: Passwords, security: SecuritySettings
) -> NewPassword:
    if security.registration == "closed":
        raise RegistrationClosed
    return NewPassword(await passwords.hash(command.password))


@handles(RegisterUser)
async def register_user(
    command: RegisterUser, session: Transaction, password: NewPassword, send: Sender
) -> UserDetail:
    user = User(
        email=command.email,
        username=command.username,
        name=command.name,
        password_hash=password.hashed,
    )
    session.add(user)
    await session.flush()
    await send.as_system()(JoinRole(user_id=user.id, role=USER))
    return _detail(user, roles=(USER,))


def _detail(user: User, roles: tuple[str, ...]) -> UserDetail:
    return UserDetail(
        id=user.id,
        email=user.email,
        username=user.username,
        name=user.name,
        is_blocked=user.blocked_at is not None,
        is_deleted=user.deleted_at is not None,
        email_verified=user.email_verified_at is not None,
        created_at=user.created_at,
        updated_at=user.updated_at,
        version=user.version,
        roles=roles,
    )


class UpdateMe(Command[Profile]):
    """Change your profile. A new e-mail address asks for your password and counts once verified."""

    permission = SIGNED_IN

    name: Name | None = optional()
    username: Username | None = optional()
    email: Email = optional()
    current_password: Secret = optional()


@dataclass(frozen=True, slots=True)
class Proven:
    """Whether the caller proved to know the password."""

    account: Account | None


@prepares(UpdateMe)
async def prove_for_update(command: UpdateMe, send: Sender) -> Proven:
    changes = command.changes()
    if "email" not in changes:
        return Proven(None)
    if "current_password" not in changes:
        fault = FieldFault("current_password", "missing", "A new e-mail needs the password")
        raise Invalid(errors=(fault,))
    return Proven(await send(CheckOwnPassword(password=command.current_password)))


@handles(UpdateMe)
async def update_me(
    command: UpdateMe,
    session: Transaction,
    principal: Principal,
    preconditions: Preconditions,
    proven: Proven,
    changes: PrincipalChanges,
) -> Profile:
    user = await _own_row(session, principal)
    preconditions.check(profile_of(principal, _account(user)))
    fields = command.changes()
    fields.pop("current_password", None)
    if (email := fields.pop("email", user.email)) != user.email:
        await _must_be_free(session, email)
        user.pending_email = email
    for name, value in fields.items():
        setattr(user, name, value)
    await session.flush()
    changes.touch(user.id)
    return profile_of(principal, _account(user))


async def _own_row(session: Transaction, principal: Principal) -> User:
    living = select(User).where(User.id == principal.id, User.deleted_at.is_(None))
    return await one_or_404(session, living, lock=True)


async def _must_be_free(session: Transaction, email: str) -> None:
    holder = select(User.id).where(User.email == email, User.deleted_at.is_(None))
    if await session.scalar(holder) is not None:
        raise EmailTaken


def _account(user: User) -> Account:
    return Account(
        id=user.id,
        email=user.email,
        username=user.username,
        name=user.name,
        pending_email=user.pending_email,
        email_verified=user.email_verified_at is not None,
        is_active=user.blocked_at is None,
        security_epoch=user.security_epoch,
        password_hash=user.password_hash,
        created_at=user.created_at,
        updated_at=user.updated_at,
        version=user.version,
    )


class DeleteMe(Command[None]):
    """Delete your account. It is hidden and every session ends."""

    permission = SIGNED_IN

    current_password: Secret


@prepares(DeleteMe)
async def prove_for_deletion(command: DeleteMe, send: Sender) -> Proven:
    return Proven(await send(CheckOwnPassword(password=command.current_password)))


@handles(DeleteMe)
async def delete_me(
    command: DeleteMe,
    session: Transaction,
    principal: Principal,
    preconditions: Preconditions,
    clock: Clock,
    send: Sender,
    changes: PrincipalChanges,
) -> None:
    await _keep_a_superuser(session, principal.id, send)
    user = await _own_row(session, principal)
    preconditions.check(profile_of(principal, _account(user)))
    user.deleted_at = clock()
    user.security_epoch += 1
    changes.touch(user.id)


async def _keep_a_superuser(session: Transaction, leaving: UUID, send: Sender) -> None:
    superusers = await send.as_system()(LockSuperusers())
    if leaving not in superusers:
        return
    remaining = select(User.id).where(
        User.id.in_(superusers - {leaving}), User.deleted_at.is_(None), User.blocked_at.is_(None)
    )
    if await session.scalar(remaining.limit(1)) is None:
        raise LastSuperuser
