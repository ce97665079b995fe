"""Rates, and the rules of a tier that give some routes a rate of their own."""

from dataclasses import dataclass
from functools import lru_cache
from uuid import UUID

UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
"""The periods that have a name, in seconds."""
DEFAULT = "default"
"""The name of the limit where no rule holds."""


@dataclass(frozen=True, slots=True)
class Rate:
    """``limit`` requests per ``period`` seconds.

    A ``strict`` rate protects credentials: each process allows half while they cannot count
    together.
    """

    limit: int
    period: int
    strict: bool = False

    def __str__(self) -> str:
        unit = next((unit for unit, length in UNITS.items() if length == self.period), None)
        return f"{self.limit}/{unit or f'{self.period} s'}"


@dataclass(frozen=True, slots=True)
class RateRule:
    """A rate for a path: the template of a route, or a prefix of templates followed by ``*``."""

    path: str
    rate: Rate

    def holds_for(self, template: str) -> bool:
        """Whether this rule applies to a route; several rules may."""
        if self.path.endswith("*"):
            return template.startswith(self.path[:-1])
        return template == self.path


@lru_cache(10_000)
def key_of_user(policy: str, user_id: UUID) -> str:
    """The key under which a user's requests count: ``policy`` is a rule's path, or ``DEFAULT``.

    Keys are kept, since a UUID takes longer to write than to look up.
    """
    return f"{policy}:user:{user_id}"
