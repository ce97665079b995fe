"""The query for why a user may do something, or may not."""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any
from uuid import UUID

from sqlalchemy import select

from backstay.core.bus import handles
from backstay.core.context import Sender
from backstay.core.errors import NotFound, Unauthenticated
from backstay.core.messages import Query
from backstay.core.permissions import Scope
from backstay.core.principal import Grant, Principal
from backstay.db.session import Reader
from backstay.features.access.model import Permission
from backstay.features.access.queries.accounts import RequireActive, RequireUser
from backstay.features.access.queries.membership import ALL_OF_USER, added_up, grants_by_role
from backstay.features.access.queries.permissions import LIST
from backstay.features.access.schemas import (
    Explanation,
    RoleGrant,
    RoleShare,
    deciding_of,
    merge_grants,
    rules_of,
)


class ExplainPermission(Query[Explanation]):
    """Why a user holds the permission `key`, or why not: what each role of the user says of it."""

    permission = LIST

    user_id: UUID
    key: str


@handles(ExplainPermission)
async def explain_permission(
    query: ExplainPermission, reader: Reader, principal: Principal, grant: Grant, send: Sender
) -> Explanation:
    principal.check_reach(query.user_id, grant)
    await send.as_system()(RequireUser(user_id=query.user_id))
    await _require_permission(query.key, reader)
    roles = await reader.rows(ALL_OF_USER, {"user_id": query.user_id})
    grants = await grants_by_role(reader, roles)
    held = added_up([role for role in roles if not role.is_deleted], grants)
    is_active = await _is_active(query.user_id, send)
    in_force = held.grant(query.key) if is_active else None
    shares = tuple(_shares(query.key, roles, grants, is_superuser=held.is_superuser))
    return Explanation(
        user_id=query.user_id,
        permission=query.key,
        is_allowed=in_force is not None,
        is_active=is_active,
        is_superuser=held.is_superuser,
        scope=in_force.scope if in_force else None,
        fields=rules_of(in_force) if in_force else (),
        roles=shares,
        reasons=tuple(_reasons(shares, is_active=is_active, is_superuser=held.is_superuser)),
    )


_KEYS = select(Permission.key).order_by(Permission.key)


async def _require_permission(key: str, reader: Reader) -> None:
    known = [row.key for row in await reader.rows(_KEYS)]
    if key not in known:
        close = " or ".join(get_close_matches(key, known, n=3))
        raise NotFound(f"There is no such permission{f'; is it {close}' if close else ''}.")


async def _is_active(user_id: UUID, send: Sender) -> bool:
    try:
        await send.as_system()(RequireActive(user_id=user_id))
    except Unauthenticated:
        return False
    return True


def _shares(
    key: str, roles: Sequence[Any], grants: Mapping[UUID, list[RoleGrant]], *, is_superuser: bool
) -> Iterator[RoleShare]:
    """What each role says of a permission; that of a superuser role decides alone."""
    of_role = {role.id: [g for g in grants[role.id] if g.permission == key] for role in roles}
    living = [grant for role in roles if not role.is_deleted for grant in of_role[role.id]]
    deciding = {grant.level for grant in deciding_of(living)}
    for role in roles:
        own = merge_grants(of_role[role.id]).get(key)
        counts = role.is_superuser if is_superuser else own is not None and role.level in deciding
        yield RoleShare(
            id=role.id,
            name=role.name,
            level=role.level,
            is_superuser=role.is_superuser,
            is_deleted=role.is_deleted,
            counts=counts and not role.is_deleted,
            scope=_scope(role, own),
            fields=rules_of(own) if own and not role.is_superuser else (),
        )


def _scope(role: Any, own: Grant | None) -> Scope | None:
    if role.is_superuser:
        return Scope.ANY
    return own.scope if own else None


def _reasons(shares: Sequence[RoleShare], *, is_active: bool, is_superuser: bool) -> Iterator[str]:
    if not is_active:
        yield "The account is blocked, so it may do nothing."
    for share in shares:
        if share.scope is not None:
            yield _sentence(share, is_superuser=is_superuser)
    deciding = [share for share in shares if share.counts]
    if not deciding:
        yield "No role of the user grants it." if shares else "The user has no role."
    elif len(deciding) > 1 and not is_superuser:
        yield "Roles of one level add up: ANY beats OWN, and DENY beats ALLOW."


def _sentence(share: RoleShare, *, is_superuser: bool) -> str:
    name = f"The role {share.name} (level {share.level})"
    if share.is_deleted:
        return f"{name} would grant it, but it is deleted."
    if share.is_superuser:
        return f"{name} makes a superuser, who holds every permission without restriction."
    if not share.counts:
        why = "superusers need no grant" if is_superuser else "a role of a higher level decides"
        return f"{name} grants it, too, but {why}."
    reach = "any row" if share.scope is Scope.ANY else "own rows"
    return f"{name} grants it for {reach}{', under field rules' if share.fields else ''}."
