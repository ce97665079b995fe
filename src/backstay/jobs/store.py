"""The JobStore port on both databases: claims, leases and outcomes of jobs, one statement each."""

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Executable,
    Integer,
    Select,
    String,
    Table,
    Update,
    bindparam,
    case,
    delete,
    func,
    literal,
    or_,
    select,
    union_all,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import aliased

from backstay.core.context import Write
from backstay.core.jobs import TASK_QUEUE, Backlog, JobRun, JobState, NewJob
from backstay.db.base import SecondsFromNow
from backstay.db.database import Database
from backstay.db.session import Transaction
from backstay.jobs.tables import RUNNING, UNFINISHED, Job, Schedule

CHANNEL = "backstay_jobs"
"""The channel on which PostgreSQL notifies when a job is committed; the payload is its queue."""

NOW = SecondsFromNow()
_JOBS = cast(Table, Job.__table__)
_earlier = aliased(Job)
READY = (
    UNFINISHED,
    Job.due_at <= NOW,
    or_(
        Job.sequence.is_(None),
        ~select(literal(1))
        .where(
            _earlier.sequence == Job.sequence,
            _earlier.position < Job.position,
            _earlier.finished_at.is_(None),
        )
        .exists(),
    ),
)
"""The jobs that could run: due, and first of their sequence. Lost runs are among them."""
_KNOWN = Job.name.in_(bindparam("names", expanding=True))

_RUN = (
    Job.id, Job.name, Job.payload, Job.attempts, Job.max_attempts, Job.uncounted_attempts,
    Job.actor, Job.user_id, Job.request_id, Job.address, Job.traceparent, Job.is_cancelled,
)  # fmt: skip
_HELD = (
    Job.id == bindparam("run_id"),
    Job.attempts == bindparam("attempt"),
    Job.state == JobState.RUNNING.value,
)
"""Finds the job of a run, if the run's claim is still valid."""


def _claim(*queues: ColumnElement[bool]) -> Update:
    ready = (
        select(Job.id)
        .where(*READY, Job.state == JobState.QUEUED.value, _KNOWN, *queues)
        .order_by(Job.due_at, Job.position)
        .with_for_update(skip_locked=True)
    )
    first = ready.where(Job.queue != TASK_QUEUE).limit(bindparam("limit")).cte("first")
    left = bindparam("tasks", type_=Integer) - (
        select(func.count()).select_from(first).scalar_subquery()
    )
    tasks = ready.where(Job.queue == TASK_QUEUE).limit(case((left > 0, left), else_=0)).cte("last")
    return (
        update(Job)
        .where(Job.id.in_(union_all(select(first.c.id), select(tasks.c.id))))
        .values(
            state=JobState.RUNNING.value,
            attempts=Job.attempts + 1,
            due_at=SecondsFromNow("lease"),
            started_at=func.coalesce(Job.started_at, NOW),
        )
        .returning(Job.position, *_RUN)
        .execution_options(synchronize_session=False)
    )


def _next_due(*queues: ColumnElement[bool]) -> Select[*tuple[Any, ...]]:
    return select(func.min(Job.due_at), NOW).where(UNFINISHED, Job.due_at > NOW, *queues)


_OF_QUEUES = Job.queue.in_(bindparam("queues", expanding=True))
_CLAIM = {False: _claim(), True: _claim(_OF_QUEUES)}
_NEXT_DUE = {False: _next_due(), True: _next_due(_OF_QUEUES)}


def _change(**values: Any) -> Update:
    return update(Job).where(*_HELD).values(values)


