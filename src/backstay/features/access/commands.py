"""What the application itself does with roles; people's commands go through the same tables."""

from uuid import UUID

from sqlalchemy import select

from backstay.core.bus import handles
from backstay.core.context import PrincipalChanges
from backstay.core.messages import SYSTEM_ONLY, Command
from backstay.db.session import Transaction
from backstay.features.access.model import (
    Permission,
    PermissionField,
    Role,
    RoleMember,
    RolePermission,
)
from backstay.features.access.schemas import DeclaredPermission

ADMIN, USER = "admin", "user"
ADMIN_LEVEL = 1000


class SyncAccess(Command[None]):
    """Bring the tables in line with the code and seed the roles ``admin`` and ``user``.

    A permission that appears for the first time and is meant for everyone is granted to ``user``
    once; what an administrator changes later stays.
    """

    permission = SYSTEM_ONLY

    permissions: tuple[DeclaredPermission, ...]


@handles(SyncAccess)
async def sync_access(command: SyncAccess, session: Transaction, changes: PrincipalChanges) -> None:
    user = await _role(session, Role(name=USER, description="Every new user has it.", level=0))
    await _role(
        session,
        Role(name=ADMIN, description="May do everything.", level=ADMIN_LEVEL, is_superuser=True),
    )
    known = {p.key: p for p in await session.scalars(select(Permission))}
    for declared in command.permissions:
        stored = known.get(declared.key)
        if stored is None:
            stored = Permission(**declared.model_dump(exclude={"everyone", "fields"}))
            session.add(stored)
            await session.flush()
            if declared.everyone is not None:
                session.add(
                    RolePermission(
                        role_id=user.id, permission_id=stored.id, scope=declared.everyone
                    )
                )
        stored.description = declared.description
        await _sync_fields(session, stored, declared)
    changes.touch_everyone()


async def _role(session: Transaction, seed: Role) -> Role:
    query = select(Role).where(Role.name == seed.name, Role.deleted_at.is_(None))
    found = await session.scalar(query)
    if found is None:
        session.add(seed)
        await session.flush()
    return found or seed


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


class JoinRole(Command[None]):
    """Give a user a role by name."""

    permission = SYSTEM_ONLY

    user_id: UUID
    role: str


@handles(JoinRole)
async def join_role(command: JoinRole, session: Transaction, changes: PrincipalChanges) -> None:
    role_id = (
        await session.execute(
            select(Role.id).where(Role.name == command.role, Role.deleted_at.is_(None))
        )
    ).scalar_one()
    session.add(RoleMember(role_id=role_id, user_id=command.user_id))
    changes.touch(command.user_id)


class LockSuperusers(Command[frozenset[UUID]]):
    """The ids of all superusers, locked until the transaction ends.

    Whoever is about to take a superuser away asks this first, so that two of them cannot remove
    the last two at once.
    """

    permission = SYSTEM_ONLY


@handles(LockSuperusers)
async def lock_superusers(command: LockSuperusers, session: Transaction) -> frozenset[UUID]:
    superuser_roles = select(Role.id).where(Role.is_superuser, Role.deleted_at.is_(None))
    role_ids = list(await session.scalars(superuser_roles.with_for_update()))
    members = select(RoleMember.user_id).where(RoleMember.role_id.in_(role_ids))
    return frozenset(await session.scalars(members))
