"""Where the messages of the feature are reached."""

from backstay.features.users.commands.accounts import DeleteMe, RegisterUser, UpdateMe
from backstay.features.users.queries.accounts import GetMe
from backstay.features.users.queries.directory import GetUser, GetUserByUsername, ListUsers
from backstay.features.users.queries.roles import ListUsersOfRole
from backstay.web.dispatch import Routes
from backstay.web.limits import Limit

routes = Routes("/users", tag="users")
routes.post("", RegisterUser, location="/users/{id}", limit=Limit.REGISTER, refuses=(403,))
routes.get("", ListUsers)
routes.get("/me", GetMe)
routes.patch("/me", UpdateMe)
routes.delete("/me", DeleteMe)
routes.get("/by-username/{username}", GetUserByUsername)
routes.get("/{id}", GetUser)

rbac_routes = Routes("/rbac", tag="rbac")
rbac_routes.get("/roles/{role_id}/users", ListUsersOfRole)
