"""People: registration, profiles, the directory of users."""

from backstay.core.feature import Feature
from backstay.features.users.commands import (
    accounts,
    administration,
    admins,
    email,
    password,
    removal,
)
from backstay.features.users.queries import accounts as own
from backstay.features.users.queries import directory, export, roles
from backstay.features.users.routes import rbac_routes, routes

feature = Feature(
    name="users",
    modules=(
        accounts,
        email,
        password,
        admins,
        administration,
        removal,
        own,
        directory,
        export,
        roles,
    ),
    routes=(routes, rbac_routes),
    requires=("access",),
    foundation=True,
)
