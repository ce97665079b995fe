"""Shows that all processes add what they count to one row a minute, and when they write nothing."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select, update

from backstay.application import create_app
from backstay.composition import Backstay, minutes
from backstay.core.errors import DatabaseUnavailable
from backstay.core.latency import BOUNDS
from backstay.db.base import SecondsFromNow
from backstay.features.system.commands.maintenance import BeginMaintenance, EndMaintenance
from backstay.features.system.commands.purging import PurgeMetricMinutes
from backstay.features.system.model import BUCKETS, MetricMinute
from backstay.jobs.tables import Job
from backstay.settings import Settings
from backstay.testing import FrozenClock, Login, client_of
from backstay.testing.waiting import eventually
from tests.features.steps import API, AUTH, ME, execute, needs, register
from tests.logs import logged

pytestmark = pytest.mark.anyio

PING = f"{API}/system/ping"
NOON = datetime(2040, 5, 5, 12, 0, 30, tzinfo=UTC)
ROWS = select(*MetricMinute.__table__.columns).order_by(MetricMinute.minute)


class NoonClock(FrozenClock):
    def __init__(self) -> None:
        self.now = NOON


@pytest.fixture
def clock() -> FrozenClock:
    return NoonClock()


async def rows(backstay: Backstay) -> Sequence[Any]:
    return (await execute(backstay, ROWS)).all()


async def stored(backstay: Backstay) -> Any:
    """The one row, after what was counted is stored."""
    await backstay.minutes.store()
    (row,) = await rows(backstay)
    return row


async def test_requests_are_counted_by_outcome_and_time(
    client: httpx.AsyncClient, backstay: Backstay
) -> None:
    for path in (PING, PING, ME, f"{API}/nowhere"):
        await client.get(path)
    for path in ("/health", "/livez", "/readyz", "/metrics"):
        await client.get(path)
    for status, seconds in ((500, 0.003), (503, 2), (429, 0.06), (200, 60.0)):
        backstay.metrics.observe("GET", "/slow", status, seconds)
    row = await stored(backstay)
    assert row.minute == NOON.replace(second=0)
    assert (row.requests, row.errors, row.refused, row.limited) == (8, 2, 2, 1)
    buckets = [getattr(row, name) for name in BUCKETS]
    assert len(buckets) == len(BOUNDS) + 1
    assert sum(buckets) == 8
    assert buckets[BOUNDS.index(2.5)] == buckets[-1] == 1
    assert buckets[BOUNDS.index(0.1)] >= 1


async def test_sign_ins_and_jobs_are_counted(
    login: Login, client: httpx.AsyncClient, backstay: Backstay
) -> None:
    await login("admin")
    body = {"email": "nobody@example.org", "password": "not the right one"}
    assert (await client.post(f"{AUTH}/login", json=body)).status_code == 401
    backstay.metrics.jobs.observe("Some", "succeeded", 0.1)
    backstay.metrics.jobs.observe("Some", "retried", 0.1)
    backstay.metrics.jobs.observe("Some", "failed", 0.1)
    await backstay.trail.settle()
    row = await stored(backstay)
    assert (row.sign_ins, row.failed_sign_ins) == (1, 1)
    assert (row.jobs_done, row.jobs_failed) == (1, 1)
    assert row.connections_max > 0


@needs("mail")
async def test_what_waits_is_counted_when_something_happened(
    client: httpx.AsyncClient, backstay: Backstay
) -> None:
    for number in range(3):
        await register(client, f"person{number}@example.org")
    waiting = (await execute(backstay, select(Job.id))).scalars().all()
    assert len(waiting) > 1
    later = update(Job).where(Job.id == waiting[0]).values(due_at=SecondsFromNow(3600.0))
    await execute(backstay, later)
    row = await stored(backstay)
    assert (row.jobs_due, row.jobs_later) == (len(waiting) - 1, 1)


async def test_several_processes_add_to_one_row(
    client: httpx.AsyncClient, backstay: Backstay, settings: Settings, clock: FrozenClock
) -> None:
    other = create_app(settings, clock=clock, worker=False)
    async with other.router.lifespan_context(other), client_of(other) as another:
        for one in (client, client, another):
            await one.get(PING)
        await backstay.minutes.store()
        first = (await rows(backstay))[0]
        row = await stored(other.state.backstay)
    assert (first.requests, row.requests) == (2, 3)
    assert row.connections_max == 2 * first.connections_max
    assert row.jobs_due == first.jobs_due


async def test_each_minute_has_a_row_of_its_own(
    client: httpx.AsyncClient, backstay: Backstay, clock: FrozenClock
) -> None:
    for count in (1, 0, 2):
        for _ in range(count):
            await client.get(PING)
        clock.forward(minutes=1)
        await backstay.minutes.store()
    told = [(row.minute.minute, row.requests) for row in await rows(backstay)]
    assert told == [(0, 1), (2, 2)]


async def test_whoever_counts_nothing_sends_no_statement(
    client: httpx.AsyncClient, backstay: Backstay, statements: list[str]
) -> None:
    await client.get("/livez")
    backstay.metrics.registry.collect()
    statements.clear()
    await backstay.minutes.store()
    assert statements == []


async def test_the_rest_is_stored_at_the_end(
    app: FastAPI, backstay: Backstay, settings: Settings, clock: FrozenClock
) -> None:
    other = create_app(settings, clock=clock, worker=False)
    async with other.router.lifespan_context(other), client_of(other) as client:
        await client.get(PING)
        assert await rows(backstay) == []
    (row,) = await rows(backstay)
    assert row.requests == 1


@pytest.mark.parametrize("database_kind", ["sqlite"])
async def test_it_is_stored_by_itself_when_a_minute_ends(
    client: httpx.AsyncClient, backstay: Backstay, clock: FrozenClock
) -> None:
    await client.get(PING)
    clock.now = NOON.replace(second=59, microsecond=990_000)
    backstay.minutes._wait()

    async def is_stored() -> bool:
        return bool(await rows(backstay))

    await eventually(is_stored)


@pytest.mark.parametrize("database_kind", ["sqlite"])
async def test_what_cannot_be_stored_is_kept_and_told_once(
    client: httpx.AsyncClient,
    backstay: Backstay,
    clock: FrozenClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def refuse(*_: Any) -> None:
        raise DatabaseUnavailable

    with monkeypatch.context() as away, logged(minutes) as told:
        away.setattr(backstay.database, "write", refuse)
        for _ in range(3):
            assert (await client.get(PING)).status_code == 200
            clock.forward(minutes=1)
            await backstay.minutes.store()
    assert [each["log_level"] for each in told] == ["warning"]
    await backstay.minutes.store()
    assert [(row.minute.minute, row.requests) for row in await rows(backstay)] == [
        (0, 1),
        (1, 1),
        (2, 1),
    ]


@pytest.mark.parametrize("database_kind", ["sqlite"])
async def test_of_what_is_kept_the_oldest_is_dropped(
    client: httpx.AsyncClient, backstay: Backstay, clock: FrozenClock
) -> None:
    await backstay.system(BeginMaintenance())
    for _ in range(minutes.MOST_KEPT + 5):
        backstay.metrics.observe("GET", "/x", 200, 0.1)
        clock.forward(minutes=1)
        await backstay.minutes.store()
    assert await rows(backstay) == []
    await backstay.system(EndMaintenance())
    await backstay.minutes.store()
    found = await rows(backstay)
    assert len(found) == minutes.MOST_KEPT
    assert found[0].minute == NOON.replace(second=0) + timedelta(minutes=5)


@pytest.mark.parametrize("database_kind", ["sqlite"])
class TestWithoutPrometheus:
    @pytest.fixture
    def variables(self) -> dict[str, str]:
        return {"APP_METRICS": "false"}

    async def test_it_counts_all_the_same(
        self, client: httpx.AsyncClient, backstay: Backstay
    ) -> None:
        await client.get(PING)
        assert (await stored(backstay)).requests == 1


async def test_what_is_older_than_a_day_is_removed(
    client: httpx.AsyncClient, backstay: Backstay, clock: FrozenClock
) -> None:
    for hours in (0, 2):
        clock.forward(hours=hours)
        await backstay.minutes.store()
        await client.get(PING)
        await backstay.minutes.store()
    clock.forward(hours=24)
    await backstay.system(PurgeMetricMinutes())
    (left,) = await rows(backstay)
    assert left.minute.hour == 14
