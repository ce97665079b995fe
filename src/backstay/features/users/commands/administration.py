"""Commands with which administrators change the accounts of others."""

from uuid import UUID

from backstay.core.bus import handles, prepares
from backstay.core.clock import minutes
from backstay.core.context import PrincipalChanges, Sender
from backstay.core.errors import NotFound
from backstay.core.messages import Command, FromPath, optional
from backstay.core.permissions import PermissionSpec
from backstay.core.ports import Clock, Passwords
from backstay.core.representation import Preconditions
from backstay.db.session import Transaction
from backstay.features.access.commands.seeding import LockSuperusers
from backstay.features.users.commands.credentials import StorePassword
from backstay.features.users.commands.people import keep_a_superuser, locked_user
from backstay.features.users.events import EmailReplaced, PasswordSetter
from backstay.features.users.queries.accounts import GetAccount
from backstay.features.users.queries.authority import check_authority
from backstay.features.users.queries.directory import GetUser
from backstay.features.users.queries.passwords import vet_and_hash
from backstay.features.users.schemas import (
    Email,
    Name,
    NewPassword,
    Password,
    UserDetail,
    Username,
)
from backstay.jobs.outbox import Events

UPDATE = PermissionSpec("users", "update", description="Change the accounts of users")
BLOCK = PermissionSpec("users", "block", description="Block and unblock users")
SET_PASSWORD = PermissionSpec("users", "set_password", description="Set the passwords of users")


class UpdateUser(Command[UserDetail]):
    """Change an account. A new e-mail address is in force at once and counts as unverified.

    Your own address changes through `/users/me` only.
    """

    permission = UPDATE
    fresh = minutes(5)

    id: FromPath[UUID]
    name: Name | None = optional()
    username: Username | None = optional()
    email: Email = optional()


@handles(UpdateUser)
async def update_user(
    command: UpdateUser,
    session: Transaction,
    preconditions: Preconditions,
    send: Sender,
    changes: PrincipalChanges,
    events: Events,
) -> UserDetail:
    fields = command.changes()
    await check_authority(command, command.id, send, takes_over="email" in fields)
    user = await locked_user(command.id, session)
    preconditions.check(await send.as_system()(GetUser(id=user.id)))
    if fields.get("email", user.email) != user.email:
        was_confirmed = user.email_verified_at is not None
        user.email_verified_at = user.pending_email = None
        replaced = EmailReplaced(user_id=user.id, former=user.email, was_confirmed=was_confirmed)
        await events.publish(replaced)
    for name, value in fields.items():
        setattr(user, name, value)
    changes.touch(user.id)
    return await send.as_system()(GetUser(id=user.id))


class BlockUser(Command[UserDetail]):
    """Keep somebody else from signing in, and end every session of theirs."""

    permission = BLOCK

    id: FromPath[UUID]


@handles(BlockUser)
async def block_user(
    command: BlockUser, session: Transaction, clock: Clock, send: Sender, changes: PrincipalChanges
) -> UserDetail:
    await send.as_system()(LockSuperusers())
    await check_authority(command, command.id, send, others_only=True)
    await keep_a_superuser(session, command.id, send)
    user = await locked_user(command.id, session)
    if user.blocked_at is None:
        user.blocked_at = clock()
        user.security_epoch += 1
        changes.touch(user.id)
    return await send.as_system()(GetUser(id=user.id))


class UnblockUser(Command[UserDetail]):
    """Let somebody sign in again."""

    permission = BLOCK

    id: FromPath[UUID]


@handles(UnblockUser)
async def unblock_user(command: UnblockUser, session: Transaction, send: Sender) -> UserDetail:
    await check_authority(command, command.id, send, others_only=True)
    user = await locked_user(command.id, session)
    user.blocked_at = None
    return await send.as_system()(GetUser(id=user.id))


class SetPassword(Command[UserDetail]):
    """Give somebody else a new password, and end every session of theirs."""

    permission = SET_PASSWORD
    fresh = minutes(5)

    id: FromPath[UUID]
    new_password: Password


@prepares(SetPassword)
async def hash_password_to_set(
    command: SetPassword, send: Sender, passwords: Passwords
) -> NewPassword:
    await check_authority(command, command.id, send, takes_over=True)
    account = await send.as_system()(GetAccount(user_id=command.id))
    if account is None:
        raise NotFound
    hashed = await vet_and_hash(
        command.new_password, account.email, passwords, send, field="new_password"
    )
    return NewPassword(hashed)


@handles(SetPassword)
async def set_password(
    command: SetPassword,
    session: Transaction,
    preconditions: Preconditions,
    password: NewPassword,
    send: Sender,
) -> UserDetail:
    await check_authority(command, command.id, send, takes_over=True)
    user = await locked_user(command.id, session)
    preconditions.check(await send.as_system()(GetUser(id=user.id)))
    await send.as_system()(
        StorePassword(
            user_id=user.id,
            password_hash=password.hashed,
            new_by=PasswordSetter.ADMINISTRATOR,
        )
    )
    return await send.as_system()(GetUser(id=user.id))
