"""The contract of the Cache port."""

import asyncio

import pytest

from backstay.core.ports import Cache
from backstay.testing.contracts.contract import PassTime, TimedContract


class Source:
    """A value whose loads are counted; while it is held, its load does not end."""

    def __init__(self, value: bytes = b"first", *, is_held: bool = False) -> None:
        self.value = value
        self.loads = 0
        self.started, self.may_end = asyncio.Event(), asyncio.Event()
        if not is_held:
            self.may_end.set()

    async def load(self) -> bytes:
        """The value, once the load may end."""
        self.loads += 1
        self.started.set()
        await asyncio.sleep(0)
        await self.may_end.wait()
        return self.value


class CacheContract(TimedContract):
    """The promises of a `Cache`.

    Fixtures to define: `cache`, an empty one; `unreachable`, one whose store does not answer (an
    adapter without a store gives itself); and `pass_time`, if the cache does not read the kit's
    `clock`.
    """

    @pytest.fixture
    def cache(self) -> Cache:
        """The cache under test."""
        self.lacks("cache", "an empty cache")

    @pytest.fixture
    def unreachable(self) -> Cache:
        """A cache whose store does not answer."""
        self.lacks("unreachable", "a cache whose store does not answer")

    async def test_a_value_is_kept_until_it_is_deleted(self, cache: Cache) -> None:
        assert await cache.get("boat") is None
        await cache.set("boat", b"\x00\xff", ttl=60)
        await cache.set("empty", b"", ttl=60)
        assert await cache.get("boat") == b"\x00\xff"
        assert await cache.get("empty") == b""
        await cache.delete("boat", "nothing")
        assert await cache.get("boat") is None
        assert await cache.get("empty") == b""

    async def test_a_later_value_replaces_the_one_before(self, cache: Cache) -> None:
        for value in (b"1", b"2"):
            await cache.set("k", value, ttl=60)
            await cache.set("tagged", value, ttl=60, tags=("t",))
        assert await cache.get("k") == b"2"
        assert await cache.get("tagged", tags=("t",)) == b"2"

    async def test_a_value_is_gone_after_its_time(self, cache: Cache, pass_time: PassTime) -> None:
        for key, ttl in (("lasting", 3600), ("brief", 10)):
            await cache.set(key, b"sloop", ttl=ttl)
            await cache.set(f"tagged {key}", b"sloop", ttl=ttl, tags=("boats",))
            await cache.remember(f"loaded {key}", Source().load, ttl=ttl)
        await pass_time(11)
        assert await cache.get("lasting") == b"sloop"
        assert await cache.get("tagged lasting", tags=("boats",)) == b"sloop"
        assert await cache.get("loaded lasting") == b"first"
        assert await cache.get("brief") is None
        assert await cache.get("tagged brief", tags=("boats",)) is None
        assert await cache.get("loaded brief") is None

    async def test_a_tag_outdates_what_has_it_and_nothing_else(self, cache: Cache) -> None:
        await cache.set("both", b"1", ttl=60, tags=("a", "b"))
        await cache.set("other", b"2", ttl=60, tags=("b",))
        await cache.set("plain", b"3", ttl=60)
        await cache.delete_tags("a", "unknown")
        assert await cache.get("both", tags=("a", "b")) is None
        assert await cache.get("other", tags=("b",)) == b"2"
        assert await cache.get("plain") == b"3"

    async def test_a_missing_value_is_loaded_once_for_all_callers(self, cache: Cache) -> None:
        source = Source()
        asking = [cache.remember("k", source.load, ttl=60, tags=("t",)) for _ in range(100)]
        assert await asyncio.gather(*asking) == [b"first"] * 100
        assert await cache.remember("k", source.load, ttl=60, tags=("t",)) == b"first"
        assert source.loads == 1

    async def test_a_load_outdated_while_running_is_answered_but_not_kept(
        self, cache: Cache
    ) -> None:
        first, second = Source(is_held=True), Source(b"second")
        early = asyncio.create_task(cache.remember("k", first.load, ttl=60, tags=("t",)))
        await first.started.wait()
        await cache.delete_tags("t")
        assert await cache.remember("k", second.load, ttl=60, tags=("t",)) == b"second"
        first.may_end.set()
        assert await early == b"first"
        assert await cache.get("k", tags=("t",)) == b"second"

    async def test_a_load_error_reaches_all_waiting_callers_and_is_forgotten(
        self, cache: Cache
    ) -> None:
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

    async def test_a_cancelled_caller_does_not_cancel_the_load(self, cache: Cache) -> None:
        source = Source(is_held=True)
        first = asyncio.create_task(cache.remember("k", source.load, ttl=60, tags=("t",)))
        await source.started.wait()
        second = asyncio.create_task(cache.remember("k", source.load, ttl=60, tags=("t",)))
        await asyncio.sleep(0)
        first.cancel()
        source.may_end.set()
        assert await second == b"first"
        assert source.loads == 1

    async def test_a_pattern_deletes_the_keys_that_match_it(self, cache: Cache) -> None:
        for key in ("boat:1", "boat:22", "boats", "b[o]at:1", "ship:1"):
            await cache.set(key, b"x", ttl=60)
        await cache.delete_matching("b[o]at:*")
        await cache.delete_matching("boat:?")
        keys = ("boat:1", "boat:22", "boats", "b[o]at:1", "ship:1")
        left = [key for key in keys if await cache.get(key)]
        assert left == ["boat:22", "boats", "ship:1"]

    async def test_a_pattern_must_match_the_whole_key(self, cache: Cache) -> None:
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

    async def test_counters_are_exact_until_they_expire(
        self, cache: Cache, pass_time: PassTime
    ) -> None:
        counted = await asyncio.gather(*[cache.increment("n", ttl=60) for _ in range(50)])
        assert sorted(counted) == list(range(1, 51))
        assert await cache.increment("n", -8, ttl=3600) == 42
        await pass_time(61)
        assert await cache.increment("n", ttl=60) == 1

    async def test_lists_grow_at_their_end_and_are_read_in_slices(self, cache: Cache) -> None:
        await cache.push("log", b"a", b"b", ttl=60)
        await cache.push("log", b"c", ttl=60)
        assert await cache.slice("log") == [b"a", b"b", b"c"]
        assert await cache.slice("log", 1, 1) == [b"b"]
        assert await cache.slice("log", -2) == [b"b", b"c"]
        assert await cache.slice("nothing") == []
        await cache.delete("log")
        assert await cache.slice("log") == []

    async def test_each_push_keeps_a_list_for_longer(
        self, cache: Cache, pass_time: PassTime
    ) -> None:
        for value in (b"a", b"b"):
            await cache.push("log", value, ttl=60)
            await pass_time(40)
        assert await cache.slice("log") == [b"a", b"b"]
        await pass_time(21)
        assert await cache.slice("log") == []

    async def test_without_its_store_it_loads_and_raises_nothing(self, unreachable: Cache) -> None:
        await unreachable.set("k", b"x", ttl=60)
        assert await unreachable.get("k") in {None, b"x"}
        for key in ("k", "other"):
            found = await unreachable.remember(key, Source(b"x").load, ttl=60, tags=("t",))
            assert found == b"x"
        assert await unreachable.increment("n", ttl=60) == 1
        await unreachable.push("log", b"a", ttl=60)
        assert await unreachable.slice("log") in ([], [b"a"])
        await unreachable.delete("k")
        await unreachable.delete_tags("t")
        await unreachable.delete_matching("*")
        assert await unreachable.get("k") is None
