"""The views of jobs, queues and schedules."""

from datetime import datetime
from typing import Any, Self, cast
from uuid import UUID

from pydantic import field_validator
from pydantic_core import from_json

from backstay.core.jobs import JobState
from backstay.core.masking import HIDDEN, masked
from backstay.core.messages import View


class JobSummary(View):
    """A job in a list. `name` is that of its command, `actor` who it runs as."""

    id: UUID
    name: str
    queue: str
    state: JobState
    attempts: int
    max_attempts: int
    is_cancelled: bool
    actor: str
    user_id: UUID | None
    error_code: str | None
    created_at: datetime
    due_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class JobDetail(JobSummary):
    """A job with what it is about, without the secrets in that.

    `due_at` is when it may run, or until when a worker holds it; `uncounted_attempts` of the
    `attempts` do not count as failures.
    """

    payload: Any
    uncounted_attempts: int
    sequence: str | None
    unique_key: str | None
    progress: int | None
    note: str | None
    result: Any
    error: str | None
    request_id: str
    address: str
    traceparent: str

    @field_validator("payload", mode="before")
    @classmethod
    def _read(cls, payload: str) -> Any:
        try:
            return masked(from_json(payload))
        except ValueError:
            return "It is no JSON."

    @field_validator("result", mode="before")
    @classmethod
    def _without_secrets(cls, result: Any) -> Any:
        return masked(result)

    def without_texts(self) -> Self:
        """The same with a payload of ids, numbers and names alone: its texts may be personal."""
        return self.model_copy(update={"payload": _outlined(self.payload)})


def _outlined(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _outlined(each) for name, each in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_outlined(each) for each in value]
    return HIDDEN if isinstance(value, str) and not _is_id(value) else value


def _is_id(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


class QueueView(View):
    """The jobs of a queue that have not ended, and those that failed.

    Of those that wait, `due` could run now, unless an earlier one of their sequence is unfinished;
    `oldest_due_at` is since when the first of them could.
    """

    name: str
    waiting: int
    due: int
    oldest_due_at: datetime | None
    running: int
    failed: int


class QueueList(View):
    """The queues, by name, also those that are empty.

    Of the jobs that wait, the 10,000 that are due first are counted: of the tasks, of the jobs in
    sequences and of all others; and 10,000 of those that failed. `more_waiting` and `more_failed`
    say that there may be others, so that the counts are what there is at least.
    """

    items: tuple[QueueView, ...]
    more_waiting: bool
    more_failed: bool


class ScheduleEntry(View):
    """A command that the application sends itself: `when` is `every 1h`, or `cron 30 3 * * *`.

    `last_slot` is the last one that has a job; null if no worker has seen the schedule yet.
    `next_slot` is the first one without a job: one in the past is overdue.
    """

    name: str
    command: str
    when: str
    last_slot: datetime | None
    next_slot: datetime


class ScheduleList(View):
    """The schedule, by name."""

    items: tuple[ScheduleEntry, ...]
