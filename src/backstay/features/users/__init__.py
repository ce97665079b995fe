"""People: registration, profiles, the directory of users."""

from backstay.core.feature import Feature
from backstay.features.users.commands import accounts, admins, password
from backstay.features.users.queries import accounts as own
from backstay.features.users.queries import directory, roles
from backstay.features.users.routes import rbac_routes, routes

feature = Feature(
    name="users",
    modules=(accounts, password, admins, own, directory, roles),
    routes=(routes, rbac_routes),
    requires=("access",),
    foundation=True,
)
