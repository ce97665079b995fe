"""The statements about jobs, each made once."""

from typing import Any, cast

from sqlalchemy import (
    ColumnElement,
    Select,
    String,
    Table,
    Update,
    bindparam,
    func,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import aliased

from backstay.core.jobs import JobState
from backstay.db.among import Among
from backstay.db.base import SecondsFromNow
from backstay.db.group_commit import never_waits
from backstay.jobs.tables import IS_ROW, RUNNING, UNFINISHED, Job, Schedule, is_row

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
KNOWN = Among(Job.name, "names")
OF_QUEUES = Among(Job.queue, "queues")
RUN = (
    Job.id, Job.name, Job.payload, Job.attempts, Job.max_attempts, Job.uncounted_attempts,
    Job.actor, Job.user_id, Job.request_id, Job.address, Job.traceparent, Job.is_cancelled,
    Job.sequence,
)  # fmt: skip
_HELD = (
    Job.id == bindparam("run_id"),
    Job.attempts == bindparam("attempt"),
    Job.state == JobState.RUNNING.value,
)
"""Finds the job of a run, if the run's claim is still valid."""


def _next_due(*queues: ColumnElement[bool]) -> Select[*tuple[Any, ...]]:
    return select(func.min(Job.due_at), NOW).where(UNFINISHED, Job.due_at > NOW, *queues)


NEXT_DUE = {False: _next_due(), True: _next_due(OF_QUEUES)}


def _change(**values: Any) -> Update:
    return update(Job).where(*_HELD).values(values)


REPORT = _change(progress=bindparam("percent"), note=bindparam("text"))
_ERROR: dict[str, Any] = {"error_code": bindparam("code"), "error": bindparam("sentence")}
FAIL = _change(state=JobState.FAILED.value, finished_at=NOW, **_ERROR)
RETRY = _change(state=JobState.QUEUED.value, due_at=SecondsFromNow("delay"), **_ERROR)
END = _change(
    state=bindparam("end", type_=String),
    finished_at=NOW,
    progress=bindparam("percent"),
    note=bindparam("text"),
    result=bindparam("outcome", type_=Job.result.type),
    **_ERROR,
)
"""Ends a run, in the transaction of its command."""
HELD = (
    select(Job.id, Job.attempts)
    .where(Among(Job.id, "ids"), Job.state == JobState.RUNNING.value)
    .with_for_update(skip_locked=True)
)
"""Locks the rows of several runs, except those that are locked, and returns their claims."""
CANCELLED = _change(state=JobState.CANCELLED.value, finished_at=NOW)
RELEASE = _change(
    state=JobState.QUEUED.value,
    due_at=NOW,
    max_attempts=Job.max_attempts + 1,
    uncounted_attempts=Job.uncounted_attempts + 1,
)
LOST = select(*RUN).where(RUNNING, Job.due_at <= NOW).order_by(Job.due_at).limit(100)
RENEW = (
    update(Job)
    .where(Among(Job.id, "ids"), Job.state == JobState.RUNNING.value)
    .values(due_at=SecondsFromNow("lease"))
    .returning(Job.id, Job.attempts, Job.is_cancelled)
)
_begun = (
    select(literal(1))
    .where(
        _earlier.user_id == Job.user_id,
        _earlier.sequence == Job.sequence,
        is_row(_earlier),
        _earlier.finished_at.is_not(None),
    )
    .exists()
)
BACKLOG = (
    select(Job.queue, func.count(), func.min(Job.due_at), NOW)
    .where(*READY, KNOWN, or_(Job.sequence.is_(None), ~IS_ROW, ~_begun))
    .group_by(Job.queue)
)
"""Of a bulk action only the first row waits for a worker, the others for those before them."""
_NOTIFY = func.pg_notify(CHANNEL, Job.queue)
ANNOUNCE = select(_NOTIFY).where(Job.id == bindparam("job_id"))
_NEW = Among(Job.id, "new")
_key = func.hashtextextended(Job.sequence, 0).label("key")
_keys = select(_key).where(_NEW).distinct().order_by(_key).subquery()
ALONE = select(func.pg_advisory_xact_lock(_keys.c.key))
"""Locks the sequences of new jobs until the transaction ends, always in the same order: otherwise
two transactions that share several sequences could deadlock."""
_in_order = select(Job.id).where(_NEW).order_by(Job.position).subquery()
_behind = select(_in_order.c.id, func.nextval("jobs_position").label("position")).subquery()
LINE_UP = (
    update(Job)
    .where(Job.id == _behind.c.id)
    .values(position=_behind.c.position)
    .execution_options(synchronize_session=False)
)
SLOTS = select(NOW, Schedule.name, Schedule.slot)


def _insert_of(*, is_sqlite: bool) -> Any:
    """The statement that inserts a job."""
    last = select(func.coalesce(func.max(Job.position), 0) + 1).scalar_subquery()
    insert = sqlite.insert(_JOBS) if is_sqlite else postgresql.insert(_JOBS)
    return insert.values(
        position=last if is_sqlite else func.nextval("jobs_position"),
        state=JobState.QUEUED.value,
        attempts=0,
        spared=0,
        is_cancelled=False,
        created_at=NOW,
        due_at=SecondsFromNow("delay"),
    )


NEW = {is_sqlite: never_waits(_insert_of(is_sqlite=is_sqlite)) for is_sqlite in (True, False)}
"""Inserts a job without a unique key, by whether the database is SQLite; NOTIFY_OF follows it."""
NOTIFY_OF = never_waits(select(func.pg_notify(CHANNEL, bindparam("told", type_=String))))
NEW_UNLESS_THERE = {
    True: _insert_of(is_sqlite=True).on_conflict_do_nothing().returning(_JOBS.c.id),
    False: _insert_of(is_sqlite=False)
    .on_conflict_do_nothing()
    .returning(_JOBS.c.id, func.pg_notify(CHANNEL, _JOBS.c.queue)),
}
"""Inserts a job unless its id or unique key exists, in one round trip; on PostgreSQL it notifies,
too."""
