"""How tests open a file of SQLite: by the SQLite that the application has it open with.

Another one in the same process would undo its locks.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from backstay.db import sqlite
from backstay.db.engine import EngineOptions
from backstay.db.sqlite import Sqlite


def affected() -> Sqlite:
    """That of Python, as if it were one that can corrupt files, which most often it is."""
    return replace(next(sqlite.installed()), version=(3, 40, 1))


def well(options: EngineOptions) -> str:
    """What /health says of a database with which all is as well as its SQLite allows."""
    return "degraded" if options.can_corrupt else "ok"


@contextmanager
def look_into(path: Path) -> Iterator[Any]:
    """A connection that commits each statement by itself."""
    with closing(sqlite.in_use().module.connect(path, isolation_level=None)) as connection:
        yield connection
