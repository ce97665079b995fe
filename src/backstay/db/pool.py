"""Connection pools that share one limit per server, and close connections that stay idle."""

import asyncio
from collections import deque
from time import monotonic, time
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry
from sqlalchemy.util import await_, greenlet_spawn

from backstay.db.budget import Budget, Returned, Waiting
from backstay.db.fair_semaphore import FairSemaphore

FRESH_SECONDS = 5.0
"""A connection that was idle for less than this is used without a ping."""
OWN_SECONDS = 0.05
"""How long to wait for a connection of the same pool before an idle one of another is closed."""


def pool_of(engine: AsyncEngine | Engine) -> "SharedPool":
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
        self.idle: deque[Returned] = deque()
        self._waiting: deque[Waiting] = deque()
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

    def first_waiting(self, *, claims: bool = False) -> Waiting | None:
        """Take the task that has waited longest; with ``claims`` only if that task claims."""
        while self._waiting and self._waiting[0].given.done():
            self._waiting.popleft()
        if not self._waiting or (claims and not self._waiting[0].claims):
            return None
        return self._waiting.popleft()

    async def take(self) -> ConnectionPoolEntry | None:
        """A connection as :meth:`_do_get` finds it, but without SQLAlchemy's greenlet.

        It bypasses the events of checking out and in: :meth:`put_back` or :meth:`drop` it. None if
        one has to be opened, pinged or replaced, which SQLAlchemy does, and tells of failures.
        """
        self.budget.watch()
        if self.idle:
            return self.idle.pop().record if self._is_fresh(self.idle[-1]) else None
        if self._may_open():
            return None
        found = await self._wait()
        if found is not None and found.pool is self:
            if self._is_fresh(found):
                return found.record
            self._do_return_conn(found.record)
            return None
        dialect: Any = self._dialect
        try:
            return await greenlet_spawn(self._connected, found)
        except (dialect.loaded_dbapi.Error, SQLAlchemyError, OSError):
            return None

    def _is_fresh(self, found: Returned) -> bool:
        record: Any = found.record
        is_outdated = record.starttime < self._invalidate_time
        return not is_outdated and monotonic() - found.since < FRESH_SECONDS and not _closed(record)

    def put_back(self, record: ConnectionPoolEntry) -> None:
        """Return a connection that is at rest."""
        self._do_return_conn(record)

    def drop(self, record: ConnectionPoolEntry) -> None:
        """Close a connection that the server has ended, and use none that was opened before now.

        The others may be dead, too, and whoever repeats a statement must not meet one of them.
        """
        self._invalidate_time = time()
        try:
            record.invalidate()
        finally:
            self._do_return_conn(record)

    def _do_get(self) -> ConnectionPoolEntry:
        self.budget.watch()
        if self.idle:
            return self.idle.pop().record
        if self._may_open():
            self.open += 1
            return self._connected()
        found = await_(self._wait())
        if found is not None and found.pool is self:
            return found.record
        return self._connected(instead_of=found)

    def _may_open(self) -> bool:
        return self.has_room and self.budget.open < self.budget.most

    def _connected(self, instead_of: Returned | None = None) -> ConnectionPoolEntry:
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
        returned = Returned(self, record, monotonic())
        record.info["idle_since"] = returned.since
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

    async def _wait(self) -> Returned | None:
        waiting = Waiting(asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        try:
            with self.semaphore.wait():
                return await self._found(waiting)
        except BaseException:
            self._give_on(waiting)
            raise

    async def _found(self, waiting: Waiting) -> Returned | None:
        """What the task is given. At first it waits for a connection of this pool."""
        own = min(OWN_SECONDS, self.timeout()) if self.open else 0.0
        loop = asyncio.get_running_loop()
        timers = [loop.call_later(own, self._claim, waiting)]
        timers.append(loop.call_later(self.timeout(), self._give_up, waiting))
        try:
            return await waiting.given
        finally:
            for timer in timers:
                timer.cancel()

    def _claim(self, waiting: Waiting) -> None:
        """Let a waiting task have a connection of another pool, too."""
        if waiting.given.done():
            return
        waiting.claims = True
        if self.has_room and (idle := self.budget.oldest(beside=self)):
            self.open += 1
            waiting.given.set_result(idle)

    def _give_up(self, waiting: Waiting) -> None:
        if waiting.given.done():
            return
        self.semaphore.timed_out()
        told = f"{self.status()}; connection timed out, timeout {self.timeout():.2f}"
        waiting.given.set_exception(PoolTimeout(told, code="3o7r"))

    def _give_on(self, waiting: Waiting) -> None:
        """Give others the connection that came too late for a task that has stopped waiting."""
        given = waiting.given
        if given.cancel() or given.cancelled() or given.exception() is not None:
            return
        found = given.result()
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


def _closed(record: ConnectionPoolEntry) -> bool:
    """Whether the driver knows that the server has closed a connection; no round trip."""
    look = getattr(record.driver_connection, "is_closed", None)
    return look is not None and look()
