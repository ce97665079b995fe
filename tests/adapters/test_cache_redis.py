"""Shows that processes share a cache on Redis, which nobody else can write and none waits for."""

import asyncio
import os
import pickle
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from backstay.adapters.cache_redis import RedisCache
from tests.adapters.caches import Source, redis_cache
from tests.db.processes import run_at_once
from tests.faults.waiting import until
from tests.services.valkey import ValkeyServer

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("patient")]

TAGS = ("items", "items:1")
LOADING = """
import asyncio, sys
from tests.adapters.caches import redis_cache
from tests.services.valkey import ValkeyServer

async def main(port, password):
    valkey = ValkeyServer()
    valkey.port, valkey.password = int(port), password
    async with redis_cache(valkey) as cache:
        async def load():
            await cache.increment("loads", ttl=60)
            await asyncio.sleep(0.05)
            return b"loaded"

        await cache.increment("ready", ttl=60)
        while await cache.increment("ready", 0, ttl=60) < 2:
            pass
        asking = [cache.remember("k", load, ttl=60, tags=("t",)) for _ in range(50)]
        assert await asyncio.gather(*asking) == [b"loaded"] * 50

asyncio.run(main(*sys.argv[1:]))
"""


class Exploit:
    """What runs a command wherever its pickle is read."""

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


async def test_two_processes_load_once_between_them(valkey: ValkeyServer) -> None:
    command = [sys.executable, "-c", LOADING, str(valkey.port), valkey.password]
    root = str(Path(__file__).parents[2])
    loads = []
    for _ in range(3):  # who waits for another's load waits for so long only; machines may be slow
        valkey.call("FLUSHALL")
        run_at_once(2, command, PYTHONPATH=f"{root}:{root}/src")
        counted = {k.rpartition(":")[2]: valkey.call("GET", k) for k in stored(valkey, "count")}
        loads.append(counted["loads"])
        if loads[-1] == "1":
            break
    assert loads[-1] == "1", loads


async def test_a_hot_read_costs_no_round_trip(valkey: ValkeyServer) -> None:
    async with redis_cache(valkey) as one, redis_cache(valkey) as two:
        source = Source()
        assert await remembered(one, source) == b"first"
        assert await two.get("k", tags=TAGS) == b"first"
        valkey.call("CONFIG", "RESETSTAT")
        for _ in range(10):
            assert await two.get("k", tags=TAGS) == await remembered(one, source) == b"first"
        assert valkey.calls_of("mget") == 0
        assert source.loads == 1


async def test_what_another_process_outdates_is_gone_here_at_once(valkey: ValkeyServer) -> None:
    async with redis_cache(valkey) as one, redis_cache(valkey) as two:
        source = Source()
        ways: list[Callable[[], Awaitable[None]]] = [
            lambda: two.delete_tags("items:1"),
            lambda: two.delete("k"),
            lambda: two.delete_matching("*"),
        ]
        for outdate in ways:
            await remembered(one, source)
            before = source.loads
            assert one.near("k", TAGS) is not None
            await outdate()
            await until(lambda: one.near("k", TAGS) is None)
            await remembered(one, source)
            assert source.loads == before + 1


async def test_a_process_that_serves_nothing_outdates_too(valkey: ValkeyServer) -> None:
    async with redis_cache(valkey) as server, redis_cache(valkey, is_started=False) as worker:
        source = Source()
        await remembered(server, source)
        await worker.delete_tags("items:1")
        await until(lambda: server.near("k", TAGS) is None)
        await remembered(server, source)
        assert source.loads == 2


async def test_what_was_outdated_elsewhere_while_it_was_loaded_is_never_valid(
    valkey: ValkeyServer,
) -> None:
    async with redis_cache(valkey) as one, redis_cache(valkey) as two:
        for known_tags in (False, True):
            source = Source()
            if known_tags:
                await two.set("other", b"x", ttl=60, tags=TAGS)
            loading = asyncio.create_task(remembered(one, source))
            await source.started.wait()
            one._link._subscribers.clear()  # as if what is published were late
            await two.delete_tags("items")
            assert await loading == b"first"
            assert await two.get("k", tags=TAGS) is None
            await two.delete_tags("items")
            await one.delete("k")


async def test_tags_that_redis_lost_make_nothing_valid_again(valkey: ValkeyServer) -> None:
    async with redis_cache(valkey) as one, redis_cache(valkey) as two:
        await one.set("k", b"stale", ttl=60, tags=TAGS)
        await one.delete_tags("items:1")
        for tag in stored(valkey, "tag"):
            valkey.call("DEL", tag)
        assert await two.get("k", tags=TAGS) is None
        assert await remembered(two, Source(b"fresh")) == b"fresh"
        assert await one.get("k", tags=TAGS) == b"fresh"


