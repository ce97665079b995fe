"""Shows that the limiter on Redis is exact, like the one in process, and never fails."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator

import pytest

from backstay.adapters import redis_link
from backstay.adapters.limiter_memory import MemoryLimiter
from backstay.adapters.limiter_redis import RedisLimiter
from backstay.adapters.redis_link import RedisLink
from backstay.core.ports import Verdict
from backstay.core.rates import Rate
from tests.adapters.linking import link_to, logged
from tests.db.processes import run_at_once
from tests.faults.waiting import until
from tests.services.valkey import ValkeyServer

pytestmark = pytest.mark.usefixtures("patient")

TEN = Rate(10, 60)
HITTING = """
import asyncio, sys
from prometheus_client import CollectorRegistry
from backstay.adapters import redis_connection
from backstay.adapters.limiter_redis import RedisLimiter
from backstay.adapters.redis_link import RedisLink
from backstay.adapters.redis_metrics import RedisMetrics
from backstay.core.rates import Rate
from backstay.settings import RedisAddress

redis_connection.PATIENCE = 2.0  # four processes may wait for a processor

async def main(port, password):
    address = RedisAddress("127.0.0.1", int(port), password=password)
    link = RedisLink(address, RedisMetrics(CollectorRegistry()).of(""))
    await link.start()
    limiter = RedisLimiter(link, "name")
    await link.call("INCR", "ready")
    while int(await link.call("GET", "ready")) < 4:
        pass
    verdicts = await asyncio.gather(*[limiter.hit("key", Rate(10, 60)) for _ in range(50)])
    print(sum(verdict.allowed for verdict in verdicts))
    await link.stop()

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture
async def link(valkey: ValkeyServer) -> AsyncIterator[RedisLink]:
    link = link_to(valkey.url)
    await link.start()
    yield link
    await link.stop()


@pytest.fixture
def limiter(link: RedisLink) -> RedisLimiter:
    return RedisLimiter(link, "name")


def rounded(verdict: Verdict) -> tuple[bool, int, int, int, int]:
    return (
        verdict.allowed,
        verdict.limit,
        verdict.remaining,
        round(verdict.reset_after),
        round(verdict.retry_after),
    )


def test_of_four_processes_with_fifty_hits_each_exactly_ten_pass(valkey: ValkeyServer) -> None:
    command = [sys.executable, "-c", HITTING, str(valkey.port), valkey.password]
    assert sum(map(int, run_at_once(4, command))) == 10


@pytest.mark.parametrize("rate", [TEN, Rate(1, 60), Rate(7, 3600), Rate(100, 7000)])
async def test_its_verdicts_are_those_of_the_limiter_in_process(
    limiter: RedisLimiter, rate: Rate
) -> None:
    memory = MemoryLimiter()
    for _ in range(rate.limit + 2):
        for one, other in ((limiter.hit, memory.hit), (limiter.peek, memory.peek)):
            assert rounded(await one("key", rate)) == rounded(await other("key", rate))


async def test_a_slot_is_free_again_when_its_time_has_passed(limiter: RedisLimiter) -> None:
    rate = Rate(5, 1)
    verdicts = [await limiter.hit("key", rate) for _ in range(6)]
    assert [verdict.allowed for verdict in verdicts] == [True] * 5 + [False]
    await asyncio.sleep(verdicts[5].retry_after)
    assert (await limiter.hit("key", rate)).allowed
    assert not (await limiter.hit("key", rate)).allowed


async def test_a_key_is_gone_when_it_says_nothing_any_more(
    limiter: RedisLimiter, valkey: ValkeyServer
) -> None:
    await limiter.hit("key", TEN)
    (key,) = (name for name in keys(valkey) if "limit" in name)
    assert valkey.call("TTL", key) in {5, 6}


def keys(valkey: ValkeyServer) -> list[str]:
    found = valkey.call("KEYS", "*")
    assert isinstance(found, list)
    return found


