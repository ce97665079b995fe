"""What roles add up to."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select

from backstay.core.bus import handles
from backstay.core.messages import SYSTEM_ONLY, Query, Scope, Source
from backstay.core.principal import Effect, RoleGrant, merge_grants
from backstay.db.session import Reader
from backstay.features.access.model import (
    FieldRule,
    Permission,
    PermissionField,
    Role,
    RoleMember,
    RolePermission,
)
from backstay.features.access.schemas import NO_ROLES, Membership


class GetMembership(Query[Membership]):
    """The roles of a user, merged into one grant per permission."""

    permission = SYSTEM_ONLY

    user_id: UUID


_ROLES = (
    select(Role.id, Role.name, Role.level, Role.is_superuser)
    .join(RoleMember, RoleMember.role_id == Role.id)
    .where(RoleMember.user_id == bindparam("user_id"), Role.deleted_at.is_(None))
    .order_by(Role.level.desc(), Role.name)
)
_GRANTS = (
    select(
        RolePermission.id,
        RolePermission.role_id,
        RolePermission.scope,
        Permission.key,
        FieldRule.effect,
        PermissionField.source,
        PermissionField.name,
    )
    .join(Permission, Permission.id == RolePermission.permission_id)
    .outerjoin(FieldRule, FieldRule.grant_id == RolePermission.id)
    .outerjoin(PermissionField, PermissionField.id == FieldRule.field_id)
    .where(RolePermission.role_id.in_(bindparam("role_ids", expanding=True)))
)


@handles(GetMembership)
async def get_membership(query: GetMembership, reader: Reader) -> Membership:
    roles = await reader.rows(_ROLES, {"user_id": query.user_id})
    if not roles:
        return NO_ROLES
    levels = {role.id: role.level for role in roles}
    rows = await reader.rows(_GRANTS, {"role_ids": list(levels)})
    return Membership(
        roles=tuple(role.name for role in roles),
        level=roles[0].level,
        is_superuser=any(role.is_superuser for role in roles),
        grants=merge_grants(_role_grants(rows, levels)),
    )


def _role_grants(rows: Sequence[Any], levels: dict[UUID, int]) -> list[RoleGrant]:
    """One grant per row of the grant table, its field rules gathered from the join."""
    by_grant: defaultdict[UUID, list[Any]] = defaultdict(list)
    for row in rows:
        by_grant[row.id].append(row)
    return [
        RoleGrant(
            levels[held[0].role_id],
            held[0].key,
            Scope(held[0].scope),
            tuple(
                (Source(rule.source), rule.name, Effect(rule.effect))
                for rule in held
                if rule.effect is not None
            ),
        )
        for held in by_grant.values()
    ]


class ListSuperusers(Query[frozenset[UUID]]):
    """The ids of all users with a superuser role."""

    permission = SYSTEM_ONLY


_SUPERUSERS = (
    select(RoleMember.user_id)
    .join(Role, Role.id == RoleMember.role_id)
    .where(Role.is_superuser, Role.deleted_at.is_(None))
)


@handles(ListSuperusers)
async def list_superusers(query: ListSuperusers, reader: Reader) -> frozenset[UUID]:
    return frozenset(row.user_id for row in await reader.rows(_SUPERUSERS))


MEMBERS_BY_NAME = (
    select(RoleMember.user_id)
    .join(Role, Role.id == RoleMember.role_id)
    .where(Role.name == bindparam("role"), Role.deleted_at.is_(None))
)
"""The ids of the users with the role of the name ``role``."""
