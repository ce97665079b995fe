"""Reads the grants of roles, each with its field rules, for all queries that need them."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select

from backstay.db.session import Reader
from backstay.features.access.model import FieldRule, Permission, PermissionField, RolePermission
from backstay.features.access.schemas import FieldRuleDetail, GrantDetail

_GRANTS = (
    select(
        RolePermission.id,
        RolePermission.role_id,
        RolePermission.permission_id,
        RolePermission.scope,
        Permission.key,
        FieldRule.field_id,
        FieldRule.effect,
        PermissionField.source,
        PermissionField.name,
    )
    .join(Permission, Permission.id == RolePermission.permission_id)
    .outerjoin(FieldRule, FieldRule.grant_id == RolePermission.id)
    .outerjoin(PermissionField, PermissionField.id == FieldRule.field_id)
    .where(RolePermission.role_id.in_(bindparam("role_ids", expanding=True)))
    .order_by(Permission.key, PermissionField.source, PermissionField.name)
)


async def grant_rows(reader: Reader, role_ids: Collection[UUID]) -> Iterable[list[Any]]:
    """The rows of each grant of these roles: one per field rule, or one if there is none."""
    by_grant: defaultdict[UUID, list[Any]] = defaultdict(list)
    for row in await reader.rows(_GRANTS, {"role_ids": list(role_ids)}) if role_ids else ():
        by_grant[row.id].append(row)
    return by_grant.values()


async def grants_of(
    reader: Reader, role_ids: Collection[UUID]
) -> defaultdict[UUID, tuple[GrantDetail, ...]]:
    """By role: its grants, sorted by the keys of their permissions."""
    found: defaultdict[UUID, tuple[GrantDetail, ...]] = defaultdict(tuple)
    for held in await grant_rows(reader, role_ids):
        first = held[0]
        detail = GrantDetail(
            role_id=first.role_id,
            permission_id=first.permission_id,
            permission=first.key,
            scope=first.scope,
            fields=tuple(
                FieldRuleDetail.model_validate(rule) for rule in held if rule.effect is not None
            ),
        )
        found[first.role_id] += (detail,)
    return found
