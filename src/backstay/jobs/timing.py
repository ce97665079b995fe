"""The timing of a worker: when a failed job runs again, and a timeout for the database."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import structlog

from backstay.core.errors import AppError, Unavailable

T = TypeVar("T")
FIRST_DELAY, LAST_DELAY = 2.0, 3600.0
"""Seconds before a failed job is retried; each delay is twice the one before."""
log = structlog.get_logger("backstay.patience")


def is_final(error: Exception, *, is_row: bool = False) -> bool:
    """Whether a retry is useless, because the command itself is at fault.

    These are errors with a status below 500, except 409 (conflict) and 429 (rate limit). A conflict
    of a row of a bulk action is final, too: the rows behind it wait, and its user is told.
    """
    passes = {429} if is_row else {409, 429}
    return isinstance(error, AppError) and error.status < 500 and error.status not in passes


def backoff(attempt: int) -> float:
    """Seconds to wait after a failed attempt; randomly up to half less, so that jobs which failed
    together are not retried together."""
    longest = min(LAST_DELAY, FIRST_DELAY * 2.0 ** min(attempt - 1, 16))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311


class TimeoutRunner:
    """Runs a coroutine with a timeout, and does not wait longer even if it cannot be cancelled.

    Attributes:
        late: tasks in the background that wait for coroutines whose timeout has passed.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.late: set[asyncio.Task[None]] = set()

    async def __call__(
        self,
        asking: Coroutine[Any, Any, T],
        if_late: Callable[[T], Awaitable[None]] | None = None,
    ) -> T:
        """The result. A late one is passed to ``if_late``; without that, the work is cancelled.

        Raises:
            Unavailable: there was no result in time.
        """
        task = asyncio.create_task(asking)
        try:
            await asyncio.wait({task}, timeout=self._seconds)
        finally:
            if not task.done():
                self._leave(task, if_late)
        if not task.done():
            raise Unavailable("The database does not answer.")
        return task.result()

    def _leave(self, task: asyncio.Task[T], if_late: Callable[[T], Awaitable[None]] | None) -> None:
        if if_late is None:
            task.cancel()
        waiting = asyncio.create_task(_wait(task, if_late))
        self.late.add(waiting)
        waiting.add_done_callback(self.late.discard)


async def _wait(task: asyncio.Task[T], if_late: Callable[[T], Awaitable[None]] | None) -> None:
    await asyncio.wait({task})
    if task.cancelled():
        return
    error = task.exception()
    if error is not None:
        log.warning("a late answer is an error", fault=error)
    elif if_late is not None:
        await if_late(task.result())


def tell_if_dead(task: asyncio.Task[None]) -> None:
    """Log at once why a task died, because it is awaited only at the end."""
    error = None if task.cancelled() else task.exception()
    if error is not None:
        log.critical("no more jobs are run or scheduled here", exc_info=error)
