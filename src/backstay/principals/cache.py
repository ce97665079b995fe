"""The cache of principals that makes asking again free."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from math import inf
from uuid import UUID

from backstay.core.background import in_background
from backstay.core.caching import MAX_STALENESS
from backstay.core.principal import Principal

MAX_AGE = 60.0
"""Seconds that a principal is believed while the channel tells of every change."""


class PrincipalCache:
    """Principals by session, kept in process so that authorising a request costs no query.

    An entry is believed as long as it is known to have been true less than ``max_staleness``
    seconds ago: since it was loaded or, while a channel tells of every change, since the channel
    was last complete; though never longer than ``max_age`` seconds nor past its session's end.
    A load that was under way when something was forgotten is answered but not kept, so that no
    stale entry can be stored behind an invalidation. Nor is one of a user who is distrusted,
    because a change is about to be committed.

    Who asks while a session is loaded gets what that load brings, unless something was forgotten
    or distrusted since it began: a crowd of one user asks the database once.
    """

    def __init__(
        self,
        load: Callable[[UUID], Awaitable[Principal | None]],
        *,
        monotonic: Callable[[], float],
        clock: Callable[[], datetime],
        max_age: float = MAX_AGE,
        max_staleness: float = MAX_STALENESS,
        size: int = 10_000,
    ) -> None:
        self._load = load
        self._monotonic = monotonic
        self._clock = clock
        self._max_age = max_age
        self._max_staleness = max_staleness
        self._size = size
        self._entries: dict[UUID, tuple[float, Principal]] = {}
        self._sessions: dict[UUID, set[UUID]] = {}
        self._flights: dict[UUID, _Flight] = {}
        self._epoch = 0
        self._complete_until = -inf
        self._doubts: dict[str, tuple[float, Collection[UUID] | None]] = {}

    async def get(self, session_id: UUID) -> Principal | None:
        """The principal of a live session, or None when the session is over."""
        entry = self._entries.get(session_id)
        now = self._monotonic()
        if entry is not None and self._believes(*entry, now):
            return entry[1]
        flight = self._flights.get(session_id)
        if flight is None or not self._may_join(flight, now):
            flight = _Flight(self._epoch, now)
            flight.task = in_background(self._fly(session_id, flight))
            self._flights[session_id] = flight
        return await asyncio.shield(flight.task)

    def _may_join(self, flight: "_Flight", now: float) -> bool:
        fresh = now - flight.since < self._max_staleness
        return fresh and flight.epoch == self._epoch and not self._live_doubts()

    async def _fly(self, session_id: UUID, flight: "_Flight") -> Principal | None:
        try:
            principal = await self._load(session_id)
        finally:
            if self._flights.get(session_id) is flight:
                del self._flights[session_id]
        self._drop(session_id)
        if principal is not None and self._may_keep(principal, flight):
            self._entries[session_id] = (flight.since, principal)
            self._sessions.setdefault(principal.id, set()).add(session_id)
            if len(self._entries) > self._size:
                self._drop(next(iter(self._entries)))
        return principal

    def _may_keep(self, principal: Principal, flight: "_Flight") -> bool:
        doubted = any(u is None or principal.id in u for u in self._live_doubts())
        return flight.epoch == self._epoch and not doubted

    def _believes(self, loaded_at: float, principal: Principal, now: float) -> bool:
        return (
            now - max(loaded_at, self._complete_until) < self._max_staleness
            and now - loaded_at < self._max_age
            and (principal.valid_until is None or self._clock() < principal.valid_until)
        )

    def complete_until(self, moment: float) -> None:
        """Every change that was committed before this moment (monotonic) has been forgotten."""
        self._complete_until = max(self._complete_until, moment)

    def distrust(self, name: str, user_ids: Collection[UUID] | None, seconds: float) -> None:
        """Keep nothing about these users (None: about anybody) for so long, or until `trust`."""
        self._doubts[name] = (self._monotonic() + seconds, user_ids)

    def trust(self, name: str) -> None:
        """What was to be committed has been."""
        self._doubts.pop(name, None)

    def forget(self, user_ids: Iterable[UUID]) -> None:
        """Drop everything known about these users."""
        self._epoch += 1
        for user_id in user_ids:
            for session_id in self._sessions.pop(user_id, ()):
                self._entries.pop(session_id, None)

    def forget_all(self) -> None:
        """Drop everything: a role changed, or what was missed is unknown."""
        self._epoch += 1
        self._entries.clear()
        self._sessions.clear()

    def _live_doubts(self) -> list[Collection[UUID] | None]:
        if self._doubts:
            now = self._monotonic()
            self._doubts = {name: doubt for name, doubt in self._doubts.items() if doubt[0] > now}
        return [users for _, users in self._doubts.values()]

    def _drop(self, session_id: UUID) -> None:
        entry = self._entries.pop(session_id, None)
        if entry is not None:
            sessions = self._sessions[entry[1].id]
            sessions.discard(session_id)
            if not sessions:
                del self._sessions[entry[1].id]


@dataclass(slots=True, eq=False)
class _Flight:
    """A load under way: what had been forgotten, and when, as it began."""

    epoch: int
    since: float
    task: "asyncio.Task[Principal | None]" = field(init=False)
