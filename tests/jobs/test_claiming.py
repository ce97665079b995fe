"""Shows that claims find what is ready behind any number of jobs that are not, and read few."""

import asyncio
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select, text, update

from backstay.composition import Backstay
from backstay.core.clock import utc_now
from backstay.core.jobs import DEFAULT_QUEUE, TASK_QUEUE
from backstay.jobs.claiming import CLAIM
from backstay.jobs.tables import Job
from tests.features.steps import execute
from tests.jobs.steps import Timing

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("database_kind", ["sqlite", "postgresql"], indirect=True),
]
LONG = 250
"""More jobs than a claim looks at."""


async def wait_there(
    backstay: Backstay, word: str, count: int = 1, age: float = 60, **values: Any
) -> None:
    """Store jobs that have been due for some seconds, each a little later than the one before."""
    due = utc_now() - timedelta(seconds=age)
    last = await execute(backstay, select(Job.position).order_by(Job.position.desc()).limit(1))
    row = {
        "name": "Log", "queue": DEFAULT_QUEUE, "state": "queued", "max_attempts": 30,
        "actor": "system", "request_id": "", "address": "", "traceparent": "",
        "is_cancelled": False, "created_at": due, **values,
    }  # fmt: skip
    start = (last.scalar() or 0) + 1
    rows = [
        row
        | {
            "payload": f"{word}{n}",
            "position": start + n,
            "due_at": due + timedelta(seconds=n / LONG),
        }
        for n in range(count)
    ]
    async with backstay.database.writer.begin() as connection:
        await connection.execute(insert(Job), rows)


async def claimed(backstay: Backstay, limit: int, **options: Any) -> list[str]:
    """The payloads of the jobs that one claim gets."""
    store = backstay.worker_context.outbox.store
    return [run.payload for run in await store.claim(None, limit, 600.0, **options)]


async def test_what_is_ready_behind_a_long_sequence_is_claimed(ships: Backstay) -> None:
    await wait_there(ships, "a", LONG, sequence="a")
    await wait_there(ships, "free", age=30)
    for word in "bcd":
        await wait_there(ships, word, 2, age=20, sequence=word)
    assert await claimed(ships, 10) == ["a0", "free0", "b0", "c0", "d0"]
    assert await claimed(ships, 10) == []


async def test_firsts_of_sequences_are_claimed_as_they_are_due(ships: Backstay) -> None:
    await wait_there(ships, "a", LONG, sequence="a")
    for age, word in enumerate("bcdefg", start=1):
        await wait_there(ships, word, age=age, sequence=word)
    await wait_there(ships, "free", age=5.5)
    assert set(await claimed(ships, 4)) == {"a0", "g0", "free0", "f0"}


async def test_sequences_whose_first_is_not_ready_are_passed(ships: Backstay) -> None:
    await wait_there(ships, "a", LONG, sequence="a")
    assert await claimed(ships, 1) == ["a0"]
    await wait_there(ships, "later", age=-60, sequence="b")
    await wait_there(ships, "behind", sequence="b")
    await wait_there(ships, "unknown", sequence="c", name="NotHere")
    await wait_there(ships, "task", sequence="d", queue=TASK_QUEUE)
    await wait_there(ships, "e", age=10, sequence="e")
    assert await claimed(ships, 5, reserved=4) == ["e0"]


async def test_a_long_sequence_goes_on_with_its_next_job(ships: Backstay) -> None:
    await wait_there(ships, "a", LONG, sequence="a")
    for number in range(3):
        assert await claimed(ships, 5) == [f"a{number}"]
        ended = update(Job).where(Job.payload == f"a{number}").values(finished_at=utc_now())
        await execute(ships, ended)


async def test_claims_at_once_share_the_firsts_of_sequences(ships: Backstay) -> None:
    await wait_there(ships, "a", LONG, sequence="a")
    for number in range(30):
        await wait_there(ships, f"other {number} ", 2, age=10, sequence=f"b{number}")
    every = await asyncio.gather(*(claimed(ships, 5) for _ in range(10)))
    found = [payload for each in every for payload in each]
    assert len(found) == len(set(found))
    while more := await claimed(ships, 5):
        found += more
    assert sorted(found) == sorted(["a0", *(f"other {number} 0" for number in range(30))])


@pytest.mark.parametrize(
    "values", [{}, {"queue": TASK_QUEUE}, {"sequence": "a"}], ids=["free", "tasks", "sequence"]
)
@pytest.mark.parametrize("queues", [None, [DEFAULT_QUEUE, TASK_QUEUE]], ids=["all", "named"])
async def test_a_claim_reads_few_of_many_rows(
    ships: Backstay, database_kind: str, values: Timing, queues: list[str] | None
) -> None:
    await wait_there(ships, "waits", 20 * LONG, **values)
    await wait_there(ships, "other", 2, sequence="b")
    await execute(ships, text("ANALYZE"))
    if database_kind == "sqlite":
        await uses_indexes(ships, queues)
    else:
        await reads_few(ships, queues)


async def test_claims_without_statistics_read_no_row_often(
    ships: Backstay, database_kind: str
) -> None:
    await wait_there(ships, "waits", 4 * LONG, sequence="a")
    if database_kind == "sqlite":
        await uses_indexes(ships, None)
    else:
        await reads_few(ships, None, most=4 * LONG)


async def uses_indexes(ships: Backstay, queues: list[str] | None) -> None:
    """On SQLite the plan reads `jobs` by the indexes that hold what is looked for alone."""
    statement = CLAIM[True, queues is not None].compile(dialect=ships.database.writer.dialect)
    sql = f"EXPLAIN QUERY PLAN {statement}"
    async with ships.database.writer.connect() as connection:
        plan = await connection.exec_driver_sql(sql, (None,) * len(statement.positiontup or ()))
        steps = [row.detail for row in plan if " jobs" in row.detail]
    assert steps
    for step in steps:
        assert step.startswith("SEARCH")
        assert "ix_jobs_due_at" not in step
        assert "ix_jobs_finished_at" not in step


async def reads_few(ships: Backstay, queues: list[str] | None, most: int = LONG) -> None:
    """On PostgreSQL no part of the plan meets many rows."""
    statement = CLAIM[False, queues is not None].compile(dialect=ships.database.writer.dialect)
    given = {"names": ["Log"], "queues": queues, "limit": 5, "tasks": 4, "slots": 5, "lease": 60.0}
    values = [given.get(name, statement.params[name]) for name in statement.positiontup or ()]
    async with ships.database.writer.connect() as connection:
        driver: Any = (await connection.get_raw_connection()).driver_connection
        await driver.execute("SET enable_seqscan = off")  # on: this table is not large enough
        found = await driver.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", *values)
        await connection.invalidate()
    assert max(met_by(found[0]["Plan"])) <= most


def met_by(plan: Mapping[str, Any]) -> Iterator[float]:
    """The rows that each part of a plan has met."""
    met = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)
    yield met * plan["Actual Loops"]
    for part in plan.get("Plans", ()):
        yield from met_by(part)
