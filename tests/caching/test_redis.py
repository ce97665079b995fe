"""Shows that processes share a cache on Redis, which others cannot forge."""

import asyncio
import os
import pickle
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from backstay.caching import redis as cache_redis
from backstay.caching.redis import RedisCache
from backstay.core.caching import MAX_STALENESS
from backstay.testing.waiting import LIMIT, eventually
from tests.caching.caches import Source, redis_cache
from tests.clocks import StandingClock
from tests.services.valkey import ValkeyServer

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("patient", "standing")]

TAGS = ("items", "items:1")


class Exploit:
    """An object that runs a command when it is unpickled."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.witness),)


def stored(valkey: ValkeyServer, kind: str = "entry") -> list[str]:
    keys = valkey.call("KEYS", f"*:{kind}:*")
    assert isinstance(keys, list)
    return sorted(keys)


async def remembered(cache: RedisCache, source: Source, key: str = "k", ttl: float = 60) -> bytes:
    return await cache.remember(key, source.load, ttl=ttl, tags=TAGS)


async def test_two_processes_load_once_between_them(
    valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_redis, "WAIT_SECONDS", LIMIT)
    monkeypatch.setattr(cache_redis, "LOCK_MS", int(LIMIT * 1000))
    async with redis_cache(valkey.url) as one, redis_cache(valkey.url) as two:
        source = Source()
        asking = [remembered(cache, source) for cache in (one, two) for _ in range(50)]
        assert await asyncio.gather(*asking) == [b"first"] * 100
        assert source.loads == 1


async def test_a_hot_read_costs_no_round_trip(valkey: ValkeyServer) -> None:
    async with redis_cache(valkey.url) as one, redis_cache(valkey.url) as two:
        source = Source()
        assert await remembered(one, source) == b"first"
        assert await two.get("k", tags=TAGS) == b"first"
        valkey.call("CONFIG", "RESETSTAT")
        for _ in range(10):
            assert await two.get("k", tags=TAGS) == await remembered(one, source) == b"first"
        assert valkey.calls_of("mget") == 0
        assert source.loads == 1


async def test_a_value_that_another_process_outdates_is_gone_at_once(valkey: ValkeyServer) -> None:
    async with redis_cache(valkey.url) as one, redis_cache(valkey.url) as two:
        source = Source()
        ways: list[Callable[[], Awaitable[None]]] = [
            lambda: two.delete_tags("items:1"),
            lambda: two.delete("k"),
            lambda: two.delete_matching("*"),
        ]
        for outdate in ways:
            await remembered(one, source)
            before = source.loads
            assert one.memory.near("k", TAGS) is not None
            await outdate()
            await eventually(lambda: one.memory.near("k", TAGS) is None)
            await remembered(one, source)
            assert source.loads == before + 1


async def test_a_process_without_a_server_outdates_too(valkey: ValkeyServer) -> None:
    async with (
        redis_cache(valkey.url) as server,
        redis_cache(valkey.url, is_started=False) as worker,
    ):
        source = Source()
        await remembered(server, source)
        await worker.delete_tags("items:1")
        await eventually(lambda: server.memory.near("k", TAGS) is None)
        await remembered(server, source)
        assert source.loads == 2


async def test_a_value_outdated_by_another_process_while_loading_is_invalid(
    valkey: ValkeyServer,
) -> None:
    async with redis_cache(valkey.url) as one, redis_cache(valkey.url) as two:
        for known_tags in (False, True):
            source = Source(is_held=True)
            if known_tags:
                await two.set("other", b"x", ttl=60, tags=TAGS)
            loading = asyncio.create_task(remembered(one, source))
            await source.started.wait()
            one._link._subscribers.clear()  # as if what is published were late
            await two.delete_tags("items")
            source.may_end.set()
            assert await loading == b"first"
            assert await two.get("k", tags=TAGS) is None
            await two.delete_tags("items")
            await one.delete("k")


async def test_tags_lost_by_redis_do_not_make_old_values_valid(valkey: ValkeyServer) -> None:
    async with redis_cache(valkey.url) as one, redis_cache(valkey.url) as two:
        await one.set("k", b"stale", ttl=60, tags=TAGS)
        await one.delete_tags("items:1")
        for tag in stored(valkey, "tag"):
            valkey.call("DEL", tag)
        assert await two.get("k", tags=TAGS) is None
        assert await remembered(two, Source(b"fresh")) == b"fresh"
        assert await one.get("k", tags=TAGS) == b"fresh"


async def test_planted_bytes_are_neither_executed_nor_returned(
    valkey: ValkeyServer, tmp_path: Path
) -> None:
    witness = tmp_path / "witness"
    exploit = pickle.dumps(Exploit(witness))
    async with redis_cache(valkey.url) as writer:
        await writer.set("k", b"mine", ttl=60, tags=TAGS)
        await writer.set("yours", b"yours", ttl=60, tags=TAGS)
        await writer.push("list", b"mine", ttl=60)
        entry, other = stored(valkey)
        (listed,), tags = stored(valkey, "list"), stored(valkey, "tag")
        redis = writer._link.call
        others = await redis("GET", other)
        for planted in (exploit, b"", b"x", b"{}", b"\xff" * 100, others, others[:-1] + b"!"):
            async with redis_cache(valkey.url) as reader:
                assert await reader.get("yours", tags=TAGS) == b"yours"
                await redis("SET", entry, planted)
                await redis("RPUSH", listed, planted)
                assert await reader.get("k", tags=TAGS) is None
                assert await reader.slice("list") == [b"mine"]
        await redis("DEL", entry)
        await redis("RPUSH", entry, exploit)
        await redis("SET", tags[0], exploit)
    async with redis_cache(valkey.url) as reader:
        assert await reader.get("yours", tags=TAGS) is None
        assert await remembered(reader, Source()) == b"first"
    async with redis_cache(valkey.url) as reader:
        assert await reader.get("k", tags=TAGS) == b"first"
    assert not witness.exists()


async def test_a_process_with_another_secret_reads_nothing(valkey: ValkeyServer) -> None:
    async with redis_cache(valkey.url) as one, redis_cache(valkey.url, b"another secret") as two:
        await one.set("k", b"mine", ttl=60, tags=TAGS)
        assert await two.get("k", tags=TAGS) is None


async def test_a_copy_in_process_lives_no_longer_than_its_original(
    valkey: ValkeyServer, standing: StandingClock
) -> None:
    async with redis_cache(valkey.url) as one, redis_cache(valkey.url) as two:
        await one.set("k", b"x", ttl=60, tags=TAGS)
        (original,) = stored(valkey)
        valkey.call("PEXPIRE", original, 30_000)
        assert await two.get("k", tags=TAGS) == b"x"
        standing.now += 1
        assert two.memory.near("k", TAGS) == b"x"
        standing.now += 29
        assert two.memory.near("k", TAGS) is None


async def test_a_later_increment_does_not_extend_a_counter(
    valkey: ValkeyServer,
) -> None:
    async with redis_cache(valkey.url) as cache:
        await cache.increment("n", ttl=60)
        assert await cache.increment("n", ttl=6000) == 2
        (count,) = stored(valkey, "count")
        assert 0 < int(str(valkey.call("PTTL", count))) <= 60_000


@pytest.mark.parametrize("payload", ["[" * 200_000, "", "{}", "7", '["x", "tags", 7]'])
async def test_an_unreadable_invalidation_outdates_everything(
    valkey: ValkeyServer, payload: str
) -> None:
    async with redis_cache(valkey.url) as cache:
        await cache.set("k", b"x", ttl=60, tags=TAGS)
        assert await cache.get("k", tags=TAGS) == b"x"
        connection = cache._link._connection
        valkey.call("PUBLISH", cache._invalidation.channel, payload)
        await eventually(lambda: cache.memory.near("k", TAGS) is None)
        assert cache._link._connection is connection


async def test_a_value_read_during_deletion_by_pattern_is_not_kept(
    valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with redis_cache(valkey.url) as one, redis_cache(valkey.url) as two:
        await one.set("k", b"stale", ttl=60, tags=TAGS)
        call = one._link.call

        async def read_before_unlink(*command: Any) -> Any:
            if command[0] == "UNLINK":
                assert await two.get("k", tags=TAGS) == b"stale"
                assert two.memory.near("k", TAGS) == b"stale"
            return await call(*command)

        monkeypatch.setattr(one._link, "call", read_before_unlink)
        await one.delete_matching("k*")
        await eventually(lambda: two.memory.near("k", TAGS) is None)


@pytest.mark.parametrize("ahead", [600, -600])
async def test_clocks_that_differ_do_not_make_a_copy_live_longer(
    valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch, standing: StandingClock, ahead: float
) -> None:
    async with redis_cache(valkey.url) as one, redis_cache(valkey.url) as two:
        with monkeypatch.context() as patched:
            now = time.time
            patched.setattr(time, "time", lambda: now() + ahead)
            await one.set("k", b"x", ttl=60, tags=TAGS)
        (original,) = stored(valkey)
        assert 0 < int(str(valkey.call("PTTL", original))) <= 60_000
        assert await two.get("k", tags=TAGS) == (b"x" if ahead > 0 else None)
        standing.now += 60
        assert two.memory.near("k", TAGS) is None


async def test_too_large_a_value_is_skipped_without_losing_the_connection(
    valkey: ValkeyServer,
) -> None:
    huge = b"x" * (40 * 1024 * 1024)

    async def load() -> bytes:
        return huge

    async with redis_cache(valkey.url) as one, redis_cache(valkey.url) as two:
        links = [cache._link._connection for cache in (one, two)]
        await one.set("set", b"before", ttl=60)
        await one.set("set", huge, ttl=60)
        await one.push("push", huge, ttl=60)
        assert await one.remember("remember", load, ttl=60) == huge
        assert [await two.get(key) for key in ("set", "remember")] == [None, None]
        assert await two.slice("push") == []
        assert [cache._link._connection for cache in (one, two)] == links


async def test_in_process_copies_are_unused_while_invalidations_cannot_arrive(
    valkey: ValkeyServer, standing: StandingClock
) -> None:
    async with redis_cache(valkey.url) as cache:
        await remembered(cache, Source(), ttl=600)
        standing.now = time.monotonic()
        await eventually(lambda: cache.memory.near("k", TAGS) is not None)
        connection = cache._link._connection
        assert connection is not None
        with valkey.frozen():
            standing.now = time.monotonic() + MAX_STALENESS
            await eventually(lambda: len(connection._waiting) > 0)
            assert cache.memory.near("k", TAGS) is None
