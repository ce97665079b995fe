"""Shows that jobs of killed workers run again, and that finished jobs do not."""

import asyncio
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from backstay.composition import Backstay
from backstay.features.system.commands.bulk import StartBulk
from backstay.features.system.queries.bulk import GetBulk
from backstay.jobs import worker as workers
from backstay.testing.waiting import LIMIT, eventually
from tests.cli.process import environ
from tests.jobs.sample_jobs import Enlist, Order
from tests.jobs.steps import (
    FAST_POLLING,
    UserSender,
    at_work,
    becomes,
    drain_again,
    job,
    jobs,
    let_pass,
    words,
)
from tests.services.valkey import ValkeyServer

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
WORKERS = 4
DEATHS = int(os.environ.get("BACKSTAY_MUTINY_DEATHS", "12"))
"""How many workers are killed while they work; the full run kills a hundred."""


@pytest.fixture(params=["sqlite", "postgresql", "broker"])
def kind(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


@pytest.fixture
def database_kind(kind: str) -> str:
    return "sqlite" if kind == "sqlite" else "postgresql"


@contextmanager
def worker_processes(folder: Path, *arguments: str) -> "Iterator[subprocess.Popen[str]]":
    command = [sys.executable, "-m", "tests.jobs.worker_process", *arguments]
    variables = environ(PYTHONPATH=f"{ROOT}:{ROOT / 'src'}")
    with (
        (folder / "workers.log").open("w") as log,
        subprocess.Popen(
            command, cwd=folder, env=variables, stdout=subprocess.PIPE, stderr=log, text=True
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


async def test_a_killed_workers_job_runs_again_after_its_lease(
    ships: Backstay,
    captain: UserSender,
    seeded_url: str,
    kind: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(workers, "backoff", lambda attempt: 0.0)
    broker = []
    if kind == "broker":
        valkey: ValkeyServer = request.getfixturevalue("valkey")
        broker = [valkey.url]
    gate = tmp_path / "gate"
    job_id = await captain(Enlist(until=str(gate)))
    with worker_processes(tmp_path, seeded_url, *broker) as doomed:
        await becomes(ships, job_id, "running")
        doomed.kill()
    gate.touch()
    async with at_work(ships):
        (another,) = await captain(Order(words=("another",)))
        await becomes(ships, another, "succeeded")
        row = await job(ships, job_id)
        assert (row.state, row.attempts) == ("running", 1)
        assert await words(ships) == ["another"]
        await let_pass(ships, job_id, FAST_POLLING["lease"])
        await becomes(ships, job_id, "succeeded")
    assert (await job(ships, job_id)).attempts == 2
    assert await words(ships) == ["another", "drift"]


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"], indirect=True)
async def test_each_row_of_a_killed_worker_is_done_once(
    ships: Backstay,
    captain: UserSender,
    seeded_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(workers, "backoff", lambda attempt: 0.0)
    gate, flags = tmp_path / "gate", ("blue", "peter", "quarantine")
    body = {"until": str(gate)}
    bulk = await captain(StartBulk(operation="hoist", ids=flags, body=body))
    (first, *_) = await jobs(ships)
    with worker_processes(tmp_path, seeded_url) as doomed:
        await eventually((tmp_path / "begun").exists)  # on SQLite its transaction locks the file
        doomed.kill()
    gate.touch()
    await let_pass(ships, first.id, FAST_POLLING["lease"])
    assert await drain_again(ships) == len(flags)
    found = await captain(GetBulk(id=bulk.id))
    assert (found.is_over, found.states.succeeded) == (True, len(flags))
    assert [row.attempts for row in await jobs(ships)] == [2, 1, 1]
    assert await words(ships) == list(flags)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"], indirect=True)
async def test_nothing_is_lost_or_kept_twice_while_workers_are_killed(
    ships: Backstay, captain: UserSender, seeded_url: str, tmp_path: Path
) -> None:
    """There are more jobs than the killed workers can have run; a later worker runs the rest."""
    expected = [f"{number:04}" for number in range(16 * DEATHS)]
    batches = [tuple(expected[first : first + 20]) for first in range(0, len(expected), 20)]
    orders = [Order(words=batch, attempts=10_000) for batch in batches]
    for order in orders[: len(orders) // 2]:
        await captain(order)
    with worker_processes(tmp_path, seeded_url, str(WORKERS), str(DEATHS)) as supervisor:
        for order in orders[len(orders) // 2 :]:
            await captain(order)
        await asyncio.to_thread(supervisor.communicate, timeout=LIMIT)
    assert supervisor.returncode == 0, (tmp_path / "workers.log").read_text()

    rows = await jobs(ships)
    assert [row for row in rows if row.state == "running" or row.error_code == "jobs.lost"]

    async def is_all_over() -> bool:
        await drain_again(ships)
        return all(row.finished_at is not None for row in await jobs(ships))

    await eventually(is_all_over)
    assert {row.state for row in await jobs(ships)} == {"succeeded"}
    assert Counter(await words(ships)) == Counter(expected)
