"""Opens SQLite files with the same SQLite library as the application.

Another one in the same process would undo its locks.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from backstay.db import sqlite
from backstay.db.options import EngineOptions
from backstay.db.sqlite import Sqlite


def affected() -> Sqlite:
    """The SQLite of Python, marked as one that can corrupt files, which it mostly is."""
    return replace(next(sqlite.installed()), version=(3, 40, 1))


def well(options: EngineOptions) -> str:
    """The /health status of a healthy database: `degraded` if its SQLite can corrupt files."""
    return "degraded" if options.can_corrupt else "ok"


@contextmanager
def look_into(path: Path) -> Iterator[Any]:
    """A connection in autocommit mode."""
    with closing(sqlite.in_use().module.connect(path, isolation_level=None)) as connection:
        yield connection
