"""Lists every feature of the package, each after those that it requires.

A feature is imported when a list that has it is first used: one that an application leaves out is
never loaded. The copies of a project, which it has ejected, stand in place of packaged ones.
"""

from importlib import import_module

from backstay.core.feature import Feature
from backstay.settings.ejected import ejected_folders

__path__ = [*ejected_folders(), *__path__]

_OPTIONAL = ("tiers", "mail", "items", "tasks")
_NAMES = ("access", "rate_rules", "users", "tiers", "auth", "mail", "system", "items", "tasks")
_LISTS = {
    "STANDARD": _NAMES,
    "FOUNDATION": tuple(name for name in _NAMES if name not in _OPTIONAL),
}
STANDARD: tuple[Feature, ...]
"""The features of the package, each after those that it requires."""
FOUNDATION: tuple[Feature, ...]
"""The features that no application is without."""


def __getattr__(name: str) -> tuple[Feature, ...]:
    if name not in _LISTS:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    value: tuple[Feature, ...]
    value = tuple(import_module(f"{__name__}.{each}").feature for each in _LISTS[name])
    globals()[name] = value
    return value
