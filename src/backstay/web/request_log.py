"""Writes one line into the log for each request, and for each WebSocket at its end."""

from http import HTTPStatus

import structlog
from starlette.types import Scope

from backstay.web.errors import about
from backstay.web.request import PROBES

log = structlog.get_logger("backstay.http")

CLIENT_GONE = 499
"""The status in logs and metrics if the client disconnects before its request is complete."""


def log_request(
    event: str, scope: Scope, seconds: float, sent: int | None = None, *, is_wanted: bool
) -> None:
    """Log the line of a request; ``sent`` are the bytes of the body.

    If the request failed (5xx, or an answer that broke off), the line is an error and has the
    cause, and is written even if lines are not wanted. Probes have a line only if a cause is known.
    """
    status = scope.get("backstay.status", CLIENT_GONE)
    cause = scope.get("backstay.cause")
    failed = cause is not None or status >= HTTPStatus.INTERNAL_SERVER_ERROR
    if not (failed or is_wanted) or (cause is None and scope["path"] in PROBES):
        return
    line = {
        "method": scope.get("method", "WS"),
        "path": scope["path"],
        "status": status,
        "ms": round(seconds * 1000, 1),
        "client": scope["backstay.client_address"],
        **about(scope),
    }
    if sent is not None:
        line["bytes"] = sent
    if failed:
        log.error(event, **line, **(cause or {}))
    else:
        log.info(event, **line)
