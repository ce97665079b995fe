"""Signing in and staying signed in: sessions, tokens, their ends."""

from backstay.core.feature import Feature
from backstay.features.auth import queries
from backstay.features.auth.commands import password, refresh, sign_in, sign_out
from backstay.features.auth.routes import key_routes, routes, user_routes

feature = Feature(
    name="auth",
    modules=(sign_in, refresh, sign_out, password, queries),
    routes=(routes, user_routes, key_routes),
    exports={"sessions": queries.ExportSessions},
    requires=("access", "tiers", "users"),
    foundation=True,
)
