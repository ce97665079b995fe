"""The settings that an application reads: those of the package, and the groups that it adds."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

from backstay.settings.fields import SettingsGroup
from backstay.settings.groups import Settings
from backstay.settings.variables import Variable, variables_of

NAMES: Mapping[type[SettingsGroup], str] = MappingProxyType(
    {
        info.annotation: name
        for name, info in Settings.model_fields.items()
        if isinstance(info.annotation, type) and issubclass(info.annotation, SettingsGroup)
    }
)
"""The groups of the package, with the names that they have in `Settings`."""


@dataclass(frozen=True, eq=False)
class Schema:
    """Every variable of a set of groups, by group: those of the package first."""

    groups: Mapping[type[SettingsGroup], tuple[Variable, ...]]

    @classmethod
    def of(cls, added: Iterable[type[SettingsGroup]]) -> "Schema":
        """The settings of the package and of the groups that are added.

        Raises:
            BootError: a group cannot be read, or two would read the same variable.
        """
        if not added:
            return PACKAGED
        from backstay.settings.conflicts import checked  # noqa: PLC0415 - needed by projects only

        added = checked(added, PACKAGED.groups)
        return cls({**PACKAGED.groups, **{group: variables_of(group) for group in added}})

    @cached_property
    def variables(self) -> tuple[Variable, ...]:
        """Every variable."""
        return tuple(each for variables in self.groups.values() for each in variables)

    @property
    def added(self) -> tuple[Variable, ...]:
        """The variables of the groups that are not the package's."""
        return tuple(each for each in self.variables if each.group not in NAMES)

    @property
    def prefixes(self) -> tuple[str, ...]:
        """The prefixes of variables, the longest first."""
        found = {group.env_prefix for group in self.groups if group.env_prefix}
        return tuple(sorted(found, key=lambda prefix: (-len(prefix), prefix)))

    @property
    def shared_prefixes(self) -> tuple[str, ...]:
        """The prefixes of which others read variables, too."""
        return tuple(group.env_prefix for group in self.groups if group.others_read_it)

    def settings(self, groups: Mapping[type[SettingsGroup], SettingsGroup]) -> Settings:
        """The settings that consist of these groups."""
        named: dict[str, Any] = {name: groups[kind] for kind, name in NAMES.items()}
        added = tuple(group for kind, group in groups.items() if kind not in NAMES)
        return Settings(**named, added=added)


PACKAGED = Schema({group: variables_of(group) for group in NAMES})
"""The settings of the package alone."""