_REPORT = _change(progress=bindparam("percent"), note=bindparam("text"))
_ERROR: dict[str, Any] = {"error_code": bindparam("code"), "error": bindparam("sentence")}
_FAIL = _change(state=JobState.FAILED.value, finished_at=NOW, **_ERROR)
_RETRY = _change(state=JobState.QUEUED.value, due_at=SecondsFromNow("delay"), **_ERROR)
END = _change(
    state=bindparam("end"),
    finished_at=NOW,
    progress=bindparam("percent"),
    note=bindparam("text"),
    result=bindparam("outcome", type_=Job.result.type),
    **_ERROR,
)
"""Ends a run, as its command is committed."""
HELD = (
    select(Job.id, Job.attempts)
    .where(Job.id.in_(bindparam("ids", expanding=True)), Job.state == JobState.RUNNING.value)
    .order_by(Job.id)
    .with_for_update()
)
"""Locks the rows of several runs, always in the same order, and returns their valid claims."""
_CANCELLED = _change(state=JobState.CANCELLED.value, finished_at=NOW)
_RELEASE = _change(
    state=JobState.QUEUED.value,
    due_at=NOW,
    max_attempts=Job.max_attempts + 1,
    uncounted_attempts=Job.uncounted_attempts + 1,
)
_LOST = select(*_RUN).where(RUNNING, Job.due_at <= NOW).order_by(Job.due_at).limit(100)
_RENEW = (
    update(Job)
    .where(Job.id.in_(bindparam("ids", expanding=True)), Job.state == JobState.RUNNING.value)
    .values(due_at=SecondsFromNow("lease"))
    .returning(Job.id, Job.attempts, Job.is_cancelled)
)
_BACKLOG = (
    select(Job.queue, func.count(), func.min(Job.due_at), NOW)
    .where(*READY, _KNOWN)
    .group_by(Job.queue)
)
_NOTIFY = func.pg_notify(CHANNEL, Job.queue)
_NOTIFY_OF = select(func.pg_notify(CHANNEL, bindparam("queue", type_=String)))
_ANNOUNCE = select(_NOTIFY).where(Job.id == bindparam("job_id"))
_NEW = Job.id.in_(bindparam("new", expanding=True))
_key = func.hashtextextended(Job.sequence, 0).label("key")
_keys = select(_key).where(_NEW).distinct().order_by(_key).subquery()
_ALONE = select(func.pg_advisory_xact_lock(_keys.c.key))
"""Locks the sequences of new jobs until the transaction ends, always in the same order: otherwise
two transactions that share several sequences could deadlock."""
_in_order = select(Job.id).where(_NEW).order_by(Job.position).subquery()
_behind = select(_in_order.c.id, func.nextval("jobs_position").label("position")).subquery()
_LINE_UP = (
    update(Job)
    .where(Job.id == _behind.c.id)
    .values(position=_behind.c.position)
    .execution_options(synchronize_session=False)
)
_SLOTS = select(NOW, Schedule.name, Schedule.slot)


