"""Turns what libraries would write to standard error into log events."""

import logging
import sys
import threading
from typing import Any
from weakref import WeakSet

import structlog

from backstay.core.masking import without_secrets

_LEVELS = {logging.CRITICAL: "critical", logging.ERROR: "error", logging.WARNING: "warning"}

_TOLD: WeakSet[BaseException] = WeakSet()


def leave_out_traceback(error: BaseException) -> None:
    """Let the records of libraries leave out the traceback of an error whose text is told."""
    _TOLD.add(error)


def take_over() -> None:
    """Log the records of libraries and servers, Python's warnings, and uncaught exceptions.

    Handlers that write to a file or elsewhere stay. Hooks for uncaught exceptions that were set
    before are still called.
    """
    logging.captureWarnings(True)
    loggers = [logging.root, *_known()]
    for logger in loggers:
        for handler in [each for each in logger.handlers if _is_in_the_way(each)]:
            logger.removeHandler(handler)
        if logger is logging.root or not logger.propagate:  # others propagate to one of these
            logger.addHandler(_Events())
    if not isinstance(sys.excepthook, _Uncaught):
        sys.excepthook = _Uncaught(sys.excepthook)
    if not isinstance(threading.excepthook, _OfThread):
        threading.excepthook = _OfThread(threading.excepthook)
    if not isinstance(sys.unraisablehook, _Unraisable):
        sys.unraisablehook = _Unraisable(sys.unraisablehook)


def _log() -> Any:
    """A new logger at each call, because hooks outlive a configuration of logging."""
    return structlog.get_logger("backstay.libraries")


def _known() -> list[logging.Logger]:
    named = logging.root.manager.loggerDict.values()
    return [logger for logger in named if isinstance(logger, logging.Logger)]


def _is_in_the_way(handler: logging.Handler) -> bool:
    standard = {sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__} - {None}
    return isinstance(handler, _Events) or getattr(handler, "stream", None) in standard


class _Events(logging.Handler):
    """Turns log records into log events."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage()
        except Exception:  # its arguments do not fit its format: log the format
            text = str(record.msg)
        text = without_secrets(text)
        error = record.exc_info and record.exc_info[1]
        error = None if error in _TOLD else error
        same = record.name if error else (record.name, text)
        level = max((each for each in _LEVELS if each <= record.levelno), default=logging.WARNING)
        tell = getattr(_log(), _LEVELS[level])
        tell(text, logger=record.name, same=same, exc_info=error)


class _Hook:
    """A hook for uncaught exceptions; ``before`` is the one it replaces and still calls."""

    def __init__(self, before: Any) -> None:
        self._before = before

    def _pass_on(self, default: Any, *args: Any) -> None:
        if self._before is not default:
            self._before(*args)


class _Uncaught(_Hook):
    def __call__(self, kind: type[BaseException], error: BaseException, trace: Any) -> None:
        if issubclass(kind, Exception):
            _log().critical("the process ends by an error", exc_info=error)
            self._pass_on(sys.__excepthook__, kind, error, trace)
        else:
            self._before(kind, error, trace)


class _OfThread(_Hook):
    def __call__(self, args: Any) -> None:
        if args.exc_type is not SystemExit:
            thread = args.thread and args.thread.name
            _log().error("a thread ended by an error", thread=thread, exc_info=args.exc_value)
        self._pass_on(threading.__excepthook__, args)


class _Unraisable(_Hook):
    def __call__(self, args: Any) -> None:
        where = getattr(args.object, "__qualname__", type(args.object).__name__)
        _log().error("an error cannot be raised", where=where, exc_info=args.exc_value)
        self._pass_on(sys.__unraisablehook__, args)
