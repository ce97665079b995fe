"""Queries that merge roles into what their members hold."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import String, bindparam, cast, func, or_, select

from backstay.core.bus import handles
from backstay.core.context import Sender
from backstay.core.errors import Forbidden
from backstay.core.messages import Message, Query
from backstay.core.permissions import SYSTEM_ONLY, PermissionSpec, Scope, Source
from backstay.db.session import Reader
from backstay.features.access.model import Role, RoleMember
from backstay.features.access.queries.accounts import RequireActive
from backstay.features.access.queries.grants import grant_rows
from backstay.features.access.schemas import (
    EVERYTHING,
    NO_ROLES,
    Effect,
    Membership,
    RoleGrant,
    merge_grants,
)


class GetMembership(Query[Membership]):
    """The roles of a user, merged into one grant per permission."""

    permission = SYSTEM_ONLY

    user_id: UUID


_ROLES = select(
    Role.id,
    Role.name,
    Role.level,
    Role.is_superuser,
    Role.deleted_at.is_not(None).label("is_deleted"),
).order_by(Role.level.desc(), Role.name)
_LIVING = _ROLES.where(Role.deleted_at.is_(None))
ALL_OF_USER = _ROLES.join(RoleMember, RoleMember.role_id == Role.id).where(
    RoleMember.user_id == bindparam("user_id")
)
"""The roles of the user ``user_id``, deleted ones among them, the highest first."""
_OF_USER = ALL_OF_USER.where(Role.deleted_at.is_(None))
_BY_ID = _LIVING.where(Role.id.in_(bindparam("role_ids", expanding=True)))


@handles(GetMembership)
async def get_membership(query: GetMembership, reader: Reader) -> Membership:
    roles = await reader.rows(_OF_USER, {"user_id": query.user_id})
    return added_up(roles, await grants_by_role(reader, roles))


async def standing_of(message: Message[Any], send: Sender) -> Membership:
    """What the sender's roles add up to now; call it in the transaction that depends on it.

    Raises:
        Unauthenticated: the sender was blocked or deleted meanwhile.
        Forbidden: the sender has lost the message's permission meanwhile.
    """
    if send.principal.is_system:
        return EVERYTHING
    user_id, policy, ask = send.principal.id, message.permission, send.as_system()
    await ask(RequireActive(user_id=user_id))
    held = await ask(GetMembership(user_id=user_id))
    if isinstance(policy, PermissionSpec) and held.grant(policy.key) is None:
        raise Forbidden(f"This needs the permission {policy.key}.")
    return held


class ListDeletedPowers(Query[tuple[Membership, ...]]):
    """What each deleted role of a user would grant by itself if it were restored.

    Only the restrictions of a higher role could make it less, and that one may stay deleted.
    """

    permission = SYSTEM_ONLY

    user_id: UUID


_DELETED_OF_USER = ALL_OF_USER.where(Role.deleted_at.is_not(None))


@handles(ListDeletedPowers)
async def list_deleted_powers(query: ListDeletedPowers, reader: Reader) -> tuple[Membership, ...]:
    roles = await reader.rows(_DELETED_OF_USER, {"user_id": query.user_id})
    grants = await grants_by_role(reader, roles)
    return tuple(added_up([role], grants) for role in roles)


def added_up(roles: Sequence[Any], grants: Mapping[UUID, list[RoleGrant]]) -> Membership:
    """What these roles, highest first, add up to."""
    if not roles:
        return NO_ROLES
    return Membership(
        roles=tuple(role.name for role in roles),
        level=roles[0].level,
        is_superuser=any(role.is_superuser for role in roles),
        grants=merge_grants(grant for role in roles for grant in grants[role.id]),
    )


async def grants_by_role(
    reader: Reader, roles: Sequence[Any]
) -> defaultdict[UUID, list[RoleGrant]]:
    """By role: its grants, each with the field rules that the join returns as separate rows."""
    levels = {role.id: role.level for role in roles}
    by_role: defaultdict[UUID, list[RoleGrant]] = defaultdict(list)
    for held in await grant_rows(reader, levels):
        first = held[0]
        rules = tuple(
            (Source(rule.source), rule.name, Effect(rule.effect))
            for rule in held
            if rule.effect is not None
        )
        grant = RoleGrant(levels[first.role_id], first.key, Scope(first.scope), rules)
        by_role[first.role_id].append(grant)
    return by_role


RoleSet = frozenset[UUID]


class ListRoleSets(Query[frozenset[RoleSet]]):
    """The different sets of roles that the members of a role have: one per kind of member."""

    permission = SYSTEM_ONLY

    role_id: UUID


_MEMBERSHIPS = (
    select(RoleMember.user_id, cast(RoleMember.role_id, String).label("role_id"))
    .where(
        RoleMember.user_id.in_(
            select(RoleMember.user_id).where(RoleMember.role_id == bindparam("role_id"))
        )
    )
    .order_by(RoleMember.user_id, RoleMember.role_id)
    .subquery()
)
_SETS = (
    select(func.aggregate_strings(_MEMBERSHIPS.c.role_id, ",").label("role_ids"))
    .group_by(_MEMBERSHIPS.c.user_id)
    .distinct()
)


@handles(ListRoleSets)
async def list_role_sets(query: ListRoleSets, reader: Reader) -> frozenset[RoleSet]:
    rows = await reader.rows(_SETS, {"role_id": query.role_id})
    return frozenset(frozenset(map(UUID, row.role_ids.split(","))) for row in rows)


class GetMemberships(Query[dict[RoleSet, Membership]]):
    """What each of some sets of roles adds up to."""

    permission = SYSTEM_ONLY

    sets: frozenset[RoleSet]


@handles(GetMemberships)
async def get_memberships(query: GetMemberships, reader: Reader) -> dict[RoleSet, Membership]:
    roles = await reader.rows(
        _BY_ID, {"role_ids": list({role for ids in query.sets for role in ids})}
    )
    grants = await grants_by_role(reader, roles)
    return {ids: added_up([role for role in roles if role.id in ids], grants) for ids in query.sets}


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


_MEMBERS = (
    select(RoleMember.user_id)
    .join(Role, Role.id == RoleMember.role_id)
    .where(Role.deleted_at.is_(None))
)
MEMBERS = _MEMBERS.where(Role.id == bindparam("role_id"))
"""The ids of the users with the role ``role_id``."""
MEMBERS_BY_NAME = _MEMBERS.where(Role.name == bindparam("role"))
"""The ids of the users with the role of the name ``role``."""
ABOVE = _MEMBERS.where(or_(Role.is_superuser, Role.level > bindparam("level")))
"""The ids of superusers, and of the users with a role above ``level``."""
