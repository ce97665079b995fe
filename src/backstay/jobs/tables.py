"""The tables of jobs and schedules; the row of a job alone decides what state it is in."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    JSON,
    BigInteger,
    ColumnElement,
    Index,
    SmallInteger,
    String,
    Text,
    and_,
    func,
    literal_column,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from backstay.core.clock import new_id
from backstay.core.errors import Conflict
from backstay.core.jobs import BULK, TASK_QUEUE, JobState
from backstay.db.base import Base
from backstay.db.faults import taken_by


class JobNotUnique(Conflict):
    code, title = "jobs.not_unique", "An unfinished job has the same unique key"


class JobNotOver(Conflict):
    code, title = "jobs.not_over", "The job has not ended in failure: there is nothing to repeat"


class JobOver(Conflict):
    code, title = "jobs.over", "The job is over"


class Job(Base):
    """A command to be sent by a worker.

    ``due_at`` of a queued job is when it may be claimed, of a running one the end of its lease.
    ``attempts`` counts the claims and never decreases, so that it shows which claim is valid.
    ``uncounted_attempts`` of them do not count as failures, though ``max_attempts`` includes them:
    the job was released, or a user has repeated it since.
    """

    __tablename__ = "jobs"
    __owner__ = "user_id"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    position: Mapped[int] = mapped_column(BigInteger)
    name: Mapped[str] = mapped_column(String(200))
    payload: Mapped[str] = mapped_column(Text)
    queue: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(16))
    attempts: Mapped[int] = mapped_column(default=0)
    max_attempts: Mapped[int]
    uncounted_attempts: Mapped[int] = mapped_column("spared", default=0, server_default=text("0"))
    sequence: Mapped[str | None] = mapped_column(Text)
    unique_key: Mapped[str | None] = mapped_column(Text)
    actor: Mapped[str] = mapped_column(String(16))
    user_id: Mapped[UUID | None]
    request_id: Mapped[str] = mapped_column(String(128))
    address: Mapped[str] = mapped_column(String(64))
    traceparent: Mapped[str] = mapped_column(String(55))
    is_cancelled: Mapped[bool]
    progress: Mapped[int | None] = mapped_column(SmallInteger)
    note: Mapped[str | None] = mapped_column(String(200))
    result: Mapped[Any] = mapped_column(JSON(none_as_null=True), nullable=True)
    error_code: Mapped[str | None] = mapped_column(String(100))
    error: Mapped[str | None] = mapped_column(String(500))
    created_at: Mapped[datetime]
    due_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    @property
    def may_run_again(self) -> bool:
        """Whether it has ended without success."""
        return self.state in {JobState.FAILED, JobState.CANCELLED}

    def run_again(self, now: datetime) -> None:
        """Queue it anew, with as many attempts as it had in the beginning."""
        self.state = JobState.QUEUED.value
        self.due_at = now
        self.max_attempts += self.attempts - self.uncounted_attempts
        self.uncounted_attempts = self.attempts
        self.is_cancelled, self.finished_at = False, None
        self.progress = self.note = None

    def cancel(self, now: datetime) -> None:
        """End it if it waits; if it runs, its worker stops it at the next heartbeat."""
        self.is_cancelled = True
        if self.state == JobState.QUEUED:
            self.state, self.finished_at = JobState.CANCELLED.value, now


UNFINISHED = Job.finished_at.is_(None)
RUNNING = Job.state == literal_column("'running'")
"""A literal: with a parameter, whose value it does not know, the planner would not use the partial
index."""
DEAD = Job.state.in_([literal_column("'failed'"), literal_column("'cancelled'")])
QUEUED = Job.state == literal_column("'queued'")
TASKS = Job.queue == literal_column(f"'{TASK_QUEUE}'")
_NO_TASK = Job.queue != literal_column(f"'{TASK_QUEUE}'")
FREE = and_(_NO_TASK, Job.sequence.is_(None))
IN_SEQUENCE = and_(_NO_TASK, Job.sequence.is_not(None))


def is_row(job: Any) -> ColumnElement[bool]:
    """Whether a job is a row of a bulk action."""
    end: ColumnElement[str] = literal_column(str(len(BULK)))
    return func.substr(job.sequence, literal_column("1"), end) == literal_column(f"'{BULK}'")


IS_ROW = is_row(Job)

jobs_due = Index(
    "ix_jobs_due_at_position",
    Job.due_at,
    Job.position,
    postgresql_where=UNFINISHED,
    sqlite_where=UNFINISHED,
)


def _queued(name: str, which: ColumnElement[bool]) -> Index:
    where = and_(QUEUED, which)
    return Index(name, Job.due_at, Job.position, postgresql_where=where, sqlite_where=where)


jobs_tasks = _queued("ix_jobs_tasks", TASKS)
jobs_free = _queued("ix_jobs_free", FREE)
jobs_in_sequence = _queued("ix_jobs_in_sequence", IN_SEQUENCE)
jobs_running = Index(
    "ix_jobs_running_due_at", Job.due_at, postgresql_where=RUNNING, sqlite_where=RUNNING
)
jobs_dead = Index("ix_jobs_dead", Job.id, postgresql_where=DEAD, sqlite_where=DEAD)
jobs_sequence = Index(
    "ix_jobs_sequence_position",
    Job.sequence,
    Job.position,
    postgresql_where=UNFINISHED,
    sqlite_where=UNFINISHED,
)
jobs_unique = taken_by(
    Index(
        "uq_jobs_unique_key",
        Job.unique_key,
        unique=True,
        postgresql_where=UNFINISHED,
        sqlite_where=UNFINISHED,
    ),
    JobNotUnique,
)
jobs_user = Index("ix_jobs_user_id_id", Job.user_id, Job.id)
jobs_user_unfinished = Index(
    "ix_jobs_user_id", Job.user_id, postgresql_where=UNFINISHED, sqlite_where=UNFINISHED
)
jobs_rows = Index(
    "ix_jobs_rows",
    Job.user_id,
    Job.sequence,
    Job.position,
    postgresql_where=IS_ROW,
    sqlite_where=IS_ROW,
)
_FINISHED = Job.finished_at.is_not(None)
jobs_finished = Index(
    "ix_jobs_finished_at", Job.finished_at, postgresql_where=_FINISHED, sqlite_where=_FINISHED
)
"""Without the others: a planner that has no statistics would take it to find those."""
jobs_position = Index("ix_jobs_position", Job.position)


class Schedule(Base):
    """The last slot of a schedule that was fired, or the one in which it was first seen."""

    __tablename__ = "schedules"

    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    slot: Mapped[datetime]
