"""Receives notifications of other processes on one connection, kept open in the background."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from time import monotonic
from typing import Any, Protocol

import aiosqlite
from sqlalchemy.exc import SQLAlchemyError

from backstay.db import sqlite
from backstay.db.database import Database
from backstay.db.options import driver_arguments

BEAT_SECONDS = 0.25
"""How long after one proof that everything was received the next one is asked for."""
PATIENCE = 5.0
"""Seconds after which a connection that does not answer is replaced."""
STOP_SECONDS = 2.0
"""Seconds that a connection may take to end; then its task is cancelled."""
FIRST_DELAY, LAST_DELAY = 0.1, 5.0
"""Seconds between attempts to connect again; each delay doubles the one before."""


class Subscriber(Protocol):
    """Receives the notifications of one channel, and learns until when it has received all."""

    def subscribed(self) -> None:
        """A subscription begins: earlier notifications may have been missed."""
        ...

    def notified(self, payload: str) -> None:
        """Another process has notified; the payload is empty where its content is unknown."""
        ...

    def complete_until(self, moment: float) -> None:
        """Every notification sent before this moment (``time.monotonic``) was received."""
        ...

    def lost(self, error: Exception) -> None:
        """Nothing is received until the next proof; called at every failed attempt to connect."""
        ...


class Listener(ABC):
    """Keeps one connection open, and tells its subscribers what they may have missed.

    It connects at the first subscription. After a stop it asks for one more proof, so that the
    notifications which this process still had to send are sent.
    """

    def __init__(self) -> None:
        self._subscribers: dict[str, Subscriber] = {}
        self._listening: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._delay = FIRST_DELAY

    @abstractmethod
    def connected(self) -> AbstractAsyncContextManager[None]:
        """Connect, and close the connection at the end."""

    async def listen_to(self, channel: str, subscriber: Subscriber) -> None:  # noqa: B027
        """Subscribe on the connection; does nothing where a connection has a single channel."""

    @abstractmethod
    async def beat(self) -> None:
        """Return once every notification sent before the call was received."""

    @property
    def is_on(self) -> bool:
        """Whether there was a subscription."""
        return self._listening is not None

    def subscribe(self, channel: str, subscriber: Subscriber) -> None:
        """Subscribe to a channel in the background, from the next proof on."""
        self._subscribers[channel] = subscriber
        if self._listening is None:
            self._listening = asyncio.create_task(self._listen())

    async def stop(self) -> None:
        """Ask for one more proof, then disconnect."""
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
                return  # after at least one attempt to send what this process had to send
            await self._rest(self._delay)
            self._delay = min(2 * self._delay, LAST_DELAY)

    async def _follow(self) -> None:
        subscribed: dict[str, Subscriber] = {}
        while True:
            is_last, asked = self._stopping.is_set(), monotonic()
            async with asyncio.timeout(PATIENCE):
                for channel in self._subscribers.keys() - subscribed.keys():
                    subscribed[channel] = self._subscribers[channel]
                    await self.listen_to(channel, subscribed[channel])
                    subscribed[channel].subscribed()
                await self.beat()
            for each in subscribed.values():
                each.complete_until(asked)
            self._delay = FIRST_DELAY
            if is_last:
                return  # this proof began after the call of `stop`
            await self._rest(BEAT_SECONDS)

    async def _rest(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()


class PostgresListener(Listener):
    """LISTEN, on a connection outside of the pools.

    Notifications arrive in order, so an answer on that connection proves that earlier ones have
    arrived. PgBouncer passes connections from one client to the next, so LISTEN does not work
    through it.
    """

    def __init__(self, database: Database) -> None:
        super().__init__()
        self._options, self._budget = database.options, database.budget
        self._connection: Any = None
        self.before_beat: list[Callable[[], Awaitable[None]]] = []

    def subscribe(self, channel: str, subscriber: Subscriber) -> None:
        """Subscribe to a channel; behind PgBouncer, do nothing."""
        if not self._options.pgbouncer:
            self._budget.set_aside("listener")
            super().subscribe(channel, subscriber)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        import asyncpg  # noqa: PLC0415  not needed on SQLite

        seconds = min(self._options.pool_timeout, PATIENCE)
        _, arguments = driver_arguments(self._options, "backstay listener", seconds)
        self._connection = await asyncpg.connect(**arguments)
        try:
            yield
        finally:
            self._connection.terminate()

    async def listen_to(self, channel: str, subscriber: Subscriber) -> None:
        """LISTEN to a channel; notifications sent on this connection itself are ignored."""
        own_pid = self._connection.get_server_pid()

        def receive(connection: Any, pid: int, channel: str, payload: Any) -> None:
            if pid != own_pid:
                subscriber.notified(payload)

        await self._connection.add_listener(channel, receive)

    async def notify(self, channel: str, payload: str) -> None:
        """Notify the other processes."""
        await self._connection.execute("SELECT pg_notify($1, $2)", channel, payload)

    async def beat(self) -> None:
        """Send pending notifications (``before_beat``), then wait for an answer of the server."""
        for tell in self.before_beat:
            await tell()
        await self._connection.execute("SELECT 1")


class SqliteListener(Listener):
    """Detects that another process has written to the file; what it wrote is unknown.

    ``PRAGMA data_version`` changes when another connection has committed. On the watching
    connection it changes with every commit, including those of this process. It is then read on
    the connection that writes for this process, where only commits of other processes change it.
    """

    def __init__(self, database: Database) -> None:
        super().__init__()
        self._options, self._writer = database.options, database.writer
        self._others: tuple[object, int] | None = None
        self._watching: Any = None
        self._seen = 0

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        (path,), arguments = driver_arguments(self._options, "")
        async with sqlite.in_use().connect(path, **arguments) as self._watching:
            self._seen = await _version(self._watching)
            await self._another_wrote()
            yield

    async def beat(self) -> None:
        """Check whether another process has written, and notify every subscriber if so."""
        version = await _version(self._watching)
        if version != self._seen and await self._another_wrote():
            for each in self._subscribers.values():
                each.notified("")
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
