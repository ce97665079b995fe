"""Structured logs on standard error: lines for people in a console, JSON for machines."""

import logging
import sys
from collections.abc import Callable, Mapping
from typing import Any, Literal, TextIO, cast

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from backstay.adapters.log_stream import Forgiving
from backstay.core.masking import tells_secret

Keep = Callable[[Mapping[str, Any]], None]


def configure(level: str, form: Literal["console", "json"], keep: Keep | None = None) -> None:
    """Set up logging for this process; values under telling keys are masked.

    ``keep`` is told every event as well, once it may be shown.
    """
    renderer: Processor = (
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
            *([_copies(keep)] if keep is not None else []),
            structlog.processors.format_exc_info if form == "json" else _disarm,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, Forgiving(sys.stderr))),
        cache_logger_on_first_use=True,
    )


_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}


def _disarm(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Show control characters, such as those of a path, instead of sending them to a terminal."""
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = value.translate(_CONTROLS)
    return event


def _copies(keep: Keep) -> Processor:
    def copy(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
        keep(structlog.processors.format_exc_info(logger, name, dict(event)))
        return event

    return copy


def _mask(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    for key in event:
        if key != "event" and tells_secret(key):
            event[key] = "********"
    return event
