"""The views for probes, operators and auditors."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import Field, field_validator
from pydantic_core import from_json

from backstay.core.introspection import MessageField
from backstay.core.jobs import JobState
from backstay.core.masking import masked
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


class BulkStarted(View):
    """Where to look for what becomes of it, and of how many rows."""

    id: UUID
    rows: int


class BulkSummary(View):
    """A bulk action in a list; `operation` is null if it is no longer there."""

    id: UUID
    operation: str | None
    is_over: bool
    created_at: datetime


class BulkList(View):
    """The newest bulk actions."""

    items: tuple[BulkSummary, ...]


class BulkStates(View):
    """How many rows are in which state."""

    queued: int = 0
    running: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0


class BulkRow(View):
    """What has become of one row, `id` as it was sent.

    `error_code` and `error` say why it failed or, of one that is queued, why its last attempt did.
    """

    id: str
    state: JobState
    error_code: str | None
    error: str | None
    finished_at: datetime | None


class BulkDetail(BulkSummary):
    """A bulk action: `done` of its `rows` are over. `results` are in the order of the ids."""

    rows: int
    done: int
    states: BulkStates
    results: tuple[BulkRow, ...]
