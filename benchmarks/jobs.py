"""How many empty jobs are stored and run per second: ``python -m benchmarks.jobs [number]``."""

import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import ModuleType
from typing import Any

from rich.console import Console
from rich.table import Table
from sqlalchemy import func, select, text

from backstay.adapters.log_structlog import configure
from backstay.composition import Backstay, compose
from backstay.core.bus import handles
from backstay.core.feature import Feature
from backstay.core.messages import SYSTEM_ONLY, Command
from backstay.core.outbox import Jobs
from backstay.core.worker import Worker
from backstay.db import migrate
from backstay.db.jobs import Job
from backstay.features import STANDARD
from backstay.settings import load_settings
from tests.services.postgres import PostgresServer

SENDERS, CONCURRENCY = 8, 8


class Rest(Command[None]):
    """Does nothing."""

    permission = SYSTEM_ONLY


@handles(Rest)
async def rest(command: Rest) -> None: ...


class Store(Command[None]):
    """Stores one job."""

    permission = SYSTEM_ONLY


@handles(Store)
async def store(command: Store, jobs: Jobs) -> None:
    await jobs.enqueue(Rest())


def composed(url: str, folder: Path) -> Backstay:
    """The standard application and the two commands."""
    module = ModuleType(__name__)
    members: dict[str, Any] = {"Rest": Rest, "rest": rest, "Store": Store, "store": store}
    vars(module).update(members)
    environ = {"DB_URL": url, "LOG_LEVEL": "ERROR", "LOG_DIR": ""}
    settings = load_settings(environ, folder)
    return compose(settings, [*STANDARD, Feature("bench", modules=(module,))])


async def enqueue(url: str, folder: Path, count: int) -> float:
    """Jobs stored per second, each by a command of its own."""
    backstay = composed(url, folder)
    await migrate.upgrade(backstay.database.options)
    async with backstay.database.writer.connect() as connection:
        await connection.execute(text("SELECT 1"))
    started = time.perf_counter()

    async def send() -> None:
        for _ in range(count // SENDERS):
            await backstay.system(Store())

    await asyncio.gather(*(send() for _ in range(SENDERS)))
    elapsed = time.perf_counter() - started
    await backstay.close()
    return count / elapsed


async def work(url: str, folder: Path) -> None:
    """Run what there is, as one worker."""
    configure("ERROR", "json")
    backstay = composed(url, folder)
    await Worker(backstay.workplace, concurrency=CONCURRENCY).drain()
    await backstay.close()


async def ran(url: str, folder: Path) -> float:
    """Jobs run per second, from the first start to the last end."""
    backstay = composed(url, folder)
    times = select(func.min(Job.started_at), func.max(Job.finished_at), func.count())
    first, last, count = await backstay.database.reader.one_or_none(times)
    async with backstay.database.writer.begin() as connection:
        await connection.execute(text("DELETE FROM jobs"))
    await backstay.close()
    return float(count / (last - first).total_seconds())


def measure(table: Table, name: str, url: str, folder: Path, count: int) -> None:
    """One row per number of workers."""
    for workers in (1, 2):
        stored = asyncio.run(enqueue(url, folder, count))
        command = [sys.executable, "-m", "benchmarks.jobs", "work", url, str(folder)]
        processes = [subprocess.Popen(command) for _ in range(workers)]
        for process in processes:
            process.wait()
        done = asyncio.run(ran(url, folder))
        table.add_row(f"{name}, {workers} worker(s)", f"{stored:.0f}", f"{done:.0f}")


def main(count: int) -> None:
    """Measure on both databases and print."""
    table = Table(title=f"{count} empty jobs")
    for heading in ("", "stored/s", "run/s"):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    with PostgresServer() as postgres, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        measure(table, "SQLite", f"sqlite:///{folder / 'jobs.db'}", folder, count)
        measure(table, "PostgreSQL", postgres.create_database(), folder, count)
    Console().print(table)


if __name__ == "__main__":
    if sys.argv[1:2] == ["work"]:
        asyncio.run(work(sys.argv[2], Path(sys.argv[3])))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 4000)
