"""Commands that start, repeat and cancel tasks, and a task for demonstration."""

import asyncio
from typing import Annotated
from uuid import UUID

from pydantic import Field
from sqlalchemy import select

from backstay import (
    SIGNED_IN,
    Command,
    Conflict,
    Feature,
    FieldError,
    FromPath,
    Invalid,
    Jobs,
    Principal,
    Progress,
    RateLimited,
    Scope,
    Target,
    Transaction,
    count,
    handles,
    prepares,
)
from backstay.core.jobs import TASK_QUEUE
from backstay.core.validation import Fields, validated
from backstay.features.tasks.queries import IS_TASK, TASKS
from backstay.features.tasks.schemas import Count, TaskDetail, TaskStarted
from backstay.jobs.statements import NOW
from backstay.jobs.tables import UNFINISHED, Job

MOST = 20
"""The most unfinished tasks of one user; concurrent requests may exceed it by a few."""
MOST_BYTES = 65_536
"""The most bytes of a task's payload."""


class _TooManyTasks(RateLimited):
    code, title = "tasks.too_many", "Too many of your tasks are unfinished"


class StartTask(Command[TaskStarted]):
    """Start a task; it runs after the answer, as you."""

    permission = TASKS.create
    body_values = 1000

    task: Annotated[str, Field(max_length=200)]
    payload: Fields = Field(default_factory=dict)


@handles(StartTask)
async def start_task(
    command: StartTask,
    session: Transaction,
    principal: Principal,
    jobs: Jobs,
    features: tuple[Feature, ...],
) -> TaskStarted:
    known = {name: kind for feature in features for name, kind in feature.tasks.items()}
    kind = known.get(command.task)
    if kind is None:
        raise Invalid(errors=(FieldError("task", "unknown_task", "There is no such task"),))
    message = validated(kind.model_validate, command.payload, inside="payload")
    await _check_room(session, principal.user_id)
    return TaskStarted(id=await jobs.enqueue(message, queue=TASK_QUEUE))


class _TaskNotOver(Conflict):
    code, title = "tasks.not_over", "The task has not ended in failure: there is nothing to repeat"


class RetryTask(Command[TaskDetail]):
    """Run a task again that failed or was cancelled."""

    permission = TASKS.may("retry", description="Repeat failed tasks", default_scope=Scope.OWN)

    id: FromPath[UUID]


@handles(RetryTask)
async def retry_task(
    command: RetryTask, job: Target[Job], session: Transaction, jobs: Jobs
) -> TaskDetail:
    if not job.may_run_again:
        raise _TaskNotOver
    if job.queue == TASK_QUEUE:
        await _check_room(session, job.user_id)
    job.run_again((await session.execute(select(NOW))).scalar_one())
    await session.flush()
    await jobs.wake(job.id)
    return TaskDetail.model_validate(job)


class _TaskOver(Conflict):
    code, title = "tasks.over", "The task is over"


class CancelTask(Command[TaskDetail]):
    """Cancel a task; one that runs is stopped within seconds."""

    permission = TASKS.may("cancel", default_scope=Scope.OWN)

    id: FromPath[UUID]


@handles(CancelTask)
async def cancel_task(command: CancelTask, job: Target[Job], session: Transaction) -> TaskDetail:
    if job.finished_at is not None:
        raise _TaskOver
    job.cancel((await session.execute(select(NOW))).scalar_one())
    await session.flush()
    return TaskDetail.model_validate(job)


async def _check_room(session: Transaction, user_id: UUID | None) -> None:
    """Refuse a further task of a user who has ``MOST`` unfinished ones."""
    if await count(session, Job, Job.user_id == user_id, IS_TASK, UNFINISHED) >= MOST:
        raise _TooManyTasks(
            f"At most {MOST}: wait until one is over, or cancel one.",
            headers={"Retry-After": "10"},
        )


class CountDemo(Command[Count]):
    """Count steps, over so many seconds, and tell how far it is."""

    permission = SIGNED_IN

    steps: Annotated[int, Field(ge=1, le=1000)] = 10
    seconds: Annotated[float, Field(ge=0, le=300)] = 1.0


@prepares(CountDemo)
async def count_steps(command: CountDemo, progress: Progress) -> Count:
    for step in range(command.steps):
        await progress(100 * step // command.steps, f"{step} of {command.steps}")
        await asyncio.sleep(command.seconds / command.steps)
    await progress(100, f"{command.steps} of {command.steps}")
    return Count(steps=command.steps)


@handles(CountDemo)
async def count_demo(command: CountDemo, counted: Count) -> Count:
    return counted
