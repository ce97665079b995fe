"""Rates, the rules of a tier that give some routes a rate of their own, and what counts by them."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol
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


@dataclass(frozen=True, slots=True)
class RateLimitResult:
    """The result of a limiter. ``remaining`` further requests are within the rate now.

    In seconds: ``reset_after`` until a whole burst is free again, ``retry_after`` until the next
    request is within the rate; 0 if this one was. ``of_process`` tells that only the requests of
    this process were counted.
    """

    allowed: bool
    limit: int
    remaining: int
    reset_after: float
    retry_after: float
    of_process: bool = False


class Limiter(Protocol):
    """Counts requests per key (GCRA, whose burst is the limit).

    Each pair of a key and a rate is counted on its own; any text is a key. Requests at once are
    counted exactly. While its store does not answer, a limiter counts in another way or allows
    everything: it raises no error.
    """

    async def hit(self, key: str, rate: Rate) -> RateLimitResult:
        """Count one request, unless it is beyond the rate, and return whether it is within it."""
        ...

    async def peek(self, key: str, rate: Rate) -> RateLimitResult:
        """What has been counted, without counting: whether one more request would be allowed."""
        ...

    async def take_back(self, key: str, rate: Rate) -> None:
        """Undo the count of a request that was within the rate, unless its time has passed."""
        ...


@lru_cache(10_000)
def key_of_user(policy: str, user_id: UUID) -> str:
    """The key under which a user's requests count: ``policy`` is a rule's path, or ``DEFAULT``.

    Keys are kept, since a UUID takes longer to write than to look up.
    """
    return f"{policy}:user:{user_id}"
