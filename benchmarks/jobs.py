"""How many empty jobs are stored and run per second; by itself, one worker at work."""

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

from backstay.composition import Backstay, compose
from backstay.core.bus import handles
from backstay.core.feature import Feature
from backstay.core.messages import Command
from backstay.core.permissions import SYSTEM_ONLY
from backstay.db import migrate
from backstay.features import STANDARD
from backstay.jobs.outbox import Jobs
from backstay.jobs.tables import Job
from backstay.jobs.worker import Worker
from backstay.observability.logging import configure
from backstay.settings import load_settings
from backstay.testing.postgres_server import PostgresServer

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
    await Worker(backstay.worker_context, concurrency=CONCURRENCY).drain()
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


Rates = dict[str, tuple[float, float]]
"""Jobs stored and run per second, by database and number of workers."""


def measure(count: int) -> Rates:
    """Both databases, with one worker and with two."""
    with PostgresServer() as postgres, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        urls = {
            "SQLite": f"sqlite:///{folder / 'jobs.db'}",
            "PostgreSQL": postgres.create_database(),
        }
        return {
            f"{database}, {workers} worker(s)": _measured(url, folder, count, workers)
            for database, url in urls.items()
            for workers in (1, 2)
        }


def _measured(url: str, folder: Path, count: int, workers: int) -> tuple[float, float]:
    stored = asyncio.run(enqueue(url, folder, count))
    command = [sys.executable, "-m", "benchmarks.jobs", url, str(folder)]
    processes = [subprocess.Popen(command) for _ in range(workers)]
    for process in processes:
        process.wait()
    return stored, asyncio.run(ran(url, folder))


def show(rates: Rates, count: int) -> None:
    """Print one row per measurement."""
    table = Table(title=f"{count} empty jobs")
    for heading in ("", "stored/s", "run/s"):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    for name, (stored, run) in rates.items():
        table.add_row(name, f"{stored:.0f}", f"{run:.0f}")
    Console().print(table)


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1], Path(sys.argv[2])))
