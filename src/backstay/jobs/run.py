"""Runs a worker together with a scheduler, from start to stop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from backstay.jobs.scheduler import Scheduler
from backstay.jobs.worker import Worker, WorkerContext

log = structlog.get_logger("backstay.jobs")

PATIENCE = 5.0
"""Seconds after the grace period, after which tasks that still run are cancelled."""
LAST_SECONDS = 2.0
"""How long a cancelled task may take to end; then it is no longer waited for."""


@asynccontextmanager
async def run_worker(place: WorkerContext, worker: Worker, *, grace: float) -> AsyncIterator[None]:
    """Run jobs inside this context; at its end they have ``grace`` seconds to finish."""
    for job_notifier in place.outbox.job_notifiers:
        await job_notifier.listen(place.outbox.notify)
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
    """Log at once why a task died, because it is awaited only at the end."""
    error = None if task.cancelled() else task.exception()
    if error is not None:
        log.critical("no more jobs are run or scheduled here", exc_info=error)
