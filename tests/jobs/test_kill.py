"""Shows what becomes of jobs whose workers are killed: each runs, none that was done runs again."""

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from time import monotonic

import pytest

from backstay.composition import Backstay
from tests.cli.process import environ
from tests.jobs.fleet import Enlist, Order
from tests.jobs.steps import Captain, becomes, drain, eventually, job, jobs, words, worker
from tests.services.valkey import ValkeyServer

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
SECONDS = float(os.environ.get("BACKSTAY_MUTINY_SECONDS", "4"))
"""How long workers are killed at random; a minute is the full run, with 1,000 jobs."""


@pytest.fixture(params=["sqlite", "postgresql", "broker"])
def kind(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


@pytest.fixture
def database_kind(kind: str) -> str:
    return "sqlite" if kind == "sqlite" else "postgresql"


def crew(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.jobs.crew", *arguments]
    variables = environ(PYTHONPATH=f"{ROOT}:{ROOT / 'src'}")
    log = (folder / "crew.log").open("w")
    with log:
        return subprocess.Popen(
            command, cwd=folder, env=variables, stdout=subprocess.PIPE, stderr=log, text=True
        )


async def test_a_job_whose_worker_is_killed_runs_again(
    ships: Backstay,
    captain: Captain,
    seeded_url: str,
    kind: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    broker = []
    if kind == "broker":
        valkey: ValkeyServer = request.getfixturevalue("valkey")
        broker = [valkey.url]
    job_id = await captain(Enlist(seconds=1))
    with crew(tmp_path, seeded_url, *broker) as doomed:
        await becomes(ships, job_id, "running", seconds=30)
        doomed.send_signal(signal.SIGKILL)
    started = monotonic()
    assert await words(ships) == []
    rescuer = worker(ships)
    working = asyncio.create_task(rescuer.work())
    await becomes(ships, job_id, "succeeded")
    rescuer.stop(grace=1)
    await working
    assert monotonic() - started < 8
    assert (await job(ships, job_id)).attempts == 2
    assert await words(ships) == ["drift"]


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"], indirect=True)
async def test_nothing_is_lost_or_kept_twice_while_workers_are_killed(
    ships: Backstay, captain: Captain, seeded_url: str, tmp_path: Path
) -> None:
    count = 1000 if SECONDS > 30 else 300
    expected = [f"{number:04}" for number in range(count)]
    with crew(tmp_path, seeded_url, "4", str(SECONDS)) as mutineers:
        for first in range(0, count, 20):
            await captain(Order(words=tuple(expected[first : first + 20])))
            await asyncio.sleep(SECONDS / count * 20)
        killed, _ = await asyncio.to_thread(mutineers.communicate)
    assert int(killed) >= 3

    async def all_done() -> bool:
        await drain(ships)
        return {row.state for row in await jobs(ships)} == {"succeeded"}

    await eventually(all_done, seconds=60)
    assert Counter(await words(ships)) == Counter(expected)
