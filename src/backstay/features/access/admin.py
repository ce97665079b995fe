"""The pages of the console on roles and permissions."""

from backstay import AdminPage, AdminView
from backstay.features.access.queries.permissions import ListPermissions
from backstay.features.access.queries.roles import GetMatrix, ListRoles

ACCESS = "Access"

ROLES = AdminView(list=ListRoles, group=ACCESS)
PERMISSIONS = AdminView(list=ListPermissions, group=ACCESS)
MATRIX = AdminPage(
    path="matrix", title="Roles matrix", group=ACCESS, query=GetMatrix, template="matrix.html"
)
