"""The link to one Redis server: shared by everybody, and cut as soon as it would make them wait."""

import asyncio
import hashlib
import ssl
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any, Protocol

import hiredis
import structlog

from backstay.redis.connection import (
    Connection,
    RedisFault,
    RedisRefused,
    RedisUnavailable,
    Word,
)
from backstay.redis.metrics import LinkMetrics
from backstay.settings import RedisAddress

__all__ = ["RedisFault", "RedisLink", "RedisRefused", "RedisUnavailable", "Script", "Subscriber"]

log = structlog.get_logger("backstay.redis")

BEAT_SECONDS = 0.25
"""How often the server is asked whether it is there."""
CONNECT_SECONDS = 0.5
FIRST_DELAY, LAST_DELAY = 0.05, 0.5
"""Seconds between attempts to connect again; each delay doubles the one before."""
STEADY_SECONDS = 1.0
"""How long a connection must last until it counts as being back."""
PROBE = ("SET", "backstay:probe", "", "PX", 1000)
"""What a server must do before anything is sent to it: a replica, or one that is full, cannot."""
UNFIT = frozenset(
    {"LOADING", "READONLY", "MASTERDOWN", "OOM", "MISCONF", "BUSY", "NOAUTH", "CLUSTERDOWN"}
)
"""Errors that say the server will not serve other commands either."""


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script and the hash by which a server knows it."""

    source: str
    sha: str

    @classmethod
    def of(cls, source: str) -> "Script":
        """The script of a text."""
        return cls(source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


class Subscriber(Protocol):
    """Hears what is published on one channel, and how complete that is."""

    def subscribed(self) -> None:
        """A subscription begins; what was published before it is unknown."""
        ...

    def heard(self, payload: bytes) -> None:
        """Somebody published this."""
        ...

    def complete_until(self, moment: float) -> None:
        """Everything published before this moment (monotonic) was heard."""
        ...


class RedisLink:
    """Commands of one event loop tick, whoever sends them, are one round trip.

    As soon as one is not answered in time, or the server says that it cannot serve, the circuit
    opens: everything fails at once, until a connection in the background proves that it works.
    """

    def __init__(self, address: RedisAddress, metrics: LinkMetrics) -> None:
        self.address = address
        self._metrics = metrics
        self._subscribers: dict[bytes, Subscriber] = {}
        self._connection: Connection | None = None
        self._tls: ssl.SSLContext | None = None
        self._reason = "there is no connection yet"
        self._keeping: asyncio.Task[None] | None = None
        self._tried, self._gone = asyncio.Event(), asyncio.Event()
        self._is_missed, self._delay = False, FIRST_DELAY
        self._refused: set[str] = set()

    @property
    def is_up(self) -> bool:
        """Whether commands are sent (the circuit is closed)."""
        return self._connection is not None

    def subscribe(self, channel: str, subscriber: Subscriber) -> None:
        """Hear what is published on a channel, from the next connection on."""
        self._subscribers[channel.encode()] = subscriber

    async def start(self) -> None:
        """Connect, and keep the connection; returns after the first attempt, even if it failed."""
        if self._keeping is None:
            self._keeping = asyncio.create_task(self._keep())
        await self._tried.wait()

    async def stop(self) -> None:
        """Close the connection."""
        if self._keeping is not None:
            self._keeping.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeping
            self._keeping = None

    async def call(self, *command: Word) -> Any:
        """The reply to one command, in bytes. The first one connects, unless it was started.

        Raises:
            RedisUnavailable: there was no answer, or nothing is sent at present.
            RedisRefused: the answer is an error.
        """
        if not self._tried.is_set():
            await self.start()
        connection = self._connection
        if connection is None:
            self._metrics.short_circuited.inc()
            raise RedisUnavailable(self._reason)
        try:
            reply = await connection.send(command)
        except RedisUnavailable:
            self._metrics.failed.inc()
            raise
        if isinstance(reply, hiredis.ReplyError):
            raise self._refusal(connection, str(command[0]), str(reply))
        return reply

    async def run(self, script: Script, keys: Sequence[Word], args: Sequence[Word] = ()) -> Any:
        """The reply of a script, which is sent along only to a server that does not know it.

        Raises:
            RedisUnavailable: there was no answer, or nothing is sent at present.
            RedisRefused: the answer is an error.
        """
        try:
            return await self.call("EVALSHA", script.sha, len(keys), *keys, *args)
        except RedisRefused as error:
            if not str(error).startswith("NOSCRIPT"):
                raise
        return await self.call("EVAL", script.source, len(keys), *keys, *args)

    def _refusal(self, connection: Connection, command: str, text: str) -> RedisFault:
        is_known = text.startswith("NOSCRIPT")
        if not is_known:
            self._metrics.failed.inc()
        if UNFIT.isdisjoint(text.replace("-", " ").split()[:20]):
            if not is_known and command not in self._refused:
                self._refused.add(command)
                event = "redis refuses a command: each process does without it"
                log.warning(event, address=str(self.address), command=command, reason=text)
            return RedisRefused(text)
        connection.lose(f"it answers {text}")
        return RedisUnavailable(text)

    async def _keep(self) -> None:
        while True:
            try:
                await self._follow(await self._connect())
            except Exception as error:
                self._miss(str(error) or "it did not answer in time")
            self._tried.set()
            await asyncio.sleep(self._delay)
            self._delay = min(2 * self._delay, LAST_DELAY)

    async def _connect(self) -> Connection:
        """A connection on which everything works."""
        address, loop = self.address, asyncio.get_running_loop()
        if address.tls and self._tls is None:
            self._tls = ssl.create_default_context(cafile=address.ca_certs)
        async with asyncio.timeout(CONNECT_SECONDS):
            _, connection = await loop.create_connection(
                lambda: Connection(self._hear, self._lose),
                address.host,
                address.port,
                ssl=self._tls,
            )
            try:
                for command in _greeting(address):
                    await _done(connection, command)
                for channel in self._subscribers:
                    await _done(connection, ("SUBSCRIBE", channel))
                await _done(connection, PROBE)
            except BaseException:
                connection.lose("it is not fit for use")
                raise
        return connection

    async def _follow(self, connection: Connection) -> None:
        """Use a connection until it is lost."""
        since = monotonic()
        self._gone.clear()
        for subscriber in self._subscribers.values():
            subscriber.subscribed()
        self._connection = connection
        self._metrics.up.set(1)
        self._tried.set()
        try:
            while self.is_up:
                asked = monotonic()
                with suppress(RedisFault):
                    await self.call("PING")
                    self._beat(asked, since)
                with suppress(TimeoutError):
                    async with asyncio.timeout(BEAT_SECONDS):
                        await self._gone.wait()
        finally:
            self._connection = None
            connection.lose("the link is stopped")

    def _beat(self, asked: float, since: float) -> None:
        for subscriber in self._subscribers.values():
            subscriber.complete_until(asked)
        if asked - since >= STEADY_SECONDS:
            if self._is_missed:
                log.info("redis is back", address=str(self.address))
            self._is_missed, self._delay = False, FIRST_DELAY

    def _hear(self, push: list[Any]) -> None:
        kind, *rest = push
        if kind == b"message" and (subscriber := self._subscribers.get(rest[0])):
            subscriber.heard(rest[1])

    def _lose(self, connection: Connection, reason: str) -> None:
        if connection is self._connection:
            self._connection = None
            self._metrics.up.set(0)
            self._gone.set()
            self._miss(reason)

    def _miss(self, reason: str) -> None:
        self._reason = reason
        if not self._is_missed:
            event = "redis lost: each process goes on by itself"
            log.warning(event, address=str(self.address), reason=reason)
        self._is_missed = True


def _greeting(address: RedisAddress) -> list[tuple[Word, ...]]:
    hello: tuple[Word, ...] = ("HELLO", 3)
    if address.password is not None:
        hello += ("AUTH", address.username or "default", address.password)
    return [(*hello, "SETNAME", "backstay"), ("SELECT", address.db)]


async def _done(connection: Connection, command: tuple[Word, ...]) -> None:
    reply = await connection.send(command)
    if isinstance(reply, hiredis.ReplyError):
        raise RedisUnavailable(f"it answers {reply}")
