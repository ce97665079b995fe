"""How the application is doing, what it can be asked, what was done with it."""

from backstay.core.feature import Feature
from backstay.core.schedule import every
from backstay.features.system import commands, queries
from backstay.features.system.commands import PurgeActivity, PurgeIdempotencyKeys, PurgeJobs
from backstay.features.system.routes import probe_routes, routes

feature = Feature(
    name="system",
    modules=(commands, queries),
    routes=(probe_routes, routes),
    schedule=(
        every("1d", PurgeActivity()),
        every("1h", PurgeIdempotencyKeys()),
        every("1h", PurgeJobs()),
    ),
    foundation=True,
)
