"""The table of contents: every feature of the package, in the order of what requires what."""

from backstay.core.feature import Feature
from backstay.features import access, auth, items, system, users

STANDARD: tuple[Feature, ...] = (
    access.feature,
    users.feature,
    auth.feature,
    system.feature,
    items.feature,
)
