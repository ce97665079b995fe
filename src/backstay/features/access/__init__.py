"""Roles, permissions and grants: who may do what, at which scope, and with which fields."""

from backstay.core.feature import Feature
from backstay.features.access import routes
from backstay.features.access.commands import grants, members, roles, seeding
from backstay.features.access.queries import accounts, explaining, membership, permissions
from backstay.features.access.queries import roles as role_queries

feature = Feature(
    name="access",
    modules=(
        *(seeding, roles, grants, members, accounts, membership),
        *(role_queries, permissions, explaining),
    ),
    routes=(routes.routes,),
    foundation=True,
)
