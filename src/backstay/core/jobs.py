"""Types and ports of jobs: commands that are stored, and sent later by a worker."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID

from backstay.core.clock import new_id
from backstay.core.errors import AppError, Unavailable

MAX_ATTEMPTS = 30
"""With the delays of a worker, the attempts take about half a day."""
DEFAULT_QUEUE = "default"
TASK_QUEUE = "tasks"
"""The queue of jobs that users start; a worker keeps one slot free for other queues."""
BULK = "bulk:"
"""Begins the sequence of jobs that are the rows of a bulk action; its id follows."""
NOTE_LENGTH, ERROR_LENGTH = 200, 500


class JobTimedOut(Unavailable):
    """A command took longer than its ``job_timeout``."""

    code, title = "jobs.timeout", "It took too long"


class JobLost(Unavailable):
    """A worker neither finished a job nor renewed its lease: it was killed, maybe by the job."""

    code, title = "jobs.lost", "The worker that ran it disappeared; it may be what ended it"


class JobState(StrEnum):
    """Where a job is in its life; the last three are its end."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to be stored.

    Attributes:
        actor: the :attr:`Principal.kind` that it runs as.
        delay: seconds before it may run.
        sequence: jobs with the same sequence run one after the other, in the order of commits.
        unique_key: at most one unfinished job has the same key.
    """

    name: str
    payload: str
    actor: str
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
    """One attempt at a job, by the worker that claimed it; ``attempt`` identifies the claim.

    ``uncounted_attempts`` earlier ones do not count as failures, though ``max_attempts`` includes
    them.
    """

    id: UUID
    name: str
    payload: str
    attempt: int
    max_attempts: int
    uncounted_attempts: int
    actor: str
    user_id: UUID | None
    request_id: str
    address: str
    traceparent: str
    is_cancelled: bool = False
    sequence: str | None = None
    progress: int | None = None
    note: str | None = None
    is_reported: bool = True

    @property
    def is_row(self) -> bool:
        """Whether it is a row of a bulk action."""
        return self.sequence is not None and self.sequence.startswith(BULK)

    @property
    def trace_id(self) -> str:
        """The trace id of the request that enqueued the job (W3C Trace Context)."""
        return self.traceparent[3:35]

    @property
    def ids(self) -> dict[str, str]:
        """What each line of the log says while it runs."""
        ids = {"job_id": str(self.id), "job": self.name}
        ids |= {"request_id": self.request_id, "trace_id": self.trace_id}
        return ids if self.user_id is None else ids | {"user_id": str(self.user_id)}

    @property
    def facts(self) -> dict[str, str | int]:
        """What its span says."""
        facts: dict[str, str | int] = {"backstay.job.id": str(self.id)}
        facts["backstay.job.attempt"] = self.attempt
        return facts if self.user_id is None else facts | {"user.id": str(self.user_id)}


class Progress:
    """Reports the progress of a job; outside of a job it does nothing."""

    __slots__ = ("_run",)

    def __init__(self, run: JobRun | None) -> None:
        self._run = run

    async def __call__(self, percent: float, note: str = "") -> None:
        """Set the progress, 0 to 100; the next heartbeat stores it as a whole number."""
        if self._run is not None:
            self._run.progress = int(min(max(0, percent), 100))
            self._run.note = _storable(note)[:NOTE_LENGTH]
            self._run.is_reported = False


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many jobs of one queue could run now, and how many seconds the oldest has waited.

    Jobs whose commands this application does not know do not count.
    """

    queue: str
    depth: int
    oldest: float


