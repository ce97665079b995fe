"""How the application is doing, what it can be asked, what was done with it."""

from backstay.core.feature import Feature
from backstay.features.system import commands, queries
from backstay.features.system.commands import PurgeActivity, PurgeIdempotencyKeys
from backstay.features.system.routes import probe_routes, routes

feature = Feature(
    name="system",
    modules=(commands, queries),
    routes=(probe_routes, routes),
    daily=(PurgeActivity(), PurgeIdempotencyKeys()),
)
