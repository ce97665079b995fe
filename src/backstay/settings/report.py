"""What is told of the settings of a process: values without secrets, and where each came from."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SettingEntry:
    """One setting: its variable, its value as a text with secrets masked, and its origin."""

    name: str
    value: str
    origin: str


@dataclass(frozen=True, slots=True)
class SettingsReport:
    """Every setting, in the order of the reference, and what was remarked when they were read."""

    entries: tuple[SettingEntry, ...] = ()
    warnings: tuple[str, ...] = ()
