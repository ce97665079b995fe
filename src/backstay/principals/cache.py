"""The cache of principals, so that authorising a request needs no query."""

from collections.abc import Awaitable, Callable, Collection, Iterable
from datetime import datetime
from math import inf
from uuid import UUID

from backstay.core.background import Flight, SingleFlight
from backstay.core.bounded_map import BoundedMap
from backstay.core.caching import MAX_STALENESS
from backstay.core.principal import Principal

MAX_AGE = 60.0
"""Seconds that a cached principal is used, even while the channel delivers every change."""


class PrincipalCache:
    """Principals by session, kept in process.

    An entry is used while it is known to have been current less than ``max_staleness`` seconds
    ago: when it was loaded or, with a channel that delivers every change, when the channel was
    last complete. It is never used for longer than ``max_age`` seconds or after the end of its
    session. If an entry is dropped while a principal is being loaded, the loaded principal is
    returned but not kept: it may be older than the change. The same holds for a user whose change
    is about to be committed (``distrust``).

    Concurrent requests of a session share one load, unless an entry was dropped, or a change was
    announced, since that load began.
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
        self._entries = BoundedMap[UUID, tuple[float, Principal]](size)
        self._flights = SingleFlight[UUID, UUID, Principal | None]()
        self._complete_until = -inf
        self._doubts: dict[str, tuple[float, Collection[UUID] | None]] = {}

    async def get(self, session_id: UUID) -> Principal | None:
        """The principal of a live session, or None when the session is over."""
        kept = self.kept(session_id)
        if kept is not None:
            return kept
        now = self._monotonic()
        joins_after = inf if self._live_doubts() else now - self._max_staleness
        return await self._flights.share(session_id, self._read, now=now, after=joins_after)

    def kept(self, session_id: UUID) -> Principal | None:
        """The principal of a session if it is cached and may be used, else None."""
        entry = self._entries.get(session_id)
        if entry is not None and self._believes(*entry, self._monotonic()):
            return entry[1]
        return None

    async def _read(self, flight: Flight[UUID, UUID]) -> Principal | None:
        principal = await self._load(flight.key)
        self._entries.drop(flight.key)
        if principal is not None and flight.holds and not self._is_doubted(principal):
            self._entries.put(flight.key, (flight.since, principal), _concerned(principal))
        return principal

    def _is_doubted(self, principal: Principal) -> bool:
        concerned = _concerned(principal)
        return any(
            users is None or any(each in users for each in concerned)
            for users in self._live_doubts()
        )

    def _believes(self, loaded_at: float, principal: Principal, now: float) -> bool:
        return (
            now - max(loaded_at, self._complete_until) < self._max_staleness
            and now - loaded_at < self._max_age
            and (principal.valid_until is None or self._clock() < principal.valid_until)
        )

    def complete_until(self, moment: float) -> None:
        """The entries of every change committed before this moment (monotonic) were dropped."""
        self._complete_until = max(self._complete_until, moment)

    def distrust(self, name: str, user_ids: Collection[UUID] | None, seconds: float) -> None:
        """Keep no entry of these users (None: of any user) for ``seconds``, or until `trust`."""
        self._doubts[name] = (self._monotonic() + seconds, user_ids)

    def trust(self, name: str) -> None:
        """The announced change of that name was committed."""
        self._doubts.pop(name, None)

    def forget(self, user_ids: Iterable[UUID]) -> None:
        """Drop the entries of these users."""
        self._flights.outdate()
        self._entries.drop_tagged(user_ids)

    def forget_all(self) -> None:
        """Drop every entry: a role changed, or it is unknown which changes were missed."""
        self._flights.outdate()
        self._entries.clear()

    def _live_doubts(self) -> list[Collection[UUID] | None]:
        if self._doubts:
            now = self._monotonic()
            self._doubts = {name: doubt for name, doubt in self._doubts.items() if doubt[0] > now}
        return [users for _, users in self._doubts.values()]


def _concerned(principal: Principal) -> tuple[UUID, ...]:
    """The users whose changes may change a principal."""
    return (principal.id,) if principal.actor_id is None else (principal.id, principal.actor_id)
