"""Shows that the limiter in process is exact, and forgets only keys that do not matter."""

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.core.rates import Limiter, Rate
from backstay.limits.memory import SECOND, MemoryLimiter
from backstay.testing.contracts import LimiterContract, PassTime
from tests.examples import examples

pytestmark = pytest.mark.anyio

FIVE = Rate(5, 60)
rates = st.builds(Rate, st.integers(1, 200), st.integers(1, 100))


class Time:
    """A clock in nanoseconds that the test moves."""

    def __init__(self) -> None:
        self.now = 77

    def __call__(self) -> int:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += int(seconds * SECOND)


class TestContract(LimiterContract):
    @pytest.fixture
    def time(self) -> Time:
        return Time()

    @pytest.fixture
    def pass_time(self, time: Time) -> PassTime:
        async def forward(seconds: float) -> None:
            time.forward(seconds)

        return forward

    @pytest.fixture
    def limiter(self, time: Time) -> Limiter:
        return MemoryLimiter(time)

    @pytest.fixture
    def unreachable(self, limiter: Limiter) -> Limiter:
        return limiter


@examples()
@given(rates)
async def test_a_burst_is_exactly_the_limit(rate: Rate) -> None:
    limiter = MemoryLimiter(Time())
    left = [await limiter.hit("a", rate) for _ in range(rate.limit + 2)]
    assert [v.remaining for v in left] == [*range(rate.limit - 1, -1, -1), 0, 0]
    assert [v.allowed for v in left] == [True] * rate.limit + [False] * 2
    assert left[-1].reset_after == pytest.approx(rate.period, abs=1e-6)


@examples()
@given(rates, st.lists(st.floats(0, 30), max_size=50))
async def test_no_window_holds_more_than_twice_the_limit(rate: Rate, pauses: list[float]) -> None:
    clock = Time()
    limiter = MemoryLimiter(clock)
    passed = []
    for pause in pauses:
        clock.forward(pause)
        if (await limiter.hit("a", rate)).allowed:
            passed.append(clock.now)
    for start in passed:
        within = [at for at in passed if start <= at <= start + rate.period * SECOND]
        assert len(within) <= 2 * rate.limit


@examples()
@given(rates, st.integers(1, 300))
async def test_the_announced_wait_is_exact(rate: Rate, times: int) -> None:
    clock = Time()
    limiter = MemoryLimiter(clock)
    for _ in range(times):
        result = await limiter.hit("a", rate)
    while result.allowed:
        result = await limiter.hit("a", rate)
    clock.now += round(result.retry_after * SECOND) - 1
    assert not (await limiter.hit("a", rate)).allowed
    clock.now += 1
    assert (await limiter.hit("a", rate)).allowed


async def test_a_key_whose_window_has_passed_is_forgotten() -> None:
    clock = Time()
    limiter = MemoryLimiter(clock)
    for number in range(10_000):
        await limiter.hit(f"client {number}", FIVE)
        clock.forward(1)
    assert len(limiter) < 30


async def test_many_addresses_do_not_push_out_an_exhausted_key() -> None:
    clock, numbers = Time(), count()
    limiter = MemoryLimiter(clock, max_keys=100)
    for _ in range(5):
        await limiter.hit("guessing", FIVE)
    for _ in range(5_000):
        await limiter.hit(f"flood {next(numbers)}", FIVE)
        clock.forward(0.002)
    assert len(limiter) == 100
    assert not (await limiter.hit("guessing", FIVE)).allowed


@examples()
@given(rates)
async def test_a_hit_that_is_taken_back_was_never_counted(rate: Rate) -> None:
    time = Time()
    limiter = MemoryLimiter(time)
    for _ in range(rate.limit):
        await limiter.hit("a", rate)
    await limiter.take_back("a", rate)
    assert [(await limiter.hit("a", rate)).allowed for _ in range(2)] == [True, False]
    time.forward(rate.period + 1)
    await limiter.take_back("a", rate)
    await limiter.take_back("b", rate)
    assert (await limiter.hit("a", rate)).remaining == rate.limit - 1
    assert len(limiter) == 1
