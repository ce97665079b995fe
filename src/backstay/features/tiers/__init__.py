"""Tiers: how many requests their users may send, by path, and who is in which."""

from backstay import Feature
from backstay.features.tiers import queries, routes
from backstay.features.tiers.commands import assignment, rate_limits, tiers

feature = Feature(
    name="tiers",
    modules=(tiers, rate_limits, assignment, queries),
    routes=(routes.routes, routes.user_routes),
    requires=("rate_rules", "users"),
)
