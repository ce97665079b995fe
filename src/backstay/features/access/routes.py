"""The routes of roles, grants and memberships."""

from backstay.features.access.commands.grants import (
    AddFieldRule,
    ChangeFieldRule,
    ChangeScope,
    GrantPermission,
    RemoveFieldRule,
    RevokePermission,
)
from backstay.features.access.commands.members import AssignRole, UnassignRole
from backstay.features.access.commands.roles import (
    CreateRole,
    DeleteRole,
    RestoreRole,
    UpdateRole,
)
from backstay.features.access.queries.explaining import ExplainPermission
from backstay.features.access.queries.permissions import ListPermissions, ListPermissionsOfUser
from backstay.features.access.queries.roles import GetMatrix, GetRole, ListRoles, ListRolesOfUser
from backstay.web.routes import Routes

ROLE = "/roles/{role_id}"
GRANT = f"{ROLE}/permissions/{{permission_id}}"
RULE = f"{GRANT}/fields/{{field_id}}"
MEMBER = f"{ROLE}/users/{{user_id}}"

routes = Routes("/rbac", tag="rbac", about="Roles, what they may do, and who has them.")
routes.post("/roles", CreateRole, location="/rbac/roles/{id}")
routes.get("/roles", ListRoles)
routes.get(ROLE, GetRole)
routes.patch(ROLE, UpdateRole)
routes.delete(ROLE, DeleteRole)
routes.post(f"{ROLE}/restore", RestoreRole)
routes.get("/permissions", ListPermissions)
routes.post("/permissions", GrantPermission, location=f"/rbac{GRANT}", refuses=(404,))
routes.patch(GRANT, ChangeScope)
routes.delete(GRANT, RevokePermission)
routes.post("/permission-fields", AddFieldRule, status=201, refuses=(404,))
routes.patch(RULE, ChangeFieldRule)
routes.delete(RULE, RemoveFieldRule)
routes.post(MEMBER, AssignRole, status=201)
routes.delete(MEMBER, UnassignRole)
routes.get("/matrix", GetMatrix)
routes.get("/explain", ExplainPermission, refuses=(404,))
routes.get("/users/{user_id}/roles", ListRolesOfUser)
routes.get("/users/{user_id}/permissions", ListPermissionsOfUser)
