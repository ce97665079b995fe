"""Authentication: sign-in, sessions and their tokens."""

from backstay.core.feature import Feature
from backstay.core.schedule import every
from backstay.features.auth import routes
from backstay.features.auth.commands import (
    devices,
    impersonation,
    password,
    reauthentication,
    refresh,
    sessions,
    sign_in,
    sign_out,
)
from backstay.features.auth.commands.devices import PurgeDevices
from backstay.features.auth.commands.sessions import PurgeSessions
from backstay.features.auth.queries import devices as device_queries
from backstay.features.auth.queries import principals
from backstay.features.auth.queries import sessions as session_queries

feature = Feature(
    name="auth",
    modules=(
        sign_in,
        refresh,
        sign_out,
        password,
        reauthentication,
        impersonation,
        devices,
        sessions,
        principals,
        session_queries,
        device_queries,
    ),
    routes=(routes.routes, routes.user_routes, routes.session_routes, routes.key_routes),
    personal_data={
        "sessions": session_queries.ExportSessions,
        "devices": device_queries.ExportDevices,
    },
    schedule=(every("1h", PurgeSessions()), every("1d", PurgeDevices())),
    requires=("access", "rate_rules", "users"),
    foundation=True,
)
