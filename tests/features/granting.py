"""Gives people roles that no route can make yet: rows of the access tables."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import insert, select

from backstay.composition import Backstay
from backstay.core.clock import new_id, utc_now
from backstay.core.messages import Scope, Source
from backstay.core.principal import Effect
from backstay.features.access.model import (
    FieldRule,
    Permission,
    PermissionField,
    Role,
    RoleMember,
    RolePermission,
)
from tests.features.steps import execute

Rule = tuple[Source, str, Effect]


async def grant(
    backstay: Backstay,
    user_id: str,
    permission: str,
    scope: Scope = Scope.ANY,
    *,
    rules: Sequence[Rule] = (),
    level: int = 10,
    role: str | None = None,
) -> None:
    """Give a user a new role with one permission, under field rules."""
    role_id, grant_id = new_id(), new_id()
    stamps = {"created_at": utc_now(), "updated_at": utc_now(), "version": 1}
    permission_id = await _scalar(
        backstay, select(Permission.id).where(Permission.key == permission)
    )
    await execute(
        backstay,
        insert(Role).values(
            id=role_id,
            name=role or f"role {role_id}",
            description="",
            level=level,
            is_superuser=False,
            **stamps,
        ),
    )
    await execute(backstay, insert(RoleMember).values(role_id=role_id, user_id=UUID(user_id)))
    await execute(
        backstay,
        insert(RolePermission).values(
            id=grant_id, role_id=role_id, permission_id=permission_id, scope=scope, **stamps
        ),
    )
    for source, name, effect in rules:
        field = select(PermissionField.id).where(
            PermissionField.permission_id == permission_id,
            PermissionField.source == source,
            PermissionField.name == name,
        )
        await execute(
            backstay,
            insert(FieldRule).values(
                id=new_id(),
                grant_id=grant_id,
                field_id=await _scalar(backstay, field),
                effect=effect,
                **stamps,
            ),
        )
    backstay.principals.forget_all()


async def _scalar(backstay: Backstay, statement: object) -> UUID:
    found: UUID = (await execute(backstay, statement)).scalar_one()  # type: ignore[arg-type]
    return found
