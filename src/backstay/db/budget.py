"""The limit on the connections to one server that several pools share."""

import asyncio
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass
from math import inf
from time import monotonic
from typing import Any, NamedTuple, Protocol

from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.util import greenlet_spawn

from backstay.core.background import in_background
from backstay.db.fair_semaphore import FairSemaphore

IDLE_SECONDS = 30.0
"""How long an idle connection is kept, beyond the least number that is always kept."""
TICK_SECONDS = 1.0
"""How often idle connections are looked for, while any are in use or could be closed."""


class Sharing(Protocol):
    """A pool that shares a budget, as far as the budget and its metrics know it."""

    name: str
    open: int
    idle: "deque[Returned]"
    semaphore: FairSemaphore

    @property
    def has_room(self) -> bool: ...
    def first_waiting(self, *, claims: bool = False) -> "Waiting | None": ...
    def close(self, record: ConnectionPoolEntry) -> None: ...
    def size(self) -> int: ...
    def checkedin(self) -> int: ...
    def checkedout(self) -> int: ...
    def _do_return_conn(self, record: ConnectionPoolEntry) -> None: ...


class Returned(NamedTuple):
    """An idle connection, and since when it is idle (``time.monotonic``)."""

    pool: Sharing
    record: ConnectionPoolEntry
    since: float


@dataclass(slots=True, eq=False)
class Waiting:
    """A waiting task: it is given a connection, or None when it may open a new one.

    ``claims`` is true once it has waited long enough to be given another pool's connection.
    """

    given: asyncio.Future[Returned | None]
    claims: bool = False


class Budget:
    """The limit on the connections to one server that the pools of a process have open together.

    Those beyond ``least`` are closed after ``idle_seconds``. The timer for that runs only while
    connections are in use or more than ``least`` are open.
    """

    def __init__(self, most: int, least: int = 1) -> None:
        self.pools: list[Sharing] = []
        self.idle_seconds, self.tick_seconds = IDLE_SECONDS, TICK_SECONDS
        self._most, self._least = most, least
        self._elsewhere: set[str] = set()
        self._closing = 0
        self.under_way: set[asyncio.Task[None]] = set()
        """What closes connections in the background."""
        self._timer: asyncio.TimerHandle | None = None

    @property
    def most(self) -> int:
        """How many the pools may have open: at least one to read and one to write."""
        return max(2, self._most - len(self._elsewhere))

    @property
    def least(self) -> int:
        """How many the pools keep open, even when idle."""
        return max(1, self._least - len(self._elsewhere))

    @property
    def open(self) -> int:
        """How many are open or being opened."""
        return sum(pool.open for pool in self.pools)

    def set_aside(self, purpose: str) -> None:
        """Reserve one connection outside of the pools for a purpose; a second call adds none."""
        self._elsewhere.add(purpose)

    def oldest(self, *, before: float = inf, beside: Sharing | None = None) -> Returned | None:
        """Take the connection that has been idle longest, if it was returned ``before`` a moment.

        Those of the pool ``beside`` are left out.
        """
        pools = [pool for pool in self.pools if pool is not beside and pool.idle]
        pool = min(pools, key=lambda pool: pool.idle[0].since, default=None)
        return pool.idle.popleft() if pool and pool.idle[0].since < before else None

    def claim(self) -> Waiting | None:
        """Take a task, waiting at any pool, that may replace another pool's connection.

        The connection that it will open is counted already.
        """
        for pool in self.pools:
            waiting = pool.first_waiting(claims=True) if pool.has_room else None
            if waiting is not None:
                pool.open += 1
                return waiting
        return None

    def release(self, pool: Sharing) -> None:
        """A connection of a pool is gone: let a waiting task open another."""
        pool.open -= 1
        if self.open >= self.most:
            return
        for each in (pool, *self.pools):
            waiting = each.first_waiting() if each.has_room else None
            if waiting is not None:
                each.open += 1
                waiting.given.set_result(None)
                return

    def watch(self) -> None:
        """Start the timer that closes idle connections, unless it runs."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self.tick_seconds, self.tick)

    def tick(self) -> None:
        """Close connections that were idle for too long."""
        self._timer = None
        before, surplus = monotonic() - self.idle_seconds, self.open - self.least - self._closing
        idle = [each for _ in range(surplus) if (each := self.oldest(before=before))]
        if idle:
            self.close_later(*idle)
        if surplus > 0 or any(pool.checkedout() for pool in self.pools):
            self.watch()

    def close_later(self, *unused: Returned) -> None:
        """Close connections in the background."""
        self._closing += len(unused)
        self.hold(greenlet_spawn(self._close, unused))

    def hold(self, work: Coroutine[Any, Any, None]) -> None:
        """Close connections by this work, in the background."""
        task = in_background(work)
        self.under_way.add(task)
        task.add_done_callback(self.under_way.discard)

    def _close(self, unused: tuple[Returned, ...]) -> None:
        for each in unused:
            try:
                each.pool.close(each.record)
            finally:
                self._closing -= 1
