"""Shows that Redis gets missed invalidations later, and that no request waits for it."""

import asyncio
from typing import Any

import pytest

from backstay.caching import invalidation as cache_invalidation
from backstay.caching.redis import RedisCache
from backstay.redis import client as redis_client
from backstay.testing.waiting import LIMIT, eventually
from tests.caching.caches import Source, redis_cache
from tests.faults.proxy import Wire
from tests.logs import logged
from tests.redis.linking import be_hasty, be_patient, vain_commands
from tests.services.valkey import ValkeyServer

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("patient")]

TAGS = ("items", "items:1")


async def gone(cache: RedisCache, key: str, tags: tuple[str, ...] = ()) -> None:
    """Wait until the key is not found any more."""

    async def is_gone() -> bool:
        return await cache.get(key, tags=tags) is None

    await eventually(is_gone, lambda: f"{key} is still there")


def held(
    cache: RedisCache, command: str, monkeypatch: pytest.MonkeyPatch
) -> tuple[list[str], asyncio.Event]:
    """Hold a Redis command back: the list of its calls so far, and the event that releases them."""
    call, asked, free = cache._link.call, [], asyncio.Event()

    async def wait(*words: Any) -> Any:
        if words[0] == command:
            asked.append(command)
            await free.wait()
        return await call(*words)

    monkeypatch.setattr(cache._link, "call", wait)
    return asked, free


async def go_on_without(cache: RedisCache) -> None:
    """Use the cache without Redis; only the first call may have tried to reach it."""
    assert await cache.remember("new", Source(b"fresh").load, ttl=60, tags=TAGS) == b"fresh"
    failed, _ = vain_commands(cache._link)
    await cache.delete_tags("items:1")
    await cache.set("own", b"x", ttl=60)
    assert await cache.get("own") == b"x"
    assert await cache.increment("n", ttl=60) == 1
    assert vain_commands(cache._link)[0] == failed


async def test_invalidations_missed_by_redis_are_sent_when_it_returns(wire: Wire) -> None:
    async with redis_cache(wire.url) as one, redis_cache(wire.url) as two:
        await one.set("k", b"stale", ttl=60, tags=TAGS)
        async with wire.gone():
            await go_on_without(one)
        await eventually(lambda: one._link.is_up and two._link.is_up)
        await gone(two, "k", TAGS)