class DatabaseJobs:
    """Keeps jobs in their table; ``names`` are the commands that this application knows.

    All times come from the clock of the database.
    """

    def __init__(self, database: Database, names: Sequence[str]) -> None:
        self._database = database
        self._names = names
        self._is_sqlite = database.options.is_sqlite
        self._insert_new = _insert(is_sqlite=self._is_sqlite)
        self._insert = _unless_there(self._insert_new, is_sqlite=self._is_sqlite)

    async def insert(self, transaction: Transaction, job: NewJob) -> UUID:
        while True:
            found = (await transaction.execute(self._insert, _values(job))).first()
            if found is not None:
                return job.id
            other = await transaction.scalar(
                select(Job.id).where(Job.unique_key == job.unique_key, UNFINISHED)
            )
            if other is not None:
                return other

    def inserting(self, job: NewJob) -> Sequence[Write]:
        new = (self._insert_new, _values(job))
        return [new] if self._is_sqlite else [new, (_NOTIFY_OF, {"queue": job.queue})]

    async def line_up(self, transaction: Transaction, job_ids: Sequence[UUID]) -> None:
        """On PostgreSQL, give new jobs their final positions, under a lock on each sequence.

        A database sequence counts outside of transactions, so that positions could otherwise
        contradict the order of the commits. SQLite has one writer at a time: nothing is to be done.
        """
        if not self._is_sqlite:
            await transaction.execute(_ALONE, {"new": job_ids})
            await transaction.execute(_LINE_UP, {"new": job_ids})

    async def announce(self, transaction: Transaction, job_id: UUID) -> None:
        """Notify of a changed job, as the statement of :meth:`insert` does of a new one."""
        if not self._is_sqlite:
            await transaction.execute(_ANNOUNCE, {"job_id": job_id})

    async def claim(
        self, queues: Sequence[str] | None, limit: int, lease: float, reserved: int = 0
    ) -> list[JobRun]:
        parameters = {"names": self._names, "queues": queues, "limit": limit, "lease": lease}
        parameters["tasks"] = limit - reserved
        if queues is None:
            del parameters["queues"]
        rows = await self._database.write(_CLAIM[queues is not None], parameters)
        return [JobRun(*row[1:]) for row in sorted(rows)]

    async def lost(self) -> list[JobRun]:
        return [JobRun(*row) for row in await self._database.reader.rows(_LOST)]

    async def next_due(self, queues: Sequence[str] | None) -> float | None:
        parameters = None if queues is None else {"queues": queues}
        due, now = await self._database.reader.one_or_none(
            _NEXT_DUE[queues is not None], parameters
        )
        return None if due is None else (due - now).total_seconds()

    async def renew(self, runs: Sequence[JobRun], lease: float) -> dict[UUID, bool]:
        attempts = {run.id: run.attempt for run in runs}
        rows = await self._database.write(_RENEW, {"ids": list(attempts), "lease": lease})
        for run in runs:
            if not run.is_reported:
                run.is_reported = True
                await self._end(_REPORT, run, percent=run.progress, text=run.note)
        return {row[0]: row[2] for row in rows if attempts[row[0]] == row[1]}

    async def retry(self, run: JobRun, code: str, error: str, delay: float) -> None:
        await self._end(_RETRY, run, code=code, sentence=error, delay=delay)

    async def fail(self, run: JobRun, code: str, error: str) -> None:
        await self._end(_FAIL, run, code=code, sentence=error)

    async def cancelled(self, run: JobRun) -> None:
        await self._end(_CANCELLED, run)

    async def release(self, run: JobRun) -> None:
        await self._end(_RELEASE, run)

    async def _end(self, statement: Executable, run: JobRun, **values: Any) -> None:
        await self._database.write(statement, {"run_id": run.id, "attempt": run.attempt, **values})

    async def backlog(self) -> list[Backlog]:
        rows = await self._database.reader.rows(_BACKLOG, {"names": self._names})
        return [
            Backlog(queue, depth, max(0.0, (now - oldest).total_seconds()))
            for queue, depth, oldest, now in rows
        ]

    async def slots(self) -> tuple[datetime, dict[str, datetime]]:
        rows = await self._database.reader.rows(_SLOTS)
        now = rows[0][0] if rows else await self._database.reader.scalar(select(NOW))
        return now, {name: slot for _, name, slot in rows}

    async def see(self, name: str, slot: datetime) -> None:
        insert = sqlite.insert if self._is_sqlite else postgresql.insert
        new = insert(Schedule).values(name=name, slot=slot)
        await self._database.write(
            new.on_conflict_do_update(
                index_elements=[Schedule.name],
                set_={"slot": new.excluded.slot},
                where=Schedule.slot < new.excluded.slot,
            )
        )

    async def forget(self, name: str, *, after: datetime) -> None:
        await self._database.write(
            delete(Schedule).where(Schedule.name == name, Schedule.slot > after)
        )

    async def fire(self, name: str, slot: datetime, job: NewJob) -> bool:
        """Store the job of a slot, whose id follows from it: a second insert does nothing."""
        row = await self._database.write(self._insert, _values(job))
        await self.see(name, slot)
        return bool(row)


_FIELDS = tuple(each.name for each in fields(NewJob))


def _values(job: NewJob) -> dict[str, Any]:
    return {name: getattr(job, name) for name in _FIELDS}


def _insert(*, is_sqlite: bool) -> Any:
    """The statement that inserts a job."""
    last = select(func.coalesce(func.max(Job.position), 0) + 1).scalar_subquery()
    insert = sqlite.insert(_JOBS) if is_sqlite else postgresql.insert(_JOBS)
    given = {name: bindparam(name) for name in _FIELDS if name != "delay"}
    return insert.values(
        **given,
        position=last if is_sqlite else func.nextval("jobs_position"),
        state=JobState.QUEUED.value,
        attempts=0,
        spared=0,
        is_cancelled=False,
        created_at=NOW,
        due_at=SecondsFromNow("delay"),
    )


def _unless_there(insert: Any, *, is_sqlite: bool) -> Executable:
    """The same unless the id or the unique key exists; on PostgreSQL it notifies, too."""
    notified = () if is_sqlite else (_NOTIFY,)
    statement: Executable = insert.on_conflict_do_nothing().returning(Job.id, *notified)
    return statement
