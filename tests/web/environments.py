"""Settings of applications that do not run on somebody's own machine."""

from secrets import token_urlsafe

STAGING = {
    "ENVIRONMENT": "staging",
    "SECURITY_SECRET_KEY": token_urlsafe(48),
    "SECURITY_REFRESH_TOKEN_SECRET": token_urlsafe(48),
}
PRODUCTION = {**STAGING, "ENVIRONMENT": "production"}
