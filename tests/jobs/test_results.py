"""Shows that results, progress and errors are stored, and that a repeated job starts anew."""

import pytest
from sqlalchemy import update

from backstay.composition import Backstay
from backstay.features.tasks.commands import RetryTask
from backstay.jobs import worker as workers
from backstay.jobs.statements import NOW
from backstay.jobs.tables import Job
from tests.features.steps import execute, needs
from tests.jobs.sample_jobs import Order
from tests.jobs.steps import UserSender, drain, drain_again, job

pytestmark = pytest.mark.anyio


async def test_progress_and_results_are_made_storable(ships: Backstay, captain: UserSender) -> None:
    (job_id,) = await captain(Order(words=("north",), how="garbled"))
    await drain(ships)
    row = await job(ships, job_id)
    assert (row.state, row.attempts) == ("succeeded", 1)
    assert row.progress == 33
    assert isinstance(row.progress, int)
    assert (row.note[:10], len(row.note)) == ("smoke ?...", 200)
    assert row.result == {"depths": [None, None, 1.5], "flag": "a\0b"}


async def test_a_result_that_cannot_be_stored_is_left_out(
    ships: Backstay, captain: UserSender
) -> None:
    (job_id,) = await captain(Order(words=("north",), how="unspeakable"))
    await drain(ships)
    row = await job(ships, job_id)
    assert (row.state, row.attempts, row.result) == ("succeeded", 1, None)


async def test_an_error_is_made_storable(ships: Backstay, captain: UserSender) -> None:
    (job_id,) = await captain(Order(words=("north",), how="cursed"))
    await drain(ships)
    row = await job(ships, job_id)
    assert (row.state, row.error) == ("queued", "Down with  and ?")


@needs("tasks")
async def test_a_repeated_job_gets_its_own_number_of_attempts_again(
    ships: Backstay, captain: UserSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The delay before the next attempt starts anew, too."""
    counted: list[int] = []

    def backoff(attempt: int) -> float:
        counted.append(attempt)
        return 60.0

    monkeypatch.setattr(workers, "backoff", backoff)
    (job_id,) = await captain(Order(words=("north",), how="conflict", attempts=3))
    for _ in range(3):
        await drain_again(ships)
    assert (await job(ships, job_id)).state == "failed"
    for end in (6, 9):
        assert (await ships.system(RetryTask(id=job_id))).max_attempts == end
        await execute(ships, update(Job).values(due_at=NOW))
        await drain(ships)
        row = await job(ships, job_id)
        assert (row.state, row.attempts) == ("queued", end - 2)
        assert counted[-1] == 1
        for _ in range(2):
            await drain_again(ships)
        row = await job(ships, job_id)
        assert (row.state, row.attempts) == ("failed", end)
