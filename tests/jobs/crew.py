"""Workers with ships in processes of their own.

``python -m tests.jobs.crew DATABASE_URL BROKER`` is one, ``… DATABASE_URL WORKERS SECONDS`` are
several, of which one after the other is killed and replaced until the time is over.
"""

import asyncio
import os
import random
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

from backstay.composition import compose
from backstay.core.shift import shift
from backstay.core.worker import Worker
from backstay.features import STANDARD
from tests.conftest import settings_with
from tests.jobs.fleet import fleet
from tests.jobs.steps import BRISK


async def work(url: str, broker: str = "") -> None:
    """Work until killed."""
    settings = settings_with(url, Path.cwd(), QUEUE_URL=broker)
    backstay = compose(settings, [*STANDARD, fleet()])
    place = replace(backstay.workplace, pace=BRISK)
    async with shift(place, (), Worker(place), grace=5):
        print("at work", flush=True)
        await asyncio.Event().wait()


def mutiny(url: str, workers: int, seconds: float) -> int:
    """Kill workers at random, and return how many there were."""
    crew = [_hire(url) for _ in range(workers)]
    end, killed = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        time.sleep(random.uniform(0.1, 2 * seconds / 20))
        _kill(crew.pop(random.randrange(workers)))
        crew.append(_hire(url))
        killed += 1
    for pid in crew:
        _kill(pid)
    return killed


def _hire(url: str) -> int:
    pid = os.fork()
    if pid == 0:
        sys.stdout = sys.stderr
        asyncio.run(work(url))
    return pid


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


if __name__ == "__main__":
    if len(sys.argv) == 4:
        print(mutiny(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
    else:
        asyncio.run(work(*sys.argv[1:]))
