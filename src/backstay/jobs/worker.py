"""The worker: claims jobs and sends their commands, several at a time, until it is stopped."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import Any

import structlog

from backstay.core.causes import cause_of
from backstay.core.context import Origin, Sender
from backstay.core.jobs import TASK_QUEUE, JobLost, JobRun, JobTimedOut, public_error
from backstay.core.tracing import SpanKind
from backstay.jobs.ahead import Ahead
from backstay.jobs.context import WorkerContext
from backstay.jobs.scheduler import Scheduler
from backstay.jobs.timing import TimeoutRunner, backoff, is_final, tell_if_dead

log = structlog.get_logger("backstay.jobs")

PATIENCE = 5.0
"""Seconds after the grace period, after which tasks that still run are cancelled."""
LAST_SECONDS = 2.0
"""How long a cancelled task may take to end; then it is no longer waited for."""


class Worker:
    """Runs jobs. It claims them by leases, so that a worker may die at any moment."""

    def __init__(
        self, place: WorkerContext, *, queues: Sequence[str] | None = None, concurrency: int = 5
    ) -> None:
        self._place = place
        self._store = place.outbox.store
        self._job_notifiers = place.outbox.job_notifiers
        self._queues = queues
        self._concurrency = concurrency
        self._reserved = int(concurrency > 1 and set(queues or ()) != {TASK_QUEUE})
        self._running: dict[asyncio.Task[None], JobRun] = {}
        self._ahead = Ahead(concurrency)
        self._called = place.outbox.subscribe()
        self._started, self._is_stopping, self._grace = 0, False, 0.0
        self._faults: deque[Exception] = deque(maxlen=place.tries)
        self._with_timeout = TimeoutRunner(place.lease / 3)

    async def work(self) -> None:
        """Run jobs until :meth:`stop`; then finish the running ones, or release them."""
        async with self._beating():
            while not self._is_stopping:
                self._called.clear()
                if not await self._claim():
                    await self._wait()
            await self._finish()

    @asynccontextmanager
    async def running(self, *, grace: float) -> AsyncIterator[None]:
        """Run jobs and fire schedules; at the end, jobs have ``grace`` seconds to finish."""
        place = self._place
        for job_notifier in self._job_notifiers:
            await job_notifier.listen(place.outbox.notify)
        scheduler = Scheduler(place.schedule, place.outbox, place.is_paused)
        scheduling = asyncio.create_task(scheduler.work())
        working = asyncio.create_task(self.work())
        for task in (scheduling, working):
            task.add_done_callback(tell_if_dead)
        try:
            yield
        finally:
            scheduling.cancel()
            self.stop(grace)
            at_work = {scheduling, working}
            await asyncio.wait(at_work, timeout=grace + PATIENCE)
            working.cancel()
            await asyncio.wait(at_work, timeout=LAST_SECONDS)

    async def drain(self) -> int:
        """Run until no job is ready, jobs pause or :meth:`stop`; how many runs there were.

        Raises:
            AppError: claiming jobs failed ``WorkerContext.tries`` times in a row.
        """
        async with self._beating():
            while not self._is_stopping:
                was_idle = not (self._running or self._with_timeout.late)
                claimed = await self._claim()
                if len(self._faults) == self._place.tries:
                    raise self._faults[-1]
                if self._running and not claimed:
                    await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
                elif self._with_timeout.late:
                    await asyncio.wait(self._with_timeout.late, timeout=self._place.rest)
                elif was_idle and not claimed and not self._faults:
                    break  # else a run that ended meanwhile, or a release, may have left more
            await self._finish()
        return self._started

    def stop(self, grace: float) -> None:
        """Claim no more jobs; those that still run after ``grace`` seconds are released."""
        self._is_stopping, self._grace = True, grace
        self._called.set()

    async def _finish(self) -> None:
        await self._release_all(self._ahead.take())
        if self._running:
            await asyncio.wait(self._running, timeout=self._grace)
        left = dict(self._running)
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left)
        await self._release_all(list(left.values()))

    @asynccontextmanager
    async def _beating(self) -> AsyncIterator[None]:
        await self._recover()
        acts = (self._renew, self._recover, self._release_overdue)
        beats = [asyncio.create_task(self._beat(act)) for act in acts]
        try:
            yield
        finally:
            for beat in beats:
                beat.cancel()
            await asyncio.wait(beats, timeout=self._place.beat)
            self._place.outbox.unsubscribe(self._called)

    async def _claim(self) -> int:
        """Claim jobs for the free slots, and those that may wait for one; return how many.

        None is claimed ahead from the queue of tasks.
        """
        ahead = self._ahead.room()
        limit = self._concurrency - len(self._running) + ahead
        if is_paused := await self._place.is_paused():
            await self._release_all(self._ahead.take())
        if is_paused or limit <= 0:
            return 0
        reserved = self._reserved + ahead
        claiming = self._store.claim(self._queues, limit, self._place.lease, reserved, ahead)
        try:
            runs = await self._with_timeout(claiming, self._release_all)
        except Exception as error:
            if not self._faults:
                log.warning("jobs cannot be claimed", fault=error)
            self._faults.append(error)
            await asyncio.sleep(self._place.rest)
            return 0
        self._faults.clear()
        self._ahead.waiting.extend(runs)
        self._start_waiting()
        return len(runs)

    def _start_waiting(self) -> None:
        while self._ahead.waiting and len(self._running) < self._concurrency:
            run = self._ahead.waiting.popleft()
            task = asyncio.create_task(self._run(run))
            self._running[task] = run
            self._started += 1
            task.add_done_callback(self._done)

    @property
    def _held(self) -> list[JobRun]:
        return [*self._running.values(), *self._ahead.waiting]

    async def _release_all(self, runs: Sequence[JobRun]) -> None:
        """Release jobs that this worker has claimed and will not finish, for other workers."""
        for run in runs:
            await self._store_outcome(self._store.release(run))

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.pop(task, None)
        self._ahead.ended()
        self._start_waiting()
        if self._ahead.is_short:
            self._called.set()

    async def _release_overdue(self) -> None:
        """Release what waits behind jobs that take long, so that idle workers can claim it."""
        await self._release_all(self._ahead.overdue())

    async def _wait(self) -> None:
        place, is_paused = self._place, await self._place.is_paused()
        is_notified = any(job_notifier.is_healthy for job_notifier in self._job_notifiers)
        longest = place.idle if is_notified and not is_paused else place.poll
        if len(self._running) < self._concurrency and not is_paused:
            with suppress(Exception):
                due = await self._with_timeout(self._store.next_due(self._queues))
                longest = longest if due is None else max(0.01, min(longest, due))
        with suppress(TimeoutError):
            await asyncio.wait_for(self._called.wait(), longest)

    async def _beat(self, act: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(self._place.beat)
            await act()

    async def _renew(self) -> None:
        """Renew the leases of running jobs; stop those that were cancelled or lost to others."""
        runs = self._held
        if not runs:
            return
        try:
            renewed = await self._with_timeout(self._store.renew(runs, self._place.lease))
        except Exception as error:
            log.warning("leases of jobs cannot be renewed", fault=error)
            return
        for run in runs:
            run.is_cancelled = renewed.get(run.id, False)
        self._ahead.drop([run for run in runs if run.id not in renewed])
        asked = {run.id for run in runs}
        for task, run in self._running.items():
            if run.id in asked and (run.is_cancelled or run.id not in renewed):
                task.cancel()

    async def _recover(self) -> None:
        """Treat the jobs of workers that disappeared as failed: each is retried after a delay of
        its own, since one of them may be what ended the worker."""
        try:
            lost = await self._with_timeout(self._store.lost())
        except Exception as error:
            log.warning("lost jobs cannot be looked for", fault=error)
            return
        held = {run.id for run in self._held}  # their leases are late, not lost
        lost = [run for run in lost if run.id not in held]
        for run in lost:
            log.warning("job lost", job_id=str(run.id), job=run.name, attempt=run.attempt)
            if run.is_cancelled:
                await self._store_outcome(self._store.cancelled(run))
            else:
                await self._failed(run, JobLost())
        if lost:
            self._called.set()

    async def _run(self, run: JobRun) -> None:
        started = monotonic()
        name, tracer = f"job {run.name}", self._place.outbox.tracer
        with (
            structlog.contextvars.bound_contextvars(**run.ids),
            tracer.span(name, SpanKind.CONSUMER, run.facts, parent=run.traceparent) as span,
        ):
            outcome, why = await self._outcome(run)
            span.describe({"backstay.job.outcome": outcome})
            if why:
                span.fail(why["code"])
            seconds = monotonic() - started
            self._place.observe(run.name, outcome, seconds)
            log.info(
                "job", outcome=outcome, attempt=run.attempt, ms=round(seconds * 1000, 1), **why
            )

    async def _outcome(self, run: JobRun) -> tuple[str, dict[str, str]]:
        """The outcome of a run and, if it failed, the reason."""
        store = self._store
        try:
            if run.is_cancelled:
                await self._store_outcome(store.cancelled(run))
                return "cancelled", {}
            await self._send(run)
        except asyncio.CancelledError:
            if not run.is_cancelled:
                return "given up", {}
            await self._store_outcome(store.cancelled(run))
            return "cancelled", {}
        except Exception as error:
            why = {"code": public_error(error)[0], "reason": cause_of(error)}
            return await self._failed(run, error), why
        return "succeeded", {}

    async def _send(self, run: JobRun) -> None:
        command = self._place.outbox.load(run)
        origin = Origin(run.request_id, run.address, traceparent=run.traceparent, job=run)
        try:
            async with asyncio.timeout(command.job_timeout) as limit:
                await Sender(self._place.bus.send, await self._place.principal(run), origin)(
                    command
                )
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise JobTimedOut(f"It took longer than {command.job_timeout:g} s.") from error

    async def _failed(self, run: JobRun, error: Exception) -> str:
        store, (code, sentence) = self._store, public_error(error)
        if code == "internal_error":
            log.error("job failed", attempt=run.attempt, exc_info=error)
        if is_final(error, is_row=run.is_row) or run.attempt >= run.max_attempts:
            await self._store_outcome(store.fail(run, code, sentence))
            return "failed"
        await self._store_outcome(
            store.retry(run, code, sentence, backoff(run.attempt - run.uncounted_attempts))
        )
        return "retried"

    async def _store_outcome(self, storing: Coroutine[Any, Any, None]) -> None:
        """Store an outcome; if that fails, the job counts as lost when its lease ends."""
        try:
            await self._with_timeout(storing)
        except Exception as error:
            log.warning("what became of a job cannot be stored", fault=error)
