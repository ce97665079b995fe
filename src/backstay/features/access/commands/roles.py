"""Commands that create, change, delete and restore roles."""

from typing import Any
from uuid import UUID

from sqlalchemy import select

from backstay.core.bus import handles
from backstay.core.clock import minutes
from backstay.core.context import PrincipalChanges, Sender
from backstay.core.errors import Conflict
from backstay.core.messages import Command, FromPath, FromQuery, optional
from backstay.core.permissions import PermissionSpec
from backstay.core.ports import Clock
from backstay.core.representation import Preconditions
from backstay.db.queries import one_or_404
from backstay.db.session import Reader, Transaction
from backstay.features.access.commands.authority import Authority, authority_over
from backstay.features.access.commands.seeding import ADMIN, USER
from backstay.features.access.model import Role
from backstay.features.access.queries.accounts import RequireSuperuser
from backstay.features.access.queries.grants import grants_of
from backstay.features.access.schemas import (
    Level,
    RoleDescription,
    RoleDetail,
    RoleName,
    RoleSummary,
)

CREATE = PermissionSpec("roles", "create", description="Create roles")
UPDATE = PermissionSpec("roles", "update", description="Change roles")
DELETE = PermissionSpec("roles", "delete", description="Delete roles")
RESTORE = PermissionSpec("roles", "restore", description="Restore deleted roles")


class _RoleProtected(Conflict):
    code, title = "access.role_protected", "The application needs this role as it is"


class CreateRole(Command[RoleDetail]):
    """Create a role; it grants nothing yet."""

    permission = CREATE
    touches = ("roles",)

    name: RoleName
    description: RoleDescription = ""
    level: Level = 0
    is_superuser: bool = False


@handles(CreateRole)
async def create_role(
    command: CreateRole, session: Transaction, reader: Reader, send: Sender
) -> RoleDetail:
    authority = await authority_over(command, send)
    role = Role(**command.model_dump())
    authority.over(role)
    session.add(role)
    await session.flush()
    return await _detail_of(role, reader)


class UpdateRole(Command[RoleDetail]):
    """Change the named fields of a role."""

    permission = UPDATE
    fresh = minutes(5)
    touches = ("roles",)

    role_id: FromPath[UUID]
    name: RoleName = optional()
    description: RoleDescription = optional()
    level: Level = optional()
    is_superuser: bool = optional()


@handles(UpdateRole)
async def update_role(
    command: UpdateRole,
    session: Transaction,
    reader: Reader,
    send: Sender,
    preconditions: Preconditions,
    changes: PrincipalChanges,
) -> RoleDetail:
    authority = await authority_over(command, send)
    role = await locked_role(command.role_id, session)
    await authority.over_role(role)
    before = await _detail_of(role, reader)
    preconditions.check(before)
    _keep_seeded(before, command.changes())
    for name, value in command.changes().items():
        setattr(role, name, value)
    authority.over(role)
    if role.level != before.level:
        _over_grants_of(before, authority)
    await session.flush()
    changes.touch_everyone()
    await _settle(authority, lost_superusers=before.is_superuser and not role.is_superuser)
    return await _detail_of(role, reader)


def _keep_seeded(role: RoleDetail, changes: dict[str, Any]) -> None:
    """Refuse a change of a seeded role without which the application could not work.

    Raises:
        _RoleProtected: the role ``admin`` or ``user`` would lose its name, its level or its
            superuser flag.
    """
    after = {**dict(role), **changes}
    if role.name in {ADMIN, USER} and after["name"] != role.name:
        raise _RoleProtected(f"The role {role.name} cannot be renamed.")
    if role.name == USER and after["level"] != role.level:
        raise _RoleProtected(f"The role {USER} stays at the level below every other.")
    if role.name == ADMIN and not (after["is_superuser"] and after["level"] >= role.level):
        raise _RoleProtected(f"The role {ADMIN} cannot be lowered or stripped of its power.")


class DeleteRole(Command[None]):
    """Delete a role: hidden and restorable, or for good with `hard=true`.

    Who is no superuser must hold everything that it grants, as to restore it.
    """

    permission = DELETE
    fresh = minutes(5)
    touches = ("roles",)

    role_id: FromPath[UUID]
    hard: FromQuery[bool] = False


@handles(DeleteRole)
async def delete_role(
    command: DeleteRole,
    session: Transaction,
    reader: Reader,
    send: Sender,
    preconditions: Preconditions,
    clock: Clock,
    changes: PrincipalChanges,
) -> None:
    authority = await authority_over(command, send)
    role = await locked_role(command.role_id, session, deleted=command.hard)
    await authority.over_role(role)
    before = await _detail_of(role, reader)
    _over_grants_of(before, authority)
    preconditions.check(before)
    if role.name in {ADMIN, USER} and role.deleted_at is None:
        raise _RoleProtected(f"The role {role.name} cannot be deleted.")
    was_superuser = role.is_superuser and role.deleted_at is None
    if command.hard:
        await session.delete(role)
    else:
        role.deleted_at = clock()
    await session.flush()
    changes.touch_everyone()
    await _settle(authority, lost_superusers=was_superuser)


class RestoreRole(Command[RoleDetail]):
    """Bring a deleted role back, with its grants and members."""

    permission = RESTORE
    fresh = minutes(5)
    touches = ("roles",)

    role_id: FromPath[UUID]


@handles(RestoreRole)
async def restore_role(
    command: RestoreRole,
    session: Transaction,
    reader: Reader,
    send: Sender,
    changes: PrincipalChanges,
) -> RoleDetail:
    authority = await authority_over(command, send)
    role = await locked_role(command.role_id, session, deleted=True)
    await authority.over_role(role)
    _over_grants_of(await _detail_of(role, reader), authority)
    role.deleted_at = None
    await session.flush()
    changes.touch_everyone()
    await _settle(authority)
    return await _detail_of(role, reader)


async def locked_role(role_id: UUID, session: Transaction, *, deleted: bool = False) -> Role:
    """The role, locked until the transaction ends; with ``deleted`` also a deleted one.

    Raises:
        NotFound: there is no such role.
    """
    query = select(Role).where(Role.id == role_id)
    if not deleted:
        query = query.where(Role.deleted_at.is_(None))
    return await one_or_404(session, query, lock=True)


async def _detail_of(role: Role, reader: Reader) -> RoleDetail:
    """The details of a role, as the transaction sees it."""
    columns = {name: getattr(role, name) for name in _COLUMNS}
    return RoleDetail(
        **columns,
        is_deleted=role.deleted_at is not None,
        version=role.version,
        grants=(await grants_of(reader, [role.id]))[role.id],
    )


_COLUMNS = RoleSummary.model_fields.keys() - {"is_deleted"}


def _over_grants_of(role: RoleDetail, authority: Authority) -> None:
    authority.over_grants({grant.permission: grant.as_grant() for grant in role.grants})


async def _settle(authority: Authority, *, lost_superusers: bool = False) -> None:
    if lost_superusers:
        await authority.send.as_system()(RequireSuperuser())
    await authority.settle()
