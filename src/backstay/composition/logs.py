"""Starts and stops the log of a server or worker process, with its traces and error reports."""

import atexit
import os
from collections.abc import Callable
from functools import partial

import structlog
from structlog.typing import Processor

from backstay import __version__
from backstay.composition import Backstay
from backstay.composition.telemetry import error_reports_for, flush_reports
from backstay.core.errors import AppError
from backstay.core.wiring import BootError
from backstay.db import sqlite
from backstay.db.migrations.runner import MigrationError
from backstay.observability import log_libraries
from backstay.observability.logging import configure
from backstay.settings import ConfigurationError

EXPECTED = AppError, BootError, ConfigurationError, MigrationError
"""Errors that say in sentences what keeps a process from working, so that no traceback helps."""


def start_logging(backstay: Backstay) -> Callable[[], None]:
    """Write the log to standard error and, if ``LOG_DIR`` can be written, to files; send spans.

    The returned function logs the counts of suppressed repeats, writes what still waits, and closes
    the files. The end of the process does the same.
    """
    settings, reports = backstay.settings.log, error_reports_for(backstay.settings)
    further: list[Processor] = [*backstay.tracer.log_steps]
    if reports is not None:
        further.append(reports)
    settle = configure(settings.level, settings.format, backstay.files.server, further)
    log_libraries.take_over()
    reason = backstay.files.start()
    backstay.tracer.start()

    def stop() -> None:
        atexit.unregister(stop)
        settle()
        backstay.files.stop()
        flush_reports()

    atexit.register(stop)
    log = structlog.get_logger("backstay.server")
    if reason is not None:
        log.warning(
            "LOG_DIR cannot be written, so there are no log files: name a folder that can, "
            "or leave it empty",
            reason=reason,
        )
    if backstay.database.options.can_corrupt:
        log.warning(
            "this SQLite can corrupt a database in WAL mode, so that a rollback journal is used: "
            "readers and writers wait for one another",
            sqlite=sqlite.in_use().version_text,
            mend=sqlite.MEND,
        )
    if backstay.lacks_mail_server:
        log.warning(
            "no mail server is configured: no mail leaves, so that nobody can reset a password or "
            "confirm an address",
            mend="set MAIL_HOST, or MAIL_BACKEND; mails of until then are jobs that failed with "
            "mail.no_server and can be repeated",
        )
    backstay.maintenance.start_logging()
    return stop


def log_start(process: str) -> Callable[[], None]:
    """Log that this process has started, once nothing keeps it from working any more.

    The returned function logs that it has stopped.
    """
    log = structlog.get_logger("backstay.server")
    log.info(f"{process} started", version=__version__, pid=os.getpid())
    return partial(log.info, f"{process} stopped", pid=os.getpid())


def log_refusal(error: Exception, event: str) -> None:
    """Log what keeps this process from working: an expected error as its sentences."""
    log = structlog.get_logger("backstay.server")
    if not isinstance(error, EXPECTED):
        log.error(event, exc_info=error)
        flush_reports()
        return
    for sentence in sentences_of(error):
        log.error(sentence)


def sentences_of(error: Exception) -> list[str]:
    """An expected error for a log: each of its faults as a line."""
    if isinstance(error, BootError):
        return [str(fault) for fault in error.faults]
    if isinstance(error, ConfigurationError):
        return [fault.sentence for fault in error.errors]
    return [str(error)]
