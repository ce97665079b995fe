"""Shows that no command waits long for Redis, and that a lost Redis is found again."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from select import select
from typing import Any

import pytest
import uvloop

from backstay.redis import client as redis_client
from backstay.redis.client import RedisFault, RedisLink
from backstay.redis.connection import Connection
from backstay.testing.waiting import LIMIT, eventually
from tests.faults.proxy import Wire
from tests.redis.linking import (
    PATIENCE,
    Open,
    be_hasty,
    be_patient,
    fails_at_once,
    link_to,
    says_unavailable,
)
from tests.services.valkey import ValkeyServer


@pytest.fixture
async def link(linked: Open, valkey: ValkeyServer) -> RedisLink:
    link = await linked(valkey.url)
    await eventually(lambda: link.is_up)
    return link


async def missed(link: RedisLink) -> None:
    """Assert that the first command on a connection that was up fails."""
    with pytest.raises(RedisFault, check=says_unavailable):
        await link.call("GET", "key")


async def stays_away(link: RedisLink, monkeypatch: pytest.MonkeyPatch) -> None:
    """Assert that commands fail at once while the client tries several times to reconnect."""
    tries, connect = 0, link._connect

    async def counted() -> Connection:
        nonlocal tries
        tries += 1
        return await connect()

    def has_tried() -> bool:
        fails_at_once(link)
        return tries > 2

    monkeypatch.setattr(link, "_connect", counted)
    await eventually(has_tried)


async def found_again(link: RedisLink) -> None:
    await eventually(lambda: link.is_up)
    assert await link.call("PING") == b"PONG"


async def test_a_command_waits_no_longer_than_it_may(
    linked: Open, valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four successive round trips take at most a quarter of a second."""
    assert 4 * PATIENCE < 0.25
    be_patient(monkeypatch)
    link = await linked(valkey.url)
    with valkey.frozen():
        asking = asyncio.ensure_future(link.call("PING"))
        connection = link._connection
        assert connection is not None
        await eventually(lambda: connection._timer is not None)
        assert connection._timer is not None
        assert connection._timer.when() <= asyncio.get_running_loop().time() + LIMIT
    assert await asking == b"PONG"


async def test_a_hanging_server_delays_one_command_briefly(
    link: RedisLink, valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with valkey.frozen():
        await missed(link)
        await stays_away(link, monkeypatch)
        be_patient(monkeypatch)
    await found_again(link)


async def test_a_server_that_dies_delays_nothing_and_is_found_again(
    link: RedisLink, valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    valkey.kill()
    await eventually(lambda: not link.is_up)
    fails_at_once(link)
    be_patient(monkeypatch)
    valkey.start()
    await found_again(link)


async def test_an_unused_connection_notices_the_loss_of_its_server(
    link: RedisLink, valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert redis_client.BEAT_SECONDS + PATIENCE < 1
    with valkey.frozen():
        await eventually(lambda: not link.is_up)
        be_patient(monkeypatch)
    await found_again(link)


async def test_a_slow_server_is_used_again_once_it_is_quick(
    linked: Open, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = await linked(wire.url)
    await eventually(lambda: link.is_up)
    wire.delay = 1.2 * PATIENCE
    await missed(link)
    await stays_away(link, monkeypatch)
    be_patient(monkeypatch)
    wire.delay = 0.1 * PATIENCE
    await found_again(link)


async def test_a_network_that_drops_everything_delays_one_command_briefly(
    linked: Open, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = await linked(wire.url)
    await eventually(lambda: link.is_up)
    wire.jam()
    await missed(link)
    fails_at_once(link)
    be_patient(monkeypatch)
    async with wire.gone():
        fails_at_once(link)
    await found_again(link)


@pytest.mark.usefixtures("without_beats")
@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
@pytest.mark.parametrize("turns", [0, 1, 2])
def test_a_process_that_was_busy_itself_does_not_blame_redis(
    run: Callable[[Coroutine[Any, Any, None]], None],
    turns: int,
    valkey: ValkeyServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def be_busy() -> None:
        be_patient(monkeypatch)
        link = link_to(valkey.url)
        assert await link.call("PING") == b"PONG"
        connection = link._connection
        assert connection is not None
        connection._look(0)  # which forgets the timer
        be_hasty(monkeypatch)
        asking = asyncio.ensure_future(link.call("PING"))
        for _ in range(turns):
            await asyncio.sleep(0)
        time.sleep(2 * PATIENCE)  # noqa: ASYNC251
        if connection._waiting:
            assert connection._wire._writer is not None
            select([connection._wire._writer.get_extra_info("socket").fileno()], [], [], LIMIT)
        be_patient(monkeypatch)
        assert await asking == b"PONG"
        await link.stop()

    run(be_busy())


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize(
    ("harm", "hint"),
    [
        (("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE")),
        (("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0")),
    ],
    ids=["replica", "full"],
)
async def test_a_server_that_takes_no_writes_is_not_used(
    linked: Open,
    valkey: ValkeyServer,
    monkeypatch: pytest.MonkeyPatch,
    harm: tuple[str, ...],
    hint: tuple[str, ...],
) -> None:
    link = await linked(valkey.url)
    valkey.call(*harm)
    try:
        with pytest.raises(RedisFault, check=says_unavailable):
            await link.call("SET", "key", "value")
        await stays_away(link, monkeypatch)
    finally:
        valkey.call(*hint)
    await eventually(lambda: link.is_up)
    assert await link.call("SET", "key", "value") == b"OK"


@pytest.mark.parametrize(
    "answer", [b"-LOADING it is loading\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"+OK\r\n" * 9]
)
async def test_a_peer_that_is_no_usable_server_is_not_used(linked: Open, answer: bytes) -> None:
    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1000):
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    link = await linked(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    assert not link.is_up
    fails_at_once(link)
    server.close()


async def test_a_server_that_hangs_up_after_its_check_is_retried(
    linked: Open,
) -> None:
    connections = 0

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        for _ in ("HELLO", "SELECT", "SET"):
            await reader.read(1000)
            writer.write(b"+OK\r\n")
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    link = await linked(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    await eventually(lambda: connections > 2)
    await eventually(lambda: not link.is_up)
    server.close()
