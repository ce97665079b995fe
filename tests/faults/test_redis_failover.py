"""Shows that the application finds the server that takes over, by Sentinels and in a Cluster."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager

import pytest

from backstay.core.rates import Rate
from backstay.limits.redis import RedisLimiter
from backstay.redis import client as redis_client
from backstay.redis.client import RedisFault, RedisLink, RedisRefused
from backstay.testing.ports import free_port
from backstay.testing.waiting import eventually
from tests.caching.caches import Source, redis_cache
from tests.logs import logged
from tests.redis.linking import Open, be_patient, link_to
from tests.services.valkey import ValkeyServer
from tests.services.valkey_groups import ValkeyGroup, behind_sentinel, in_cluster

Group = Callable[[], AbstractContextManager[ValkeyGroup]]
TEN = Rate(10, 3600)


@pytest.fixture(params=[behind_sentinel, in_cluster])
def group(request: pytest.FixtureRequest) -> Iterator[ValkeyGroup]:
    start: Group = request.param
    with start() as group:
        yield group


@asynccontextmanager
async def used(link: RedisLink) -> AsyncIterator[list[bool]]:
    """Sixteen callers use the connection all the time; the list tells which calls succeeded."""
    outcomes: list[bool] = []

    async def use(number: int) -> None:
        while True:
            try:
                key = f"{link.prefix}{number}"
                await link.call("SET", key, number)
                assert await link.call("GET", key) == str(number).encode()
                outcomes.append(True)
            except RedisRefused:
                raise
            except RedisFault:
                outcomes.append(False)
            await asyncio.sleep(0.001)

    callers = [asyncio.create_task(use(number)) for number in range(16)]
    try:
        yield outcomes
        assert not any(caller.done() for caller in callers)
    finally:
        for caller in callers:
            caller.cancel()
        await asyncio.gather(*callers, return_exceptions=True)


@pytest.mark.parametrize("end", [ValkeyServer.kill, ValkeyServer.freeze])
async def test_under_load_the_server_that_takes_over_is_used(
    group: ValkeyGroup, linked: Open, end: Callable[[ValkeyServer], None]
) -> None:
    link = await linked(group.url)
    await eventually(lambda: link.is_up)
    async with used(link) as outcomes:
        await eventually(lambda: outcomes.count(True) > 100)
        before, connection = group.master(), link._connection
        end(before)
        await eventually(lambda: link._connection not in {connection, None})
        outcomes.clear()
        await eventually(lambda: outcomes.count(True) > 100)
    assert await asyncio.to_thread(group.master) is not before


async def test_idle_processes_leave_a_node_that_hands_over_its_slots(
    linked: Open,
) -> None:
    with in_cluster() as group:
        link = await linked(group.url)
        await eventually(lambda: link.is_up)
        before, connection = group.master(), link._connection
        group.servers[-1].call("CLUSTER", "FAILOVER")
        await eventually(lambda: link._connection not in {connection, None})
        assert await link.call("SET", f"{link.prefix}key", "value") == b"OK"
        assert await asyncio.to_thread(group.master) is not before


@pytest.mark.usefixtures("patient", "standing")
async def test_caches_limits_and_news_work_as_on_one_server(group: ValkeyGroup) -> None:
    with logged(redis_client) as logs:
        async with redis_cache(group.url) as one, redis_cache(group.url) as two:
            limiters = [RedisLimiter(cache._link, "name") for cache in (one, two)]
            hits = [limiter.hit("key", TEN) for _ in range(20) for limiter in limiters]
            assert sum(verdict.allowed for verdict in await asyncio.gather(*hits)) == 10

            source = Source()
            for cache in (one, two):
                for key in ("items:1", "items:2", "other"):
                    await cache.remember(key, source.load, ttl=60, tags=("items", f"{key}!"))
            assert source.loads == 3
            await one.delete_tags("items:1!")
            await eventually(lambda: two.memory.near("items:1", ("items", "items:1!")) is None)
            assert await two.get("items:2", tags=("items", "items:2!")) == b"first"
            await one.delete_matching("items:*")
            assert await two.get("items:2", tags=("items", "items:2!")) is None

            await one.push("list", b"a", b"b", ttl=60)
            assert await two.slice("list") == [b"a", b"b"]
            assert [await each.increment("n", ttl=60) for each in (one, two)] == [1, 2]
            await one.delete("list", "n")
            assert await two.slice("list") == []
    assert logs == []


async def test_seed_addresses_that_name_no_server_are_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    be_patient(monkeypatch)
    with behind_sentinel() as group:
        for url, reason in (
            (group.url.replace("/main/", "/other/"), "it knows no service other"),
            (f"redis+cluster://127.0.0.1:{free_port()}", "Connect call failed"),
        ):
            with logged(redis_client) as logs:
                link = link_to(url)
                await link.start()
                assert not link.is_up
                await link.stop()
            assert reason in logs[0]["reason"]
            assert "redis+" in logs[0]["address"]
