"""What probes and auditors are told."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from backstay.core.messages import View

Status = Literal["ok", "degraded", "error"]


class Alive(View):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Health(View):
    """How the application and what it depends on are doing."""

    status: Status
    version: str
    checks: dict[str, str]


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
    account. `fields` are the names of what was sent, never the values. `code` and `status` are
    those of the refusal.
    """

    id: UUID
    created_at: datetime
    user_id: UUID | None
    actor: Literal["user", "system", "anonymous"]
    session_id: UUID | None
    address: str
    request_id: str
    message: str
    permission: str | None
    targets: dict[str, str]
    fields: tuple[str, ...]
    outcome: Outcome
    code: str | None
    status: int | None
