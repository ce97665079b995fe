"""The views of tasks."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import field_validator
from pydantic_core import from_json

from backstay import JobState, View


class TaskStarted(View):
    """Where to look for what becomes of it."""

    id: UUID


class TaskSummary(View):
    """A task in a list. ``name`` is that of its command."""

    id: UUID
    name: str
    queue: str
    state: JobState
    attempts: int
    user_id: UUID | None
    progress: int | None
    error_code: str | None
    created_at: datetime
    finished_at: datetime | None


class TaskDetail(TaskSummary):
    """A task. ``due_at`` is when it may run, or until when a worker holds it."""

    max_attempts: int
    note: str | None
    result: Any
    error: str | None
    request_id: str
    due_at: datetime
    started_at: datetime | None


class TaskExport(View):
    """A task in the export of the data of the user who started it."""

    id: UUID
    name: str
    payload: Any
    state: JobState
    result: Any
    error: str | None
    address: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @field_validator("payload", mode="before")
    @classmethod
    def _read(cls, payload: str) -> Any:
        return from_json(payload)


class Count(View):
    """How far the demonstration has counted."""

    steps: int
