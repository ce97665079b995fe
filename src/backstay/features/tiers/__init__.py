"""Tiers: how many requests their users may send, by path."""

from backstay.core.feature import Feature
from backstay.features.tiers import queries, routes
from backstay.features.tiers.commands import rate_limits, tiers

feature = Feature(
    name="tiers",
    modules=(tiers, rate_limits, queries),
    routes=(routes.routes,),
    foundation=True,
)
