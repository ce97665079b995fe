"""Connection pools that share one limit per server, and close connections that stay idle."""

import asyncio
from collections import deque
from dataclasses import dataclass
from math import inf
from time import monotonic
from typing import Any

from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry
from sqlalchemy.util import await_, greenlet_spawn

from backstay.core.background import in_background
from backstay.db.fair_semaphore import FairSemaphore

IDLE_SECONDS = 30.0
"""How long an idle connection is kept, beyond the least number that is always kept."""
TICK_SECONDS = 1.0
"""How often idle connections are looked for, while any are in use or could be closed."""
OWN_SECONDS = 0.05
"""How long to wait for a connection of the same pool before an idle one of another is closed."""


@dataclass(frozen=True, slots=True)
class _Returned:
    """An idle connection, and since when it is idle (``time.monotonic``)."""

    pool: "SharedPool"
    record: ConnectionPoolEntry
    since: float


@dataclass(slots=True, eq=False)
class _Waiting:
    """A waiting task: it is given a connection, or None when it may open a new one.

    ``claims`` is true once it has waited long enough to be given another pool's connection.
    """

    given: asyncio.Future[_Returned | None]
    claims: bool = False


class Budget:
    """The limit on the connections to one server that the pools of a process have open together.

    Those beyond ``least`` are closed after ``idle_seconds``. The timer for that runs only while
    connections are in use or more than ``least`` are open.
    """

    def __init__(self, most: int, least: int = 1) -> None:
        self.pools: list[SharedPool] = []
        self.idle_seconds, self.tick_seconds = IDLE_SECONDS, TICK_SECONDS
        self._most, self._least = most, least
        self._elsewhere: set[str] = set()
        self._closing = 0
        self._tasks: set[asyncio.Task[None]] = set()
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

    def oldest(
        self, *, before: float = inf, beside: "SharedPool | None" = None
    ) -> _Returned | None:
        """Take the connection that has been idle longest, if it was returned ``before`` a moment.

        Those of the pool ``beside`` are left out.
        """
        pools = [pool for pool in self.pools if pool is not beside and pool.idle]
        pool = min(pools, key=lambda pool: pool.idle[0].since, default=None)
        return pool.idle.popleft() if pool and pool.idle[0].since < before else None

    def claim(self) -> _Waiting | None:
        """Take a task, waiting at any pool, that may replace another pool's connection.

        The connection that it will open is counted already.
        """
        for pool in self.pools:
            waiting = pool.first_waiting(claims=True) if pool.has_room else None
            if waiting is not None:
                pool.open += 1
                return waiting
        return None

    def release(self, pool: "SharedPool") -> None:
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

    def close_later(self, *unused: _Returned) -> None:
        """Close connections in the background."""
        self._closing += len(unused)
        task = in_background(greenlet_spawn(self._close, unused))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _close(self, unused: tuple[_Returned, ...]) -> None:
        for each in unused:
            try:
                each.pool.close(each.record)
            finally:
                self._closing -= 1


def pool_of(engine: AsyncEngine) -> "SharedPool":
    """The pool of an engine; it gets a new one when the engine is disposed of."""
    assert isinstance(engine.pool, SharedPool)  # noqa: S101
    return engine.pool


