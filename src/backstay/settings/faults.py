"""Says what is wrong with a configuration: every fault at once, and never a secret's value."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One thing wrong with the configuration: which variable, what about it, how to mend it."""

    variable: str
    wrong: str
    mend: str

    def __str__(self) -> str:
        return f"{self.variable}: {self.wrong}.\n    {self.mend}"


class ConfigurationError(Exception):
    """The configuration cannot be used; `faults` holds every reason."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__(tuple(faults))
        self.faults = tuple(faults)

    def __str__(self) -> str:
        count = "1 fault" if len(self.faults) == 1 else f"{len(self.faults)} faults"
        return "\n".join([f"The configuration has {count}.", *(f"  {f}" for f in self.faults)])


class Refused(ValueError):
    """Raised by a validator that knows how to mend the value, or that blames another `variable`."""

    def __init__(self, wrong: str, mend: str, variable: str | None = None) -> None:
        super().__init__(wrong)
        self.wrong = wrong
        self.mend = mend
        self.variable = variable
