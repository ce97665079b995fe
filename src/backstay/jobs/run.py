"""A worker and a scheduler at work together, from start to stop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from backstay.jobs.scheduler import Scheduler
from backstay.jobs.worker import Worker, WorkerContext

log = structlog.get_logger("backstay.jobs")

PATIENCE = 5.0
"""Seconds beyond their grace after which whatever still hangs is cancelled."""
LAST_SECONDS = 2.0
"""How long what was cancelled may take to let go; then it is left behind."""


@asynccontextmanager
async def run_worker(place: WorkerContext, worker: Worker, *, grace: float) -> AsyncIterator[None]:
    """Meanwhile jobs run; at the end they get ``grace`` seconds to finish."""
    for job_notifier in place.outbox.job_notifiers:
        await job_notifier.listen(place.outbox.notifier.notify)
    scheduling = asyncio.create_task(Scheduler(place.schedule, place.outbox).work())
    working = asyncio.create_task(worker.work())
    for task in (scheduling, working):
        task.add_done_callback(_tell_if_dead)
    try:
        yield
    finally:
        scheduling.cancel()
        worker.stop(grace)
        at_work = {scheduling, working}
        await asyncio.wait(at_work, timeout=grace + PATIENCE)
        working.cancel()
        await asyncio.wait(at_work, timeout=LAST_SECONDS)


def _tell_if_dead(task: asyncio.Task[None]) -> None:
    """Whatever it died of is told at once: nobody awaits it before the end."""
    error = None if task.cancelled() else task.exception()
    if error is not None:
        log.critical("no more jobs are run or scheduled here", exc_info=error)
