"""Lists the features of the package, each after those that it requires.

A feature is imported when a list that holds it is first used (PEP 562): the processes of an
application that leaves a feature out never load it.
"""

from importlib import import_module

from backstay.core.feature import Feature

STANDARD: tuple[Feature, ...]
"""The features of the package, each after those that it requires."""
FOUNDATION: tuple[Feature, ...]
"""The features that no application is without."""

_NAMES = {
    "FOUNDATION": ("access", "tiers", "users", "auth", "system"),
    "STANDARD": ("access", "tiers", "users", "auth", "mail", "system", "items", "tasks"),
}


def __getattr__(name: str) -> tuple[Feature, ...]:
    if name not in _NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = tuple(import_module(f"{__name__}.{each}").feature for each in _NAMES[name])
    globals()[name] = found
    return found
