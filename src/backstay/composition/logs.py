"""Starts and stops the log of a server or worker process."""

import atexit
import os
from collections.abc import Callable

import structlog

from backstay import __version__
from backstay.composition import Backstay
from backstay.db import sqlite
from backstay.observability import log_libraries
from backstay.observability.logging import configure


def start_logging(backstay: Backstay, greeting: str = "server started") -> Callable[[], None]:
    """Write the log to standard error and, if ``LOG_DIR`` can be written, to files.

    The returned function logs the counts of suppressed repeats, writes what still waits, and closes
    the files. The end of the process does the same.
    """
    settings = backstay.settings.log
    settle = configure(settings.level, settings.format, backstay.files.server)
    log_libraries.take_over()
    reason = backstay.files.start()

    def stop() -> None:
        atexit.unregister(stop)
        settle()
        backstay.files.stop()

    atexit.register(stop)
    log = structlog.get_logger("backstay.server")
    log.info(greeting, version=__version__, pid=os.getpid())
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
    return stop
