"""A worker and a scheduler at work together, from start to stop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from backstay.core.schedule import Scheduler
from backstay.core.worker import Worker, Workplace

PATIENCE = 5.0
"""Seconds beyond their grace after which whatever still hangs is cancelled."""
LAST_SECONDS = 2.0
"""How long what was cancelled may take to let go; then it is left behind."""


@asynccontextmanager
async def shift(place: Workplace, worker: Worker, *, grace: float) -> AsyncIterator[None]:
    """Meanwhile jobs run; at the end they get ``grace`` seconds to finish."""
    for wakeups in place.outbox.wakeups:
        await wakeups.listen(place.outbox.bell.ring)
    scheduling = asyncio.create_task(Scheduler(place.schedule, place.outbox).work())
    working = asyncio.create_task(worker.work())
    try:
        yield
    finally:
        scheduling.cancel()
        worker.stop(grace)
        at_work = {scheduling, working}
        await asyncio.wait(at_work, timeout=grace + PATIENCE)
        working.cancel()
        await asyncio.wait(at_work, timeout=LAST_SECONDS)
