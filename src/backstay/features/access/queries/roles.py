"""Queries about roles and their grants."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam, select

from backstay.core.bus import handles
from backstay.core.caching import Cached
from backstay.core.context import Sender
from backstay.core.errors import NotFound
from backstay.core.listing import CursorPage, Equals, ListQuery, Page, Range, Text
from backstay.core.messages import FromPath, Query
from backstay.core.permissions import PermissionSpec, Scope
from backstay.core.principal import Grant, Principal
from backstay.db.listing import Listing
from backstay.db.paging import Paginator
from backstay.db.queries import columns_of
from backstay.db.session import Reader
from backstay.features.access.model import Permission, Role, RoleMember
from backstay.features.access.queries.accounts import RequireUser
from backstay.features.access.queries.grants import grants_of
from backstay.features.access.queries.permissions import LIST as LIST_PERMISSIONS
from backstay.features.access.queries.permissions import NOT_YET, with_fields
from backstay.features.access.schemas import Matrix, PermissionDetail, RoleDetail, RoleSummary

LIST = PermissionSpec("roles", "list", description="List roles")
READ = PermissionSpec("roles", "read", description="Read a role, its grants and its members")
MOST_ROLES = 200
"""In the matrix: each may hold every permission, so that this bounds its size."""


class GetRole(Query[RoleDetail]):
    """One role, with its grants and their field rules."""

    permission = READ
    cache = Cached(tags=("roles",), shared=True)

    role_id: FromPath[UUID]


_ROLES = select(
    *columns_of(RoleSummary, Role, {"is_deleted": Role.deleted_at.is_not(None)}), Role.version
)
_LIVING = _ROLES.where(Role.deleted_at.is_(None))
_ROLE = _LIVING.where(Role.id == bindparam("role_id"))


@handles(GetRole)
async def get_role(query: GetRole, reader: Reader, grant: Grant) -> RoleDetail:
    row = await reader.one_or_none(_ROLE, {"role_id": query.role_id})
    if row is None or grant.scope is Scope.OWN:
        raise NotFound
    grants = await grants_of(reader, [query.role_id])
    return RoleDetail(**row._mapping, grants=grants[query.role_id])


class ListRoles(ListQuery[RoleSummary]):
    """The roles, newest first."""

    permission = LIST
    cache = Cached(tags=("roles",), shared=True)
    sortable = ("created_at", "updated_at", "name", "level")
    searchable = ("name", "description")

    name: Text | None = None
    description: Text | None = None
    level: Range[int] | None = None
    is_superuser: Equals[bool] | None = None
    is_deleted: Equals[bool] | None = None
    created_at: Range[datetime] | None = None
    updated_at: Range[datetime] | None = None


ROLES = Listing(ListRoles, Role, RoleSummary)


class ListRolesOfUser(ListQuery[RoleSummary]):
    """The roles that a user has."""

    permission = READ
    sortable = ListRoles.sortable
    searchable = ListRoles.searchable

    user_id: FromPath[UUID]
    name: Text | None = None
    description: Text | None = None
    level: Range[int] | None = None
    is_superuser: Equals[bool] | None = None
    created_at: Range[datetime] | None = None
    updated_at: Range[datetime] | None = None


ROLES_OF_USER = Listing(
    ListRolesOfUser,
    Role,
    RoleSummary,
    where=Role.id.in_(select(RoleMember.role_id).where(RoleMember.user_id == bindparam("user_id"))),
)


@handles(ListRolesOfUser)
async def list_roles_of_user(
    query: ListRolesOfUser, paginate: Paginator, principal: Principal, grant: Grant, send: Sender
) -> Page[RoleSummary] | CursorPage[RoleSummary]:
    principal.check_reach(query.user_id, grant)
    await send.as_system()(RequireUser(user_id=query.user_id))
    return await paginate(ROLES_OF_USER, query, scope=Scope.ANY)


class GetMatrix(Query[Matrix]):
    """Which role holds which permission: everything at once, highest role first."""

    permission = LIST_PERMISSIONS
    cache = Cached(tags=("roles", "permissions"), shared=True)


_HIGHEST_FIRST = _LIVING.order_by(Role.level.desc(), Role.name).limit(MOST_ROLES + 1)
_PERMISSIONS = select(*columns_of(PermissionDetail, Permission, NOT_YET)).order_by(Permission.key)


@handles(GetMatrix)
async def get_matrix(
    query: GetMatrix, reader: Reader, principal: Principal, grant: Grant
) -> Matrix:
    principal.check_reach(None, grant)
    found = await reader.rows(_HIGHEST_FIRST)
    roles = found[:MOST_ROLES]
    grants = await grants_of(reader, [role.id for role in roles])
    rows = await reader.rows(_PERMISSIONS)
    details = await with_fields([PermissionDetail.model_validate(row) for row in rows], reader)
    return Matrix(
        permissions=tuple(each.key for each in details),
        roles=tuple(
            RoleDetail(
                **role._mapping,  # pyright: ignore[reportPrivateUsage]
                grants=grants[role.id],
            )
            for role in roles
        ),
        details=details,
        is_complete=len(found) <= MOST_ROLES,
    )
