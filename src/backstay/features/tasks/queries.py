"""Queries about tasks."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam, select

from backstay.core.bus import handles
from backstay.core.errors import NotFound
from backstay.core.feature import PersonalData
from backstay.core.jobs import TASK_QUEUE, JobState
from backstay.core.listing import CursorPage, Equals, ListQuery, Page, Range, Text
from backstay.core.messages import FromPath, Query, View
from backstay.core.permissions import SYSTEM_ONLY, PermissionSpec, Scope
from backstay.core.principal import Grant, Principal
from backstay.db.listing import Listing
from backstay.db.paging import Paginator
from backstay.db.queries import columns_of
from backstay.db.session import Reader
from backstay.features.tasks.schemas import TaskDetail, TaskExport, TaskSummary
from backstay.jobs.tables import Job

IS_TASK = Job.queue == TASK_QUEUE
"""Users can see and stop their tasks only, not other jobs that run on their behalf."""


class GetTask(Query[TaskDetail]):
    """One task: its state, progress, and result or error."""

    permission = PermissionSpec("tasks", "read", description="Read a task", default_scope=Scope.OWN)

    id: FromPath[UUID]


_ANY_TASK = select(*columns_of(TaskDetail, Job)).where(Job.id == bindparam("id"))
_TASK = {
    Scope.ANY: _ANY_TASK,
    Scope.OWN: _ANY_TASK.where(Job.user_id == bindparam("owner"), IS_TASK),
}


@handles(GetTask)
async def get_task(
    query: GetTask, reader: Reader, principal: Principal, grant: Grant
) -> TaskDetail:
    parameters = {"id": query.id, "owner": principal.user_id}
    row = await reader.one_or_none(_TASK[grant.scope], parameters)
    if row is None:
        raise NotFound
    return TaskDetail.model_validate(row)


class ListTasks(ListQuery[TaskSummary]):
    """Tasks, newest first."""

    permission = PermissionSpec("tasks", "list", description="List tasks", default_scope=Scope.OWN)
    sortable = ("created_at", "name")
    searchable = ("name",)

    name: Text | None = None
    queue: Equals[str] | None = None
    state: Equals[JobState] | None = None
    error_code: Equals[str] | None = None
    user_id: Equals[UUID] | None = None
    created_at: Range[datetime] | None = None
    finished_at: Range[datetime] | None = None


TASKS = {
    Scope.ANY: Listing(ListTasks, Job, TaskSummary),
    Scope.OWN: Listing(ListTasks, Job, TaskSummary, where=IS_TASK),
}


@handles(ListTasks)
async def list_tasks(
    query: ListTasks, paginate: Paginator, grant: Grant
) -> Page[TaskSummary] | CursorPage[TaskSummary]:
    return await paginate(TASKS[grant.scope], query)


class ExportTasks(PersonalData):
    """Every task of a person that is still on record."""

    permission = SYSTEM_ONLY


_EXPORT = (
    select(*columns_of(TaskExport, Job))
    .where(Job.user_id == bindparam("user_id"), IS_TASK)
    .order_by(Job.id)
)


@handles(ExportTasks)
async def export_tasks(query: ExportTasks, reader: Reader) -> tuple[View, ...]:
    rows = await reader.rows(_EXPORT, {"user_id": query.user_id})
    return tuple(TaskExport.model_validate(row) for row in rows)
