"""Shows that the limiter on Redis is exact, like the one in process, and never fails."""

import asyncio
import math
import time
from dataclasses import replace

import pytest

from backstay.core.rates import Limiter, Rate
from backstay.limits.memory import MemoryLimiter
from backstay.limits.redis import RedisLimiter
from backstay.redis import client as redis_client
from backstay.redis.client import RedisLink
from backstay.testing import free_port
from backstay.testing.contracts import LimiterContract, PassTime
from backstay.testing.waiting import eventually
from tests.faults.proxy import Wire
from tests.logs import logged
from tests.redis.linking import Open, link_to
from tests.services.valkey import ValkeyServer

pytestmark = pytest.mark.usefixtures("patient", "without_beats")

TEN = Rate(10, 3600)


@pytest.fixture
async def link(linked: Open, valkey: ValkeyServer) -> RedisLink:
    return await linked(valkey.url)


@pytest.fixture
def limiter(link: RedisLink) -> RedisLimiter:
    return RedisLimiter(link, "name")


def pass_time(valkey: ValkeyServer, seconds: float) -> None:
    """Simulate the passing of time: each stored value is the time of the full budget."""
    valkey.forward(seconds)
    for key in all_kept(valkey):
        valkey.call("INCRBY", key, -math.ceil(seconds * 1_000_000))


def kept(valkey: ValkeyServer) -> str:
    """The one key of the limiter."""
    (key,) = all_kept(valkey)
    return key


def all_kept(valkey: ValkeyServer) -> list[str]:
    found = valkey.call("KEYS", "*")
    assert isinstance(found, list)
    return [name for name in found if "limit" in name]


class TestContract(LimiterContract):
    @pytest.fixture
    def limiter(self, link: RedisLink) -> Limiter:
        return RedisLimiter(link, "name")

    @pytest.fixture
    def unreachable(self) -> Limiter:
        return RedisLimiter(link_to(f"redis://127.0.0.1:{free_port()}"), "name")

    @pytest.fixture
    def pass_time(self, valkey: ValkeyServer) -> PassTime:
        async def forward(seconds: float) -> None:
            pass_time(valkey, seconds)

        return forward


async def test_of_four_processes_with_fifty_hits_each_exactly_ten_pass(
    valkey: ValkeyServer, linked: Open
) -> None:
    limiters = [RedisLimiter(await linked(valkey.url), "name") for _ in range(4)]
    hits = [limiter.hit("key", TEN) for _ in range(50) for limiter in limiters]
    assert sum(result.allowed for result in await asyncio.gather(*hits)) == 10


@pytest.mark.parametrize("rate", [TEN, Rate(1, 3600), Rate(7, 3600), Rate(100, 7000)])
async def test_its_results_equal_those_of_the_limiter_in_process(
    limiter: RedisLimiter, rate: Rate
) -> None:
    memory, started = MemoryLimiter(), time.monotonic()
    for _ in range(rate.limit + 2):
        here, there = await limiter.hit("key", rate), await memory.hit("key", rate)
        meanwhile = pytest.approx(0, abs=time.monotonic() - started + 0.001)
        assert here.reset_after - there.reset_after == meanwhile
        assert here.retry_after - there.retry_after == meanwhile
        exact = replace(here, reset_after=there.reset_after, retry_after=there.retry_after)
        assert exact == replace(there, of_process=False)


async def test_a_key_expires_when_it_no_longer_matters(
    limiter: RedisLimiter, valkey: ValkeyServer
) -> None:
    await limiter.hit("key", TEN)
    assert 240 <= int(str(valkey.call("TTL", kept(valkey)))) <= 360


