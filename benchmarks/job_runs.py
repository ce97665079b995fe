"""One process of the measurement of jobs: ``python -m benchmarks.job_runs ROLE URL FOLDER COUNT``.

It stores jobs or runs them, and prints what that took. It uses only what other versions have, too:
one of them is measured by its package on ``PYTHONPATH``.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import ModuleType
from typing import Any

from sqlalchemy import text

from backstay.composition import Backstay, compose
from backstay.core.bus import handles
from backstay.core.context import Origin
from backstay.core.feature import Feature
from backstay.core.messages import Command
from backstay.core.permissions import SYSTEM_ONLY
from backstay.core.startup import settle_memory
from backstay.db import migrate
from backstay.db.session import Transaction
from backstay.features import STANDARD
from backstay.jobs.outbox import Jobs
from backstay.jobs.worker import Worker
from backstay.observability.logging import configure
from backstay.settings import load_settings
from benchmarks.job_bare import PAUSE, WARMING

SENDERS, CONCURRENCY = 8, 8


class Rest(Command[None]):
    """Does nothing, or tells when it began."""

    permission = SYSTEM_ONLY
    tells: bool = False


@handles(Rest)
async def rest(command: Rest, origin: Origin) -> None:
    if command.tells and origin.job is not None:
        print(origin.job.id, time.time(), flush=True)


class Jot(Command[None]):
    """Writes one row through its session."""

    permission = SYSTEM_ONLY


@handles(Jot)
async def jot(command: Jot, session: Transaction) -> None:
    await session.execute(text("INSERT INTO jottings VALUES (1)"))


class Store(Command[str]):
    """Stores one job."""

    permission = SYSTEM_ONLY
    writes: bool = False
    tells: bool = False


@handles(Store)
async def store(command: Store, jobs: Jobs) -> str:
    return str(await jobs.enqueue(Jot() if command.writes else Rest(tells=command.tells)))


def composed(url: str, folder: Path) -> Backstay:
    """The standard application and the commands above."""
    module = ModuleType(__name__)
    here = {k: v for k, v in globals().items() if getattr(v, "__module__", "") == __name__}
    vars(module).update(here)
    settings = load_settings({"DB_URL": url, "LOG_LEVEL": "ERROR", "LOG_DIR": ""}, folder)
    return compose(settings, [*STANDARD, Feature("bench", modules=(module,))])


async def prepare(url: str, folder: Path, _: int) -> None:
    """Create the tables."""
    ours = composed(url, folder)
    await migrate.upgrade(ours.database.options)
    async with ours.database.writer.begin() as connection:
        await connection.execute(text("CREATE TABLE jottings (n INTEGER)"))
    await ours.close()


async def _stored(url: str, folder: Path, count: int, *, writes: bool) -> None:
    """Store jobs, each by a command of its own, ``SENDERS`` at a time."""
    ours = composed(url, folder)
    await ours.system(Store(writes=writes))

    async def send() -> None:
        for _ in range(count // SENDERS):
            await ours.system(Store(writes=writes))

    begun, burnt = time.perf_counter(), time.process_time()
    await asyncio.gather(*(send() for _ in range(SENDERS)))
    told = {"rate": count / (time.perf_counter() - begun)}
    print(json.dumps(told | {"cpu": time.process_time() - burnt}))
    await ours.close()


async def store_empty(url: str, folder: Path, count: int) -> None:
    """Store jobs that do nothing."""
    await _stored(url, folder, count, writes=False)


async def store_writing(url: str, folder: Path, count: int) -> None:
    """Store jobs that write a row."""
    await _stored(url, folder, count, writes=True)


async def work(url: str, folder: Path, _: int) -> None:
    """Run what there is, as one worker."""
    ours = composed(url, folder)
    burnt = time.process_time()
    count = await Worker(ours.worker_context, concurrency=CONCURRENCY).drain()
    print(json.dumps({"count": count, "cpu": time.process_time() - burnt}))
    await ours.close()


async def store_telling(url: str, folder: Path, count: int) -> None:
    """Store jobs one at a time, each when the one before has begun, and tell of the commits."""
    ours = composed(url, folder)
    for number in range(WARMING + count):
        job_id = await ours.system(Store(tells=True))
        if number >= WARMING:
            print(job_id, time.time(), flush=True)
        await asyncio.sleep(PAUSE)
    await ours.close()


async def wait(url: str, folder: Path, _: int) -> None:
    """Run jobs as they come, until killed, as `backstay worker` does; each tells when it begins."""
    ours = composed(url, folder)
    await ours.start()
    settle_memory()
    async with Worker(ours.worker_context).running(grace=0):
        await asyncio.sleep(1)
        print("ready", flush=True)
        await asyncio.Event().wait()


ROLES: dict[str, Callable[[str, Path, int], Coroutine[Any, Any, None]]] = {
    "prepare": prepare,
    "store empty": store_empty,
    "store writing": store_writing,
    "store telling": store_telling,
    "work": work,
    "wait": wait,
}

if __name__ == "__main__":
    configure("ERROR", "json")
    asyncio.run(ROLES[sys.argv[1]](sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])))
