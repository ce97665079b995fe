"""Lists every feature of the package, each after those that it requires."""

from backstay.core.feature import features_of

STANDARD = features_of(
    __name__,
    "access",
    "tiers",
    "users",
    "auth",
    "mail",
    "system",
    "items",
    "tasks",
)
