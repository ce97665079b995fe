"""Structured logs on standard error: lines for people in a console, JSON for machines."""

import logging
import sys
from typing import Literal

import structlog
from structlog.typing import EventDict, WrappedLogger

SECRETS = ("password", "secret", "token", "authorization", "cookie", "api_key")


def configure(level: str, form: Literal["console", "json"]) -> None:
    """Set up logging for this process; values under telling keys are masked."""
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            exception_formatter=structlog.dev.plain_traceback,  # others show local variables
        )
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _mask,
            *([structlog.processors.format_exc_info] if form == "json" else []),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def _mask(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    for key in event:
        if key != "event" and any(secret in key.lower() for secret in SECRETS):
            event[key] = "********"
    return event
