"""Shows that a slot of a schedule fires once in the whole cluster, by the database's time."""

import asyncio
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from backstay.composition import Backstay, compose
from backstay.core.clock import utc_now
from backstay.core.messages import Command
from backstay.core.permissions import SYSTEM_ONLY
from backstay.core.schedule import Scheduled, cron, every
from backstay.core.wiring import BootError, Code, Place
from backstay.features import STANDARD
from backstay.features.auth.commands.sessions import PurgeSessions
from backstay.features.auth.model import Session
from backstay.features.system import feature as system
from backstay.features.system.commands.purging import PurgeJobs
from backstay.features.tasks import feature as tasks
from backstay.features.users.commands.removal import DeleteUser
from backstay.jobs.scheduler import Scheduler, id_of
from backstay.jobs.store import DatabaseJobs
from backstay.jobs.tables import Job, Schedule
from backstay.testing import FrozenClock, settings_with
from tests.features.steps import execute
from tests.jobs.sample_jobs import Log, Order, Stow, sample_feature
from tests.jobs.steps import UserSender, drain, jobs, words

pytestmark = pytest.mark.anyio


class Adrift(Command[None]):
    """A command without a handler."""

    permission = SYSTEM_ONLY


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> FrozenClock:
    """Replaces the database time that schedules use."""
    clock, ask = FrozenClock(), DatabaseJobs.slots

    async def slots(store: DatabaseJobs) -> Any:
        return clock(), (await ask(store))[1]

    monkeypatch.setattr(DatabaseJobs, "slots", slots)
    return clock


def scheduler(backstay: Backstay, *schedule: Scheduled) -> Scheduler:
    return Scheduler(schedule, backstay.worker_context.outbox)


@pytest.mark.usefixtures("time")
async def test_many_schedulers_fire_a_slot_once(ships: Backstay) -> None:
    hourly = every("1h", Log(word="bell"))
    await asyncio.gather(*(scheduler(ships, hourly).tick() for _ in range(8)))
    assert len(await jobs(ships)) == 1
    await drain(ships)
    await asyncio.gather(*(scheduler(ships, hourly).tick() for _ in range(8)))
    assert await words(ships) == ["bell"]
    (row,) = await jobs(ships)
    assert (row.actor, row.user_id) == ("system", None)


async def test_clocks_that_differ_do_not_matter(
    ships: Backstay, tmp_path: Path, clock: FrozenClock
) -> None:
    clock.forward(seconds=5)
    ahead = compose(ships.settings, ships.features, clock=clock)
    for _ in range(4):
        for backstay in (ships, ahead):
            await scheduler(backstay, every("9999d", Log(word="bell"))).tick()
        await drain(ships)
    assert await words(ships) == ["bell"]
    await ahead.close()


async def test_each_slot_fires(ships: Backstay, time: FrozenClock) -> None:
    ringing = scheduler(ships, every("20s", Log(word="bell")))
    for count in (1, 2, 3):
        nap = await ringing.tick()
        await drain(ships)
        assert 0 < await ringing.tick() == nap <= 20.05
        await drain(ships)
        assert await words(ships) == ["bell"] * count
        time.forward(seconds=nap)


async def test_missed_slots_fire_once(ships: Backstay) -> None:
    ringing = scheduler(ships, every("1m", Log(word="bell")))
    await ringing.tick()
    await drain(ships)
    past = update(Schedule).values(slot=utc_now() - timedelta(hours=5))
    await execute(ships, past)
    await execute(ships, Job.__table__.delete())  # type: ignore[attr-defined]
    for _ in range(3):
        await ringing.tick()
    await drain(ships)
    assert await words(ships) == ["bell"] * 2


async def test_a_slot_does_not_fire_while_the_previous_job_runs(
    ships: Backstay, time: FrozenClock
) -> None:
    ringing = scheduler(ships, every("1h", Log(word="bell")))
    await ringing.tick()
    time.forward(hours=1)
    await ringing.tick()
    assert len(await jobs(ships)) == 1
    await drain(ships)
    time.forward(hours=1)
    await ringing.tick()
    assert len(await jobs(ships)) == 2


async def test_a_cron_schedule_waits_for_its_time(ships: Backstay) -> None:
    nightly = scheduler(ships, cron("0 3 * * *", Log(word="night")))
    await nightly.tick()
    assert await jobs(ships) == []
    (slot,) = (await execute(ships, select(Schedule.slot))).scalars()
    assert (slot.hour, slot.minute) == (3, 0)
    await execute(ships, update(Schedule).values(slot=slot - timedelta(days=1)))
    await nightly.tick()
    assert len(await jobs(ships)) == 1


@pytest.mark.parametrize(
    ("at", "slot", "following"),
    [
        ("12:00:00", "12:00:00", "12:05:00"),
        ("12:00:00.5", "12:00:00", "12:05:00"),
        ("12:04:59.999", "12:00:00", "12:05:00"),
        ("12:05:00", "12:05:00", "12:10:00"),
    ],
)
def test_cron_and_period_divide_time_alike(at: str, slot: str, following: str) -> None:
    def moment(time: str) -> datetime:
        return datetime.fromisoformat(f"2026-11-21T{time}+00:00")

    for each in (every("5m", PurgeJobs()), cron("*/5 * * * *", PurgeJobs())):
        assert each.trigger.slot(moment(at)) == moment(slot)
        assert each.trigger.next_slot(moment(at)) == moment(following)


async def test_a_schedule_that_cannot_be_fired_stops_no_other(ships: Backstay) -> None:
    await scheduler(ships, every("1h", Adrift(), "lost"), every("1h", Log(word="bell"))).tick()
    assert [row.name for row in await jobs(ships)] == ["Log"]


