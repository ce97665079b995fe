"""One connection to Redis that everybody shares: what is asked in one tick travels together."""

import asyncio
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Any, cast

import hiredis

PATIENCE = 0.05
"""Seconds after which a command that was not answered fails, and the connection with it: four
round trips one after the other, as a login makes, are within a quarter of a second."""
TURNS = 2
"""Turns of the event loop after that: one that was held up itself reads what has arrived."""

Word = str | int | float | bytes

_NOTHING = object()
_CONFIRMATIONS = (b"subscribe", b"unsubscribe")


class RedisFault(Exception):
    """Redis did not do what it was asked."""


class RedisUnavailable(RedisFault):
    """Redis cannot be reached, or does not serve; further commands fail at once for a while."""


class RedisRefused(RedisFault):
    """Redis answers this one command with an error."""


class Connection(asyncio.Protocol):
    """Speaks RESP3: replies come in order; what was published comes in between."""

    def __init__(
        self, on_push: Callable[[list[Any]], None], on_lost: Callable[["Connection", str], None]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader(notEnoughData=_NOTHING)
        self._transport: asyncio.Transport | None = None
        self._batch: list[bytes] = []
        self._asked: list[asyncio.Future[Any]] = []
        self._waiting: deque[tuple[float, asyncio.Future[Any]]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._on_push, self._on_lost = on_push, on_lost
        self._is_lost = False

    def send(self, command: tuple[Word, ...]) -> asyncio.Future[Any]:
        """Ask in this tick's round trip; the future gives the reply, which may be an error."""
        future = self._loop.create_future()
        if self._is_lost:
            future.set_exception(RedisUnavailable("the connection is closed"))
            return future
        packed = hiredis.pack_command(command)  # type: ignore[arg-type]
        if not self._batch:
            self._loop.call_soon(self._flush)
        self._batch.append(packed)
        self._asked.append(future)
        return future

    def lose(self, reason: str) -> None:
        """Give the connection up; whoever waits is told why."""
        if self._is_lost:
            return
        self._is_lost = True
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.abort()
        self._on_lost(self, reason)
        for future in (*(future for _, future in self._waiting), *self._asked):
            if not future.done():
                future.set_exception(RedisUnavailable(reason))
                future.exception()  # whoever does not care any more is not to blame

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop."""
        self.lose(f"the connection broke: {exc}" if exc else "the server closed the connection")

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not _NOTHING:
                if type(reply) is hiredis.PushNotification and reply[0] not in _CONFIRMATIONS:
                    self._on_push(reply)
                else:
                    _, future = self._waiting.popleft()
                    if not future.done():
                        future.set_result(reply)
        except (hiredis.ProtocolError, IndexError):
            self.lose("the server does not speak the protocol of Redis")

    def _flush(self) -> None:
        if self._transport is None or self._is_lost:
            return
        deadline = monotonic() + PATIENCE
        self._waiting.extend((deadline, future) for future in self._asked)
        self._transport.write(b"".join(self._batch))
        self._batch.clear()
        self._asked.clear()
        if self._timer is None:
            self._timer = self._loop.call_later(PATIENCE, self._look)

    def _look(self, turns: int = TURNS) -> None:
        """Whether the oldest command is overdue."""
        self._timer = None
        if not self._waiting or self._is_lost:
            return
        left = self._waiting[0][0] - monotonic()
        if left > 0:
            self._timer = self._loop.call_later(left, self._look)
        elif turns:
            self._loop.call_soon(self._look, turns - 1)
        else:
            self.lose(f"it did not answer within {PATIENCE * 1000:.0f} ms")
