"""Queries about tasks."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam, select

from backstay import (
    SYSTEM_ONLY,
    Equals,
    FromPath,
    JobState,
    Listing,
    ListQuery,
    PersonalData,
    Query,
    Range,
    Reader,
    Resource,
    Scope,
    Target,
    Text,
    View,
    columns_of,
    handles,
)
from backstay.core.jobs import TASK_QUEUE
from backstay.features.tasks.schemas import TaskDetail, TaskExport, TaskSummary
from backstay.jobs.tables import Job

IS_TASK = Job.queue == TASK_QUEUE
"""Users can see and stop their tasks only, not other jobs that run on their behalf."""


TASKS = Resource(
    "tasks",
    Job,
    TaskDetail,
    default_scope=Scope.OWN,
    descriptions={"create": "Start tasks", "read": "Read a task"},
    own=IS_TASK,
)


class GetTask(Query[TaskDetail]):
    """One task: its state, progress, and result or error."""

    permission = TASKS.read

    id: FromPath[UUID]


@handles(GetTask)
async def get_task(query: GetTask, task: Target[TaskDetail]) -> TaskDetail:
    return task


class ListTasks(ListQuery[TaskSummary]):
    """Tasks, newest first."""

    permission = TASKS.list
    sortable = ("created_at", "name")
    searchable = ("name",)

    name: Text | None = None
    queue: Equals[str] | None = None
    state: Equals[JobState] | None = None
    error_code: Equals[str] | None = None
    user_id: Equals[UUID] | None = None
    created_at: Range[datetime] | None = None
    finished_at: Range[datetime] | None = None


TASKS_LIST = Listing(ListTasks, Job, TaskSummary, own=IS_TASK)


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
