"""Jobs: commands stored to be sent later, by whichever worker claims them."""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID

from backstay.core.clock import new_id
from backstay.core.errors import AppError, Unavailable

MAX_ATTEMPTS = 30
"""With the delays below they last for about half a day."""
DEFAULT_QUEUE = "default"
TASK_QUEUE = "tasks"
"""Of what users start; a worker keeps a slot free of it."""
FIRST_DELAY, LAST_DELAY = 2.0, 3600.0
"""Seconds before a failed job is tried again; each delay doubles the one before."""
NOTE_LENGTH, ERROR_LENGTH = 200, 500


class JobLost(Unavailable):
    """A worker neither finished a job nor held on to it: it was killed, maybe by the job."""

    code, title = "jobs.lost", "The worker that ran it disappeared; it may be what ended it"


class JobTimedOut(Unavailable):
    """A command took longer than its ``job_timeout``."""

    code, title = "jobs.timeout", "It took too long"


class JobState(StrEnum):
    """Where a job is in its life; the last three are its end."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Actor(StrEnum):
    """As whom a job runs."""

    USER = "user"
    SYSTEM = "system"
    ANONYMOUS = "anonymous"


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to be stored.

    Attributes:
        delay: seconds before it may run.
        sequence: of the jobs with the same one, each waits until those before it are over.
        unique_key: at most one unfinished job has it.
    """

    name: str
    payload: str
    actor: Actor
    user_id: UUID | None = None
    queue: str = DEFAULT_QUEUE
    delay: float = 0.0
    max_attempts: int = MAX_ATTEMPTS
    sequence: str | None = None
    unique_key: str | None = None
    request_id: str = ""
    address: str = ""
    traceparent: str = ""
    id: UUID = field(default_factory=new_id)


@dataclass(slots=True)
class JobRun:
    """One attempt at a job, by the worker that claimed it. ``attempt`` proves whose claim it is.

    ``spared`` attempts before it do not count, though ``max_attempts`` includes them.
    """

    id: UUID
    name: str
    payload: str
    attempt: int
    max_attempts: int
    spared: int
    actor: Actor
    user_id: UUID | None
    request_id: str
    address: str
    traceparent: str
    is_cancelled: bool = False
    progress: int | None = None
    note: str | None = None
    is_reported: bool = True

    @property
    def trace_id(self) -> str:
        """The trace that the request which caused it belongs to (W3C Trace Context)."""
        return self.traceparent[3:35]


class Progress:
    """Tells how far a job is; outside of one nobody listens."""

    __slots__ = ("_run",)

    def __init__(self, run: JobRun | None) -> None:
        self._run = run

    async def __call__(self, percent: float, note: str = "") -> None:
        """Note how far it is, 0 to 100; it is stored at the next heartbeat, as a whole number."""
        if self._run is not None:
            self._run.progress = int(min(max(0, percent), 100))
            self._run.note = _storable(note)[:NOTE_LENGTH]
            self._run.is_reported = False


@dataclass(frozen=True, slots=True)
class Backlog:
    """The jobs of one queue that could run now, and how many seconds the oldest has waited.

    Those whose commands this application does not know are for others.
    """

    queue: str
    depth: int
    oldest: float


class JobStore(Protocol):
    """Keeps jobs. Each method that is given no transaction is one of its own."""

    async def insert(self, transaction: Any, job: NewJob) -> UUID:
        """Store a job in a transaction; the id of the one that is there if it is not unique."""
        ...

    async def line_up(self, transaction: Any, job_ids: Sequence[UUID]) -> None:
        """Put new jobs behind all others of their sequences, as the last act of a transaction.

        Until it ends, others that do so with the same sequence wait.
        """
        ...

    async def announce(self, transaction: Any, job_id: UUID) -> None:
        """Wake workers for a job that a transaction made ready again, as for a new one."""
        ...

    async def claim(
        self, queues: Sequence[str] | None, limit: int, lease: float, reserved: int = 0
    ) -> list[JobRun]:
        """Take jobs that may run now, and hold them for ``lease`` seconds.

        Tasks come last, and ``reserved`` of ``limit`` are not for them.
        """
        ...

    async def lost(self) -> list[JobRun]:
        """Runs whose lease has ended; they are not claimed before they are retried or failed."""
        ...

    async def next_due(self, queues: Sequence[str] | None) -> float | None:
        """Seconds until the next job may run, or None when there is none."""
        ...

    async def renew(self, runs: Sequence[JobRun], lease: float) -> dict[UUID, bool]:
        """Extend leases and store progress; by the id of each job that is still held, whether
        somebody has cancelled it.
        """
        ...

    async def retry(self, run: JobRun, code: str, error: str, delay: float) -> None:
        """It failed, and is to be tried again."""
        ...

    async def fail(self, run: JobRun, code: str, error: str) -> None:
        """It failed for good."""
        ...

    async def cancelled(self, run: JobRun) -> None:
        """It was stopped because somebody asked for it."""
        ...

    async def release(self, run: JobRun) -> None:
        """Give it back, as if it had not been tried."""
        ...

    async def backlog(self) -> list[Backlog]:
        """What could run now."""
        ...

    async def slots(self) -> tuple[datetime, dict[str, datetime]]:
        """The database's time, and the last slot of every schedule."""
        ...

    async def see(self, name: str, slot: datetime) -> None:
        """Remember a schedule's last slot, unless a later one is known."""
        ...

    async def forget(self, name: str, *, after: datetime) -> None:
        """Know a schedule no more whose last slot is later than a moment."""
        ...

    async def fire(self, name: str, slot: datetime, job: NewJob) -> bool:
        """Store the job of a schedule's slot, once in the whole cluster."""
        ...


class JobNotifier(Protocol):
    """Tells workers in other processes that there is work; what it loses is found by polling."""

    @property
    def is_healthy(self) -> bool:
        """Whether it would tell now."""
        ...

    def publish(self, job_id: UUID) -> None:
        """Called after the commit; returns at once."""
        ...

    async def listen(self, notify: Callable[[], None]) -> None:
        """Begin to call ``notify`` whenever there may be work."""
        ...

    async def stop(self) -> None:
        """Neither tell nor listen any longer."""
        ...


class Notifier:
    """Wakes whoever in this process waits for work."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Event] = set()

    def notify(self) -> None:
        """There may be work."""
        for event in self._waiting:
            event.set()

    def subscribe(self) -> asyncio.Event:
        """An event that is set by each ring from now on."""
        event = asyncio.Event()
        self._waiting.add(event)
        return event

    def unsubscribe(self, event: asyncio.Event) -> None:
        """Nobody waits for it any longer."""
        self._waiting.discard(event)


def is_final(error: Exception) -> bool:
    """Whether trying again is senseless: the caller is at fault, not the moment."""
    return isinstance(error, AppError) and error.status < 500 and error.status not in {409, 429}


def public_error(error: Exception) -> tuple[str, str]:
    """The code and sentence of an error that may be shown to whoever asked for the job."""
    if isinstance(error, AppError):
        return error.code, _storable(error.detail)[:ERROR_LENGTH]
    return AppError.code, f"It failed unexpectedly ({type(error).__name__}); the log says why."


def backoff(attempt: int) -> float:
    """Seconds to wait after an attempt failed; up to half less by chance, so none march in step."""
    longest = min(LAST_DELAY, FIRST_DELAY * 2.0 ** min(attempt - 1, 16))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311


def _storable(text: str) -> str:
    """A text as both databases can keep it: without NUL, and without halves of characters."""
    return text.replace("\0", "").encode(errors="replace").decode()
