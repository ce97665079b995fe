"""How long a worker waits: for work, and for a store that may never answer or answer late."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog

from backstay.core.errors import Unavailable

T = TypeVar("T")
log = structlog.get_logger("backstay.patience")


@dataclass(frozen=True, slots=True)
class WorkerTiming:
    """How patient a worker is, in seconds.

    Attributes:
        lease: how long a job is held without a heartbeat; then it is lost.
        beat: between heartbeats.
        poll: between looks for work while nothing would tell of it.
        idle: between looks while something would.
        rest: after the database could not be asked.
        tries: how often it is asked in a row by who wants no more than what is ready.
    """

    lease: float = 15.0
    beat: float = 1.0
    poll: float = 1.0
    idle: float = 5.0
    rest: float = 1.0
    tries: int = 5


DEFAULT_TIMING = WorkerTiming()


class TimeoutRunner:
    """Waits so many seconds for an answer. Who hangs is left behind: it may not let go.

    Attributes:
        late: what is still waited for, in the background.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.late: set[asyncio.Task[None]] = set()

    async def __call__(
        self,
        asking: Coroutine[Any, Any, T],
        if_late: Callable[[T], Awaitable[None]] | None = None,
    ) -> T:
        """The answer. One that comes too late goes to ``if_late``, or is not waited for.

        Raises:
            Unavailable: it did not come in time.
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
