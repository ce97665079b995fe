"""Commands that delete, erase and restore the accounts of others."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from pydantic import model_validator
from pydantic_core import PydanticCustomError, to_json
from sqlalchemy import Column, ForeignKey, and_, delete, literal, or_, select

from backstay.core.bus import handles
from backstay.core.clock import minutes
from backstay.core.context import CacheTags, PrincipalChanges, Sender
from backstay.core.errors import Conflict
from backstay.core.mail import MAIL_QUEUE
from backstay.core.messages import Command, FromPath, FromQuery
from backstay.core.permissions import PermissionSpec
from backstay.core.ports import Clock
from backstay.core.representation import Preconditions
from backstay.db.base import Base
from backstay.db.folding import contains
from backstay.db.queries import exists
from backstay.db.session import Transaction
from backstay.features.access.commands.seeding import LockSuperusers
from backstay.features.users.commands.people import keep_a_superuser, locked_user
from backstay.features.users.model import User
from backstay.features.users.queries.authority import check_authority
from backstay.features.users.queries.directory import GetUser
from backstay.features.users.schemas import UserDetail
from backstay.jobs.tables import Job

DELETE = PermissionSpec("users", "delete", description="Delete and restore users")
ERASE = PermissionSpec("users", "erase", description="Remove users for good")


class _OwnsRows(Conflict):
    code, title = "users.owns_rows", "The user still owns something"


class DeleteUser(Command[None]):
    """Delete somebody else's account: hidden and restorable, or for good with `hard=true`.

    For good it is refused while anything belongs to the user, unless `cascade=true` removes that
    too. Every session ends. Your own account is deleted through `/users/me`.
    """

    permission = DELETE
    fresh = minutes(5)

    id: FromPath[UUID]
    hard: FromQuery[bool] = False
    cascade: FromQuery[bool] = False

    @model_validator(mode="after")
    def _cascades_for_good(self) -> "DeleteUser":
        if self.cascade and not self.hard:
            raise PydanticCustomError("cascade", "cascade=true needs hard=true")
        return self


@handles(DeleteUser)
async def delete_user(
    command: DeleteUser,
    session: Transaction,
    preconditions: Preconditions,
    clock: Clock,
    send: Sender,
    changes: PrincipalChanges,
) -> None:
    await send.as_system()(LockSuperusers())
    await check_authority(command, command.id, send, others_only=True)
    if command.hard:
        await send(EraseUser(id=command.id, cascade=command.cascade))
        return
    await keep_a_superuser(session, command.id, send)
    user = await locked_user(command.id, session)
    preconditions.check(await send.as_system()(GetUser(id=user.id)))
    user.deleted_at = clock()
    user.security_epoch += 1
    changes.touch(user.id)


class EraseUser(Command[None]):
    """Remove the row of a user, with the sessions, memberships and jobs that hang on it."""

    permission = ERASE

    id: FromPath[UUID]
    cascade: FromQuery[bool]


@handles(EraseUser)
async def erase_user(
    command: EraseUser,
    session: Transaction,
    preconditions: Preconditions,
    send: Sender,
    changes: PrincipalChanges,
    tags: CacheTags,
) -> None:
    await check_authority(command, command.id, send, others_only=True)
    await keep_a_superuser(session, command.id, send)
    user = await locked_user(command.id, session, deleted=True)
    preconditions.check(await send.as_system()(GetUser(id=user.id)))
    for owner in _owners():
        if command.cascade:
            if held := await _holding(session, owner, user):
                raise _OwnsRows(f"{held}: remove those first.")
            await session.execute(delete(owner.table).where(owner == user.id))
            name = owner.table.name
            tags.touch(name, f"{name}:of:{user.id}", f"{name}:erased")
        elif await session.scalar(select(literal(1)).where(owner == user.id).limit(1)):
            held = await _holding(session, owner, user)
            how = f"{held}: remove those first" if held else "cascade=true removes them"
            raise _OwnsRows(f"Rows of {owner.table.name} belong to the user. {how}.")
    await _forget_jobs(session, user)
    await session.delete(user)
    changes.touch(user.id)


async def _holding(session: Transaction, owner: Column[Any], user: User) -> str:
    """What keeps a user's rows of a table from being removed; empty if nothing does.

    Rows that refer to them do, unless they belong to the user as well and are removed, too.
    """
    mine = owner.table.alias()
    for table in Base.metadata.sorted_tables:
        own = [each for each in _owners() if each.table is table]
        for key in table.foreign_keys:
            if key.column.table is not owner.table or _resolved_by_database(key):
                continue
            held = select(mine.c[key.column.key]).where(mine.c[owner.key] == user.id)
            others = (or_(each.is_(None), each != user.id) for each in own)
            found = select(literal(1)).where(key.parent.in_(held), *others).limit(1)
            if await session.scalar(found):
                return f"Rows of {table.name} refer to rows of {owner.table.name}"
    return ""


async def _forget_jobs(session: Transaction, user: User) -> None:
    """Delete the jobs on the user's behalf, and the mails and finished jobs that name them.

    An address that another account has by now is not searched for: it is that account's.
    """
    names = [str(user.id)]
    for email in filter(None, (user.email, user.pending_email)):
        if not await exists(session, User, User.email == email, User.id != user.id):
            names.append(email)
    named = (contains(Job.payload, to_json(name).decode()) for name in names)
    over = or_(Job.finished_at.is_not(None), Job.queue == MAIL_QUEUE)
    await session.delete_where(Job, or_(Job.user_id == user.id, and_(over, or_(*named))))


def _owners() -> Iterator[Column[Any]]:
    """Every column whose foreign key keeps the row of a user from being deleted.

    Tables that depend on others come first.
    """
    for table in reversed(Base.metadata.sorted_tables):
        for key in sorted(table.foreign_keys, key=lambda key: key.parent.name):
            if key.column is User.__table__.columns.id and not _resolved_by_database(key):
                yield key.parent


def _resolved_by_database(key: ForeignKey) -> bool:
    """Whether the database itself deletes or changes rows that refer to a deleted one."""
    return (key.ondelete or "").upper() in {"CASCADE", "SET NULL", "SET DEFAULT"}


class RestoreUser(Command[UserDetail]):
    """Bring a deleted user back, unless the e-mail address or username is taken by now."""

    permission = DELETE

    id: FromPath[UUID]


@handles(RestoreUser)
async def restore_user(command: RestoreUser, session: Transaction, send: Sender) -> UserDetail:
    await check_authority(command, command.id, send, others_only=True)
    user = await locked_user(command.id, session, deleted=True)
    user.deleted_at = None
    return await send.as_system()(GetUser(id=user.id))
