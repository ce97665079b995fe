"""Signals over Redis: published and heard on the connection that all commands share."""

import asyncio
import json
from collections.abc import Coroutine
from math import inf
from typing import Any
from uuid import UUID, uuid4

from backstay.adapters.redis_link import RedisFault, RedisLink
from backstay.core.signals import Signal, SignalListener

CHANNEL = "backstay:{name}:signals:{db}"
"""What is published reaches listeners of every database of a server, so its number is named."""
RESET = b"reset"
"""Published by who could not publish something: everybody forgets everything."""


class RedisSignals:
    """Messages and replies come in order, so the reply to a later command proves that all came.

    Every connection begins a subscription of which the past is unknown, hence with a flush.
    """

    def __init__(self, link: RedisLink, name: str) -> None:
        """Applications of different names do not hear one another."""
        self._link = link
        self._listeners: list[SignalListener] = []
        self._sender = uuid4().hex
        self._owes_reset = False
        self._sending: set[asyncio.Task[None]] = set()
        self._channel = CHANNEL.format(name=name, db=link.address.db)
        link.subscribe(self._channel, self)

    @property
    def is_heard(self) -> bool:
        """Whether the other processes can be heard."""
        return self._link.is_up

    def listen(self, listener: SignalListener) -> None:
        """Hear what other processes say from now on."""
        self._listeners.append(listener)

    async def send(self, signal: Signal) -> None:
        """Tell the others, or make them flush as soon as Redis is back."""
        await self._publish(_written(self._sender, signal))

    def send_soon(self, signal: Signal) -> None:
        """Tell the others, without waiting for it."""
        self._soon(self.send(signal))

    async def settle(self) -> None:
        """Wait until everything was sent that can be."""
        await asyncio.gather(*self._sending)

    def subscribed(self) -> None:
        """Called by the link."""
        for listener in self._listeners:
            listener.flush()

    def heard(self, payload: bytes) -> None:
        """Called by the link. What cannot be read might have been anything."""
        try:
            sender, signal = _read(payload)
        except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError):
            self.subscribed()
            return
        if sender != self._sender:
            for listener in self._listeners:
                listener.heard(signal)

    def complete_until(self, moment: float) -> None:
        """Called by the link."""
        if self._owes_reset:
            self._owes_reset = False
            self._soon(self._publish(RESET))
        for listener in self._listeners:
            listener.complete_until(moment)

    def _soon(self, sending: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(sending)
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _publish(self, payload: bytes) -> None:
        try:
            await self._link.call("PUBLISH", self._channel, payload)
        except RedisFault:
            self._owes_reset = True


def _written(sender: str, signal: Signal) -> bytes:
    return json.dumps(
        {
            "sender": sender,
            "users": [str(user_id) for user_id in signal.user_ids],
            "everyone": signal.everyone,
            "name": signal.name,
            "pending": signal.pending,
        }
    ).encode()


def _read(payload: bytes) -> tuple[str, Signal]:
    told = json.loads(payload)
    pending = float(told["pending"])
    if not 0 <= pending < inf:
        raise ValueError(pending)
    signal = Signal(
        user_ids=frozenset(map(UUID, told["users"])),
        everyone=bool(told["everyone"]),
        name=str(told["name"]),
        pending=pending,
    )
    return told["sender"], signal
