"""The views for probes and operators."""

from datetime import datetime
from typing import Literal

from backstay.core.messages import View

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
