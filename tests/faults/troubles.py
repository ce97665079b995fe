"""Random faults of a database while it is used."""

import asyncio
import random
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, cast
from weakref import WeakSet

import asyncpg
from sqlalchemy import event
from sqlalchemy.pool import ConnectionPoolEntry

from backstay.composition import Backstay
from backstay.db import sqlite
from backstay.db.pool import SharedPool, pool_of
from tests.faults.proxy import Wire
from tests.files import look_into

STALL_SECONDS, LOCK_SECONDS = 0.3, 1.3
"""The longest that a connection is held up, or that a lock is held."""
POOLED = ("backstay", "backstay probes")
"""The names of the sessions that a pool opens; there is that of the listener, too."""
_SESSIONS = (
    "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    " AND application_name LIKE 'backstay%'"
)


def pools(backstay: Backstay) -> list[SharedPool]:
    """Every pool of an application."""
    database = backstay.database
    shared = [pool for budget in database.budgets.values() for pool in budget.pools]
    return [*cast("list[SharedPool]", shared), pool_of(database.probe_engine)]


def _lives(record: ConnectionPoolEntry) -> bool:
    """Whether the driver does not know that a connection has ended."""
    driver: Any = record.driver_connection
    return driver is not None and not driver.is_closed()


class Trouble(ABC):
    """Brings about one fault after the other."""

    def __init__(self, backstay: Backstay, chance: random.Random) -> None:
        self.struck: Counter[str] = Counter()
        self._backstay, self._chance = backstay, chance
        self._tasks: set[asyncio.Future[None]] = set()

    @abstractmethod
    def weights(self) -> dict[Callable[[], Awaitable[None]], int]:
        """The faults, and how often each is brought about beside the others."""

    def strike(self) -> None:
        """Bring about a random fault, in the background."""
        weights = self.weights()
        (fault,) = self._chance.choices(list(weights), list(weights.values()))
        self.struck[getattr(fault, "__name__", "")] += 1
        task = asyncio.ensure_future(fault())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def calm(self) -> None:
        """Wait until every fault is over."""
        while self._tasks:
            await asyncio.gather(*self._tasks)

    async def forget(self) -> None:
        """Let the application read its callers anew."""
        self._backstay.principals.forget_all()

    @abstractmethod
    async def leaks(self) -> list[str]:
        """What is left of requests that are over."""


class PostgresTrouble(Trouble):
    """Ends and cancels from within the server, and cuts on the way to it."""

    def __init__(
        self,
        backstay: Backstay,
        chance: random.Random,
        wire: Wire,
        observer: "asyncpg.Pool[asyncpg.Record]",
    ) -> None:
        super().__init__(backstay, chance)
        self._wire, self._observer = wire, observer
        self._cutting = asyncio.Lock()

    def weights(self) -> dict[Callable[[], Awaitable[None]], int]:
        """See `Trouble.weights`."""
        return {
            self.forget: 20,
            self.terminate: 20,
            self.cancel: 25,
            self.reset: 15,
            self.stall: 15,
            self.slow: 4,
            self.terminate_all: 2,
            self.cut: 1,
            self.lock: 2,
        }

    async def terminate(self) -> None:
        """End a random session."""
        await self._observer.execute(
            f"SELECT pg_terminate_backend(pid) FROM"
            f" (SELECT pid {_SESSIONS} ORDER BY random() LIMIT 1) AS one"
        )

    async def terminate_all(self) -> None:
        """End every session."""
        await self._observer.execute(f"SELECT pg_terminate_backend(pid) {_SESSIONS}")

    async def cancel(self) -> None:
        """Cancel what runs in two random sessions, those in use first."""
        await self._observer.execute(
            f"SELECT pg_cancel_backend(pid) FROM"
            f" (SELECT pid {_SESSIONS} ORDER BY state = 'idle', random() LIMIT 2) AS two"
        )

    async def reset(self) -> None:
        """End a random connection on the way."""
        self._wire.reset_one(self._chance)

    async def stall(self) -> None:
        """Hold up a random connection on the way."""
        await self._wire.stall_one(self._chance, self._chance.random() * STALL_SECONDS)

    async def slow(self) -> None:
        """Delay everything a little from now on, or no longer."""
        self._wire.delay = self._chance.choice([0.0, 0.0, 0.002])

    async def cut(self) -> None:
        """End every connection, and refuse new ones for a moment."""
        async with self._cutting, self._wire.gone():
            await asyncio.sleep(self._chance.random() * STALL_SECONDS)

    async def lock(self) -> None:
        """Lock the table against writes, now and then for longer than a statement may take."""
        async with self._observer.acquire() as other, other.transaction():
            await other.execute("LOCK TABLE items IN EXCLUSIVE MODE")
            await asyncio.sleep(self._chance.random() * LOCK_SECONDS)

    async def calm(self) -> None:
        """See `Trouble.calm`."""
        await super().calm()
        self._wire.delay = 0.0

    async def leaks(self) -> list[str]:
        """Sessions that the pools do not know of, or that have not ended what they did."""
        found = await self._observer.fetch(
            f"SELECT application_name AS name, state, query {_SESSIONS}"
        )
        counted = sum(row["name"] in POOLED for row in found)
        known = sum(_lives(each.record) for pool in pools(self._backstay) for each in pool.idle)
        faults = []
        if counted != known:
            faults.append(f"the server has {counted} sessions, the pools {known}")
        faults += [f"{r['state']}: {r['query']}" for r in found if r["state"] != "idle"]
        return faults


class SqliteTrouble(Trouble):
    """Interrupts statements, and keeps the file locked."""

    def __init__(self, backstay: Backstay, chance: random.Random, file: Path) -> None:
        super().__init__(backstay, chance)
        self._file = file
        self._drivers: WeakSet[Any] = WeakSet()
        for engine in (backstay.database.writer, backstay.database.read_engine):
            event.listen(engine.sync_engine, "connect", self._note)

    def _note(self, connection: Any, _: object) -> None:
        self._drivers.add(connection.driver_connection)

    def weights(self) -> dict[Callable[[], Awaitable[None]], int]:
        """See `Trouble.weights`."""
        return {self.forget: 30, self.interrupt: 66, self.lock: 4}

    async def interrupt(self) -> None:
        """Interrupt whatever statement runs on some connections, as a timeout does."""
        for driver in self._drivers:
            if self._chance.random() < 0.5:
                with suppress(ValueError):  # it is closed
                    driver._conn.interrupt()

    async def lock(self) -> None:
        """Lock the file against writes, now and then for longer than a writer may wait."""
        with look_into(self._file) as other:
            other.execute("PRAGMA busy_timeout = 0")
            with suppress(sqlite.in_use().module.OperationalError):  # somebody writes
                other.execute("BEGIN IMMEDIATE")
            if other.in_transaction:
                await asyncio.sleep(self._chance.random() * LOCK_SECONDS)
                other.execute("ROLLBACK")

    async def leaks(self) -> list[str]:
        """Connections that the pools do not know of, or that are within a transaction."""
        opened, closed = [], sqlite.in_use().module.ProgrammingError
        for driver in self._drivers:
            with suppress(ValueError, closed):  # before its thread closed it, or afterwards
                opened.append(driver.in_transaction)
        faults = ["a connection is within a transaction"] * sum(opened)
        known = self._backstay.database.budget.open
        if len(opened) != known:
            faults.append(f"{len(opened)} connections, of which the pools know {known}")
        return faults
