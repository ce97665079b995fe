"""Queries about jobs of every kind, their queues and the schedule."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    bindparam,
    case,
    func,
    literal_column,
    select,
    union_all,
)

from backstay.core.bus import handles
from backstay.core.errors import NotFound
from backstay.core.feature import Feature
from backstay.core.jobs import TASK_QUEUE, JobState, JobStore
from backstay.core.listing import CursorPage, Equals, ListQuery, Page, Range, Text
from backstay.core.messages import Command, FromPath, Query
from backstay.core.permissions import PermissionSpec, Scope
from backstay.core.principal import Grant, Principal
from backstay.core.schedule import Scheduled
from backstay.db.listing import Listing
from backstay.db.paging import Paginator
from backstay.db.queries import columns_of
from backstay.db.session import Reader
from backstay.features.system.schemas.jobs import (
    JobDetail,
    JobSummary,
    QueueList,
    QueueView,
    ScheduleEntry,
    ScheduleList,
)
from backstay.jobs.statements import NOW
from backstay.jobs.tables import DEAD, FREE, IN_SEQUENCE, QUEUED, RUNNING, TASKS, UNFINISHED, Job

LIST = PermissionSpec("jobs", "list", description="See jobs of every kind, queues and schedules")
READ = PermissionSpec("jobs", "read", description="Read a job, without the texts it is about")


class ListJobs(ListQuery[JobSummary]):
    """Jobs of whatever kind, newest first; at the scope `OWN` your tasks."""

    permission = LIST
    sortable = ("created_at", "finished_at", "name")

    state: Equals[JobState] | None = None
    name: Text | None = None
    queue: Equals[str] | None = None
    user_id: Equals[UUID] | None = None
    error_code: Equals[str] | None = None
    created_at: Range[datetime] | None = None
    finished_at: Range[datetime] | None = None


JOBS = Listing(ListJobs, Job, JobSummary, own=TASKS)
_UNFINISHED = Listing(ListJobs, Job, JobSummary, own=TASKS, where=UNFINISHED)
_DEAD = Listing(ListJobs, Job, JobSummary, own=TASKS, where=DEAD)
_BY_STATE = {
    JobState.QUEUED: _UNFINISHED,
    JobState.RUNNING: _UNFINISHED,
    JobState.FAILED: _DEAD,
    JobState.CANCELLED: _DEAD,
}
"""Where most jobs have succeeded, an index finds the others only if the statement names them."""


@handles(ListJobs)
async def list_jobs(
    query: ListJobs, paginate: Paginator
) -> Page[JobSummary] | CursorPage[JobSummary]:
    state = None if query.state is None else query.state.eq
    return await paginate(JOBS if state is None else _BY_STATE.get(state, JOBS), query)


class GetJob(Query[JobDetail]):
    """A job of whatever kind; of what it is about, ids, numbers and names are shown, no texts."""

    permission = READ

    id: FromPath[UUID]


_JOB = select(*columns_of(JobDetail, Job))


@handles(GetJob)
async def get_job(query: GetJob, reader: Reader, principal: Principal, grant: Grant) -> JobDetail:
    row = await reader.one_or_none(_JOB.where(*reached(query.id, principal, grant)))
    if row is None:
        raise NotFound(f"There is no job {query.id}.")
    job = JobDetail.model_validate(row)
    return job if principal.is_system else job.without_texts()


def reached(job_id: UUID, principal: Principal, grant: Grant) -> Iterator[ColumnElement[bool]]:
    """The predicates for a job, where the grant reaches it: at the scope `OWN` a task of one's own.

    Other jobs that run on behalf of a user are no business of theirs.
    """
    yield Job.id == job_id
    if grant.scope is Scope.OWN:
        yield Job.user_id == principal.id
        yield TASKS


class ListQueues(Query[QueueList]):
    """What waits, runs and has failed, by queue; of a long backlog, the first jobs are counted."""

    permission = LIST


MOST_COUNTED = 10_000


def _first(which: ColumnElement[bool]) -> Select[Any]:
    """The jobs of a kind that are due first, each kind by its index, as they are claimed."""
    found = select(Job.queue, Job.due_at).where(QUEUED, which).order_by(Job.due_at, Job.position)
    return select(found.limit(bindparam("most", type_=Integer)).subquery())


_waiting = union_all(*map(_first, (TASKS, FREE, IN_SEQUENCE))).subquery()
_is_due = case((_waiting.c.due_at <= NOW, 1), else_=0)
_due_at = case((_waiting.c.due_at <= NOW, _waiting.c.due_at))
_WAITING = select(
    _waiting.c.queue, func.count(), func.sum(_is_due), func.min(_due_at).label("oldest")
).group_by(_waiting.c.queue)
_RUNNING = select(Job.queue, func.count()).where(RUNNING).group_by(Job.queue)
_failed = (
    select(Job.queue)
    .where(DEAD, Job.state == literal_column("'failed'"))
    .limit(bindparam("most", type_=Integer))
    .subquery()
)
_FAILED = select(_failed.c.queue, func.count()).group_by(_failed.c.queue)


@handles(ListQueues)
async def list_queues(
    query: ListQueues,
    reader: Reader,
    features: tuple[Feature, ...],
    principal: Principal,
    grant: Grant,
) -> QueueList:
    principal.check_reach(None, grant)
    most = {"most": MOST_COUNTED + 1}
    waiting = {row[0]: row[1:] for row in await reader.rows(_WAITING, most)}
    running = {row[0]: row[1] for row in await reader.rows(_RUNNING)}
    failed = {row[0]: row[1] for row in await reader.rows(_FAILED, most)}
    names = {*_queues_of(features), *waiting, *running, *failed}
    return QueueList(
        items=tuple(
            QueueView(
                name=name,
                waiting=(found := waiting.get(name, (0, 0, None)))[0],
                due=found[1],
                oldest_due_at=found[2],
                running=running.get(name, 0),
                failed=failed.get(name, 0),
            )
            for name in sorted(names)
        ),
        more_waiting=sum(each[0] for each in waiting.values()) > MOST_COUNTED,
        more_failed=sum(failed.values()) > MOST_COUNTED,
    )


def _queues_of(features: tuple[Feature, ...]) -> Iterator[str]:
    yield TASK_QUEUE
    for message in (message for feature in features for message in feature.messages()):
        if issubclass(message, Command):
            yield message.job_queue


class ListSchedule(Query[ScheduleList]):
    """What the application sends itself, and when it did and will."""

    permission = LIST


@handles(ListSchedule)
async def list_schedule(
    query: ListSchedule,
    schedule: tuple[Scheduled, ...],
    store: JobStore,
    principal: Principal,
    grant: Grant,
) -> ScheduleList:
    principal.check_reach(None, grant)
    now, last = await store.slots()
    return ScheduleList(
        items=tuple(
            _entry(each, last.get(each.name), now)
            for each in sorted(schedule, key=lambda each: each.name)
        )
    )


def _entry(each: Scheduled, last: datetime | None, now: datetime) -> ScheduleEntry:
    trigger: Any = each.trigger
    is_next_now = last is None and trigger.fires_at_once
    return ScheduleEntry(
        name=each.name,
        command=type(each.command).__name__,
        when=str(trigger),
        last_slot=last,
        next_slot=trigger.slot(now) if is_next_now else trigger.next_slot(last or now),
    )
