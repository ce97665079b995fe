"""Shows what a worker claims ahead, and that it gives back what it cannot start."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from backstay.composition import Backstay
from backstay.core.clock import new_id
from backstay.core.context import Guard
from backstay.core.jobs import JobRun
from backstay.db.group_commit import GroupCommit
from backstay.db.transaction import _finish_group
from backstay.jobs import ahead
from backstay.jobs.ahead import Ahead
from backstay.jobs.statements import END, HELD
from backstay.jobs.store import DatabaseJobs
from backstay.jobs.tables import Job
from backstay.jobs.worker import Worker
from tests.features.steps import execute
from tests.jobs.sample_jobs import Enlist, Order
from tests.jobs.steps import UserSender, at_work, becomes, drain, job, jobs, words

pytestmark = pytest.mark.anyio

END_OF_TIME = 1e9


def a_run() -> JobRun:
    return JobRun(new_id(), "Sail", "{}", 1, 10, 0, "system", None, "", "", "")


def test_only_as_many_are_claimed_ahead_as_ended_just_now(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(ahead, "monotonic", lambda: now)
    runs = Ahead(4)
    assert runs.room() == 0
    for _ in range(3):
        runs.ended()
    assert runs.room() == 3
    runs.waiting.append(a_run())
    assert runs.room() == 2
    now += ahead.HORIZON
    assert runs.room() == 0


def test_enough_waiting_runs_end_the_claiming() -> None:
    runs = Ahead(1)
    runs.ended()
    runs.ended()
    runs.waiting.append(a_run())
    assert not runs.is_short
    assert runs.room() == 0


def test_while_no_run_ends_those_that_wait_are_overdue(monkeypatch: pytest.MonkeyPatch) -> None:
    now, waiting = 100.0, a_run()
    monkeypatch.setattr(ahead, "monotonic", lambda: now)
    runs = Ahead(1)
    runs.ended()
    runs.waiting.append(waiting)
    now += ahead.PATIENCE
    assert runs.overdue() == []
    now += 0.1
    assert runs.overdue() == [waiting]
    assert not runs.waiting


async def test_no_task_is_claimed_ahead(
    ships: Backstay, captain: UserSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HORIZON", "PATIENCE"):
        monkeypatch.setattr(ahead, name, END_OF_TIME)
    claim, asked = DatabaseJobs.claim, list[tuple[int, int]]()

    async def note(
        store: Any, queues: Any, limit: int, lease: float, reserved: int, waiting: int
    ) -> Any:
        asked.append((limit, reserved))
        return await claim(store, queues, limit, lease, reserved, waiting)

    monkeypatch.setattr(DatabaseJobs, "claim", note)
    expected = tuple(f"{number:02}" for number in range(20))
    await captain(Order(words=expected))
    assert await drain(ships, concurrency=3) == 20
    assert tuple(await words(ships)) == expected
    assert {row.attempts for row in await jobs(ships)} == {1}
    assert max(limit for limit, _ in asked) > 3
    assert max(limit - reserved for limit, reserved in asked) == 2


async def test_a_last_attempt_is_not_claimed_ahead(ships: Backstay, captain: UserSender) -> None:
    once = [*await captain(Order(words=("a", "b", "c"))), *await captain(Order(words=("d",)))]
    await execute(ships, update(Job).where(Job.id.in_(once[:3])).values(max_attempts=1))
    store = ships.worker_context.outbox.store
    assert [run.id for run in await store.claim(None, 3, 60.0, ahead=2)] == once[:1]
    assert [run.id for run in await store.claim(None, 3, 60.0, ahead=1)] == [*once[1:3], once[3]]


async def test_what_was_claimed_ahead_is_given_back_in_a_pause(
    ships: Backstay, captain: UserSender
) -> None:
    async def is_paused() -> bool:
        return True

    ids = await captain(Order(words=("a", "b")))
    place = replace(ships.worker_context, is_paused=is_paused)
    worker = Worker(place, concurrency=1)
    worker._ahead.waiting.extend(await place.outbox.store.claim(None, 2, lease=60.0))
    assert await worker.drain() == 0
    assert [(await job(ships, each)).state for each in ids] == ["queued", "queued"]


async def test_jobs_that_wait_behind_a_long_one_are_given_back(
    ships: Backstay, captain: UserSender, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(ahead, "HORIZON", END_OF_TIME)
    monkeypatch.setattr(ahead, "PATIENCE", 0.1)
    gate = tmp_path / "gate"
    await captain(Order(words=("a", "b", "c")))
    long = await captain(Enlist(until=str(gate)))
    behind = await captain(Order(words=("d", "e")))
    async with at_work(ships, concurrency=1):
        await becomes(ships, long, "running")
        async with at_work(ships, concurrency=2):
            for each in behind:
                await becomes(ships, each, "succeeded")
        gate.touch()
        await becomes(ships, long, "succeeded")


async def test_a_group_leaves_out_runs_taken_over(ships: Backstay, captain: UserSender) -> None:
    ids = await captain(Order(words=("a", "b")))
    await ships.worker_context.outbox.store.claim(None, 2, lease=60.0)
    await execute(ships, update(Job).where(Job.id == ids[0]).values(attempts=2))
    values = dict.fromkeys(("percent", "text", "outcome", "code", "sentence"))
    together = GroupCommit(ships.database.writer, _finish_group)
    ends = []
    for each in ids:
        change = {"run_id": each, "attempt": 1, "end": "succeeded"} | values
        ends.append(together([], Guard((END, change), HELD, (each, 1), LookupError())))
    assert await asyncio.gather(*ends) == [False, True]
    assert [(await job(ships, each)).state for each in ids] == ["running", "succeeded"]
