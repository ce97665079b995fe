"""Loads what traces and error reports need, if the settings ask for them."""

import sys
from typing import TYPE_CHECKING

from backstay.core.tracing import NO_TRACER, Tracer
from backstay.db.database import Database
from backstay.settings import Settings

if TYPE_CHECKING:
    from backstay.observability.error_reports import ErrorReports


def tracer_for(settings: Settings, database: Database) -> Tracer:
    """What records the spans of this process, also those of its statements."""
    if not settings.otel.is_on:
        return NO_TRACER
    from backstay.observability.tracing import OtelTracer

    described = {
        "service.name": settings.app.name,
        "service.version": settings.app.version,
        "deployment.environment.name": settings.environment.value,
    }
    tracer = OtelTracer(settings.otel, described)
    database.is_tracing = tracer.is_tracing
    tracer.follow((database.writer, database.read_engine, database.replica_engine))
    return tracer


def error_reports_for(settings: Settings) -> "ErrorReports | None":
    """What reports unexpected errors of this process; None without a DSN."""
    sentry = settings.sentry
    if sentry.dsn is None:
        return None
    from backstay.observability.error_reports import ErrorReports

    return ErrorReports(
        sentry.dsn.get_secret_value(),
        sentry.environment or settings.environment.value,
        sentry.release or f"{settings.app.name}@{settings.app.version}",
    )


def flush_reports() -> None:
    """Send the reports that wait, if this process makes any."""
    if "sentry_sdk" in sys.modules:
        from backstay.observability.error_reports import flush

        flush()
