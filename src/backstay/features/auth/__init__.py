"""Authentication: sign-in, sessions and their tokens."""

from backstay.core.feature import Feature
from backstay.core.schedule import every
from backstay.features.auth import queries, routes
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

feature = Feature(
    name="auth",
    modules=(
        *(sign_in, refresh, sign_out, password, reauthentication, impersonation),
        *(devices, sessions, queries),
    ),
    routes=(routes.routes, routes.user_routes, routes.key_routes),
    personal_data={"sessions": queries.ExportSessions, "devices": queries.ExportDevices},
    schedule=(every("1h", PurgeSessions()), every("1d", PurgeDevices())),
    requires=("access", "rate_rules", "users"),
    foundation=True,
)
