"""The contract of the Limiter port."""

import asyncio

import pytest

from backstay.core.rates import Limiter, Rate
from backstay.testing.contracts.contract import PassTime, TimedContract

RATE = Rate(5, 3600)


class LimiterContract(TimedContract):
    """The promises of a `Limiter`.

    Fixtures to define: `limiter`, which has counted nothing yet; `unreachable`, one whose store
    does not answer (an adapter without a store gives itself); and `pass_time`, if the limiter does
    not read the kit's `clock`.
    """

    @pytest.fixture
    def limiter(self) -> Limiter:
        """The limiter under test."""
        self.lacks("limiter", "a limiter that has counted nothing yet")

    @pytest.fixture
    def unreachable(self) -> Limiter:
        """A limiter whose store does not answer."""
        self.lacks("unreachable", "a limiter whose store does not answer")

    @pytest.mark.parametrize("rate", [RATE, Rate(1, 3600), Rate(7, 3600), Rate(100, 7000)], ids=str)
    async def test_a_burst_is_exactly_the_limit(self, limiter: Limiter, rate: Rate) -> None:
        results = [await limiter.hit("key", rate) for _ in range(rate.limit + 2)]
        assert [each.allowed for each in results] == [True] * rate.limit + [False] * 2
        assert [each.remaining for each in results] == [*range(rate.limit - 1, -1, -1), 0, 0]
        assert {each.limit for each in results} == {rate.limit}

    async def test_hits_at_once_are_counted_exactly(self, limiter: Limiter) -> None:
        results = await asyncio.gather(*(limiter.hit("key", RATE) for _ in range(50)))
        assert sum(each.allowed for each in results) == RATE.limit

    async def test_waits_are_told_in_seconds(self, limiter: Limiter) -> None:
        share = RATE.period / RATE.limit
        results = [await limiter.hit("key", RATE) for _ in range(6)]
        assert {each.retry_after for each in results[:5]} == {0}
        assert 0.9 * share < results[5].retry_after <= share
        for count, each in enumerate(results[:5], 1):
            assert (count - 0.1) * share < each.reset_after <= count * share + 0.001

    async def test_a_slot_is_free_again_after_the_announced_wait(
        self, limiter: Limiter, pass_time: PassTime
    ) -> None:
        results = [await limiter.hit("key", RATE) for _ in range(6)]
        await pass_time(results[5].retry_after / 2)
        assert not (await limiter.hit("key", RATE)).allowed
        await pass_time(results[5].retry_after / 2 + 1)
        assert (await limiter.hit("key", RATE)).allowed
        assert not (await limiter.hit("key", RATE)).allowed

    async def test_a_refused_hit_is_not_counted(
        self, limiter: Limiter, pass_time: PassTime
    ) -> None:
        results = [await limiter.hit("key", RATE) for _ in range(20)]
        assert results[-1].retry_after <= RATE.period / RATE.limit
        await pass_time(results[-1].reset_after + 1)
        assert (await limiter.hit("key", RATE)).remaining == RATE.limit - 1

    async def test_keys_and_rates_are_counted_separately(self, limiter: Limiter) -> None:
        rates = (("one", RATE), ("two", RATE), ("one", Rate(5, 3601)), ("one", Rate(6, 3600)))
        for key, rate in rates:
            assert (await limiter.hit(key, rate)).remaining == rate.limit - 1

    async def test_any_text_is_a_key(self, limiter: Limiter) -> None:
        for key in ("", "a b", "a:b", "a\nb", "::1", "é", "*", "a" * 2000):
            assert (await limiter.hit(key, RATE)).remaining == RATE.limit - 1

    async def test_a_rate_too_large_to_count_raises_no_error(self, limiter: Limiter) -> None:
        assert (await limiter.hit("key", Rate(10**12, 1))).allowed

    async def test_a_hit_that_is_taken_back_was_never_counted(
        self, limiter: Limiter, pass_time: PassTime
    ) -> None:
        for _ in range(RATE.limit):
            await limiter.hit("key", RATE)
        await limiter.take_back("key", RATE)
        assert [(await limiter.hit("key", RATE)).allowed for _ in range(2)] == [True, False]
        await pass_time(RATE.period + 1)
        await limiter.take_back("key", RATE)
        await limiter.take_back("other", RATE)
        for key in ("key", "other"):
            assert (await limiter.hit(key, RATE)).remaining == RATE.limit - 1

    async def test_a_peek_tells_what_was_counted_and_counts_nothing(
        self, limiter: Limiter, pass_time: PassTime
    ) -> None:
        for count in range(RATE.limit + 1):
            for _ in range(2):
                seen = await limiter.peek("key", RATE)
                left = RATE.limit - count
                assert (seen.allowed, seen.limit, seen.remaining) == (left > 0, RATE.limit, left)
                assert 0 <= seen.reset_after <= count * RATE.period / RATE.limit + 0.001
            hit = await limiter.hit("key", RATE)
        assert not hit.allowed
        assert seen.retry_after == pytest.approx(hit.retry_after, abs=1)
        assert (await limiter.peek("other", RATE)).remaining == RATE.limit
        assert (await limiter.peek("key", Rate(9, 3600))).remaining == 9
        await pass_time(hit.reset_after + 1)
        assert (await limiter.peek("key", RATE)).remaining == RATE.limit

    async def test_without_its_store_it_answers_and_raises_nothing(
        self, unreachable: Limiter
    ) -> None:
        result = await unreachable.hit("key", RATE)
        assert result.limit == RATE.limit
        assert (await unreachable.peek("key", RATE)).limit == RATE.limit
        await unreachable.take_back("key", RATE)
