"""Where the log of a process that serves or works goes."""

import os

import structlog

from backstay import __version__
from backstay.adapters.log_structlog import configure
from backstay.composition import Backstay
from backstay.db import sqlite


def start_logging(backstay: Backstay, greeting: str = "server started") -> None:
    """The log goes to standard error and, where that can be done, to files."""
    settings = backstay.settings.log
    configure(settings.level, settings.format, backstay.files.server)
    reason = backstay.files.start()
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