class JobStore(Protocol):
    """Stores jobs. A method without a parameter ``transaction`` runs in one of its own."""

    async def insert(self, transaction: Any, job: NewJob) -> UUID:
        """Store a job in a transaction, and return its id.

        If an unfinished job has its unique key, the id of that one is returned instead.
        """
        ...

    def inserting(self, job: NewJob) -> Sequence[tuple[Any, Mapping[str, Any]]]:
        """The statements, with their parameters, that store a job whose sequence and unique key, if
        it has them, no other transaction uses.

        They do as :meth:`insert` does, whenever they are executed. The first one inserts it.
        """
        ...

    async def line_up(self, transaction: Any, job_ids: Sequence[UUID]) -> None:
        """Put new jobs at the end of their sequences, right before a transaction commits.

        Until it has ended, other transactions that do this with the same sequence wait.
        """
        ...

    async def announce(self, transaction: Any, job_id: UUID) -> None:
        """Notify workers, with the commit, of a job that a transaction has made ready again."""
        ...

    async def claim(
        self,
        queues: Sequence[str] | None,
        limit: int,
        lease: float,
        reserved: int = 0,
        ahead: int = 0,
    ) -> list[JobRun]:
        """Claim up to ``limit`` jobs that may run now, for ``lease`` seconds.

        Jobs of ``TASK_QUEUE`` come last, and ``reserved`` of the ``limit`` are not for them. The
        last ``ahead`` of them have to wait for a slot: a job for which this would be the last
        attempt is not among these, since its worker could die before it begins.
        """
        ...

    async def lost(self) -> list[JobRun]:
        """Runs whose lease has ended; no worker claims them until `retry` or `fail` is called."""
        ...

    async def next_due(self, queues: Sequence[str] | None) -> float | None:
        """Seconds until the next job may run, or None when there is none."""
        ...

    async def renew(self, runs: Sequence[JobRun], lease: float) -> dict[UUID, bool]:
        """Extend leases and store progress.

        Returns the ids of the jobs whose claims still hold, each with whether a user has cancelled
        the job.
        """
        ...

    async def retry(self, run: JobRun, code: str, error: str, delay: float) -> None:
        """Store that a run failed, and that the job may run again after ``delay`` seconds."""
        ...

    async def fail(self, run: JobRun, code: str, error: str) -> None:
        """Store that a job failed and will not be retried."""
        ...

    async def cancelled(self, run: JobRun) -> None:
        """Store that a job was stopped because a user has cancelled it."""
        ...

    async def release(self, run: JobRun) -> None:
        """Give up a claim; the attempt does not count as a failure."""
        ...

    async def backlog(self) -> list[Backlog]:
        """The jobs that could run now, by queue."""
        ...

    async def slots(self) -> tuple[datetime, dict[str, datetime]]:
        """The database's present time, and the last slot of every schedule."""
        ...

    async def see(self, name: str, slot: datetime) -> None:
        """Store the last slot of a schedule, unless a later one is stored."""
        ...

    async def forget(self, name: str, *, after: datetime) -> None:
        """Delete the last slot of a schedule if it is later than a moment."""
        ...

    async def fire(self, name: str, slot: datetime, job: NewJob) -> bool:
        """Store the job of a schedule's slot; only one process in the cluster does, with True."""
        ...


class JobNotifier(Protocol):
    """Notifies workers in other processes of jobs; polling finds those it fails to notify of."""

    @property
    def is_healthy(self) -> bool:
        """Whether notifications arrive at present."""
        ...

    def publish(self, job_id: UUID) -> None:
        """Notify of a job; called after the commit, returns at once."""
        ...

    async def listen(self, notify: Callable[[], None]) -> None:
        """Start to call ``notify`` whenever there may be work."""
        ...

    async def stop(self) -> None:
        """Stop both publishing and listening."""
        ...


def public_error(error: Exception) -> tuple[str, str]:
    """The code and the sentence of an error, as the user who enqueued the job may see them."""
    if isinstance(error, AppError):
        return error.code, _storable(error.detail)[:ERROR_LENGTH]
    return AppError.code, f"It failed unexpectedly ({type(error).__name__}); the log says why."


def _storable(text: str) -> str:
    """A text that both databases can store: without NUL, and without lone surrogates."""
    return text.replace("\0", "").encode(errors="replace").decode()
