"""Shows which guesses at an account are delayed, for how long at most, and what is stored."""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import uuid4

import pytest

from backstay.core.errors import RateLimited
from backstay.limits.memory import MemoryLimiter
from backstay.security import guesses as guessing
from backstay.security.guesses import (
    DELAY,
    FAILURE_RATE,
    KEPT_FREE,
    MOST_LINES,
    PLACES,
    ROOM,
    Guesses,
)

pytestmark = pytest.mark.anyio

RIGHT, WRONG = "right", "wrong"
STRANGER, OWNER = "198.51.100.1", "203.0.113.1"
ACCOUNT = uuid4()


class Delays:
    """Delays that last until the test ends them."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.under_way: list[asyncio.Future[None]] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        end = asyncio.get_running_loop().create_future()
        self.under_way.append(end)
        try:
            await end
        finally:
            self.under_way.remove(end)

    async def end_one(self) -> None:
        self.under_way[0].set_result(None)
        await settle()


async def settle() -> None:
    """Let every task run until it waits."""
    for _ in range(50):
        await asyncio.sleep(0)


@pytest.fixture
def delays(monkeypatch: pytest.MonkeyPatch) -> Delays:
    made = Delays()
    monkeypatch.setattr(guessing, "sleep", made)
    return made


@pytest.fixture
def guesses() -> Guesses:
    async def verify(password: str, hashed: str | None) -> bool:
        await asyncio.sleep(0)
        return password == hashed

    return Guesses(verify, MemoryLimiter(clock=lambda: 0))


Guess = Callable[..., "asyncio.Task[bool]"]


@pytest.fixture
def guess(guesses: Guesses, delays: Delays) -> Guess:
    def begin(
        password: str, address: str, about: object = ACCOUNT, hashed: str | None = RIGHT
    ) -> "asyncio.Task[bool]":
        one = guesses.fits(password, hashed, about=about, address=address)  # type: ignore[arg-type]
        return asyncio.create_task(one)

    return begin


@pytest.fixture
async def slowed(guess: Guess) -> None:
    """An account with as many failures as are allowed without a delay."""
    await fail(lambda number: guess(WRONG, f"192.0.2.{number}"))


async def fail(begin: Callable[[int], Awaitable[bool]]) -> None:
    for number in range(FAILURE_RATE.limit):
        assert not await begin(number)


async def test_of_thirty_guesses_at_once_few_are_undelayed(guess: Guess, delays: Delays) -> None:
    tasks = [guess(WRONG, f"192.0.2.{number}") for number in range(30)]
    await settle()
    passed = FAILURE_RATE.limit
    assert sum(task.done() for task in tasks) == passed
    while passed < 30:
        assert len(delays.under_way) == 1
        await delays.end_one()
        passed += 1
        assert sum(task.done() for task in tasks) == passed
    assert delays.seconds == [DELAY] * 10


async def test_a_correct_password_is_not_delayed(guess: Guess) -> None:
    for _ in range(2 * FAILURE_RATE.limit):
        assert await guess(RIGHT, OWNER)
    for _ in range(KEPT_FREE):
        assert not await guess(WRONG, OWNER)


@pytest.mark.usefixtures("slowed")
async def test_an_address_over_its_share_affects_no_other(guess: Guess, delays: Delays) -> None:
    theirs = [guess(WRONG, STRANGER) for _ in range(30)]
    await settle()
    refused = [task.exception() for task in theirs if task.done()]
    assert len(refused) == 30 - PLACES
    for error in refused:
        assert isinstance(error, RateLimited)
        assert int(error.headers["Retry-After"]) >= DELAY
    owner = guess(RIGHT, OWNER)
    await delays.end_one()
    await delays.end_one()
    assert await owner
    while delays.under_way:
        await delays.end_one()
    assert not any(await asyncio.gather(*(task for task in theirs if not task.exception())))
    assert len(delays.seconds) == PLACES + 1


@pytest.mark.usefixtures("slowed")
async def test_an_ipv6_network_has_one_share(guess: Guess, delays: Delays) -> None:
    tasks = [guess(WRONG, f"2001:db8::{number + 1}") for number in range(10)]
    await settle()
    assert sum(task.done() for task in tasks) == 10 - PLACES
    assert all(isinstance(task.exception(), RateLimited) for task in tasks if task.done())
    while delays.under_way:
        await delays.end_one()


@pytest.mark.usefixtures("slowed")
async def test_however_many_addresses_guess_nobody_waits_longer_than_the_room(
    guess: Guess, delays: Delays
) -> None:
    crowd = [guess(WRONG, f"10.0.{number // 250}.{number % 250}") for number in range(ROOM)]
    owner = guess(RIGHT, OWNER)
    for round_ in range(ROOM):
        crowd.append(guess(WRONG, f"10.1.0.{round_}"))
        await settle()
        assert not any(task.done() and task.exception() for task in crowd)
        if owner.done():
            break
        while len(delays.under_way) > 1:  # passed out of turn
            await delays.end_one()
        await delays.end_one()
    assert owner.done()
    assert await owner
    while delays.under_way:
        await delays.end_one()


@pytest.mark.usefixtures("slowed")
async def test_a_cancelled_guess_leaves_the_queue(
    guess: Guess, guesses: Guesses, delays: Delays
) -> None:
    first, second, third = (guess(WRONG, STRANGER) for _ in range(3))
    await settle()
    second.cancel()
    first.cancel()
    await settle()
    assert len(delays.under_way) == 1
    owner = guess(RIGHT, OWNER)
    await delays.end_one()
    assert third.done()
    await delays.end_one()
    assert await owner
    assert not guesses._lines


async def test_unknown_names_are_slowed_like_known_ones(guess: Guess, delays: Delays) -> None:
    await fail(lambda number: guess(WRONG, STRANGER, "nobody", None))
    tasks = [guess(WRONG, STRANGER, "nobody", None) for _ in range(5)]
    await settle()
    assert sum(isinstance(t.exception(), RateLimited) for t in tasks if t.done()) == 5 - PLACES
    while delays.under_way:
        await delays.end_one()
    assert len(delays.seconds) == PLACES


async def test_a_name_that_reads_like_an_id_is_another_account(
    guess: Guess, delays: Delays
) -> None:
    await fail(lambda number: guess(WRONG, STRANGER, str(ACCOUNT), None))
    assert await guess(RIGHT, OWNER)
    assert not delays.seconds


async def test_the_number_of_queues_is_limited(
    guess: Guess, guesses: Guesses, delays: Delays, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guessing, "MOST_LINES", 2)
    assert MOST_LINES > 2
    names = [f"account {number}" for number in range(5)]
    for name in names:
        await fail(lambda number, name=name: guess(WRONG, STRANGER, name))  # type: ignore[misc]
    tasks = [guess(RIGHT, f"192.0.2.{number}", name) for number, name in enumerate(names)]
    await settle()
    assert len(guesses._lines) == 3
    while delays.under_way:
        await delays.end_one()
    assert all(await asyncio.gather(*tasks))
    assert not guesses._lines
