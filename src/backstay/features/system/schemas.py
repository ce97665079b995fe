"""What probes are told."""

from datetime import datetime
from typing import Literal

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