async def test_invalidations_missed_by_a_hanging_server_are_sent_later(
    valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    be_hasty(monkeypatch)
    async with redis_cache(valkey.url) as one, redis_cache(valkey.url) as two:
        await one.set("k", b"stale", ttl=60, tags=TAGS)
        with valkey.frozen():
            await go_on_without(one)
            be_patient(monkeypatch)
        await eventually(lambda: one._link.is_up and two._link.is_up)
        await gone(two, "k", TAGS)


async def test_keys_and_patterns_that_redis_missed_are_deleted_later(
    wire: Wire,
) -> None:
    async with redis_cache(wire.url) as one, redis_cache(wire.url) as two:
        for key in ("boat:1", "boat:2", "ship:1", "ship:2"):
            await one.set(key, b"stale", ttl=60)
        await one.increment("boat:3", ttl=60)
        async with wire.gone():
            await one.delete("ship:1")
            await one.delete_matching("boat:*")
        await eventually(lambda: one._link.is_up and two._link.is_up)
        for key in ("boat:1", "boat:2", "ship:1"):
            await gone(two, key)
        assert await two.increment("boat:3", ttl=60) == 1
        assert await two.get("ship:2") == b"stale"


async def test_an_invalidation_that_redis_refused_is_sent_again_until_accepted(
    valkey: ValkeyServer,
) -> None:
    async with redis_cache(valkey.url) as one, redis_cache(valkey.url) as two:
        await one.set("k", b"stale", ttl=60, tags=TAGS)
        valkey.call("ACL", "SETUSER", "default", "-set")
        try:
            await one.delete_tags("items:1")
            assert await two.get("k", tags=TAGS) == b"stale"
        finally:
            valkey.call("ACL", "SETUSER", "default", "+set")
        await gone(two, "k", TAGS)


async def test_redis_values_are_unused_until_all_missed_invalidations_are_sent(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with redis_cache(wire.url) as one, redis_cache(wire.url) as two:
        await one.set("missed", b"stale", ttl=60)
        await one.set("tagged", b"stale", ttl=60, tags=TAGS)
        await one.increment("count", 5, ttl=60)
        await one.push("list", b"stale", ttl=60)
        sweeps, may_sweep = held(one, "SCAN", monkeypatch)
        async with wire.gone():
            await one.delete_matching("*")
        await eventually(lambda: sweeps)
        async with asyncio.timeout(LIMIT):
            await one.delete_tags("items:1")
            await gone(two, "tagged", TAGS)
            await one.set("new", b"new", ttl=60)
            assert await one.increment("count", ttl=60) == 1
            await one.push("list", b"new", ttl=60)
            assert await one.slice("list") == [b"new"]
        assert await one.get("missed") is None
        assert len(sweeps) == 1
        may_sweep.set()
        await gone(two, "missed")
        assert await two.increment("count", ttl=60) == 1
        assert await two.slice("list") == []


@pytest.mark.parametrize("tags", [(), TAGS])
async def test_old_redis_values_never_replace_values_set_during_an_outage(
    wire: Wire, tags: tuple[str, ...]
) -> None:
    async with redis_cache(wire.url) as one, redis_cache(wire.url) as two:
        await one.set("k", b"old", ttl=60, tags=tags)
        async with wire.gone():
            await one.set("k", b"new", ttl=60, tags=tags)
            assert await one.get("k", tags=tags) == b"new"
        await eventually(lambda: one._link.is_up and two._link.is_up)
        assert await one.get("k", tags=tags) != b"old"
        await gone(two, "k", tags)
        assert await one.get("k", tags=tags) != b"old"


async def test_a_value_of_an_earlier_outage_is_not_used_later(
    wire: Wire,
) -> None:
    async with redis_cache(wire.url) as cache:
        async with wire.gone():
            await cache.set("k", b"away", ttl=60)
        await eventually(lambda: cache._link.is_up and not cache._invalidation._unsent)
        await cache.set("k", b"newer", ttl=60)
        async with wire.gone():
            assert await cache.get("k") != b"away"


async def test_values_that_could_not_be_outdated_on_redis_are_unused(
    valkey: ValkeyServer,
) -> None:
    async with redis_cache(valkey.url) as cache:
        await cache.set("k", b"stale", ttl=60)
        valkey.call("ACL", "SETUSER", "default", "-del")
        try:
            await cache.delete("k")
            assert await cache.get("k") is None
        finally:
            valkey.call("ACL", "SETUSER", "default", "+del")


async def test_a_refusal_by_redis_is_logged_once(valkey: ValkeyServer) -> None:
    valkey.call("ACL", "SETUSER", "default", "-mget", "-incrby")
    try:
        with logged(redis_client) as logs:
            async with redis_cache(valkey.url) as cache:
                for _ in range(3):
                    assert await cache.remember("k", Source().load, ttl=60, tags=TAGS) == b"first"
                    await cache.get("other")
    finally:
        valkey.call("ACL", "SETUSER", "default", "+mget", "+incrby")
    (refusal,) = (entry for entry in logs if "refuses" in entry["event"])
    assert (refusal["command"], "NOPERM" in refusal["reason"]) == ("MGET", True)


async def test_too_many_unsent_invalidations_outdate_everything(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_invalidation, "MOST_UNSENT", 3)
    async with redis_cache(wire.url) as one, redis_cache(wire.url) as two:
        for delete in (one.delete_tags, one.delete, one.delete_matching):
            await one.set("k", b"stale", ttl=60, tags=TAGS)
            await one.set("plain", b"stale", ttl=60)
            async with wire.gone():
                for number in range(5):
                    await delete(f"other:{number}")
            await eventually(lambda: one._link.is_up and two._link.is_up)
            await gone(two, "k", TAGS)
            if delete != one.delete_tags:
                await gone(two, "plain")
            await eventually(lambda: not one._invalidation._unsent)