class SharedPool(AsyncAdaptedQueuePool):
    """A pool that shares a budget with others; the connection that was used last is used first.

    It never opens more connections than its own size, so that commands which wait for a lock leave
    some for reads. Within the budget, connections go to the pool that needs them: an idle one is
    closed for a task that waits at another pool. Before that the task waits ``OWN_SECONDS`` for a
    connection of its own pool, since connecting takes longer than most statements.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.open = 0
        self.idle: deque[_Returned] = deque()
        self._waiting: deque[_Waiting] = deque()
        self._is_disposed = False
        self.join(Budget(self.size()))

    def join(self, budget: Budget, name: str = "", each: int | None = None) -> None:
        """Share a budget and limit each client, before the first connection is opened."""
        self.budget, self.name = budget, name
        self.semaphore = FairSemaphore(self.size(), self.timeout(), each)
        budget.pools.append(self)

    @property
    def has_room(self) -> bool:
        """Whether it has fewer connections than its size."""
        return self.open < self.size()

    def first_waiting(self, *, claims: bool = False) -> _Waiting | None:
        """Take the task that has waited longest; with ``claims`` only if that task claims."""
        while self._waiting and self._waiting[0].given.done():
            self._waiting.popleft()
        if not self._waiting or (claims and not self._waiting[0].claims):
            return None
        return self._waiting.popleft()

    def _do_get(self) -> ConnectionPoolEntry:
        self.budget.watch()
        if self.idle:
            return self.idle.pop().record
        if self.has_room and self.budget.open < self.budget.most:
            self.open += 1
            return self._connected()
        found = await_(self._wait())
        if found is not None and found.pool is self:
            return found.record
        return self._connected(instead_of=found)

    def _connected(self, instead_of: _Returned | None = None) -> ConnectionPoolEntry:
        """Open a connection that is counted already, after closing one of another pool."""
        try:
            if instead_of is not None:
                instead_of.pool.close(instead_of.record)
            return self._create_connection()
        except BaseException:
            self.budget.release(self)
            raise

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        if record.dbapi_connection is None:
            self.budget.release(self)
            return
        returned = _Returned(self, record, monotonic())
        if self._is_disposed:
            self.budget.close_later(returned)
        elif waiting := self.first_waiting() or self.budget.claim():
            waiting.given.set_result(returned)
        else:
            self.idle.append(returned)

    def close(self, record: ConnectionPoolEntry) -> None:
        """Close a connection of this pool; that takes at most two seconds."""
        try:
            record.invalidate()
        finally:
            self.budget.release(self)

    async def _wait(self) -> _Returned | None:
        waiting = _Waiting(asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        try:
            with self.semaphore.wait():
                return await self._found(waiting)
        except BaseException:
            self._give_on(waiting)
            raise

    async def _found(self, waiting: _Waiting) -> _Returned | None:
        given = waiting.given
        own = min(OWN_SECONDS, self.timeout()) if self.open else 0.0
        await asyncio.wait([given], timeout=own)
        if not given.done():
            if self.has_room and (idle := self.budget.oldest(beside=self)):
                given.cancel()
                self.open += 1
                return idle
            waiting.claims = True
            await asyncio.wait([given], timeout=self.timeout() - own)
        if given.done():
            return given.result()
        self.semaphore.timed_out()
        raise PoolTimeout(
            f"{self.status()}; connection timed out, timeout {self.timeout():.2f}", code="3o7r"
        )

    def _give_on(self, waiting: _Waiting) -> None:
        """Give others the connection that came too late for a task that has stopped waiting."""
        if waiting.given.cancel() or waiting.given.cancelled():
            return
        found = waiting.given.result()
        if found is None or found.pool is not self:
            self.budget.release(self)
        if found is not None:
            found.pool._do_return_conn(found.record)

    def dispose(self) -> None:
        """Close the idle connections now, and the others when they are returned."""
        self._is_disposed = True
        while self.idle:
            self.idle.pop().record.close()
            self.open -= 1

    def recreate(self) -> "SharedPool":
        """An empty pool that replaces this one and shares the same budget."""
        pool = super().recreate()
        assert isinstance(pool, SharedPool)  # noqa: S101
        pool.join(self.budget, self.name)
        pool.semaphore = self.semaphore
        if not self.open:
            self.budget.pools.remove(self)
        return pool

    def checkedin(self) -> int:
        return len(self.idle)

    def checkedout(self) -> int:
        return self.open - len(self.idle)

    def overflow(self) -> int:
        """Always 0: the pool never opens more connections than its size."""
        return 0

    def status(self) -> str:
        return f"{self.checkedout()} of {self.size()} connections in use, {self.checkedin()} idle"
