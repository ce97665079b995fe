"""Shows that no command waits for Redis longer than a moment, and that it is found again."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from backstay.adapters.redis_link import RedisLink, RedisRefused, RedisUnavailable, Script
from tests.adapters.linking import address_of, link_to
from tests.faults.proxy import wire_to
from tests.faults.waiting import until
from tests.services.valkey import ValkeyServer

MOMENT = 0.15
"""Seconds; a command fails within it, on a machine that is busy."""
AT_ONCE = 0.01
RECOVERY = 2.0

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
    return await linked(valkey.url)


async def failing(link: RedisLink) -> float:
    """The seconds until a command fails."""
    started = time.perf_counter()
    with pytest.raises(RedisUnavailable):
        await link.call("GET", "key")
    return time.perf_counter() - started


async def test_replies_are_bytes_numbers_lists_and_nothing(link: RedisLink) -> None:
    assert await link.call("SET", "key", "é", "PX", 10_000) == b"OK"
    assert await link.call("GET", "key") == "é".encode()
    assert await link.call("GET", "other") is None
    assert await link.call("RPUSH", "list", b"\x00\xff", 1, 0.5) == 3
    assert await link.call("LRANGE", "list", 0, -1) == [b"\x00\xff", b"1", b"0.5"]


async def test_concurrent_commands_share_a_round_trip_and_get_their_own_replies(
    link: RedisLink, valkey: ValkeyServer
) -> None:
    valkey.call("CONFIG", "RESETSTAT")
    assert await asyncio.gather(*[link.call("ECHO", number) for number in range(200)]) == [
        str(number).encode() for number in range(200)
    ]
    assert valkey.reads() < 8  # with those of the questions asked here, and a beat of the link


async def test_who_is_cancelled_takes_nobody_elses_reply(link: RedisLink) -> None:
    asking = [asyncio.ensure_future(link.call("ECHO", number)) for number in range(3)]
    await asyncio.sleep(0)
    asking[1].cancel()
    assert await asking[0] == b"0"
    assert await asking[2] == b"2"


async def test_an_error_of_one_command_concerns_nobody_else(link: RedisLink) -> None:
    await link.call("SET", "key", "text")
    wrong, right = await asyncio.gather(
        link.call("INCR", "key"), link.call("GET", "key"), return_exceptions=True
    )
    assert isinstance(wrong, RedisRefused)
    assert right == b"text"
    assert link.is_up


async def test_a_script_is_sent_once_and_again_after_it_was_forgotten(
    link: RedisLink, valkey: ValkeyServer
) -> None:
    script = Script.of("return {KEYS[1], ARGV[1], ARGV[2]}")
    valkey.call("CONFIG", "RESETSTAT")
    for _ in range(3):
        assert await link.run(script, ["key"], ["one", 2]) == [b"key", b"one", b"2"]
    assert (valkey.calls_of("eval"), valkey.calls_of("evalsha")) == (1, 3)
    valkey.flush()
    assert await link.run(script, ["key"], ["one", 2]) == [b"key", b"one", b"2"]
    with pytest.raises(RedisRefused, match="no such thing"):
        await link.run(Script.of("return redis.error_reply('ERR no such thing')"), [])


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
        assert await link.call("PING") == b"PONG"
        wire.delay = 0.06
        assert await failing(link) < MOMENT
        for _ in range(20):
            assert await failing(link) < AT_ONCE
            await asyncio.sleep(0.05)
        wire.delay = 0.005
        assert await until(lambda: link.is_up) < RECOVERY
        assert await link.call("PING") == b"PONG"


async def test_a_network_that_swallows_everything_costs_one_moment(
    linked: Open, valkey: ValkeyServer
) -> None:
    async with wire_to(valkey.url) as (wire, url):
        link = await linked(url)
        wire.jam()
        assert await failing(link) < MOMENT
        await wire.cut()
        await wire.mend()
        assert await until(lambda: link.is_up) < RECOVERY


async def test_a_process_that_was_busy_itself_does_not_blame_redis(link: RedisLink) -> None:
    asking = asyncio.ensure_future(link.call("PING"))
    await asyncio.sleep(0)
    time.sleep(0.2)  # noqa: ASYNC251
    assert await asking == b"PONG"
    assert link.is_up


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


async def test_loss_and_return_are_told_once_each_and_never_the_password(
    linked: Open, valkey: ValkeyServer
) -> None:
    with capture_logs() as logs:
        link = await linked(valkey.url)
        for _ in range(3):
            valkey.kill()
            await until(lambda: not link.is_up)
            await asyncio.sleep(0.3)
            valkey.start()
            await until(lambda: link.is_up)
        await until(lambda: "back" in logs[-1]["event"])
    assert [(entry["log_level"], entry["event"]) for entry in logs] == [
        ("warning", "redis lost"),
        ("info", "redis is back"),
    ]
    assert str(valkey.port) in logs[0]["address"]
    assert valkey.password not in str(logs)


async def test_a_wrong_password_is_told_and_not_shown(linked: Open, valkey: ValkeyServer) -> None:
    with capture_logs() as logs:
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
    with capture_logs() as logs:
        started = time.perf_counter()
        link = await linked(replace(address_of(valkey.url), **change))  # type: ignore[arg-type]
        assert time.perf_counter() - started < 1
        assert not link.is_up
    assert [entry["event"] for entry in logs] == ["redis lost"]
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
    with capture_logs() as logs:
        link = await linked(valkey.url)
        await link.stop()
        assert await failing(link) < AT_ONCE
        await link.start()
        await until(lambda: link.is_up)
    assert logs == []
