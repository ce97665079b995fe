"""Tiers: how often the people in them may ask, by path."""

from backstay.core.feature import Feature
from backstay.features.tiers import queries
from backstay.features.tiers.commands import rate_limits, seeding, tiers
from backstay.features.tiers.routes import routes

feature = Feature(
    name="tiers",
    modules=(tiers, rate_limits, seeding, queries),
    routes=(routes,),
    foundation=True,
)
