"""Chooses the SQLite that opens databases: a newer one if Python's own can corrupt their files."""

import asyncio
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from types import ModuleType
from typing import Any
from weakref import WeakSet

import aiosqlite

from backstay.db.sqlite_turns import Dbapi

MEND = "use a Python with SQLite 3.51.3 or newer, pysqlite3 where it has a wheel, or PostgreSQL"
"""What to do about a SQLite that can corrupt files."""
_OF_AIOSQLITE = {"__version__", "connect", "Connection", "Cursor"}
_ROWS_AT_ONCE = 64

Version = tuple[int, ...]


def is_affected(version: Version) -> bool:
    """Whether this SQLite can corrupt a file in WAL mode that two connections have open.

    It happens when one commits while the other checkpoints (sqlite.org/wal.html#walresetbug).
    """
    if version < (3, 7):
        return False
    is_mended = (3, 44, 6) <= version < (3, 45) or (3, 50, 7) <= version < (3, 51)
    return not is_mended and version < (3, 51, 3)


class _Connection(aiosqlite.Connection):
    """A connection whose thread is stopped only once; a second stop returns the first one's future.

    It is stopped twice when the task that closes it is cancelled. The thread would no longer answer
    the second request, and the caller would wait forever.
    """

    _is_stopped = False
    _end: asyncio.Future[Any] | None = None

    def stop(self) -> asyncio.Future[Any] | None:
        if not self._is_stopped:
            self._is_stopped, self._end = True, super().stop()
        return self._end


@dataclass(frozen=True, slots=True)
class Sqlite:
    """A module with the interface of `sqlite3`, and the version of SQLite that it contains."""

    module: ModuleType
    version: Version

    @property
    def is_affected(self) -> bool:
        """Whether it can corrupt files in WAL mode; it then opens them in another mode."""
        return is_affected(self.version)

    @property
    def version_text(self) -> str:
        """The version, such as 3.53.4."""
        return ".".join(map(str, self.version))

    @property
    def pragmas(self) -> tuple[str, ...]:
        """How files are written; a rollback journal survives a power failure only if synced."""
        if self.is_affected:
            return "journal_mode = TRUNCATE", "synchronous = FULL"
        return "journal_mode = WAL", "synchronous = NORMAL"

    def connect(self, path: str, **arguments: Any) -> aiosqlite.Connection:
        """The same as `aiosqlite.connect`, with this module."""
        return _Connection(
            partial(self.module.connect, path, factory=_ending(self.module), **arguments),
            iter_chunk_size=_ROWS_AT_ONCE,
        )

    def dbapi(self) -> Dbapi:
        """The DBAPI with which SQLAlchemy uses aiosqlite with this module."""
        its_own = ModuleType(aiosqlite.__name__)
        vars(its_own).update(vars(aiosqlite))
        for name in set(aiosqlite.__all__) - _OF_AIOSQLITE:
            setattr(its_own, name, getattr(self.module, name))
        vars(its_own)["connect"] = self.connect
        return Dbapi(its_own, self.module)


@cache
def _ending(module: ModuleType) -> type[Any]:
    """A class of connections that close their cursors when they are closed.

    A cancelled reader leaves a cursor unread. SQLite keeps the lock of its statement as long as
    the cursor exists: no other connection could then commit with a rollback journal, or shorten
    the log in WAL mode.
    """

    connection: Any = module.Connection

    class Ending(connection):  # type: ignore[misc]
        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            self._cursors = WeakSet[Any]()

        def cursor(self, *arguments: Any) -> Any:
            cursor = super().cursor(*arguments)
            self._cursors.add(cursor)
            return cursor

        def close(self) -> None:
            while self._cursors:
                self._cursors.pop().close()
            super().close()

    return Ending


@cache
def in_use() -> Sqlite:
    """The one SQLite of this process: two on one file would release each other's locks.

    See sqlite.org/howtocorrupt.html, 2.2.1.
    """
    return first_sound(installed())


def first_sound(found: Iterable[Sqlite]) -> Sqlite:
    """The first that cannot corrupt files, else the first of all."""
    kept: list[Sqlite] = []
    for each in found:
        if not each.is_affected:
            return each
        kept.append(each)
    return kept[0]


def installed() -> Iterator[Sqlite]:
    """The installed ones; Python's own comes first, since other code here may use it, too."""
    yield Sqlite(sqlite3, sqlite3.sqlite_version_info)
    try:
        newer = import_module("pysqlite3.dbapi2")
    except ImportError:
        return
    yield Sqlite(newer, newer.sqlite_version_info)
