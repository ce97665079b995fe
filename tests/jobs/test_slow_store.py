"""Shows that a slow or absent database loses no job."""

import asyncio
from typing import Any

import pytest

from backstay.composition import Backstay
from backstay.core.errors import DatabaseUnavailable
from backstay.jobs.store import DatabaseJobs
from backstay.testing.waiting import LIMIT, eventually
from tests.jobs.sample_jobs import Order
from tests.jobs.steps import UserSender, drain, job, words, worker

pytestmark = pytest.mark.anyio


async def test_a_job_claimed_too_late_is_released_and_run(
    ships: Backstay, captain: UserSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker does not wait for the first claim, which answers after the second is made."""
    (job_id,) = await captain(Order(words=("north",)))
    late, ask, calls = worker(ships), DatabaseJobs.claim, 0
    is_claimed, is_asked_again = asyncio.Event(), asyncio.Event()

    async def first(*arguments: Any) -> Any:
        runs = await ask(*arguments)
        is_claimed.set()
        await is_asked_again.wait()
        return runs

    async def second(*arguments: Any) -> Any:
        await is_claimed.wait()
        is_asked_again.set()
        return await ask(*arguments)

    def claim(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        late._with_timeout._seconds = 0 if calls == 1 else LIMIT
        return (first, second, ask)[min(calls, 3) - 1](*arguments)

    monkeypatch.setattr(DatabaseJobs, "claim", claim)
    assert await late.drain() == 1
    row = await job(ships, job_id)
    assert (row.state, row.attempts) == ("succeeded", 2)
    assert await words(ships) == ["north"]


async def test_a_job_released_after_the_last_claim_is_claimed_again(
    ships: Backstay, captain: UserSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second claim finds nothing, and the late first one is released before it returns."""
    await captain(Order(words=("north",)))
    late, ask, release, calls = worker(ships), DatabaseJobs.claim, DatabaseJobs.release, 0
    is_claimed, is_asked_again, is_answered = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def first(*arguments: Any) -> Any:
        runs = await ask(*arguments)
        is_claimed.set()
        await is_asked_again.wait()
        return runs

    async def second(*arguments: Any) -> Any:
        await is_claimed.wait()
        is_asked_again.set()
        runs = await ask(*arguments)
        is_answered.set()
        await eventually(lambda: not late._with_timeout.late)
        return runs

    async def release_late(*arguments: Any) -> None:
        await is_answered.wait()
        await release(*arguments)

    def claim(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        late._with_timeout._seconds = 0 if calls == 1 else LIMIT
        return (first, second, ask)[min(calls, 3) - 1](*arguments)

    monkeypatch.setattr(DatabaseJobs, "claim", claim)
    monkeypatch.setattr(DatabaseJobs, "release", release_late)
    assert await late.drain() == 1


async def test_draining_outlasts_a_short_fault(
    ships: Backstay, captain: UserSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    await captain(Order(words=("north",)))
    claim, calls = DatabaseJobs.claim, 0

    async def fails_twice(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls <= 2:
            raise DatabaseUnavailable
        return await claim(*arguments)

    monkeypatch.setattr(DatabaseJobs, "claim", fails_twice)
    assert await drain(ships) == 1


async def test_draining_without_a_database_reports_it(
    ships: Backstay, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: Any) -> Any:
        raise DatabaseUnavailable("It is gone.")

    monkeypatch.setattr(DatabaseJobs, "claim", fails)
    with pytest.raises(DatabaseUnavailable, match=r"It is gone\."):
        await drain(ships)
