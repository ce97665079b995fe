"""Users: registration, profiles, and the directory."""

from backstay.core.feature import Feature
from backstay.features.users import routes
from backstay.features.users.commands import (
    accounts,
    administration,
    admins,
    credentials,
    removal,
    tiers,
)
from backstay.features.users.queries import accounts as account_queries
from backstay.features.users.queries import directory, impersonation, passwords, roles
from backstay.features.users.queries import tiers as tier_queries

feature = Feature(
    name="users",
    modules=(
        accounts,
        credentials,
        admins,
        administration,
        removal,
        tiers,
        account_queries,
        directory,
        impersonation,
        passwords,
        roles,
        tier_queries,
    ),
    routes=(routes.routes, routes.rbac_routes),
    requires=("access", "rate_rules"),
    foundation=True,
)