@pytest.mark.parametrize("planted", ["later", "1e30", "inf", "-inf", "nan", "no number"])
@pytest.mark.parametrize("first", ["hit", "peek"])
async def test_what_is_found_there_owes_no_more_than_the_limit(
    limiter: RedisLimiter, valkey: ValkeyServer, planted: str, first: str
) -> None:
    rate = Rate(5, 1)
    await limiter.hit("key", rate)
    (key,) = (name for name in keys(valkey) if "limit" in name)
    later = int((time.time() + 3600) * 1_000_000)  # a replica whose clock is behind took over
    valkey.call("SET", key, later if planted == "later" else planted)
    verdict = await getattr(limiter, first)("key", rate)
    assert verdict.remaining in range(6)
    assert verdict.retry_after <= 0.2
    assert verdict.reset_after <= 1
    if not verdict.allowed:
        assert 0 < int(str(valkey.call("PTTL", key))) <= 1000
    await asyncio.sleep(verdict.retry_after)
    assert (await limiter.hit("key", rate)).allowed
    assert 0 < int(str(valkey.call("PTTL", key))) <= 1000


async def test_applications_of_one_database_count_apart(link: RedisLink) -> None:
    one, other = RedisLimiter(link, "name"), RedisLimiter(link, "other")
    assert (await one.hit("key", TEN)).remaining == 9
    assert (await other.hit("key", TEN)).remaining == 9


async def test_keys_and_rates_are_counted_apart(limiter: RedisLimiter) -> None:
    assert (await limiter.hit("one", TEN)).remaining == 9
    assert (await limiter.hit("two", TEN)).remaining == 9
    assert (await limiter.hit("one", Rate(5, 60))).remaining == 4


async def test_many_hits_at_once_are_one_round_trip(
    limiter: RedisLimiter, valkey: ValkeyServer
) -> None:
    await limiter.hit("key", TEN)
    valkey.call("CONFIG", "RESETSTAT")
    await asyncio.gather(*[limiter.hit(f"key{number}", TEN) for number in range(100)])
    assert valkey.reads() < 8  # with those of the questions asked here, and a beat of the link
    assert valkey.calls_of("evalsha") == 100
    assert valkey.calls_of("eval") == 0


async def test_a_server_that_forgot_the_script_is_told_again(
    limiter: RedisLimiter, valkey: ValkeyServer
) -> None:
    assert (await limiter.hit("key", TEN)).remaining == 9
    valkey.flush()
    assert (await limiter.hit("key", TEN)).remaining == 9
    assert (await limiter.hit("key", TEN)).remaining == 8


async def test_without_redis_each_process_counts_for_itself(
    limiter: RedisLimiter, link: RedisLink, valkey: ValkeyServer
) -> None:
    with valkey.frozen():
        verdicts = [await limiter.hit("key", TEN) for _ in range(12)]
        assert [verdict.allowed for verdict in verdicts] == [True] * 10 + [False] * 2
    await until(lambda: link.is_up)
    assert (await limiter.hit("key", TEN)).allowed


@pytest.mark.parametrize(("limit", "passing"), [(10, 5), (5, 2), (1, 1)])
async def test_without_redis_a_strict_rate_allows_half(
    limiter: RedisLimiter, valkey: ValkeyServer, limit: int, passing: int
) -> None:
    rate = Rate(limit, 60, strict=True)
    with valkey.frozen():
        verdicts = [await limiter.hit("key", rate) for _ in range(limit + 1)]
        assert [verdict.allowed for verdict in verdicts] == [True] * passing + [False] * (
            limit + 1 - passing
        )
        assert not (await limiter.peek("key", rate)).allowed


async def test_a_server_that_refuses_to_count_is_done_without_and_that_is_told_once(
    limiter: RedisLimiter, valkey: ValkeyServer
) -> None:
    valkey.call("ACL", "SETUSER", "default", "-evalsha")
    try:
        with logged(redis_link) as logs:
            verdicts = [await limiter.hit("key", TEN) for _ in range(11)]
    finally:
        valkey.call("ACL", "SETUSER", "default", "+evalsha")
    assert ["NOPERM" in entry["reason"] for entry in logs] == [True]
    assert [verdict.allowed for verdict in verdicts] == [True] * 10 + [False]