@pytest.mark.parametrize(
    ("scheduled", "fired"),
    [(every("1h", Log(word="bell")), 1), (cron("0 3 * * *", Log(word="bell")), 0)],
)
async def test_a_schedule_with_a_future_slot_starts_anew(
    ships: Backstay, scheduled: Scheduled, fired: int
) -> None:
    future = utc_now() + timedelta(days=400)
    await ships.worker_context.outbox.store.see("Log", future)
    await scheduler(ships, scheduled).tick()
    assert len(await jobs(ships)) == fired
    (slot,) = (await execute(ships, select(Schedule.slot))).scalars()
    assert slot <= utc_now() + timedelta(minutes=1)


async def test_each_firing_can_be_traced(ships: Backstay) -> None:
    await scheduler(ships, every("1h", Log(word="bell")), every("1h", PurgeJobs())).tick()
    ids = [row.request_id for row in await jobs(ships)]
    assert len(set(ids)) == 2
    for row in await jobs(ships):
        assert re.fullmatch(rf"00-{row.request_id}-[0-9a-f]{{16}}-00", row.traceparent)
        assert len(row.request_id) == 32


def test_the_id_of_a_slot_is_a_proper_one() -> None:
    slot = datetime(2026, 11, 21, tzinfo=UTC)
    found = id_of("bell", slot)
    assert (found.version, found.variant) == (7, "specified in RFC 4122")
    assert found == id_of("bell", slot)
    assert len({found, id_of("bell", slot + timedelta(seconds=1)), id_of("dog", slot)}) == 3


@pytest.mark.parametrize("period", ["", "1", "h", "0h", "1 h", "-1h", "1w", "1.5h"])
def test_a_period_that_cannot_be_read_is_refused(period: str) -> None:
    with pytest.raises(ValueError, match=r"such as 1h|must be longer than 0"):
        every(period, PurgeJobs())


@pytest.mark.parametrize("expression", ["", "often", "61 * * * *", "0 0 31 2 *"])
def test_a_cron_expression_that_never_matches_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match="cron expression"):
        cron(expression, PurgeJobs())


def test_a_schedule_of_an_invalid_job_stops_the_boot(tmp_path: Path) -> None:
    ship = replace(
        sample_feature(),
        schedule=(
            every("1h", PurgeJobs()),
            every("1h", Stow(api_token="hush")),
            every("1h", Adrift(), "lost"),
        ),
        tasks={"demo.count": Order, "demo.drift": Adrift, "demo.sink": DeleteUser},
    )
    with pytest.raises(BootError) as caught:
        compose(settings_with(f"sqlite:///{tmp_path}/unused.db", tmp_path), [*STANDARD, ship])
    manifests = Place.of(system), Place.of(tasks)
    assert [(fault.code, fault.problem) for fault in caught.value.faults] == [
        (
            Code.SCHEDULE_TWICE,
            f"The schedule PurgeJobs is declared twice, first at {manifests[0]}.",
        ),
        (
            Code.SCHEDULE_COMMAND,
            "The schedule Stow asks for what no job can be: "
            "Stow cannot be a job: its field `api_token` is a secret, jobs are stored.",
        ),
        (
            Code.SCHEDULE_COMMAND,
            "The schedule lost asks for what no job can be: "
            "Adrift cannot be a job: no feature handles it.",
        ),
        (Code.TASK_TWICE, f"The task demo.count is declared twice, first at {manifests[1]}."),
        (
            Code.TASK_COMMAND,
            "The task demo.drift asks for what no job can be: "
            "Adrift cannot be a job: no feature handles it.",
        ),
        (
            Code.TASK_COMMAND,
            "The task demo.sink asks for what no job can be: "
            "DeleteUser asks for a fresh proof, and a task for none.",
        ),
    ]


async def test_old_jobs_are_purged_failed_ones_later(ships: Backstay, captain: UserSender) -> None:
    found = await captain(Order(words=("a", "b", "c", "d")))
    states = [("succeeded", 8), ("succeeded", 6), ("failed", 8), ("failed", 31)]
    for job_id, (state, days) in zip(found, states, strict=True):
        values = {"state": state, "finished_at": utc_now() - timedelta(days=days)}
        await execute(ships, update(Job).where(Job.id == job_id).values(values))
    assert await ships.system(PurgeJobs()) is False
    assert [row.id for row in await jobs(ships)] == [found[1], found[2]]


async def test_sessions_are_purged_a_week_after_their_end(
    ships: Backstay, captain: UserSender
) -> None:
    now = utc_now()
    old, recent, future = (now + timedelta(days=days) for days in (-8, -6, 30))
    ends = {
        "alive": (future, future, None),
        "idle": (old, future, None),
        "expired": (future, old, None),
        "ended": (future, future, old),
        "just ended": (future, future, recent),
    }
    rows = [
        {
            "user_id": captain.principal.id,
            "epoch": 0,
            "token_hash": b"",
            "user_agent": name,
            "created_at": now,
            "last_used_at": now,
            "idle_expires_at": idle,
            "expires_at": expires,
            "ended_at": ended,
        }
        for name, (idle, expires, ended) in ends.items()
    ]
    async with ships.database.writer.begin() as connection:
        await connection.execute(Session.__table__.insert(), rows)  # type: ignore[attr-defined]
    assert await ships.system(PurgeSessions()) is False
    left = (await execute(ships, select(Session.user_agent))).scalars()
    assert sorted(left) == ["alive", "just ended"]
