"""Shows that signals reach every other process, and that whoever may have missed one knows."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import cast
from uuid import UUID

import pytest

from backstay.adapters.principals_redis import RedisPrincipals
from backstay.adapters.signals_redis import RedisSignals
from backstay.core.clock import new_id
from backstay.core.principal_cache import PrincipalCache
from backstay.core.signals import Signal
from tests.adapters.linking import link_to
from tests.faults.waiting import until
from tests.services.valkey import ValkeyServer

FORGED = '{"sender": "x", "users": [], "everyone": false, "name": "x", "pending": %s}'


class Station:
    """A process as others see it: it sends signals and notes what it hears."""

    def __init__(self, valkey: ValkeyServer, name: str = "name") -> None:
        self.link = link_to(valkey.url)
        self.signals = RedisSignals(self.link, name)
        self.signals.listen(self)
        self.said: list[Signal] = []
        self.flushes = 0
        self.complete = 0.0

    def heard(self, signal: Signal) -> None:
        self.said.append(signal)

    def flush(self) -> None:
        self.flushes += 1

    def complete_until(self, moment: float) -> None:
        self.complete = moment


Open = Callable[..., Awaitable[Station]]


@pytest.fixture
async def station(valkey: ValkeyServer) -> AsyncIterator[Open]:
    async with AsyncExitStack() as opened:

        async def open_one(name: str = "name") -> Station:
            one = Station(valkey, name)
            await one.link.start()
            opened.push_async_callback(one.link.stop)
            return one

        yield open_one


async def test_a_signal_reaches_the_others_whole(station: Open) -> None:
    one, other, third = await station(), await station(), await station()
    signal = Signal(frozenset({new_id(), new_id()}), True, "é", 30.0)
    await one.signals.send(signal)
    await until(lambda: other.said == third.said == [signal])
    assert one.said == []


async def test_what_the_server_has_taken_was_heard_before_the_next_proof(station: Open) -> None:
    one, other = await station(), await station()
    await one.signals.send(Signal(everyone=True))
    sent = time.monotonic()
    await until(lambda: other.complete >= sent)
    assert len(other.said) == 1


async def test_every_connection_begins_with_a_flush(station: Open, valkey: ValkeyServer) -> None:
    one = await station()
    assert one.flushes == 1
    valkey.restart()
    await until(lambda: one.flushes == 2)
    valkey.call("CLIENT", "KILL", "TYPE", "pubsub")
    await until(lambda: one.flushes == 3)


async def test_nothing_is_proven_while_the_server_hangs(
    station: Open, valkey: ValkeyServer
) -> None:
    one = await station()
    with valkey.frozen():
        frozen = time.monotonic()
        await asyncio.sleep(0.6)
        assert one.complete < frozen
    await until(lambda: one.complete > frozen)


async def test_who_could_not_be_told_flushes_when_that_is_possible_again(
    station: Open, valkey: ValkeyServer
) -> None:
    one, other = await station(), await station()
    valkey.call("ACL", "SETUSER", "default", "-publish")
    try:
        await one.signals.send(Signal(everyone=True))
    finally:
        valkey.call("ACL", "SETUSER", "default", "+publish")
    before = other.flushes
    await until(lambda: other.flushes > before)
    assert other.said == []


@pytest.mark.parametrize(
    "payload",
    [
        *("", "{", "[]", "7", "[" * 200_000, '{"sender": "x"}'),
        '{"sender": 1, "users": ["no id"], "everyone": 1}',
        *(FORGED % pending for pending in ("NaN", "Infinity", "-1", "1" + "0" * 400, "null")),
    ],
    ids=lambda payload: payload[:60],
)
async def test_what_cannot_be_read_is_taken_for_anything(
    station: Open, valkey: ValkeyServer, payload: str
) -> None:
    one = await station()
    connection = one.link._connection
    valkey.call("PUBLISH", one.signals._channel, payload)
    await until(lambda: one.flushes == 2)
    assert one.link._connection is connection


async def test_others_distrust_for_no_longer_than_a_commit_may_take(
    station: Open, valkey: ValkeyServer
) -> None:
    one, cache = await station(), Doubting()
    RedisPrincipals(cast(PrincipalCache, cache), one.signals, 30.0)
    for pending in ("1e300", "5"):
        valkey.call("PUBLISH", one.signals._channel, FORGED % pending)
    await until(lambda: cache.doubts == [30.0, 5.0])


class Doubting:
    """Notes for how long it is to doubt."""

    def __init__(self) -> None:
        self.doubts: list[float] = []

    def distrust(self, name: str, users: object, seconds: float) -> None:
        self.doubts.append(seconds)

    def complete_until(self, moment: float) -> None:
        """Nothing is noted."""


async def test_applications_of_one_database_do_not_hear_one_another(station: Open) -> None:
    one, other, stranger = await station(), await station(), await station("other")
    await one.signals.send(Signal(everyone=True))
    await until(lambda: len(other.said) == 1)
    sent = time.monotonic()
    await until(lambda: stranger.complete >= sent)
    assert stranger.said == []


async def test_whoever_only_speaks_connects_when_there_is_something_to_say(
    station: Open, valkey: ValkeyServer
) -> None:
    other, speaker = await station(), Station(valkey)
    user_id: UUID = new_id()
    await speaker.signals.send(Signal(frozenset({user_id})))
    await until(lambda: other.said == [Signal(frozenset({user_id}))])
    await speaker.signals.settle()
    await speaker.link.stop()
