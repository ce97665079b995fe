"""The views for probes, operators and auditors."""

from datetime import datetime
from typing import Any, Literal, Self, cast
from uuid import UUID

from pydantic import Field, field_validator
from pydantic_core import from_json

from backstay.core.backups import BackupState
from backstay.core.introspection import MessageField
from backstay.core.jobs import JobState
from backstay.core.masking import HIDDEN, masked, without_secrets
from backstay.core.messages import View
from backstay.core.permissions import Scope

Status = Literal["ok", "degraded", "error"]


class Alive(View):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Health(View):
    """How the application and what it depends on are doing.

    `principal_channel` is how this process hears that sessions, roles and accounts changed in
    others: `degraded` says that it does not, and reads them from the database within a second.
    `database` is `degraded` while it is a SQLite that can corrupt files in WAL mode, and an `error`
    while it does not answer or cannot be written. `reasons` tells of what is an `error` why. There
    is `mail`, `degraded`, where no mail server is configured; one that is configured is not asked.
    `maintenance` is `off`, or `degraded` while it is on; jobs that wait are then no error.
    """

    status: Status
    version: str
    checks: dict[str, str]
    reasons: dict[str, str]


class MaintenanceState(View):
    """Whether requests are refused what changes something, and how many jobs still run."""

    is_on: bool
    reason: str
    operator: str
    began_at: datetime | None
    ends_at: datetime | None
    running_jobs: int


class Readiness(View):
    """Whether requests should be sent here, and if not, why."""

    status: Literal["ready", "not ready"]
    reason: str | None = None


class Pong(View):
    """The server's time."""

    time: datetime


Outcome = Literal["ok", "refused", "failed"]


class ActivityEntry(View):
    """What somebody asked for and what became of it.

    `actor` says who sent `message`, `user_id` whom it is about: a stranger who signs in names an
    account. `fields` are the names of what was sent, never the values. `operator` is the person
    at the command line who sent it as that user, or as the application.
    """

    id: UUID
    created_at: datetime
    user_id: UUID | None
    actor: Literal["user", "system", "anonymous"]
    session_id: UUID | None
    address: str
    request_id: str
    message: str
    permission: str | None = Field(description="Null where none is needed.")
    targets: dict[str, str]
    fields: tuple[str, ...]
    outcome: Outcome = Field(
        description="`refused` for what was not allowed or not valid, `failed` for a fault of "
        "the application or its database; neither changed anything."
    )
    code: str | None = Field(description="The code of the error; null where it was done.")
    status: int | None = Field(
        description="The HTTP status of the error. Null where it was done: a command knows no "
        "status of success, since not all come by HTTP."
    )
    operator: str | None = Field(description="Null for what came by HTTP or from a job.")


class ActivityExport(View):
    """A row of the audit trail in the export of a person's data."""

    id: UUID
    created_at: datetime
    session_id: UUID | None
    address: str
    message: str
    targets: dict[str, str]
    fields: tuple[str, ...]
    outcome: Outcome
    code: str | None


class OperationEntry(View):
    """How a message is sent over HTTP; `id` is that of the OpenAPI description."""

    id: str
    method: str
    path: str


class MessageEntry(View):
    """What may be asked: at which scope, where, and with which fields.

    The paging, sorting and search of lists are the same everywhere and are not repeated. A message
    without operations is sent by others only: `EraseUser` by `DELETE /users/{id}?hard=true`.
    """

    name: str
    kind: Literal["command", "query"]
    description: str
    permission: str
    scope: Scope
    operations: tuple[OperationEntry, ...]
    fields: tuple[MessageField, ...]


class ResourceEntry(View):
    """What the caller may do to resources of one name."""

    name: str
    messages: tuple[MessageEntry, ...]


class EditableResources(View):
    """Every resource that a permission of the caller reaches, by name.

    What needs no permission (signing in, one's own profile) belongs to no resource. An object is
    left out with any of its fields, since whoever names it names them; the others are shown.
    """

    resources: tuple[ResourceEntry, ...]


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

    Of the jobs that wait, the 100,000 that are due first are counted, and as many of those that
    failed. `more_waiting` and `more_failed` say that there are others, so that the counts are what
    there is at least.
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


class BackupEntry(View):
    """A backup that was tried: `proven` if it was restored and compared; `reason` says why not.

    `size` is in bytes, `seconds` include the proof. `name` is empty if nothing was kept. `restore`
    is what an operator enters to put it in the place of the database while nothing else runs.
    """

    id: UUID
    state: BackupState
    name: str
    location: str = Field(description="The folder or the storage, without credentials.")
    reason: str
    size: int
    seconds: float
    started_at: datetime
    finished_at: datetime
    restore: str | None

    @field_validator("location", "reason")
    @classmethod
    def _without_secrets(cls, text: str) -> str:
        return without_secrets(text)


class BackupPolicy(View):
    """Where backups are kept, how often one is made, and what of it needs attention.

    `interval` is in seconds, 0 if none is made by itself; `note` is null if all is well.
    """

    location: str
    interval: int
    keep: int
    is_encrypted: bool
    note: str | None


class BackupStarted(View):
    """The job that makes the backup; one that was under way already."""

    id: UUID
