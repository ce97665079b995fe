"""Errors of a configuration: they name every wrong setting, but never the value of a secret."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(unsafe_hash=True)
class SettingError(ValueError):
    """One wrong setting: what is wrong, a hint how to correct it, and its variable.

    A validator leaves the variable out, unless another setting than its own is wrong.
    """

    wrong: str
    hint: str
    variable: str = ""

    def __str__(self) -> str:
        return f"{self.variable}: {self.wrong}.\n    {self.hint}" if self.variable else self.wrong

    @property
    def sentence(self) -> str:
        """The same as one line of a log, in which no colon lets the hint look like a value."""
        hint = ". ".join(line.strip().rstrip(".") for line in self.hint.splitlines())
        return f"{self.variable} {self.wrong}. {hint}." if self.variable else self.wrong


class ConfigurationError(Exception):
    """The configuration cannot be used; `errors` holds every wrong setting."""

    def __init__(self, errors: Sequence[SettingError]) -> None:
        super().__init__(tuple(errors))
        self.errors = tuple(errors)

    def __str__(self) -> str:
        count = "1 fault" if len(self.errors) == 1 else f"{len(self.errors)} faults"
        return "\n".join([f"The configuration has {count}.", *(f"  {e}" for e in self.errors)])
