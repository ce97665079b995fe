"""Shows that no command waits for Redis longer than a moment, and that it is found again."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest
import uvloop
from prometheus_client import CollectorRegistry

from backstay.adapters import redis_link
from backstay.adapters.redis_link import RedisLink, RedisRefused, RedisUnavailable
from tests.adapters.linking import address_of, link_to, logged
from tests.faults.proxy import wire_to
from tests.faults.waiting import until
from tests.services.valkey import ValkeyServer

MOMENT = 0.25
AT_ONCE = 0.05
"""Seconds; less than anybody waits for an answer."""
RECOVERY = 5.0

Open = Callable[..., Awaitable[RedisLink]]


@pytest.fixture
async def linked() -> AsyncIterator[Open]:
    async with AsyncExitStack() as opened:

        async def open_one(*arguments: object) -> RedisLink:
            link = link_to(*arguments)  # type: ignore[arg-type]
            await link.start()
            opened.push_async_callback(link.stop)
            return link

        yield open_one


@pytest.fixture
async def link(linked: Open, valkey: ValkeyServer) -> RedisLink:
    link = await linked(valkey.url)
    await until(lambda: link.is_up)
    return link


async def failing(link: RedisLink) -> float:
    """The seconds until a command fails."""
    started = time.perf_counter()
    with pytest.raises(RedisUnavailable):
        await link.call("GET", "key")
    return time.perf_counter() - started


async def test_a_server_that_hangs_costs_one_moment(link: RedisLink, valkey: ValkeyServer) -> None:
    with valkey.frozen():
        assert await failing(link) < MOMENT
        for _ in range(20):
            assert await failing(link) < AT_ONCE
            await asyncio.sleep(0.05)
        assert not link.is_up
    assert await until(lambda: link.is_up) < RECOVERY
    assert await link.call("PING") == b"PONG"


async def test_a_server_that_dies_costs_nothing_and_is_found_again(
    link: RedisLink, valkey: ValkeyServer
) -> None:
    valkey.kill()
    await until(lambda: not link.is_up)
    assert await failing(link) < AT_ONCE
    valkey.start()
    assert await until(lambda: link.is_up) < RECOVERY
    assert await link.call("PING") == b"PONG"


async def test_it_is_missed_without_being_used(link: RedisLink, valkey: ValkeyServer) -> None:
    with valkey.frozen():
        assert await until(lambda: not link.is_up) < 1
    assert await until(lambda: link.is_up) < RECOVERY


async def test_a_slow_server_is_not_used_and_one_that_is_quick_again_is(
    linked: Open, valkey: ValkeyServer
) -> None:
    async with wire_to(valkey.url) as (wire, url):
        link = await linked(url)
        await until(lambda: link.is_up)
        wire.delay = 0.06
        assert await failing(link) < MOMENT
        for _ in range(20):
            assert await failing(link) < AT_ONCE
            await asyncio.sleep(0.05)
        wire.delay = 0.005
        assert await until(lambda: link.is_up) < RECOVERY


async def test_a_network_that_swallows_everything_costs_one_moment(
    linked: Open, valkey: ValkeyServer
) -> None:
    async with wire_to(valkey.url) as (wire, url):
        link = await linked(url)
        await until(lambda: link.is_up)
        wire.jam()
        assert await failing(link) < MOMENT
        await wire.cut()
        await wire.mend()
        assert await until(lambda: link.is_up) < RECOVERY


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
@pytest.mark.parametrize("turns", [0, 1, 2])
def test_a_process_that_was_busy_itself_does_not_blame_redis(
    run: Callable[[Coroutine[Any, Any, None]], None], turns: int, valkey: ValkeyServer
) -> None:
    async def be_busy() -> None:
        link = link_to(valkey.url)
        await link.start()
        asking = asyncio.ensure_future(link.call("PING"))
        for _ in range(turns):
            await asyncio.sleep(0)
        time.sleep(0.2)  # noqa: ASYNC251
        assert await asking == b"PONG"
        await link.stop()

    run(be_busy())


@pytest.mark.parametrize(
    ("harm", "mend"),
    [
        (("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE")),
        (("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0")),
    ],
    ids=["replica", "full"],
)
async def test_a_server_that_takes_no_writes_is_not_used(
    link: RedisLink, valkey: ValkeyServer, harm: tuple[str, ...], mend: tuple[str, ...]
) -> None:
    valkey.call(*harm)
    try:
        with pytest.raises(RedisUnavailable):
            await link.call("SET", "key", "value")
        for _ in range(10):
            assert await failing(link) < AT_ONCE
            await asyncio.sleep(0.05)
    finally:
        valkey.call(*mend)
    assert await until(lambda: link.is_up) < RECOVERY
    assert await link.call("SET", "key", "value") == b"OK"


@pytest.mark.parametrize(
    "answer", [b"-LOADING it is loading\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"+OK\r\n" * 9]
)
async def test_what_is_no_server_to_use_is_not_used(linked: Open, answer: bytes) -> None:
    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1000):
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    link = await linked(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    assert not link.is_up
    assert await failing(link) < AT_ONCE
    server.close()


async def test_a_server_that_hangs_up_as_soon_as_it_was_proven_is_tried_again(
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
    await until(lambda: connections >= 4)
    await until(lambda: not link.is_up)
    server.close()


async def test_loss_and_return_are_told_once_each_and_never_the_password(
    linked: Open, valkey: ValkeyServer
) -> None:
    with logged(redis_link) as logs:
        link = await linked(valkey.url)
        for _ in range(3):
            valkey.kill()
            await until(lambda: not link.is_up)
            await asyncio.sleep(0.3)
            valkey.start()
            await until(lambda: link.is_up)
        await until(lambda: "back" in logs[-1]["event"])
    assert [(entry["log_level"], entry["event"]) for entry in logs] == [
        ("warning", "redis lost: each process goes on by itself"),
        ("info", "redis is back"),
    ]
    assert str(valkey.port) in logs[0]["address"]
    assert valkey.password not in str(logs)


async def test_a_wrong_password_is_told_and_not_shown(linked: Open, valkey: ValkeyServer) -> None:
    with logged(redis_link) as logs:
        link = await linked(replace(address_of(valkey.url), password="a-wrong-guess"))
        assert await failing(link) < AT_ONCE
    assert "WRONGPASS" in logs[0]["reason"]
    assert "a-wrong-guess" not in str(logs)


@pytest.mark.parametrize(
    "change",
    [{"host": "no-such-host.invalid"}, {"host": "x" * 70}, {"port": 1}, {"tls": True}],
    ids=["no such host", "no host name", "nobody there", "no TLS"],
)
async def test_who_cannot_be_reached_is_done_without_from_the_beginning(
    linked: Open, valkey: ValkeyServer, change: dict[str, object]
) -> None:
    with logged(redis_link) as logs:
        started = time.perf_counter()
        link = await linked(replace(address_of(valkey.url), **change))  # type: ignore[arg-type]
        assert time.perf_counter() - started < 1
        assert not link.is_up
    assert [entry["event"] for entry in logs] == ["redis lost: each process goes on by itself"]
    assert logs[0]["reason"]


async def test_what_was_not_done_is_counted(linked: Open, valkey: ValkeyServer) -> None:
    registry = CollectorRegistry()

    def value(name: str) -> float | None:
        return registry.get_sample_value(f"backstay_redis_{name}", {"address": "redis"})

    link = await linked(valkey.url, registry)
    assert value("up") == 1
    with pytest.raises(RedisRefused):
        await link.call("NO-SUCH-COMMAND")
    with valkey.frozen():
        for _ in range(4):
            await failing(link)
        assert value("up") == 0
        assert value("failed_commands_total") in {2, 3}  # a beat may have been on its way too
        assert value("short_circuited_commands_total") == 3
    await until(lambda: value("up") == 1)


async def test_a_link_that_is_stopped_says_nothing_and_can_be_started_again(
    linked: Open, valkey: ValkeyServer
) -> None:
    with logged(redis_link) as logs:
        link = await linked(valkey.url)
        await link.stop()
        assert await failing(link) < AT_ONCE
        await link.start()
        await until(lambda: link.is_up)
    assert logs == []
