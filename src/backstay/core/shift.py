"""A worker and a scheduler at work together, from start to stop."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from backstay.core.schedule import Scheduled, Scheduler
from backstay.core.worker import Worker, Workplace

PATIENCE = 5.0
"""Seconds beyond their grace after which whatever still hangs is left behind."""


@asynccontextmanager
async def shift(
    place: Workplace, schedule: Sequence[Scheduled], worker: Worker, *, grace: float
) -> AsyncIterator[None]:
    """Meanwhile jobs run; at the end they get ``grace`` seconds to finish."""
    for wakeups in place.outbox.wakeups:
        await wakeups.listen(place.outbox.bell.ring)
    scheduling = asyncio.create_task(Scheduler(schedule, place.outbox).work())
    working = asyncio.create_task(worker.work())
    try:
        yield
    finally:
        scheduling.cancel()
        worker.stop(grace)
        await asyncio.wait({scheduling, working}, timeout=grace + PATIENCE)
        working.cancel()
