"""What other processes tell, heard over one connection that is kept up in the background."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from time import monotonic
from typing import Any, Protocol

import aiosqlite
from sqlalchemy.exc import SQLAlchemyError

from backstay.db import sqlite
from backstay.db.engine import driver_arguments
from backstay.db.session import Database

BEAT_SECONDS = 0.25
"""How long after an answer the next proof is asked for."""
PATIENCE = 5.0
"""Seconds after which a connection that does not answer is replaced."""
STOP_SECONDS = 2.0
"""Seconds that a connection may take to end by itself."""
FIRST_DELAY, LAST_DELAY = 0.1, 5.0
"""Seconds between attempts to connect again; each delay doubles the one before."""


class Subscriber(Protocol):
    """Hears one channel, and how complete what it hears is."""

    def subscribed(self) -> None:
        """A subscription begins: what was told before is unknown."""
        ...

    def heard(self, payload: str) -> None:
        """Another process has told this; it is empty where nobody knows what."""
        ...

    def complete_until(self, moment: float) -> None:
        """Everything told before this moment (monotonic) was heard."""
        ...

    def lost(self, error: Exception) -> None:
        """Nothing is heard until the next proof; called at every attempt that fails."""
        ...


class Listener(ABC):
    """Keeps one connection up, and its subscribers informed of what they can have missed.

    It connects when somebody subscribes. A stop is followed by one more proof, so that whatever
    this process had to tell until then is told.
    """

    def __init__(self) -> None:
        self._subscribers: dict[str, Subscriber] = {}
        self._listening: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._delay = FIRST_DELAY

    @abstractmethod
    def connected(self) -> AbstractAsyncContextManager[None]:
        """Connect, and close the connection at the end."""

    async def hear(self, channel: str, subscriber: Subscriber) -> None:  # noqa: B027
        """Let a subscriber hear a channel; nothing is to be done where there is only one."""

    @abstractmethod
    async def beat(self) -> None:
        """Return once everything of before the call was heard."""

    @property
    def is_on(self) -> bool:
        """Whether anybody listens."""
        return self._listening is not None

    def subscribe(self, channel: str, subscriber: Subscriber) -> None:
        """Let a subscriber hear a channel from the next proof on, in the background."""
        self._subscribers[channel] = subscriber
        if self._listening is None:
            self._listening = asyncio.create_task(self._listen())

    async def stop(self) -> None:
        """Listen no longer."""
        if self._listening is not None:
            self._stopping.set()
            await asyncio.wait({self._listening}, timeout=STOP_SECONDS)
            self._listening.cancel()
            await asyncio.wait({self._listening}, timeout=STOP_SECONDS)

    async def _listen(self) -> None:
        while True:
            try:
                async with self.connected():
                    await self._follow()
            except Exception as error:
                if not self._stopping.is_set():
                    for each in self._subscribers.values():
                        each.lost(error)
            if self._stopping.is_set():
                return  # after one attempt at least: what this process had to tell was told
            await self._rest(self._delay)
            self._delay = min(2 * self._delay, LAST_DELAY)

    async def _follow(self) -> None:
        subscribed: dict[str, Subscriber] = {}
        while True:
            is_last, asked = self._stopping.is_set(), monotonic()
            async with asyncio.timeout(PATIENCE):
                for channel in self._subscribers.keys() - subscribed.keys():
                    subscribed[channel] = self._subscribers[channel]
                    await self.hear(channel, subscribed[channel])
                    subscribed[channel].subscribed()
                await self.beat()
            for each in subscribed.values():
                each.complete_until(asked)
            self._delay = FIRST_DELAY
            if is_last:
                return  # it began after the stop was asked for
            await self._rest(BEAT_SECONDS)

    async def _rest(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()


class PostgresListener(Listener):
    """LISTEN, on a connection of its own that no pool can take away.

    Notifications arrive in order, so an answer on that connection proves that earlier ones have
    arrived. PgBouncer hands connections from one client to the next: nobody listens through it.
    """

    def __init__(self, database: Database) -> None:
        super().__init__()
        self._options, self._budget = database.options, database.budget
        self._connection: Any = None
        self.before_beat: list[Callable[[], Awaitable[None]]] = []

    def subscribe(self, channel: str, subscriber: Subscriber) -> None:
        """Let a subscriber hear a channel, unless through PgBouncer."""
        if not self._options.pgbouncer:
            self._budget.set_aside("listener")
            super().subscribe(channel, subscriber)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Connect beside the pools."""
        import asyncpg  # noqa: PLC0415  on SQLite it is not loaded

        seconds = min(self._options.pool_timeout, PATIENCE)
        _, arguments = driver_arguments(self._options, "backstay listener", seconds)
        self._connection = await asyncpg.connect(**arguments)
        try:
            yield
        finally:
            self._connection.terminate()

    async def hear(self, channel: str, subscriber: Subscriber) -> None:
        """LISTEN to a channel; what this connection itself has told is no news."""
        own_pid = self._connection.get_server_pid()

        def hear(connection: Any, pid: int, channel: str, payload: Any) -> None:
            if pid != own_pid:
                subscriber.heard(payload)

        await self._connection.add_listener(channel, hear)

    async def notify(self, channel: str, payload: str) -> None:
        """Tell the other processes."""
        await self._connection.execute("SELECT pg_notify($1, $2)", channel, payload)

    async def beat(self) -> None:
        """Ask for an answer, after telling others what they are to be told."""
        for tell in self.before_beat:
            await tell()
        await self._connection.execute("SELECT 1")


class SqliteListener(Listener):
    """The file itself tells that somebody has written, whatever it was.

    SQLite tells a connection whether any other connection has committed. The one that watches
    learns of every commit, also of this process; then the connection that writes for this process
    is asked, to which only the commits of other processes are news.
    """

    def __init__(self, database: Database) -> None:
        super().__init__()
        self._options, self._writer = database.options, database.writer
        self._others: tuple[object, int] | None = None
        self._watching: Any = None
        self._seen = 0

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Watch the version of the file."""
        (path,), arguments = driver_arguments(self._options, "")
        async with sqlite.in_use().connect(path, **arguments) as self._watching:
            self._seen = await _version(self._watching)
            await self._another_wrote()
            yield

    async def beat(self) -> None:
        """Look whether another process has written."""
        version = await _version(self._watching)
        if version != self._seen and await self._another_wrote():
            for each in self._subscribers.values():
                each.heard("")
        self._seen = version

    async def _another_wrote(self) -> bool:
        before = self._others
        try:
            async with self._writer.connect() as connection:
                driver: Any = (await connection.get_raw_connection()).driver_connection
                self._others = driver, await _version(driver)
        except SQLAlchemyError:
            return True
        return self._others != before


async def _version(connection: aiosqlite.Connection) -> int:
    """A number that changes when any other connection has committed."""
    ((version,),) = await connection.execute_fetchall("PRAGMA data_version")
    return int(version)
