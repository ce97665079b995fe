"""The routes of users and their accounts."""

from backstay.features.users.commands.accounts import DeleteMe, RegisterUser, UpdateMe
from backstay.features.users.commands.administration import (
    BlockUser,
    SetPassword,
    UnblockUser,
    UpdateUser,
)
from backstay.features.users.commands.removal import DeleteUser, RestoreUser
from backstay.features.users.queries.accounts import ExportMe, GetMe
from backstay.features.users.queries.directory import GetUser, GetUserByUsername, ListUsers
from backstay.features.users.queries.roles import ListUsersOfRole
from backstay.limits.classes import LimitClass
from backstay.web.routes import Routes

REGISTER = LimitClass("register", lambda settings: settings.security.register_rate_limit)

routes = Routes("/users", tag="users", about="Registration, profiles, and the accounts of others.")
routes.post("", RegisterUser, location="/users/{id}", limit=REGISTER, refuses=(403,))
routes.get("", ListUsers)
routes.get("/me", GetMe)
routes.patch("/me", UpdateMe)
routes.delete("/me", DeleteMe)
routes.get("/me/export", ExportMe)
routes.get("/by-username/{username}", GetUserByUsername)
routes.get("/{id}", GetUser)
routes.patch("/{id}", UpdateUser)
routes.delete("/{id}", DeleteUser)
routes.post("/{id}/restore", RestoreUser)
routes.post("/{id}/block", BlockUser)
routes.post("/{id}/unblock", UnblockUser)
routes.put("/{id}/password", SetPassword)

rbac_routes = Routes("/rbac", tag="rbac")
rbac_routes.get("/roles/{role_id}/users", ListUsersOfRole)
