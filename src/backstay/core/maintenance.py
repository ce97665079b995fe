"""Maintenance: while it is on, requests read and jobs pause."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from backstay.core.errors import Unavailable

IsPaused = Callable[[], Awaitable[bool]]
"""Whether jobs are not to be claimed, and schedules not to fire."""


@dataclass(frozen=True, slots=True)
class Maintenance:
    """Why, by whom and since when it is on, and when it ends by itself, if it does."""

    reason: str
    operator: str
    began_at: datetime
    ends_at: datetime | None

    def __str__(self) -> str:
        parts = f"since {self.began_at:%Y-%m-%dT%H:%M:%SZ}", self.reason
        return ": ".join(part for part in parts if part)


class UnderMaintenance(Unavailable):
    """The command of a request was not carried out; ``Retry-After`` says when to ask again."""

    code, title = "maintenance", "Under maintenance: nothing can be changed at the moment"


async def never() -> bool:
    """Jobs never pause."""
    return False
