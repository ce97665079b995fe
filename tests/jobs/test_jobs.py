"""Shows how stored commands (jobs) are run, retried, refused and given up."""

import asyncio
import random
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, text, update

from backstay.composition import Backstay
from backstay.core.errors import Forbidden, NotFound
from backstay.core.jobs import MAX_ATTEMPTS, JobState
from backstay.db.activity import Activity
from backstay.db.base import SecondsFromNow
from backstay.features.system.commands.purging import PurgeJobs
from backstay.features.users.commands.administration import BlockUser
from backstay.jobs import worker as workers
from backstay.jobs.tables import Job
from backstay.jobs.timing import backoff
from backstay.testing.waiting import LIMIT, eventually
from tests.features.steps import execute
from tests.jobs.sample_jobs import Enlist, Order, Relay, Smuggle
from tests.jobs.steps import (
    FAST_POLLING,
    NO_POLLING,
    UserSender,
    at_work,
    becomes,
    drain,
    drain_again,
    job,
    jobs,
    let_pass,
    words,
)

pytestmark = pytest.mark.anyio


async def test_a_job_runs_after_the_commit_as_its_sender(
    ships: Backstay, captain: UserSender
) -> None:
    (job_id,) = await captain(Order(words=("north",)))
    assert await words(ships) == []
    assert await drain(ships) == 1
    row = await job(ships, job_id)
    assert (row.state, row.attempts, row.result, row.error) == ("succeeded", 1, "north", None)
    assert row.created_at <= row.started_at <= row.finished_at
    (sailor,) = await execute(ships, text("SELECT sailor FROM voyages"))
    assert sailor == (str(captain.principal.user_id),)
    assert await drain(ships) == 0


async def test_draining_includes_jobs_that_other_jobs_enqueue(
    ships: Backstay, captain: UserSender
) -> None:
    await captain(Relay(left=30))
    assert await drain(ships) == 30


async def test_a_job_of_a_rolled_back_command_never_runs(
    ships: Backstay, captain: UserSender
) -> None:
    with pytest.raises(NotFound):
        await captain(Order(words=("north", "south"), fails=True))
    assert await jobs(ships) == []
    assert await drain(ships) == 0


async def test_a_job_and_its_audit_row_know_the_request(
    ships: Backstay, captain: UserSender
) -> None:
    await captain(Order(words=("north",)))
    await drain(ships)
    statement = select(Activity.request_id, Activity.user_id, Activity.address).where(
        Activity.message == "Sail"
    )
    (found,) = await execute(ships, statement)
    assert tuple(found) == ("request-1", captain.principal.user_id, "192.0.2.1")
    (row,) = await jobs(ships)
    assert row.traceparent.startswith("00-aaaa")


async def test_nobody_enqueues_what_they_may_not_send(ships: Backstay, captain: UserSender) -> None:
    with pytest.raises(Forbidden):
        await captain(Order(words=("deck",), scrubs=True))
    assert await jobs(ships) == []


async def test_the_system_may_enqueue_any_command(ships: Backstay, captain: UserSender) -> None:
    await captain(Order(words=("deck",), scrubs=True, as_system=True))
    assert await drain(ships) == 1
    (sailor,) = await execute(ships, text("SELECT sailor FROM voyages"))
    assert sailor == ("system",)


async def test_a_secret_is_not_stored(ships: Backstay, captain: UserSender) -> None:
    with pytest.raises(TypeError, match="its field `api_token` is a secret"):
        await captain(Smuggle())
    assert await jobs(ships) == []


async def test_a_job_of_a_blocked_user_is_refused(ships: Backstay, captain: UserSender) -> None:
    (job_id,) = await captain(Order(words=("north",)))
    await ships.system(BlockUser(id=captain.principal.id))
    await drain(ships)
    row = await job(ships, job_id)
    assert (row.state, row.error_code, row.attempts) == ("failed", "auth_error", 1)
    assert await words(ships) == []


async def test_a_job_whose_user_lost_the_permission_is_refused(
    ships: Backstay, captain: UserSender
) -> None:
    (job_id,) = await captain(Order(words=("north",)))
    await execute(ships, text("DELETE FROM role_members"))
    await drain(ships)
    row = await job(ships, job_id)
    assert (row.state, row.error_code) == ("failed", "forbidden")
    assert await words(ships) == []


async def test_a_refusal_is_final(ships: Backstay, captain: UserSender) -> None:
    (job_id,) = await captain(Order(words=("north",), how="forbidden"))
    await drain(ships)
    row = await job(ships, job_id)
    assert (row.state, row.error) == ("failed", "The harbour is closed.")


async def test_a_failed_job_is_retried_later_and_finally_given_up(
    ships: Backstay, captain: UserSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "backoff", lambda attempt: 3600.0 * attempt)
    (job_id,) = await captain(Order(words=("north",), how="wrecked", attempts=2))
    assert await drain(ships) == 1
    row = await job(ships, job_id)
    assert (row.state, row.error_code) == ("queued", "internal_error")
    assert row.due_at - row.started_at >= timedelta(hours=1)
    assert await drain(ships) == 0
    assert await drain_again(ships) == 1
    row = await job(ships, job_id)
    assert (row.state, row.attempts) == ("failed", 2)
    assert "ZeroDivisionError" in row.error
    assert "captain" not in row.error
    assert await drain_again(ships) == 0
    assert await words(ships) == []


def test_delays_double_up_to_an_hour_and_vary() -> None:
    for attempt, longest in ((1, 2), (2, 4), (5, 32), (40, 3600), (5000, 3600)):
        delays = [backoff(attempt) for _ in range(200)]
        assert longest / 2 <= min(delays) < max(delays) <= longest
        assert len(set(delays)) > 100


