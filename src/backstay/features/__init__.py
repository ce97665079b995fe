"""Lists every feature of the package, each after those that it requires."""

from importlib import import_module

from backstay.core.feature import Feature

_NAMES = (
    "access",
    "tiers",
    "users",
    "auth",
    "mail",
    "system",
    "items",
    "tasks",
)
STANDARD: tuple[Feature, ...] = tuple(
    import_module(f"{__name__}.{name}").feature for name in _NAMES
)
"""The features of the package, each after those that it requires."""
FOUNDATION: tuple[Feature, ...] = tuple(each for each in STANDARD if each.foundation)
"""The features that no application is without."""
