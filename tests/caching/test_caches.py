"""Shows what every cache does: it keeps bytes for a time, loads once, and invalidates by tag."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from backstay.core.ports import Cache
from tests.caching.caches import Source, memory_cache, redis_cache
from tests.clocks import StandingClock

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("patient")]


@pytest.fixture(params=["memory", "redis"])
async def cache(request: pytest.FixtureRequest) -> AsyncIterator[Cache]:
    if request.param == "memory":
        yield memory_cache()
        return
    async with redis_cache(request.getfixturevalue("valkey").url) as cache:
        yield cache


async def test_a_value_is_kept_until_it_is_deleted(cache: Cache) -> None:
    assert await cache.get("boat") is None
    await cache.set("boat", b"\x00\xff", ttl=60)
    await cache.set("empty", b"", ttl=60)
    assert await cache.get("boat") == b"\x00\xff"
    assert await cache.get("empty") == b""
    await cache.delete("boat", "nothing")
    assert await cache.get("boat") is None
    assert await cache.get("empty") == b""


async def test_a_value_is_gone_after_its_time(cache: Cache) -> None:
    for key, ttl in (("lasting", 60), ("brief", 0.05)):
        await cache.set(key, b"sloop", ttl=ttl)
        await cache.set(f"tagged {key}", b"sloop", ttl=ttl, tags=("boats",))
    await asyncio.sleep(0.06)
    assert await cache.get("lasting") == b"sloop"
    assert await cache.get("tagged lasting", tags=("boats",)) == b"sloop"
    assert await cache.get("brief") is None
    assert await cache.get("tagged brief", tags=("boats",)) is None


async def test_a_tag_outdates_what_has_it_and_nothing_else(cache: Cache) -> None:
    await cache.set("both", b"1", ttl=60, tags=("a", "b"))
    await cache.set("other", b"2", ttl=60, tags=("b",))
    await cache.set("plain", b"3", ttl=60)
    await cache.delete_tags("a", "unknown")
    assert await cache.get("both", tags=("a", "b")) is None
    assert await cache.get("other", tags=("b",)) == b"2"
    assert await cache.get("plain") == b"3"


async def test_a_missing_value_is_loaded_once_for_all_callers(cache: Cache) -> None:
    source = Source()
    asking = [cache.remember("k", source.load, ttl=60, tags=("t",)) for _ in range(100)]
    assert await asyncio.gather(*asking) == [b"first"] * 100
    assert await cache.remember("k", source.load, ttl=60, tags=("t",)) == b"first"
    assert source.loads == 1


async def test_a_load_outdated_while_running_is_answered_but_not_kept(
    cache: Cache,
) -> None:
    first, second = Source(is_held=True), Source(b"second")
    early = asyncio.create_task(cache.remember("k", first.load, ttl=60, tags=("t",)))
    await first.started.wait()
    await cache.delete_tags("t")
    assert await cache.remember("k", second.load, ttl=60, tags=("t",)) == b"second"
    first.may_end.set()
    assert await early == b"first"
    assert await cache.get("k", tags=("t",)) == b"second"


async def test_a_load_error_reaches_all_waiting_callers_and_is_forgotten(cache: Cache) -> None:
    loads = 0

    async def fail() -> bytes:
        nonlocal loads
        loads += 1
        await asyncio.sleep(0)
        raise ValueError("no")

    asking = [cache.remember("k", fail, ttl=60, tags=("t",)) for _ in range(3)]
    errors = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(error) for error in errors] == [ValueError] * 3
    assert loads == 1
    assert await cache.remember("k", Source().load, ttl=60, tags=("t",)) == b"first"


async def test_a_cancelled_caller_does_not_cancel_the_load(cache: Cache) -> None:
    source = Source(is_held=True)
    first = asyncio.create_task(cache.remember("k", source.load, ttl=60, tags=("t",)))
    await source.started.wait()
    second = asyncio.create_task(cache.remember("k", source.load, ttl=60, tags=("t",)))
    await asyncio.sleep(0)
    first.cancel()
    source.may_end.set()
    assert await second == b"first"
    assert source.loads == 1


async def test_a_pattern_deletes_the_keys_that_match_it(cache: Cache) -> None:
    for key in ("boat:1", "boat:22", "boats", "b[o]at:1", "ship:1"):
        await cache.set(key, b"x", ttl=60)
    await cache.delete_matching("b[o]at:*")
    await cache.delete_matching("boat:?")
    left = [k for k in ("boat:1", "boat:22", "boats", "b[o]at:1", "ship:1") if await cache.get(k)]
    assert left == ["boat:22", "boats", "ship:1"]


async def test_a_pattern_must_match_the_whole_key(cache: Cache) -> None:
    keys = ("my:weather:1", "weather", "weather:1", "weather:é")
    for key in keys:
        await cache.set(key, b"x", ttl=60)
    await cache.increment("quota:weather:7", ttl=60)
    await cache.increment("weather:7", ttl=60)
    await cache.push("my:weather:2", b"x", ttl=60)
    await cache.delete_matching("weather:?")
    assert [key for key in keys if await cache.get(key)] == ["my:weather:1", "weather"]
    assert await cache.increment("quota:weather:7", ttl=60) == 2
    assert await cache.increment("weather:7", ttl=60) == 1
    assert await cache.slice("my:weather:2") == [b"x"]


async def test_counters_are_exact_until_they_expire(cache: Cache) -> None:
    counted = await asyncio.gather(*[cache.increment("n", ttl=60) for _ in range(50)])
    assert sorted(counted) == list(range(1, 51))
    assert await cache.increment("n", -8, ttl=60) == 42
    assert await cache.increment("brief", ttl=0.05) == 1
    await asyncio.sleep(0.06)
    assert await cache.increment("brief", ttl=60) == 1


async def test_lists_grow_at_their_end_and_are_read_in_slices(cache: Cache) -> None:
    await cache.push("log", b"a", b"b", ttl=60)
    await cache.push("log", b"c", ttl=60)
    assert await cache.slice("log") == [b"a", b"b", b"c"]
    assert await cache.slice("log", 1, 1) == [b"b"]
    assert await cache.slice("log", -2) == [b"b", b"c"]
    assert await cache.slice("nothing") == []
    await cache.delete("log")
    assert await cache.slice("log") == []


async def test_a_list_larger_than_the_value_limit_is_dropped(cache: Cache) -> None:
    part = b"x" * 1_500_000
    for _ in range(2):
        await cache.push("log", part, ttl=60)
        await cache.push("log", part, ttl=60)
        assert await cache.slice("log") == [part, part]
        await cache.push("log", part, ttl=60)
        assert await cache.slice("log") == []
    await cache.push("log", b"a", ttl=60)
    assert await cache.slice("log") == [b"a"]


async def test_a_full_memory_cache_drops_the_least_recently_used_entries() -> None:
    cache = memory_cache(max_entries=3)
    for key in "abc":
        await cache.set(key, b"x", ttl=60, tags=("t",))
    await cache.get("a", tags=("t",))
    await cache.set("d", b"x", ttl=60, tags=("t",))
    assert [k for k in "abcd" if await cache.get(k, tags=("t",))] == ["a", "c", "d"]
    small = memory_cache(max_bytes=100_000)
    for number in range(100):
        await small.set(str(number), b"x" * 5_000, ttl=60)
    assert sum([await small.get(str(n)) is not None for n in range(100)]) == 18
    await small.set("huge", b"x" * 90_000, ttl=60)
    assert await small.get("huge") is None


async def test_a_later_increment_does_not_extend_a_counter_in_memory(
    standing: StandingClock,
) -> None:
    cache = memory_cache()
    for expected in (1, 2, 1):
        assert await cache.increment("n", ttl=60) == expected
        standing.now += 30


async def test_memory_uses_tagged_values_only_while_its_channel_is_complete(
    standing: StandingClock,
) -> None:
    standing.now = 1000.0
    cache = memory_cache()
    cache.rely_on_channel()
    cache.complete_until(999.0)
    await cache.set("tagged", b"x", ttl=60, tags=("t",))
    await cache.set("plain", b"x", ttl=60)
    standing.now = 1000.7
    assert await cache.get("tagged", tags=("t",)) == b"x"
    standing.now = 1000.8
    assert await cache.get("tagged", tags=("t",)) is None
    cache.complete_until(1000.7)
    assert await cache.get("tagged", tags=("t",)) == b"x"
    standing.now = 1030.0
    assert await cache.get("tagged", tags=("t",)) is None
    assert await cache.get("plain") == b"x"
    cache.complete_until(1030.0)
    cache.forget_all()
    assert await cache.get("tagged", tags=("t",)) is None
    assert await cache.get("plain") == b"x"
