"""One redis-py connection for the whole process, and the server that it goes to.

The client imports this module, and redis-py with it, when it connects for the first time.
"""

import asyncio
import random
import ssl
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from time import monotonic
from typing import Any, Self

from redis import asyncio as redis_py
from redis.exceptions import AuthenticationError, MovedError, RedisError, ResponseError
from redis.typing import EncodableT

from backstay.redis.errors import RedisFault, RedisRefused
from backstay.settings import RedisAddress

PATIENCE = 0.05
"""Seconds after which an unanswered command fails, and the connection with it. Four round trips
in a row, as a login makes them, therefore take less than a quarter of a second."""
TURNS = 3
"""Turns of the event loop that are waited after that: if this process itself was held up, the
reply may have arrived and only needs to be read."""
ASK_SECONDS = 0.2
"""Seconds that a Sentinel, or a node of a Cluster, may take to answer before the next is asked."""

_PUSHED = object()

OnPush = Callable[[list[Any]], None]
OnLost = Callable[["Connection", str], None]


class Connection:
    """The commands of one turn of the event loop share a round trip.

    Replies arrive in the order of their commands; published messages arrive between them.

    redis-py connects, authenticates, packs and parses. Its pool is not used: it takes one
    connection per pending command. Nor is its pub/sub: it takes a connection of its own, whose
    messages have no order relative to the replies here.
    """

    def __init__(self, wire: redis_py.Connection, on_push: OnPush, on_lost: OnLost) -> None:
        self._loop = asyncio.get_running_loop()
        self._wire = wire
        self._batch: list[bytes] = []
        self._asked: list[asyncio.Future[Any]] = []
        self._waiting: deque[tuple[float, asyncio.Future[Any]]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._on_push, self._on_lost = on_push, on_lost
        self.lost = ""
        """Why the connection was given up; empty while it works."""
        wire._get_push_notifications_parser().pubsub_push_handler_func = self._hear
        self._reading = self._loop.create_task(self._read())
        self._writing: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls,
        address: RedisAddress,
        tls: ssl.SSLContext | None,
        channels: Iterable[bytes],
        on_push: OnPush,
        on_lost: OnLost,
    ) -> Self:
        """Connect, authenticate and subscribe.

        If the server refuses the subscription, the first command gets that error.

        Raises:
            RedisFault: there is no server, or it does not accept the credentials.
        """
        wire = _wire_to(address, tls)
        try:
            await wire.connect()  # type: ignore[no-untyped-call]
            if channels:
                await wire.send_command("SUBSCRIBE", *channels)
            return cls(wire, on_push, on_lost)
        except BaseException as error:
            await wire.disconnect(nowait=True)
            if isinstance(error, RedisError):
                raise RedisFault(_reason_of(error)) from error
            raise

    def send(self, *command: EncodableT) -> asyncio.Future[Any]:
        """Send a command with this tick's round trip; the future has its reply or a RedisFault."""
        future = self._loop.create_future()
        if self.lost:
            future.set_exception(RedisFault(self.lost))
            return future
        packed = self._wire.pack_command(*command)
        if not self._batch:
            self._writing = self._loop.create_task(self._write())
        self._batch += packed
        self._asked.append(future)
        return future

    def lose(self, reason: str) -> None:
        """Give the connection up; pending commands fail with the reason."""
        if self.lost:
            return
        self.lost = reason
        if self._timer is not None:
            self._timer.cancel()
        self._reading.cancel()  # redis-py disconnects when a read is cancelled
        self._on_lost(self, reason)
        for future in (*(future for _, future in self._waiting), *self._asked):
            if not future.done():
                future.set_exception(RedisFault(reason))
                future.exception()  # or asyncio logs the errors that no caller awaits any more

    async def close(self, reason: str) -> None:
        """Give the connection up and wait until it is closed."""
        self.lose(reason)
        await asyncio.wait({self._reading})

    async def _write(self) -> None:
        batch, self._batch = self._batch, []
        deadline = monotonic() + PATIENCE
        self._waiting.extend((deadline, future) for future in self._asked)
        self._asked.clear()
        if self.lost or not self._wire.is_connected:  # redis-py would reconnect by itself
            return
        if self._timer is None:
            self._timer = self._loop.call_later(PATIENCE, self._look)
        try:
            await self._wire.send_packed_command(batch, check_health=False)
        except RedisError as error:
            self.lose(_reason_of(error))

    async def _read(self) -> None:
        try:
            while True:
                reply = await self._reply()
                if reply is _PUSHED:
                    continue
                _, future = self._waiting.popleft()
                if future.done():
                    continue
                if isinstance(reply, ResponseError):
                    future.set_exception(RedisRefused(_text(reply)))
                else:
                    future.set_result(reply)
        except IndexError:
            await self._wire.disconnect(nowait=True)
            self.lose("the server does not speak the protocol of Redis")
        except Exception as error:
            self.lose(_reason_of(error))

    async def _reply(self) -> Any:
        """The next reply, which may be an error, or ``_PUSHED`` after a published message."""
        try:
            return await self._wire.read_response(push_request=True)
        except ResponseError as error:
            return error

    async def _hear(self, push: list[Any]) -> object:
        self._on_push(push)
        return _PUSHED

    def _look(self, turns: int = TURNS) -> None:
        """Give the connection up if its oldest command is overdue."""
        self._timer = None
        if not self._waiting or self.lost:
            return
        left = self._waiting[0][0] - monotonic()
        if left > 0:
            self._timer = self._loop.call_later(left, self._look)
        elif turns:
            self._loop.call_soon(self._look, turns - 1)
        else:
            self.lose(f"it did not answer within {PATIENCE * 1000:.0f} ms")


