"""Shows what every cache does: it keeps bytes for a time, loads once, and invalidates by tag."""

import time
from collections.abc import AsyncIterator
from types import SimpleNamespace

import pytest

from backstay.caching import redis as cache_redis
from backstay.core.ports import Cache
from backstay.testing import free_port
from backstay.testing.contracts import CacheContract, PassTime
from tests.caching.caches import memory_cache, redis_cache
from tests.clocks import StandingClock
from tests.services.valkey import ValkeyServer

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("patient")]


class TestMemoryContract(CacheContract):
    @pytest.fixture
    def cache(self) -> Cache:
        return memory_cache()

    @pytest.fixture
    def unreachable(self, cache: Cache) -> Cache:
        return cache

    @pytest.fixture
    def pass_time(self, standing: StandingClock) -> PassTime:
        async def forward(seconds: float) -> None:
            standing.now += seconds

        return forward


class TestRedisContract(CacheContract):
    @pytest.fixture
    async def cache(self, valkey: ValkeyServer) -> AsyncIterator[Cache]:
        async with redis_cache(valkey.url) as cache:
            yield cache

    @pytest.fixture
    async def unreachable(self) -> AsyncIterator[Cache]:
        async with redis_cache(f"redis://127.0.0.1:{free_port()}", is_started=False) as cache:
            yield cache

    @pytest.fixture
    def pass_time(
        self, standing: StandingClock, valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch
    ) -> PassTime:
        passed = 0.0
        clock = SimpleNamespace(time=lambda: time.time() + passed, monotonic=time.monotonic)
        monkeypatch.setattr(cache_redis, "time", clock)

        async def forward(seconds: float) -> None:
            nonlocal passed
            passed += seconds
            standing.now += seconds
            valkey.forward(seconds)

        return forward


@pytest.fixture(params=["memory", "redis"])
async def cache(request: pytest.FixtureRequest) -> AsyncIterator[Cache]:
    if request.param == "memory":
        yield memory_cache()
        return
    async with redis_cache(request.getfixturevalue("valkey").url) as cache:
        yield cache


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
