"""Commands on roles that only the application itself sends."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import select

from backstay.core.bus import handles
from backstay.core.context import PrincipalChanges, Sender
from backstay.core.errors import Conflict, NotFound
from backstay.core.feature import Feature
from backstay.core.introspection import fields_of
from backstay.core.messages import Command, Message
from backstay.core.permissions import SYSTEM_ONLY, PermissionSpec, RoleSpec, Scope, Source
from backstay.db.session import Transaction
from backstay.features.access.model import (
    FieldRule,
    Permission,
    PermissionField,
    Role,
    RoleMember,
    RolePermission,
)
from backstay.features.access.schemas import DeclaredField, DeclaredPermission, DeclaredRole

ADMIN, USER = "admin", "user"
ADMIN_LEVEL = 1000


class SyncAccess(Command[None]):
    """Bring the tables in line with the code and seed ``admin``, ``user`` and the declared roles.

    A grant that the code declares is given once, when its role or its permission first appears;
    what an administrator changes later stays. A permission that the code no longer declares is
    removed, unless a grant or a field rule uses it.
    """

    permission = SYSTEM_ONLY
    touches = ("roles", "permissions")

    permissions: tuple[DeclaredPermission, ...]
    roles: tuple[DeclaredRole, ...] = ()


@handles(SyncAccess)
async def sync_access(
    command: SyncAccess, session: Transaction, send: Sender, changes: PrincipalChanges
) -> None:
    await send(LockSuperusers())
    admin = DeclaredRole(name=ADMIN, level=ADMIN_LEVEL, description="May do everything.", grants={})
    meant = {each.key: each.default_scope for each in command.permissions if each.default_scope}
    user = DeclaredRole(name=USER, level=0, description="Every new user has it.", grants=meant)
    roles = [await _seeded(session, each) for each in (user, admin, *command.roles)]
    known = {each.key: each for each in await session.scalars(select(Permission))}
    for declared in command.permissions:
        stored, is_new = known.get(declared.key), declared.key not in known
        if stored is None:
            stored = Permission(**declared.model_dump(exclude={"default_scope", "fields"}))
            session.add(stored)
            await session.flush()
        for role in roles:
            scope = role.grants.get(declared.key)
            if scope is not None and role.id is not None and (is_new or role.is_new):
                grant = RolePermission(role_id=role.id, permission_id=stored.id, scope=scope)
                session.add(grant)
        stored.description = declared.description
        await _sync_fields(session, stored, declared)
    await _drop_undeclared(session, command.permissions)
    changes.touch_everyone()


class _SeededRole(NamedTuple):
    """A role of the code as it is in the database; without an id it was deleted."""

    id: UUID | None
    is_new: bool
    grants: dict[str, Scope]


async def _seeded(session: Transaction, declared: DeclaredRole) -> _SeededRole:
    """The role of that name, created if there never was one; the seeded two always exist."""
    found = list(await session.scalars(select(Role).where(Role.name == declared.name)))
    if any(role.created_by is not None and role.deleted_at is None for role in found):
        raise Conflict(
            f"The code declares the role {declared.name}, and somebody made one of that name: "
            "rename or delete theirs first, since its members would get the declared grants"
        )
    found = [role for role in found if role.created_by is None]
    living = next((each for each in found if each.deleted_at is None), None)
    if living is not None:
        return _SeededRole(living.id, False, declared.grants)
    if found and declared.name not in {ADMIN, USER}:
        return _SeededRole(None, False, {})
    seed = Role(
        name=declared.name,
        description=declared.description,
        level=declared.level,
        is_superuser=declared.name == ADMIN,
    )
    session.add(seed)
    await session.flush()
    return _SeededRole(seed.id, True, declared.grants)


async def _sync_fields(
    session: Transaction, stored: Permission, declared: DeclaredPermission
) -> None:
    query = select(PermissionField).where(PermissionField.permission_id == stored.id)
    fields = {(f.source, f.name): f for f in await session.scalars(query)}
    for field in declared.fields:
        known = fields.get((field.source, field.name))
        if known is None:
            session.add(PermissionField(permission_id=stored.id, **field.model_dump()))
        else:
            known.type = field.type


async def _drop_undeclared(
    session: Transaction, permissions: tuple[DeclaredPermission, ...]
) -> None:
    await session.flush()
    declared = {each.key: each.field_names() for each in permissions}
    unused_fields = (
        select(PermissionField, Permission.key)
        .join(Permission, Permission.id == PermissionField.permission_id)
        .where(~select(FieldRule).where(FieldRule.field_id == PermissionField.id).exists())
    )
    for field, key in (await session.execute(unused_fields)).all():
        if (field.source, field.name) not in declared.get(key, set()):
            await session.delete(field)
    unused = select(Permission).where(
        ~select(RolePermission).where(RolePermission.permission_id == Permission.id).exists()
    )
    for permission in await session.scalars(unused):
        if permission.key not in declared:
            await session.delete(permission)


class JoinRole(Command[None]):
    """Give a user the role of this name."""

    permission = SYSTEM_ONLY

    user_id: UUID
    role: str


@handles(JoinRole)
async def join_role(command: JoinRole, session: Transaction, changes: PrincipalChanges) -> None:
    named = select(Role.id).where(Role.name == command.role, Role.deleted_at.is_(None))
    role_id = await session.scalar(named)
    if role_id is None:
        raise NotFound(f"There is no role {command.role}.")
    session.add(RoleMember(role_id=role_id, user_id=command.user_id))
    changes.touch(command.user_id)


class LockSuperusers(Command[frozenset[UUID]]):
    """Lock the superuser roles until the transaction ends; the result is the ids of their members.

    Every command that removes a superuser or changes a role sends this first. The role ``admin`` is
    always among the locked ones, so these commands run one after another.
    """

    permission = SYSTEM_ONLY


@handles(LockSuperusers)
async def lock_superusers(command: LockSuperusers, session: Transaction) -> frozenset[UUID]:
    superuser_roles = select(Role.id).where(Role.is_superuser, Role.deleted_at.is_(None))
    await session.execute(superuser_roles.order_by(Role.id).with_for_update())
    members = select(RoleMember.user_id).where(RoleMember.role_id.in_(superuser_roles))
    return frozenset(await session.scalars(members))


def declared_permissions(features: Iterable[Feature]) -> tuple[DeclaredPermission, ...]:
    """Every permission that the features declare, with the fields that field rules can name."""
    guarded: dict[PermissionSpec, set[DeclaredField]] = {}
    for message in (message for feature in features for message in feature.messages()):
        if isinstance(message.permission, PermissionSpec):
            guarded.setdefault(message.permission, set()).update(_fields_of(message))
    return tuple(
        DeclaredPermission(
            resource=spec.resource,
            action=spec.action,
            operation=spec.operation,
            description=spec.description,
            default_scope=spec.default_scope,
            key=spec.key,
            fields=tuple(sorted(fields, key=lambda field: (field.source, field.name))),
        )
        for spec, fields in sorted(guarded.items(), key=lambda item: item[0].key)
    )


def declared_roles(roles: Iterable[RoleSpec]) -> tuple[DeclaredRole, ...]:
    """The roles of a project, as they are seeded."""
    return tuple(
        DeclaredRole(
            name=role.name,
            level=role.level,
            description=role.description,
            grants={spec.key: scope for spec, scope in role.grants.items()},
        )
        for role in roles
    )


def _fields_of(message: type[Message[Any]]) -> Iterator[DeclaredField]:
    for field in fields_of(message):
        if field.source is not Source.PATH:
            kind = field.constraints.get("format") or field.type
            yield DeclaredField(name=field.name, source=field.source, type=kind)