@pytest.mark.parametrize("planted", ["later", "1e30", "inf", "-inf", "nan", "no number"])
async def test_a_wrong_stored_value_costs_at_most_the_limit(
    limiter: RedisLimiter, valkey: ValkeyServer, planted: str
) -> None:
    rate = Rate(5, 1000)
    await limiter.hit("key", rate)
    key = kept(valkey)
    later = int((time.time() + 3600) * 1_000_000)  # a replica whose clock is behind took over
    valkey.call("SET", key, later if planted == "later" else planted)
    result = await limiter.hit("key", rate)
    assert result.remaining in range(6)
    assert result.retry_after <= 200
    assert result.reset_after <= 1000
    if not result.allowed:
        assert 0 < int(str(valkey.call("TTL", key))) <= 1000
        pass_time(valkey, result.retry_after)
    assert (await limiter.hit("key", rate)).allowed
    assert 0 < int(str(valkey.call("TTL", key))) <= 1000


async def test_applications_of_one_database_count_separately(link: RedisLink) -> None:
    one, other = RedisLimiter(link, "name"), RedisLimiter(link, "other")
    assert (await one.hit("key", TEN)).remaining == 9
    assert (await other.hit("key", TEN)).remaining == 9


async def test_many_hits_at_once_are_one_round_trip(
    limiter: RedisLimiter, valkey: ValkeyServer
) -> None:
    await limiter.hit("key", TEN)
    valkey.call("CONFIG", "RESETSTAT")
    await asyncio.gather(*[limiter.hit(f"key{number}", TEN) for number in range(100)])
    assert valkey.reads() < 8  # with those of the questions asked here
    assert valkey.calls_of("evalsha") == 100
    assert valkey.calls_of("eval") == 0


async def test_a_server_that_lost_the_script_gets_it_again(
    limiter: RedisLimiter, valkey: ValkeyServer
) -> None:
    assert (await limiter.hit("key", TEN)).remaining == 9
    valkey.flush()
    assert (await limiter.hit("key", TEN)).remaining == 9
    assert (await limiter.hit("key", TEN)).remaining == 8


async def test_without_redis_each_process_counts_for_itself(wire: Wire, linked: Open) -> None:
    link = await linked(wire.url)
    limiter = RedisLimiter(link, "name")
    async with wire.gone():
        verdicts = [await limiter.hit("key", TEN) for _ in range(12)]
        assert [result.allowed for result in verdicts] == [True] * 10 + [False] * 2
        seen = await limiter.peek("key", TEN)
        assert (seen.allowed, seen.remaining, seen.of_process) == (False, 0, True)
    await eventually(lambda: link.is_up)
    assert (await limiter.hit("key", TEN)).allowed


@pytest.mark.parametrize(("limit", "passing"), [(10, 5), (5, 2), (1, 1)])
async def test_without_redis_a_strict_rate_allows_half(
    wire: Wire, linked: Open, limit: int, passing: int
) -> None:
    limiter = RedisLimiter(await linked(wire.url), "name")
    rate = Rate(limit, 3600, strict=True)
    async with wire.gone():
        verdicts = [await limiter.hit("key", rate) for _ in range(limit + 1)]
        assert [result.allowed for result in verdicts] == [True] * passing + [False] * (
            limit + 1 - passing
        )
        assert not (await limiter.hit("key", rate)).allowed


async def test_a_refusing_server_is_done_without_and_logged_once(
    limiter: RedisLimiter, valkey: ValkeyServer
) -> None:
    valkey.call("ACL", "SETUSER", "default", "-evalsha")
    try:
        with logged(redis_client) as logs:
            verdicts = [await limiter.hit("key", TEN) for _ in range(11)]
    finally:
        valkey.call("ACL", "SETUSER", "default", "+evalsha")
    assert ["NOPERM" in entry["reason"] for entry in logs] == [True]
    assert [result.allowed for result in verdicts] == [True] * 10 + [False]


async def test_a_hit_without_redis_can_be_taken_back(
    limiter: RedisLimiter, valkey: ValkeyServer
) -> None:
    valkey.kill()
    await limiter.hit("key", TEN)
    await limiter.take_back("key", TEN)
    assert (await limiter.hit("key", TEN)).remaining == TEN.limit - 1
