"""Links to Redis servers, shared by the whole process; one that answers too late is closed."""

import asyncio
import hashlib
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from backstay.redis.errors import RedisFault, RedisRefused
from backstay.redis.keys import prefix_of
from backstay.settings import RedisAddress

if TYPE_CHECKING:
    from backstay.redis.connection import Connection

__all__ = ["RedisFault", "RedisLink", "RedisLinks", "RedisRefused"]

log = structlog.get_logger("backstay.redis")

BEAT_SECONDS = 0.25
"""Seconds between the commands that check whether the server still answers."""
CONNECT_SECONDS = 0.5
FIRST_DELAY, LAST_DELAY = 0.05, 0.5
"""Seconds between attempts to connect again; each delay doubles the one before."""
STEADY_SECONDS = 1.0
"""How long a connection must last before Redis is reported as back."""
UNFIT = frozenset(
    {"LOADING", "READONLY", "MASTERDOWN", "OOM", "MISCONF", "BUSY", "NOAUTH", "CLUSTERDOWN"}
    | {"MOVED"}
)
"""Error codes which say that the server cannot serve other commands either."""

Word = str | int | float | bytes


class _Subscriber(Protocol):
    """Receives the messages of one channel, and learns until when it has received all of them."""

    def subscribed(self) -> None:
        """A subscription begins; messages published before it may have been missed."""
        ...

    def heard(self, payload: bytes) -> None:
        """A message was published on the channel."""
        ...

    def complete_until(self, moment: float) -> None:
        """Every message published before this moment (``time.monotonic``) was received."""
        ...


class RedisLink:
    """One connection to one server: all commands sent in one event loop tick share a round trip.

    A command that is not answered in time, or an error which says that the server cannot serve,
    opens the circuit: every command then fails at once, until a new connection that is opened in
    the background has passed a test write.
    """

    def __init__(
        self, address: RedisAddress, up: Gauge, failed: Counter, short_circuited: Counter
    ) -> None:
        self.address = address
        self.prefix = prefix_of(address)
        self._up, self._failed, self._short_circuited = up, failed, short_circuited
        self._subscribers: dict[bytes, _Subscriber] = {}
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

    def subscribe(self, channel: str, subscriber: _Subscriber) -> None:
        """Subscribe to a channel, from the next connection on."""
        self._subscribers[channel.encode()] = subscriber

    async def start(self) -> None:
        """Connect and stay connected; returns after the first attempt, even if it failed."""
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
        """Send a command and return its reply, in bytes; the first one connects if need be.

        Raises:
            RedisRefused: the server answered with an error.
            RedisFault: there was no answer in time, or the circuit is open.
        """
        if not self._tried.is_set():
            await self.start()
        connection = self._connection
        if connection is None:
            self._short_circuited.inc()
            raise RedisFault(self._reason)
        try:
            return await connection.send(*command)
        except RedisRefused as error:
            raise self._refusal(connection, str(command[0]), error) from None
        except RedisFault:
            self._failed.inc()
            raise

    async def run(self, script: str, keys: Sequence[Word], args: Sequence[Word] = ()) -> Any:
        """Run a Lua script and return its reply; its text goes only to a server that lacks it.

        Raises:
            RedisRefused: the server answered with an error.
            RedisFault: there was no answer in time, or the circuit is open.
        """
        try:
            return await self.call("EVALSHA", _sha(script), len(keys), *keys, *args)
        except RedisRefused as error:
            if not str(error).startswith("NOSCRIPT"):
                raise
        return await self.call("EVAL", script, len(keys), *keys, *args)

    def _refusal(self, connection: "Connection", command: str, error: RedisRefused) -> RedisFault:
        text = str(error)
        is_known = text.startswith("NOSCRIPT")
        if not is_known:
            self._failed.inc()
        if UNFIT.isdisjoint(text.replace("-", " ").split()[:20]):
            if not is_known and command not in self._refused:
                self._refused.add(command)
                event = "redis refuses a command: each process does without it"
                log.warning(event, address=str(self.address), command=command, reason=text)
            return error
        connection.lose(f"it answers {text}")
        return RedisFault(text)

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
        """Open a connection and check it with a test write."""
        from backstay.redis.connection import Connection, locate

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
                # a replica, or a server without free memory, refuses this
                await connection.send("SET", probe, "", "PX", 1000)
            except BaseException as error:
                await connection.close("it is not fit for use")
                if isinstance(error, RedisRefused):
                    raise RedisFault(f"it answers {error}") from error
                raise
        return connection

    async def _follow(self, connection: "Connection") -> None:
        """Use a connection until it is lost."""
        if connection.lost:  # after its test write
            raise RedisFault(connection.lost)
        since = monotonic()
        self._gone.clear()
        for subscriber in self._subscribers.values():
            subscriber.subscribed()
        self._connection = connection
        self._up.set(1)
        self._tried.set()
        try:
            while self.is_up:
                asked = monotonic()
                with suppress(RedisFault):
                    # a Cluster node that no longer has the slot answers MOVED
                    await self.call("EXISTS", f"{self.prefix}probe")
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
            self._up.set(0)
            self._gone.set()
            self._miss(reason)

    def _miss(self, reason: str) -> None:
        self._reason = reason
        if not self._is_missed:
            event = "redis lost: each process goes on by itself"
            log.warning(event, address=str(self.address), reason=reason)
        self._is_missed = True


class RedisLinks:
    """All links of one process: one per server; their metrics are labelled with its address."""

    def __init__(
        self, registry: CollectorRegistry, link: Callable[..., RedisLink] = RedisLink
    ) -> None:
        self._link = link
        self._up = Gauge(
            "backstay_redis_up",
            "1 while Redis is used (the circuit is closed), 0 while it is not.",
            ["address"],
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self._failed = Counter(
            "backstay_redis_failed_commands_total",
            "Commands that Redis did not answer in time, or with an error.",
            ["address"],
            registry=registry,
        )
        self._short_circuited = Counter(
            "backstay_redis_short_circuited_commands_total",
            "Commands that were not sent, because Redis was known to be away.",
            ["address"],
            registry=registry,
        )
        self._links: dict[RedisAddress, RedisLink] = {}

    def to(self, address: RedisAddress | None) -> RedisLink | None:
        """The link to a server; None without an address."""
        if address is None:
            return None
        if address not in self._links:
            up, failed = self._up.labels(str(address)), self._failed.labels(str(address))
            short_circuited = self._short_circuited.labels(str(address))
            self._links[address] = self._link(address, up, failed, short_circuited)
        return self._links[address]

    @property
    def state(self) -> str:
        """``off`` without a server, ``degraded`` while one is away, else ``ok``."""
        if not self._links:
            return "off"
        return "ok" if all(link.is_up for link in self._links.values()) else "degraded"

    async def start(self) -> None:
        """Connect to every server; failed attempts are repeated in the background."""
        await asyncio.gather(*(link.start() for link in self._links.values()))

    async def stop(self) -> None:
        """Close every connection."""
        await asyncio.gather(*(link.stop() for link in self._links.values()))


@cache
def _sha(script: str) -> str:
    """The hash by which a server knows a script."""
    return hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
