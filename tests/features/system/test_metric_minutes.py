"""Shows what is told of the last 24 hours: minutes with their quantiles, and totals."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert

from backstay.composition import Backstay
from backstay.features.system.model import MetricMinute
from backstay.testing import FrozenClock, Login, Person
from tests.features.steps import API, execute
from tests.web.problems import problem

pytestmark = pytest.mark.anyio

MINUTES = f"{API}/system/metrics/minutes"
NAMES = {column.name for column in MetricMinute.__table__.columns} - {"minute"}


async def keep(backstay: Backstay, minute: datetime, **counts: int) -> None:
    row = {"minute": minute, **dict.fromkeys(NAMES, 0), **counts}
    await execute(backstay, insert(MetricMinute).values(row))


async def shown(person: Person, **query: str) -> dict[str, Any]:
    answer = await person.client.get(MINUTES, params=query)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


@pytest.fixture
async def admin(login: Login) -> Person:
    return await login("admin")


@pytest.fixture
def noon(clock: FrozenClock) -> datetime:
    """The minute in which the clock stands."""
    return clock.now.replace(second=0, microsecond=0)


async def test_minutes_and_totals_are_told(
    admin: Person, backstay: Backstay, noon: datetime
) -> None:
    await keep(backstay, noon, requests=4, bucket_6=4, errors=1, jobs_due=3, connections_in_use=2)
    last = noon - timedelta(minutes=2)
    await keep(backstay, last, requests=2, bucket_0=2, limited=1, jobs_due=7, cache_hits=5)
    told = await shown(admin)
    first, second = told["items"]
    assert datetime.fromisoformat(first["minute"]) == last
    assert (first["requests"], first["p50"], first["p99"]) == (2, 0.0005, 0.00099)
    assert (second["requests"], second["errors"]) == (4, 1)
    assert second["p50"] == pytest.approx(0.075)
    totals = told["totals"]
    assert (totals["requests"], totals["errors"], totals["limited"]) == (6, 1, 1)
    assert (totals["jobs_due"], totals["connections_in_use"], totals["cache_hits"]) == (7, 2, 5)
    assert totals["p50"] == pytest.approx(0.05 + 0.05 / 4)
    assert not any("bucket" in name for name in totals)


@pytest.mark.parametrize("database_kind", ["sqlite"])
async def test_nothing_counted_is_no_minute(admin: Person) -> None:
    told = await shown(admin)
    assert told["items"] == []
    assert (told["totals"]["requests"], told["totals"]["p99"]) == (0, None)


async def test_earlier_minutes_are_left_out(
    admin: Person, backstay: Backstay, noon: datetime
) -> None:
    for hours in (25, 23, 1):
        await keep(backstay, noon - timedelta(hours=hours), requests=hours)
    await keep(backstay, noon + timedelta(hours=1), requests=99)

    async def requests(**query: str) -> list[int]:
        return [each["requests"] for each in (await shown(admin, **query))["items"]]

    assert await requests() == [23, 1]
    assert await requests(since=(noon - timedelta(days=9)).isoformat()) == [23, 1]
    assert await requests(since=(noon - timedelta(hours=2)).isoformat()) == [1]
    assert await requests(since=noon.astimezone(UTC).isoformat()) == []


@pytest.mark.parametrize("database_kind", ["sqlite"])
async def test_a_time_without_zone_is_refused(admin: Person) -> None:
    problem(await admin.client.get(MINUTES, params={"since": "2026-01-01T00:00:00"}), 422)


@pytest.mark.parametrize("database_kind", ["sqlite"])
async def test_only_who_may_reads_them(login: Login) -> None:
    problem(await (await login()).client.get(MINUTES), 403)
