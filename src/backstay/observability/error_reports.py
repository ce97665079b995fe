"""Reports unexpected errors to Sentry; imported only where a DSN is set."""

from collections.abc import Mapping
from typing import Any

import sentry_sdk
from sentry_sdk.scope import Scope
from structlog.typing import EventDict, WrappedLogger

from backstay.core.masking import without_secrets

FLUSH_SECONDS = 2.0
"""How long the last reports may take when the process ends."""
_TAGS = ("request_id", "method", "route", "job", "job_id", "code", "logger")
"""What a report says of an event in the log, besides the error, the trace and the user's id."""
_KEPT = frozenset(
    {"event_id", "timestamp", "level", "platform", "exception", "environment", "release"}
    | {"server_name", "tags", "user", "contexts", "sdk", "transaction", "type"}
)
_REPORTED = frozenset({"error", "critical", "exception"})


class ErrorReports:
    """A processor of structlog that reports what is logged as an error with an exception.

    It stands behind the one that drops repeats: an error that happens a thousand times in a minute
    is reported once by each process. Expected refusals, and outages that the code is not to blame
    for, are not logged as errors.
    """

    def __init__(self, dsn: str, environment: str, release: str) -> None:
        sentry_sdk.init(
            dsn,
            environment=environment,
            release=release,
            default_integrations=False,  # they would read requests, log records and arguments
            auto_enabling_integrations=False,
            include_local_variables=False,
            max_request_body_size="never",
            max_breadcrumbs=0,
            before_send=_without_values,
        )

    def __call__(self, _: WrappedLogger, name: str, event: EventDict) -> EventDict:
        """Report the error of an event, if it has one."""
        error = event.get("exc_info")
        if name in _REPORTED and isinstance(error, BaseException):
            with sentry_sdk.isolation_scope() as scope:
                _describe(scope, event)
                scope.capture_exception(error)
        return event


def flush() -> None:
    """Send what waits, for a short time at most."""
    sentry_sdk.flush(FLUSH_SECONDS)


def _describe(scope: Scope, event: Mapping[str, Any]) -> None:
    for name in _TAGS:
        if event.get(name):
            scope.set_tag(name, str(event[name]))
    if event.get("trace_id"):
        trace = {"trace_id": event["trace_id"], "span_id": event.get("span_id", "0" * 16)}
        scope.set_context("trace", trace)
    if event.get("user_id"):
        scope.set_user({"id": str(event["user_id"])})


def _without_values(event: Any, _: Any) -> Any:
    """Leave out what could hold values: what is sent are places in the code and masked texts."""
    kept = {key: value for key, value in event.items() if key in _KEPT}
    kept["contexts"] = {
        key: value
        for key, value in event.get("contexts", {}).items()
        if key in {"trace", "runtime"}
    }
    kept["user"] = {"id": event["user"]["id"]} if event.get("user", {}).get("id") else {}
    for error in kept.get("exception", {}).get("values", ()):
        error["value"] = without_secrets(str(error.get("value") or ""))
        for frame in (error.get("stacktrace") or {}).get("frames", ()):
            frame.pop("vars", None)
    return kept
