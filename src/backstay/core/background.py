"""Work in the background: tasks, and loads that concurrent callers share."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from math import inf
from typing import Any, Generic, TypeVar

K = TypeVar("K")
T = TypeVar("T")
R = TypeVar("R")


def in_background(work: Coroutine[Any, Any, R]) -> asyncio.Task[R]:
    """Start a task; its error is raised where it is awaited, and ignored if it never is."""
    task = asyncio.create_task(work)
    task.add_done_callback(_retrieve)
    return task


def _retrieve(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()


class Flight(Generic[K, T]):
    """A running read; ``holds`` is true until it is invalidated."""

    __slots__ = ("holds", "key", "since", "tags")

    def __init__(self, key: K, tags: tuple[T, ...], since: float) -> None:
        self.key = key
        self.tags = tags
        self.since = since
        self.holds = True


class SingleFlight(Generic[K, T, R]):
    """The reads that are running at present."""

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
        """Join the running read of a key if it began ``after`` a moment, else start one.

        The read goes on if the caller that started it is cancelled: others may wait for it.
        """
        flight, task = self._shared.get(key, (None, None))
        if flight is None or task is None or flight.since <= after:
            flight = self.start(key, now, tags)
            task = in_background(self._fly(flight, read))
            self._shared[key] = flight, task
        return await asyncio.shield(task)

    def start(self, key: K, now: float, tags: tuple[T, ...] = ()) -> Flight[K, T]:
        """Register a read; it learns of invalidations from now on."""
        flight = Flight(key, tags, now)
        self._flights.add(flight)
        return flight

    def end(self, flight: Flight[K, T]) -> None:
        """Remove a read that has ended."""
        self._flights.discard(flight)
        shared = self._shared.get(flight.key)
        if shared is not None and shared[0] is flight:
            del self._shared[flight.key]

    def outdate(self, concerns: Callable[[Flight[K, T]], bool] = lambda _: True) -> None:
        """Invalidate running reads: their results must not be kept, and new callers do not join."""
        for flight in [flight for flight in self._flights if concerns(flight)]:
            flight.holds = False
            self.end(flight)

    async def _fly(self, flight: Flight[K, T], read: Callable[[Flight[K, T]], Awaitable[R]]) -> R:
        try:
            return await read(flight)
        finally:
            self.end(flight)