def test_attempts_last_for_half_a_day_to_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "uniform", lambda low, high: (low + high) / 2)
    hours = sum(backoff(attempt) for attempt in range(1, MAX_ATTEMPTS)) / 3600
    assert 12 < hours < 24


async def test_a_delayed_job_waits(ships: Backstay, captain: UserSender) -> None:
    (job_id,) = await captain(Order(words=("later",), delay=3600))
    row = await job(ships, job_id)
    assert row.due_at - row.created_at == timedelta(hours=1)
    assert await drain(ships) == 0
    await let_pass(ships, job_id, 3600)
    assert await drain(ships) == 1


async def test_a_unique_job_is_made_once_until_it_is_done(
    ships: Backstay, captain: UserSender
) -> None:
    first = await captain(Order(words=("a", "b"), unique="trip"))
    again = await captain(Order(words=("c",), unique="trip"))
    assert {*first, *again} == {first[0]}
    assert await drain(ships) == 1
    (third,) = await captain(Order(words=("d",), unique="trip"))
    assert third != first[0]


async def test_a_unique_job_is_made_once_by_many_at_once(
    ships: Backstay, captain: UserSender
) -> None:
    orders = [captain(Order(words=("a",), unique="trip")) for _ in range(8)]
    assert len({job_id for (job_id,) in await asyncio.gather(*orders)}) == 1
    assert len(await jobs(ships)) == 1


async def test_a_worker_takes_the_queues_it_is_given(ships: Backstay, captain: UserSender) -> None:
    await captain(Order(words=("slow",), queue="slow"))
    assert await drain(ships, queues=["default"]) == 0
    assert await drain(ships, queues=["fast", "slow"]) == 1


async def test_many_workers_run_each_job_once(ships: Backstay, captain: UserSender) -> None:
    expected = tuple(f"{number:02}" for number in range(40))
    await captain(Order(words=expected))
    counts = await asyncio.gather(*(drain(ships) for _ in range(4)))
    assert sum(counts) == 40
    assert tuple(await words(ships)) == expected
    assert {row.attempts for row in await jobs(ships)} == {1}


async def test_a_worker_is_notified_of_new_jobs(ships: Backstay, captain: UserSender) -> None:
    async with at_work(ships, NO_POLLING) as sleeper:
        await eventually(lambda: sleeper.is_asleep)
        await captain(Order(words=("a",)))
        await eventually(lambda: words(ships))


async def test_a_living_worker_renews_the_lease_of_its_job(
    ships: Backstay, captain: UserSender, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    job_id = await captain(Enlist(until=str(gate)))
    async with at_work(ships), at_work(ships):
        await becomes(ships, job_id, "running")
        for _ in range(3):
            seen = (await job(ships, job_id)).due_at

            async def is_held_longer(seen: datetime = seen) -> bool:
                return bool((await job(ships, job_id)).due_at > seen)

            await eventually(is_held_longer)
        row = await job(ships, job_id)
        assert (row.attempts, row.progress, row.note) == (1, 40, "half seas over")
        gate.touch()
        await becomes(ships, job_id, "succeeded")
    assert (await job(ships, job_id)).attempts == 1
    assert await words(ships) == ["drift"]


@pytest.mark.parametrize("notices", [True, False])
async def test_a_worker_that_lost_its_claim_commits_nothing(
    ships: Backstay, captain: UserSender, tmp_path: Path, notices: bool
) -> None:
    """The worker notices the loss at its next heartbeat, or only when the job is done."""
    gate = tmp_path / "gate"
    job_id = await captain(Enlist(until=str(gate)))
    timing = FAST_POLLING if notices else FAST_POLLING | {"beat": 10 * LIMIT}
    draining = asyncio.create_task(drain(ships, timing))
    await becomes(ships, job_id, "running")
    stolen = update(Job).where(Job.id == job_id).values(attempts=5, due_at=SecondsFromNow(LIMIT))
    await execute(ships, stolen)
    if not notices:
        gate.touch()
    await draining
    assert await words(ships) == []
    row = await job(ships, job_id)
    assert (row.state, row.attempts) == (JobState.RUNNING, 5)


async def test_a_stopped_worker_releases_unfinished_jobs(
    ships: Backstay, captain: UserSender
) -> None:
    job_id = await captain(Enlist())
    async with at_work(ships):
        await becomes(ships, job_id, "running")
    row = await job(ships, job_id)
    assert (row.state, row.attempts, row.max_attempts) == ("queued", 1, MAX_ATTEMPTS + 1)


async def test_a_worker_leaves_unknown_jobs_alone(ships: Backstay, captain: UserSender) -> None:
    await captain(Order(words=("north",)))
    values = {"name": "OfTheNextVersion", "due_at": SecondsFromNow(-600)}
    await execute(ships, update(Job).values(values))
    assert await drain(ships) == 0
    assert await ships.worker_context.outbox.store.backlog() == []


@pytest.mark.parametrize(("hours", "state"), [(23, "queued"), (25, "failed")])
async def test_a_job_unknown_to_all_workers_fails_after_a_day(
    ships: Backstay, captain: UserSender, hours: int, state: str
) -> None:
    known, unknown = await captain(Order(words=("north", "south")))
    await execute(ships, update(Job).values(due_at=SecondsFromNow(-hours * 3600)))
    await execute(ships, update(Job).where(Job.id == unknown).values(name="OfTheLastVersion"))
    await ships.system(PurgeJobs())
    assert (await job(ships, known)).state == "queued"
    row = await job(ships, unknown)
    assert (row.state, row.error_code) == (state, "jobs.unknown" if state == "failed" else None)
