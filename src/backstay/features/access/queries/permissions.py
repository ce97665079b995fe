"""Queries about permissions: all, those that a user has, and those that are no longer declared."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, Boolean, bindparam, literal, or_, select

from backstay.core.bus import handles
from backstay.core.caching import Cached
from backstay.core.context import Sender
from backstay.core.listing import CursorPage, ListQuery, Page, Range, Text
from backstay.core.messages import FromPath, Query
from backstay.core.permissions import SYSTEM_ONLY, PermissionSpec, Scope
from backstay.core.principal import UNLIMITED, Grant, Principal
from backstay.db.listing import Listing
from backstay.db.paging import Paginator
from backstay.db.queries import columns_of
from backstay.db.session import Reader
from backstay.features.access.model import (
    Permission,
    PermissionField,
    Role,
    RoleMember,
    RolePermission,
)
from backstay.features.access.queries.accounts import RequireUser
from backstay.features.access.queries.membership import GetMembership
from backstay.features.access.schemas import (
    DeclaredPermission,
    HeldPermission,
    PermissionDetail,
    PermissionFieldDetail,
    rules_of,
)

LIST = PermissionSpec("permissions", "list", description="List permissions, also those of a user")


class ListPermissions(ListQuery[PermissionDetail]):
    """The permissions that the code declares, with the fields that rules can name."""

    permission = LIST
    cache = Cached(tags=("permissions",), shared=True, client=True)
    sortable = ("created_at", "key")
    searchable = ("key", "description")

    key: Text | None = None
    resource: Text | None = None
    action: Text | None = None
    description: Text | None = None
    created_at: Range[datetime] | None = None


NOT_YET = {"fields": literal([], JSON)}
PERMISSIONS = Listing(ListPermissions, Permission, PermissionDetail, columns=NOT_YET)
_FIELDS = (
    select(PermissionField.permission_id, *columns_of(PermissionFieldDetail, PermissionField))
    .where(PermissionField.permission_id.in_(bindparam("ids", expanding=True)))
    .order_by(PermissionField.source, PermissionField.name)
)


@handles(ListPermissions)
async def list_permissions(
    query: ListPermissions, paginate: Paginator, reader: Reader
) -> Page[PermissionDetail] | CursorPage[PermissionDetail]:
    page = await paginate(PERMISSIONS, query)
    return page.model_copy(update={"items": await with_fields(page.items, reader)})


async def with_fields(
    permissions: Sequence[PermissionDetail], reader: Reader
) -> tuple[PermissionDetail, ...]:
    """The permissions with the fields that rules can name."""
    fields: defaultdict[UUID, list[PermissionFieldDetail]] = defaultdict(list)
    for row in await reader.rows(_FIELDS, {"ids": [each.id for each in permissions]}):
        fields[row.permission_id].append(PermissionFieldDetail.model_validate(row))
    return tuple(each.model_copy(update={"fields": tuple(fields[each.id])}) for each in permissions)


class ListPermissionsOfUser(ListQuery[HeldPermission]):
    """What a user may do: the roles added up, with the scope and field rules in force."""

    permission = LIST
    sortable = ListPermissions.sortable
    searchable = ListPermissions.searchable

    user_id: FromPath[UUID]
    key: Text | None = None
    resource: Text | None = None
    action: Text | None = None
    description: Text | None = None
    created_at: Range[datetime] | None = None


_GRANTED = (
    select(RolePermission.permission_id)
    .join(Role, Role.id == RolePermission.role_id)
    .join(RoleMember, RoleMember.role_id == Role.id)
    .where(RoleMember.user_id == bindparam("user_id"), Role.deleted_at.is_(None))
)
HELD_PERMISSIONS = Listing(
    ListPermissionsOfUser,
    Permission,
    HeldPermission,
    where=or_(bindparam("everything", type_=Boolean), Permission.id.in_(_GRANTED)),
    columns={**NOT_YET, "scope": literal(Scope.ANY.value)},
)


@handles(ListPermissionsOfUser)
async def list_permissions_of_user(
    query: ListPermissionsOfUser,
    paginate: Paginator,
    principal: Principal,
    grant: Grant,
    send: Sender,
) -> Page[HeldPermission] | CursorPage[HeldPermission]:
    principal.check_reach(query.user_id, grant)
    await send.as_system()(RequireUser(user_id=query.user_id))
    held = await send.as_system()(GetMembership(user_id=query.user_id))
    everything = {"everything": held.is_superuser}
    page = await paginate(HELD_PERMISSIONS, query, everything, scope=Scope.ANY)
    grants = {} if held.is_superuser else held.grants
    items = tuple(_in_force(each, grants.get(each.key, UNLIMITED)) for each in page.items)
    return page.model_copy(update={"items": items})


def _in_force(permission: HeldPermission, grant: Grant) -> HeldPermission:
    return permission.model_copy(update={"scope": grant.scope, "fields": rules_of(grant)})


class ListUndeclared(Query[tuple[str, ...]]):
    """A sentence on each permission or field that roles use and the code no longer declares."""

    permission = SYSTEM_ONLY

    permissions: tuple[DeclaredPermission, ...]


_EVERY_PERMISSION = select(Permission.key).order_by(Permission.key)
_EVERY_FIELD = (
    select(Permission.key, PermissionField.source, PermissionField.name)
    .join(Permission, Permission.id == PermissionField.permission_id)
    .order_by(Permission.key, PermissionField.source, PermissionField.name)
)


@handles(ListUndeclared)
async def list_undeclared(query: ListUndeclared, reader: Reader) -> tuple[str, ...]:
    declared = {each.key: each.field_names() for each in query.permissions}
    keys = [row.key for row in await reader.rows(_EVERY_PERMISSION)]
    fields: Iterable[Any] = await reader.rows(_EVERY_FIELD)
    return (
        *(
            f"The permission {key} is no longer declared; it is kept while roles hold it: "
            "revoke it from them."
            for key in keys
            if key not in declared
        ),
        *(
            f"The {field.source} field {field.name} of {field.key} is no longer declared; it is "
            "kept while field rules name it: remove them."
            for field in fields
            if (field.source, field.name)
            not in declared.get(field.key, {(field.source, field.name)})
        ),
    )
