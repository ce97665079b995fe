"""Reads from a replica, though never behind what the same principal has written."""

from collections.abc import Awaitable, Callable, Iterable
from time import monotonic
from uuid import UUID

import structlog

from backstay.core.principal import Principal

log = structlog.get_logger("backstay.database")

LOOK_SECONDS = 0.1
"""How often, at most, the replica is asked how far it is."""
REST_SECONDS = 5.0
"""How long a replica that failed is left alone."""


class Replica:
    """Decides whether a principal may read from the replica.

    Positions are bytes of the write-ahead log. What a principal has written is remembered in this
    process until the replica has replayed it.
    """

    def __init__(self, replayed: Callable[[], Awaitable[int]]) -> None:
        self._ask = replayed
        self._written: dict[UUID, int] = {}
        self._looked = 0.0
        self._rests_until = 0.0

    def wrote(self, user_ids: Iterable[UUID | None], position: int) -> None:
        """These users' own reads must not be older than this position."""
        self._written.update((user_id, position) for user_id in user_ids if user_id is not None)

    def failed(self, error: Exception) -> None:
        """Leave the replica alone for a while; the primary serves its readers."""
        self._rests_until = monotonic() + REST_SECONDS
        log.warning("replica failed", error=str(error), seconds=REST_SECONDS)

    async def serves(self, principal: Principal) -> bool:
        """Whether a read of this principal may go to the replica.

        The system reads from the primary: it decides who is let in.
        """
        if principal.is_system or monotonic() < self._rests_until:
            return False
        if principal.user_id not in self._written:
            return True
        await self._look()
        return principal.user_id not in self._written

    async def _look(self) -> None:
        if monotonic() - self._looked < LOOK_SECONDS:
            return
        self._looked = monotonic()
        replayed = await self._ask()
        for user_id in [u for u, position in self._written.items() if position <= replayed]:
            del self._written[user_id]
