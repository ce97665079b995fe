"""Workers with the sample jobs, in their own processes.

``python -m tests.jobs.worker_process DATABASE_URL BROKER`` is one,
``… DATABASE_URL WORKERS DEATHS`` are several, each of which dies while it works and is replaced,
until so many have died.
"""

import asyncio
import os
import random
import signal
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import event

from backstay.composition import Backstay, compose
from backstay.features import STANDARD
from backstay.jobs.worker import Worker
from backstay.testing import settings_with
from tests.jobs.sample_jobs import sample_feature
from tests.jobs.steps import FAST_POLLING
from tests.patient import PATIENT

SHORT_LEASE = FAST_POLLING | {"lease": 1.0}
"""A short lease: jobs of killed workers are soon taken over by others."""
MOST_STATEMENTS = 60


async def work(url: str, broker: str = "", *, is_to_die: bool = False) -> None:
    """Work until killed."""
    settings = settings_with(url, Path.cwd(), QUEUE_URL=broker, **PATIENT)
    backstay = compose(settings, [*STANDARD, sample_feature()])
    if is_to_die:
        _kill_after_some_statements(backstay)
    timing = SHORT_LEASE if is_to_die else FAST_POLLING
    place = replace(backstay.worker_context, schedule=(), **timing)
    async with Worker(place).running(grace=5):
        print("at work", flush=True)
        await asyncio.Event().wait()


def _kill_after_some_statements(backstay: Backstay) -> None:
    """Let this process kill itself at a random moment after one of its first statements."""
    left = random.randint(1, MOST_STATEMENTS)

    def count(*_: Any) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            threading.Thread(target=_die).start()

    for engine in (backstay.database.writer, backstay.database.read_engine):
        event.listen(engine.sync_engine, "before_cursor_execute", count)


def _die() -> None:
    time.sleep(random.uniform(0, 0.005))
    os.kill(os.getpid(), signal.SIGKILL)


def replace_killed_workers(url: str, workers: int, deaths: int) -> None:
    """Start workers, and replace each killed one, until this many have died."""
    left = deaths
    for _ in range(min(workers, left)):
        left -= 1
        _fork_worker(url)
    for _ in range(deaths):
        _, status = os.wait()
        assert status == signal.SIGKILL, "only the doomed work here"
        if left:
            left -= 1
            _fork_worker(url)


def _fork_worker(url: str) -> None:
    if os.fork() == 0:
        sys.stdout = sys.stderr
        random.seed()
        asyncio.run(work(url, is_to_die=True))


if __name__ == "__main__":
    if len(sys.argv) == 4:
        replace_killed_workers(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    else:
        asyncio.run(work(*sys.argv[1:]))