async def test_planted_bytes_never_run_and_never_come_back(
    valkey: ValkeyServer, tmp_path: Path
) -> None:
    witness = tmp_path / "witness"
    exploit = pickle.dumps(Exploit(witness))
    async with redis_cache(valkey) as writer:
        await writer.set("k", b"mine", ttl=60, tags=TAGS)
        await writer.set("yours", b"yours", ttl=60, tags=TAGS)
        await writer.push("list", b"mine", ttl=60)
        entry, other = stored(valkey)
        (listed,), tags = stored(valkey, "list"), stored(valkey, "tag")
        redis = writer._link.call
        others = await redis("GET", other)
        for planted in (exploit, b"", b"x", b"{}", b"\xff" * 100, others, others[:-1] + b"!"):
            async with redis_cache(valkey) as reader:
                assert await reader.get("yours", tags=TAGS) == b"yours"
                await redis("SET", entry, planted)
                await redis("RPUSH", listed, planted)
                assert await reader.get("k", tags=TAGS) is None
                assert await reader.slice("list") == [b"mine"]
        await redis("DEL", entry)
        await redis("RPUSH", entry, exploit)
        await redis("SET", tags[0], exploit)
    async with redis_cache(valkey) as reader:
        assert await reader.get("yours", tags=TAGS) is None
        assert await remembered(reader, Source()) == b"first"
    async with redis_cache(valkey) as reader:
        assert await reader.get("k", tags=TAGS) == b"first"
    assert not witness.exists()


async def test_a_process_with_another_secret_reads_nothing(valkey: ValkeyServer) -> None:
    async with redis_cache(valkey) as one, redis_cache(valkey, b"another secret") as two:
        await one.set("k", b"mine", ttl=60, tags=TAGS)
        assert await two.get("k", tags=TAGS) is None


async def test_a_copy_in_process_lives_no_longer_than_its_original(valkey: ValkeyServer) -> None:
    async with redis_cache(valkey) as one, redis_cache(valkey) as two:
        await one.set("k", b"x", ttl=0.3, tags=TAGS)
        await asyncio.sleep(0.15)
        assert await two.get("k", tags=TAGS) == b"x"
        await asyncio.sleep(0.17)
        assert await two.get("k", tags=TAGS) is None


@pytest.mark.parametrize("payload", ["[" * 200_000, "", "{}", "7", '["x", "tags", 7]'])
async def test_what_cannot_be_read_may_have_outdated_anything(
    valkey: ValkeyServer, payload: str
) -> None:
    async with redis_cache(valkey) as cache:
        await cache.set("k", b"x", ttl=60, tags=TAGS)
        assert await cache.get("k", tags=TAGS) == b"x"
        connection = cache._link._connection
        valkey.call("PUBLISH", cache._invalidation.channel, payload)
        await until(lambda: cache.near("k", TAGS) is None)
        assert cache._link._connection is connection


async def test_what_is_read_again_while_a_pattern_is_deleted_is_not_kept_here(
    valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with redis_cache(valkey) as one, redis_cache(valkey) as two:
        await one.set("k", b"stale", ttl=60, tags=TAGS)
        call = one._link.call

        async def read_before_unlink(*command: Any) -> Any:
            if command[0] == "UNLINK":
                assert await two.get("k", tags=TAGS) == b"stale"
                assert two.near("k", TAGS) == b"stale"
            return await call(*command)

        monkeypatch.setattr(one._link, "call", read_before_unlink)
        await one.delete_matching("k*")
        await until(lambda: two.near("k", TAGS) is None)


@pytest.mark.parametrize("ahead", [600, -600])
async def test_clocks_that_differ_do_not_make_a_copy_live_longer(
    valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch, ahead: float
) -> None:
    async with redis_cache(valkey) as one, redis_cache(valkey) as two:
        with monkeypatch.context() as patched:
            now = time.time
            patched.setattr(time, "time", lambda: now() + ahead)
            await one.set("k", b"x", ttl=0.3, tags=TAGS)
        await two.get("k", tags=TAGS)
        await asyncio.sleep(0.31)
        assert await two.get("k", tags=TAGS) is None


async def test_what_is_too_large_is_not_kept_and_costs_nobody_the_link(
    valkey: ValkeyServer,
) -> None:
    huge = b"x" * (40 * 1024 * 1024)

    async def load() -> bytes:
        return huge

    async with redis_cache(valkey) as one, redis_cache(valkey) as two:
        links = [cache._link._connection for cache in (one, two)]
        await one.set("set", b"before", ttl=60)
        await one.set("set", huge, ttl=60)
        await one.push("push", huge, ttl=60)
        assert await one.remember("remember", load, ttl=60) == huge
        assert [await two.get(key) for key in ("set", "remember")] == [None, None]
        assert await two.slice("push") == []
        assert [cache._link._connection for cache in (one, two)] == links


async def test_what_is_kept_here_is_not_believed_while_nobody_tells_of_changes(
    valkey: ValkeyServer,
) -> None:
    async with redis_cache(valkey) as cache:
        await remembered(cache, Source())
        await asyncio.sleep(0.9)
        assert cache.near("k", TAGS) is not None
        with valkey.frozen():
            await until(lambda: not cache._link.is_up)
            await asyncio.sleep(0.9)
            assert cache.near("k", TAGS) is None
