"""Decides which reads a replica may serve, so that users always see what they have written."""

from collections.abc import Awaitable, Callable, Iterable
from math import inf
from time import monotonic
from uuid import UUID

import structlog

from backstay.core.principal import Principal

log = structlog.get_logger("backstay.database")

LOOK_SECONDS = 0.1
"""The least time between two questions to the replica how far it has replayed."""
REST_SECONDS = 5.0
"""How long a replica is not used after it failed."""
ANYONE = UUID(int=0)
"""Stands for every user when it is unknown who has written."""


class Replica:
    """Decides whether a principal may read from the replica.

    Positions are bytes of the write-ahead log. A user who has written is remembered in this
    process until the replica has replayed up to a position that the primary had after that write.
    """

    def __init__(
        self, written: Callable[[], Awaitable[int]], replayed: Callable[[], Awaitable[int]]
    ) -> None:
        self._ask_primary = written
        self._ask_replica = replayed
        self._unplaced: set[UUID] = set()
        self._placed: dict[UUID, float] = {}
        self._looked = 0.0
        self._rests_until = 0.0

    def wrote(self, user_ids: Iterable[UUID]) -> None:
        """From now on, reads of these users must include what the primary holds now."""
        self._unplaced.update(user_ids)

    def failed(self, error: Exception) -> None:
        """Do not use the replica for ``REST_SECONDS``; reads go to the primary."""
        self._rests_until = monotonic() + REST_SECONDS
        log.warning("replica failed", rest=REST_SECONDS, fault=error)

    async def serves(self, principal: Principal) -> bool:
        """Whether a read of this principal may go to the replica.

        The system reads from the primary, because its reads decide who may sign in.
        """
        if principal.is_system or monotonic() < self._rests_until:
            return False
        if not self._lags_for(principal):
            return True
        await self._look()
        return not self._lags_for(principal)

    def _lags_for(self, principal: Principal) -> bool:
        return any(
            user_id in self._unplaced or user_id in self._placed
            for user_id in (ANYONE, principal.user_id)
        )

    async def _look(self) -> None:
        if monotonic() - self._looked < LOOK_SECONDS:
            return
        self._looked = inf  # so that no other task asks meanwhile
        try:
            await self._place()
            replayed = await self._ask_replica()
        finally:
            self._looked = monotonic()
        for user_id in [u for u, position in self._placed.items() if position <= replayed]:
            del self._placed[user_id]

    async def _place(self) -> None:
        unplaced = frozenset(self._unplaced)
        if not unplaced:
            return
        self._unplaced.clear()
        self._placed.update(dict.fromkeys(unplaced, inf))
        try:
            self._placed.update(dict.fromkeys(unplaced, await self._ask_primary()))
        except BaseException:
            self._unplaced |= unplaced
            raise