async def locate(address: RedisAddress, tls: ssl.SSLContext | None, key: str) -> RedisAddress:
    """Find the server that a Sentinel names as the master, or the Cluster node that holds a key.

    The nodes are asked in random order: one that is cut off from the others may give an outdated
    answer again and again.

    Raises:
        RedisFault: none of them gave an answer; the text has the reason of each.
    """
    reasons = []
    for host, port in random.sample(address.nodes, len(address.nodes)):
        node = replace(address, host=host, port=port)
        try:
            async with asyncio.timeout(ASK_SECONDS):
                return await (_ask_sentinel(node, tls) if node.service else _ask(node, tls, key))
        except Exception as error:  # a server of another kind may answer anything
            reasons.append(f"{host}:{port}: {_reason_of(error)}")
    raise RedisFault("; ".join(reasons))


async def ask(address: RedisAddress, key: str, *commands: tuple[str, ...]) -> list[Any]:
    """The replies of the server that holds a key, on a connection for these commands alone.

    A reply may be an error that the server answers, as a :class:`RedisRefused`. There is no
    timeout but that of Sentinels and nodes.

    Raises:
        RedisFault: there is no server, or it does not accept the credentials.
    """
    tls = ssl.create_default_context(cafile=address.ca_certs) if address.tls else None
    if address.nodes:
        address = await locate(address, tls, key)
    wire = _wire_to(address, tls)
    try:
        await wire.connect()  # type: ignore[no-untyped-call]
        return [await _answer(wire, command) for command in commands]
    except (RedisError, OSError) as error:
        raise RedisFault(_reason_of(error)) from error
    finally:
        await wire.disconnect(nowait=True)


async def _answer(wire: redis_py.Connection, command: tuple[str, ...]) -> Any:
    await wire.send_command(*command)
    try:
        return await wire.read_response()
    except ResponseError as error:
        return RedisRefused(_text(error))


async def _ask(node: RedisAddress, tls: ssl.SSLContext | None, key: str) -> RedisAddress:
    try:
        await _reply(node, tls, "EXISTS", key)
    except MovedError as moved:
        return replace(node, host=moved.host or node.host, port=moved.port)
    return node


async def _ask_sentinel(node: RedisAddress, tls: ssl.SSLContext | None) -> RedisAddress:
    sentinel, question = replace(node, db=0), ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", node.service)
    try:
        found = await _reply(sentinel, tls, *question)
    except AuthenticationError:  # the credentials are the servers'; a Sentinel may have none
        found = await _reply(replace(sentinel, username=None, password=None), tls, *question)
    if found is None:
        raise RedisFault(f"it knows no service {node.service}")
    return replace(node, host=found[0].decode(), port=int(found[1]))


async def _reply(node: RedisAddress, tls: ssl.SSLContext | None, *command: str) -> Any:
    wire = _wire_to(node, tls)
    try:
        await wire.connect()  # type: ignore[no-untyped-call]
        await wire.send_command(*command)
        return await wire.read_response()
    finally:
        await wire.disconnect(nowait=True)


def _wire_to(address: RedisAddress, tls: ssl.SSLContext | None) -> redis_py.Connection:
    """A redis-py connection that is not open yet and has no timeout of its own."""
    options: dict[str, Any] = {
        "host": address.host,
        "port": address.port,
        "db": address.db,
        "username": address.username if address.password is not None else None,
        "password": address.password,
        "client_name": "backstay",
        "driver_info": None,
        "protocol": 3,
        "socket_timeout": None,
        "socket_connect_timeout": None,
    }
    if tls is None:
        return redis_py.Connection(**options)
    wire = redis_py.SSLConnection(**options)
    wire.ssl_context.context = tls
    return wire


def _text(error: RedisError) -> str:
    """The server's error with its code, which redis-py has split off."""
    return f"{error.status_code} {error}" if error.status_code else str(error)


def _reason_of(error: Exception) -> str:
    """Why something failed, in words for an operator."""
    if isinstance(error, RedisError) and error.status_code:
        return f"it answers {_text(error)}"
    return str(error) or "it did not answer in time"
