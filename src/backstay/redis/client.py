"""The links to Redis servers: shared by everybody, and cut as soon as they would make them wait."""

import asyncio
import hashlib
import ssl
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from backstay.redis.errors import RedisFault, RedisRefused, RedisUnavailable
from backstay.redis.metrics import LinkMetrics, RedisMetrics
from backstay.settings import RedisAddress

if TYPE_CHECKING:
    from backstay.redis.connection import Connection

__all__ = ["RedisFault", "RedisLink", "RedisLinks", "RedisRefused", "RedisUnavailable", "Script"]

log = structlog.get_logger("backstay.redis")

BEAT_SECONDS = 0.25
"""How often the server is asked whether it is there."""
CONNECT_SECONDS = 0.5
FIRST_DELAY, LAST_DELAY = 0.05, 0.5
"""Seconds between attempts to connect again; each delay doubles the one before."""
STEADY_SECONDS = 1.0
"""How long a connection must last until it counts as being back."""
UNFIT = frozenset(
    {"LOADING", "READONLY", "MASTERDOWN", "OOM", "MISCONF", "BUSY", "NOAUTH", "CLUSTERDOWN"}
    | {"MOVED"}
)
"""Errors that say the server will not serve other commands either."""

Word = str | int | float | bytes


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
        self.prefix = "backstay:{backstay}:" if address.is_cluster else "backstay:"
        """How the names of all keys begin. In a Cluster they share a slot, and so a server: the
        keys of one script must, and news are in order only on one."""
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
            return await connection.send(*command)
        except RedisUnavailable:
            self._metrics.failed.inc()
            raise
        except RedisRefused as error:
            raise self._refusal(connection, str(command[0]), error) from None

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

    def _refusal(self, connection: "Connection", command: str, error: RedisRefused) -> RedisFault:
        text = str(error)
        is_known = text.startswith("NOSCRIPT")
        if not is_known:
            self._metrics.failed.inc()
        if UNFIT.isdisjoint(text.replace("-", " ").split()[:20]):
            if not is_known and command not in self._refused:
                self._refused.add(command)
                event = "redis refuses a command: each process does without it"
                log.warning(event, address=str(self.address), command=command, reason=text)
            return error
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

    async def _connect(self) -> "Connection":
        """A connection on which everything works."""
        from backstay.redis.connection import Connection
        from backstay.redis.discovery import locate

        address, probe = self.address, f"{self.prefix}probe"
        if address.tls and self._tls is None:
            self._tls = ssl.create_default_context(cafile=address.ca_certs)
        if address.nodes:
            address = await locate(address, self._tls, probe)
        async with asyncio.timeout(CONNECT_SECONDS):
            connection = await Connection.open(
                address, self._tls, self._subscribers, self._hear, self._lose
            )
            try:
                # a replica, or a server that is full, cannot
                await connection.send("SET", probe, "", "PX", 1000)
            except BaseException as error:
                await connection.close("it is not fit for use")
                if isinstance(error, RedisRefused):
                    raise RedisUnavailable(f"it answers {error}") from error
                raise
        return connection

    async def _follow(self, connection: "Connection") -> None:
        """Use a connection until it is lost."""
        if connection.lost:  # since it was proven
            raise RedisUnavailable(connection.lost)
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
                    await self.call("EXISTS", f"{self.prefix}probe")  # MOVED, where it is not now
                    self._beat(asked, since)
                with suppress(TimeoutError):
                    async with asyncio.timeout(BEAT_SECONDS):
                        await self._gone.wait()
        finally:
            self._connection = None
            await connection.close("the link is stopped")

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

    def _lose(self, connection: "Connection", reason: str) -> None:
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


class RedisLinks:
    """Every link of one process: one per server, whatever it is used for."""

    def __init__(self, metrics: RedisMetrics) -> None:
        self._metrics = metrics
        self._links: dict[RedisAddress, RedisLink] = {}

    def to(self, address: RedisAddress | None) -> RedisLink | None:
        """The link to a server; None without an address."""
        if address is None:
            return None
        if address not in self._links:
            self._links[address] = RedisLink(address, self._metrics.of(str(address)))
        return self._links[address]

    @property
    def state(self) -> str:
        """``off`` without a server, ``degraded`` while one is away, else ``ok``."""
        if not self._links:
            return "off"
        return "ok" if all(link.is_up for link in self._links.values()) else "degraded"

    async def start(self) -> None:
        """Connect to all of them; those that are away are tried again in the background."""
        await asyncio.gather(*(link.start() for link in self._links.values()))

    async def stop(self) -> None:
        """Close the connections."""
        await asyncio.gather(*(link.stop() for link in self._links.values()))
