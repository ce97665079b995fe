"""Configures structured logs on standard error: readable lines for a console, or JSON."""

import logging
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from threading import Lock
from traceback import format_exception
from typing import Any, Literal, TextIO, cast

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from backstay.core.masking import HIDDEN, tells_secret, without_secrets
from backstay.observability.log_repeats import Repeats

Keep = Callable[[Mapping[str, Any]], None]
Form = Literal["console", "json"]
_processors: list[Processor] = []
"""The processors in use. A logger keeps this very list from its first event on, so that it follows
a later call of `configure`: repeats are counted anew for each application of a process."""


def configure(
    level: str, form: Form, keep: Keep | None = None, further: Sequence[Processor] = ()
) -> Callable[[], None]:
    """Set up logging for this process; the returned function logs the counts of suppressed repeats.

    Values whose key names a secret are masked, and so are secrets in the texts of errors. ``keep``
    receives every event after that. ``further`` steps see each event that is no repeat, with its
    error, before that.
    """
    shown: list[Processor] = [
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _mask,
        _render_error,
        *([_copies(keep)] if keep is not None else []),
        *([_escape_controls] if form == "console" else []),
        _renderer(form),
    ]
    lines = _Lines(cast(TextIO, _Forgiving(sys.stderr)))
    every = structlog.make_filtering_bound_logger(logging.NOTSET)
    summing = structlog.wrap_logger(lines, [structlog.processors.add_log_level, *shown], every)
    repeats = Repeats(lambda name, event: getattr(summing, name)(**event))
    _processors[:] = [
        structlog.contextvars.merge_contextvars,
        repeats,
        *further,
        structlog.processors.add_log_level,
        *shown,
    ]
    structlog.configure(
        processors=_processors,
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        logger_factory=lambda *_: lines,
        cache_logger_on_first_use=True,
    )
    return repeats.settle


class _Lines:
    """Writes a stream line by line, without waiting for a lock.

    If another call is writing, it writes this line, too. Waiting could be a deadlock: both calls
    may be in one thread, if garbage collection logs while a line is written.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._lock = Lock()
        self._waiting: deque[str] = deque()

    def msg(self, line: str) -> None:
        """Write a line."""
        self._waiting.append(line)
        while self._waiting and self._lock.acquire(blocking=False):
            try:
                while self._waiting:
                    self._file.write(self._waiting.popleft() + "\n")
                self._file.flush()
            finally:
                self._lock.release()

    debug = info = warning = error = critical = msg


def _renderer(form: Form) -> Processor:
    if form == "json":
        return structlog.processors.JSONRenderer()
    return structlog.dev.ConsoleRenderer(
        colors=sys.stderr is not None and sys.stderr.isatty(),
        exception_formatter=structlog.dev.plain_traceback,  # other formatters show local variables
    )


_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}
_CONTROLS_OF_LINES = {code: shown for code, shown in _CONTROLS.items() if code != ord("\n")}


def _escape_controls(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Escape control characters, such as those of a path: a terminal would interpret them."""
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = value.translate(_CONTROLS_OF_LINES if key == "exception" else _CONTROLS)
    return event


def _render_error(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Replace an error by the text of its traceback, without secrets."""
    error = event.pop("exc_info", None)
    if error is not None:
        event["exception"] = without_secrets("".join(format_exception(error)).rstrip())
    return event


def _copies(keep: Keep) -> Processor:
    def copy(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        keep(event)
        return event

    return copy


def _mask(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    for key in event:
        if key != "event" and tells_secret(key):
            event[key] = HIDDEN
    return event


class _Forgiving:
    """Drops text that a stream cannot take, for example because the disk is full.

    The reader of a pipe may also have ended. ``stream`` is None if the process was started with
    that stream closed.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text, or drop it if that fails."""
        with suppress(OSError, ValueError):
            if self._stream is not None:
                self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush the stream, if possible."""
        with suppress(OSError, ValueError):
            if self._stream is not None:
                self._stream.flush()
