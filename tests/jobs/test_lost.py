"""Shows what happens to jobs whose worker dies, and to jobs that never end."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from backstay.composition import Backstay
from backstay.jobs.statements import NOW
from backstay.jobs.tables import Job
from backstay.testing.waiting import eventually
from tests.features.steps import execute
from tests.jobs.sample_jobs import Drift, Enlist, Order, Sail
from tests.jobs.steps import UserSender, becomes, drain, drain_again, job, jobs, words

pytestmark = pytest.mark.anyio

UNFINISHED = Job.finished_at.is_(None)


async def recover(backstay: Backstay) -> None:
    """Handle lost jobs, but run none."""
    assert await drain(backstay, queues=["none"]) == 0


async def bring_forward_next_job(backstay: Backstay) -> None:
    """Move all due times nearer, so that the next unfinished job is due now."""
    rows = await execute(backstay, select(func.min(Job.due_at), NOW).where(UNFINISHED))
    first: Any = rows.one()
    for row in await jobs(backstay):
        earlier = row.due_at - max(timedelta(), first[0] - first[1])
        await execute(backstay, update(Job).where(Job.id == row.id).values(due_at=earlier))


async def test_a_job_that_kills_every_worker_is_given_up(
    ships: Backstay, captain: UserSender
) -> None:
    (job_id,) = await captain(Order(words=("north",)))
    dead = update(Job).values(state="running", attempts=10, due_at=NOW)
    await execute(ships, dead)
    await drain(ships)
    row = await job(ships, job_id)
    assert (row.state, row.error_code) == ("failed", "jobs.lost")


async def test_jobs_lost_together_are_retried_one_by_one(
    ships: Backstay, captain: UserSender
) -> None:
    await captain(Order(words=("a", "b", "c", "d", "e")))
    assert len(await ships.worker_context.outbox.store.claim(None, 5, lease=0.0)) == 5
    await recover(ships)
    rows = await jobs(ships)
    assert {(row.state, row.attempts, row.error_code) for row in rows} == {
        ("queued", 1, "jobs.lost")
    }
    assert len({row.due_at for row in rows}) > 2  # by chance two are due in the same millisecond
    later = select(Job.id).where(Job.due_at > NOW)
    assert len((await execute(ships, later)).all()) == 5


async def test_a_job_that_kills_its_worker_harms_no_other_job(
    ships: Backstay, captain: UserSender
) -> None:
    poison, *sound = await captain(Order(words=("poison", "a", "b", "c", "d")))
    store = ships.worker_context.outbox.store
    while (await job(ships, poison)).finished_at is None:
        await bring_forward_next_job(ships)
        runs = await store.claim(None, 5, lease=0.0)
        if poison not in {run.id for run in runs}:
            for run in runs:
                await store.release(run)
                await execute(ships, update(Job).where(Job.id == run.id).values(queue="sound"))
            await drain(ships, queues=["sound"])
        await recover(ships)
    assert {(await job(ships, each)).state for each in sound} == {"succeeded"}
    row = await job(ships, poison)
    assert (row.state, row.attempts, row.error_code) == ("failed", 10, "jobs.lost")


async def test_a_command_hanging_before_its_transaction_times_out(
    ships: Backstay, captain: UserSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Drift, "job_timeout", 0.2)
    job_id = await captain(Enlist())
    await drain(ships)
    row = await job(ships, job_id)
    assert (row.state, row.error_code) == ("queued", "jobs.timeout")
    assert row.error == "It took longer than 0.2 s."


@pytest.mark.parametrize("how", ["sleeps", "slow"])
async def test_a_command_hanging_inside_its_transaction_times_out_without_effect(
    ships: Backstay, captain: UserSender, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """The next command stores a job, which would fail if the first still held a lock of SQLite."""
    monkeypatch.setattr(Sail, "job_timeout", 0.2)
    (job_id,) = await captain(Order(words=("north",), how=how, attempts=2))
    await drain(ships)
    await becomes(ships, job_id, "queued")
    assert (await job(ships, job_id)).error_code == "jobs.timeout"
    await drain_again(ships)
    await becomes(ships, job_id, "failed")
    await captain(Order(words=("south",)))
    monkeypatch.undo()
    await drain(ships)
    await eventually(lambda: words(ships))
    assert await words(ships) == ["south"]
