"""Loads that are made once for all who ask meanwhile, and not kept when they were outdated."""

import asyncio
from collections.abc import Awaitable, Callable
from math import inf
from typing import Generic, TypeVar

from backstay.core.background import in_background

K = TypeVar("K")
T = TypeVar("T")
R = TypeVar("R")


class Flight(Generic[K, T]):
    """Something is being read: it ``holds`` unless it was outdated meanwhile."""

    __slots__ = ("holds", "key", "since", "tags")

    def __init__(self, key: K, tags: tuple[T, ...], since: float) -> None:
        self.key = key
        self.tags = tags
        self.since = since
        self.holds = True


class SingleFlight(Generic[K, T, R]):
    """What is being read at present."""

    def __init__(self) -> None:
        self._flights: set[Flight[K, T]] = set()
        self._shared: dict[K, tuple[Flight[K, T], asyncio.Task[R]]] = {}

    async def share(
        self,
        key: K,
        read: Callable[[Flight[K, T]], Awaitable[R]],
        *,
        now: float,
        after: float = -inf,
        tags: tuple[T, ...] = (),
    ) -> R:
        """What is being read for this key if it began ``after`` a moment, else what is read now.

        The read goes on when whoever caused it leaves: others may wait for it.
        """
        flight, task = self._shared.get(key, (None, None))
        if flight is None or task is None or flight.since <= after:
            flight = self.start(key, now, tags)
            task = in_background(self._fly(flight, read))
            self._shared[key] = flight, task
        return await asyncio.shield(task)

    def start(self, key: K, now: float, tags: tuple[T, ...] = ()) -> Flight[K, T]:
        """Begin to read: whatever is outdated from now on is known of."""
        flight = Flight(key, tags, now)
        self._flights.add(flight)
        return flight

    def end(self, flight: Flight[K, T]) -> None:
        """Reading has ended."""
        self._flights.discard(flight)
        shared = self._shared.get(flight.key)
        if shared is not None and shared[0] is flight:
            del self._shared[flight.key]

    def outdate(self, concerns: Callable[[Flight[K, T]], bool] = lambda _: True) -> None:
        """What is being read is neither to be kept nor given to those who ask from now on."""
        for flight in [flight for flight in self._flights if concerns(flight)]:
            flight.holds = False
            self.end(flight)

    async def _fly(self, flight: Flight[K, T], read: Callable[[Flight[K, T]], Awaitable[R]]) -> R:
        try:
            return await read(flight)
        finally:
            self.end(flight)
