"""Guards what is written: the lock of SQLite's writer, its file, and whether the database works."""

import asyncio
import os
import re
from collections.abc import Callable
from contextlib import suppress
from math import inf
from pathlib import Path
from time import monotonic
from typing import Any

import structlog
from sqlalchemy import Connection, Engine, ExceptionContext, event, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from backstay.core.errors import AppError, DatabaseUnavailable
from backstay.db.faults import (
    DAMAGED,
    FULL,
    LOST,
    READ_ONLY,
    READ_ONLY_FILE,
    Trouble,
    WouldBeLost,
    first_line,
    trouble_of,
)
from backstay.db.reading import Reads

log = structlog.get_logger("backstay.database")

CHECK_SECONDS = 0.5
"""How long the SQLite file is checked at the start; of a large file only a part is checked."""

_IS_READ_ONLY = text("SHOW transaction_read_only")
_QUICK_CHECK = text("PRAGMA quick_check")
_OF_ROWS = re.compile(r"CHECK constraint failed in |[\w-]+ value in ")
"""Findings about rows that violate a constraint of their table; SQLite still reads and writes
them."""
_ROOM = 2**20
"""A disk with fewer free bytes than this counts as full."""

_Identity = tuple[int, int]
"""The device and the inode number of a file."""


def begin_immediate(writer: Engine, waited: Callable[[float], None]) -> None:
    """Let the transactions of SQLite's writer begin IMMEDIATE, with the lock for writing.

    Otherwise one that reads before it writes could fail, or undo another's update. ``waited`` is
    called with the seconds until each had the lock, which other processes may hold, or gave up: in
    the thread of the connection.
    """

    @event.listens_for(writer, "begin")
    def begin(connection: Connection) -> None:
        adapted: Any = connection.connection.dbapi_connection
        adapted.begin_immediate(waited)


class Watch:
    """Collects the errors of a database's engines, and checks the file of SQLite."""

    def __init__(self, file: Path | None, writer: AsyncEngine, *readers: AsyncEngine) -> None:
        self._until: dict[Trouble, float] = {}
        self._monotonic = monotonic
        self._listen(writer.sync_engine, writes=True)
        for reader in readers:
            self._listen(reader.sync_engine, writes=False)
        self._file = _OpenFile(file) if file else None
        if self._file is not None:
            event.listen(writer.sync_engine, "commit", self._require_undamaged)
            self._file.guard(*(engine.sync_engine for engine in (writer, *readers)))

    async def require_sound(self) -> None:
        """Refuse if the database is out of order; at most a few system calls, no query.

        Raises:
            DatabaseUnavailable: its text tells operators what is wrong.
        """
        now = self._monotonic()
        for trouble, until in self._until.items():
            if now < until:
                raise DatabaseUnavailable(trouble.reason)
        if self._file is not None and (fault := await asyncio.to_thread(self._file.fault)):
            raise DatabaseUnavailable(fault)

    async def look_over(self, reads: Reads) -> None:
        """Check whether the file of SQLite is damaged; later statements may find damage, too."""
        with suppress(AppError):  # it took too long, or failed on damage that `met` has noted
            found = [finding for (finding,) in await reads.rows(None, _QUICK_CHECK)]
            damage = [
                finding for finding in found if finding != "ok" and not _OF_ROWS.match(finding)
            ]
            if damage:
                self.met(DAMAGED, damage[0])

    def met(self, trouble: Trouble, cause: str) -> None:
        """Count the database as out of order for the trouble's time, and log that once.

        A command line without a configured log prints its own error instead.
        """
        if not trouble.seconds:
            return
        now = self._monotonic()
        if structlog.is_configured() and now >= self._until.get(trouble, 0.0):
            log.error("the database is out of order", reason=trouble.reason, cause=cause)
        self._until[trouble] = now + trouble.seconds

    def _require_undamaged(self, _: Connection) -> None:
        if DAMAGED in self._until:
            raise WouldBeLost(DAMAGED.reason)

    def _listen(self, engine: Engine, *, writes: bool) -> None:
        """Note the troubles that statements of this engine run into.

        A connection of the writer that cannot write is dropped, with all others of its pool: a new
        one may reach the server that is now the primary, or a file that is writable again. On a
        connection for reads that error means that the statement is wrong. An error while
        connecting is treated like a connection that broke.
        """

        @event.listens_for(engine, "handle_error")
        def note(context: ExceptionContext) -> None:
            could_write = writes and not _is_read_only(context)
            is_broken = self.breaks(context.original_exception, could_write=could_write)
            if is_broken or context.connection is None:
                context.is_disconnect = True

    def breaks(self, cause: BaseException, *, could_write: bool) -> bool:
        """Note the trouble that an error of the driver reports; whether the connection, although
        open, must not be used again."""
        trouble = trouble_of(cause)
        if trouble in (READ_ONLY, READ_ONLY_FILE) and not could_write:
            return False
        if trouble is not None and (could_write or trouble.seconds == inf):
            self.met(trouble, first_line(cause))
        return trouble in (READ_ONLY, READ_ONLY_FILE)


class _OpenFile:
    """The file that the first connection has opened; all later ones must open the same.

    It is checked without being opened: closing it would release the locks that SQLite holds in
    this process (sqlite.org/howtocorrupt.html, 2.2).
    """

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()
        self._log_path = self._path.with_name(path.name + "-wal")
        self._opened: _Identity | None = None
        self._is_lost = False

    def guard(self, writer: Engine, *readers: Engine) -> None:
        """Refuse to commit to a file that is lost, or to connect to another one in its place."""
        for engine in (writer, *readers):
            event.listen(engine, "do_connect", self._connecting)
            event.listen(engine, "connect", self._connected)
        event.listen(writer, "begin", self._writing, insert=True)
        event.listen(writer, "commit", self._writing)

    def fault(self) -> str | None:
        """Why the file cannot be written, or None; free disk space is checked only here."""
        if self._opened is None:
            return None  # there was no connection yet
        if self._opened != _identity(self._path):
            return LOST.reason
        folder = self._path.parent
        if not (os.access(self._path, os.W_OK) and os.access(folder, os.W_OK)):
            return READ_ONLY_FILE.reason
        return FULL.reason if _is_full(folder) else None

    def _connecting(self, *_: Any) -> None:
        found = _identity(self._path)
        if self._opened is None:
            self._opened = found
        self._require(self._opened == found)

    def _connected(self, connection: Any, record: Any) -> None:
        record.info["wal"] = _identity(self._log_path)  # it stays while a connection is open
        try:
            self._require(self._opened == _identity(self._path))
        except WouldBeLost:
            connection.close()  # the pool does not, and the thread would outlive the event loop
            raise

    def _writing(self, connection: Connection) -> None:
        log_file = connection.info.get("wal")
        is_there = self._opened == _identity(self._path)
        self._require(is_there and (log_file is None or log_file == _identity(self._log_path)))

    def _require(self, is_there: bool) -> None:
        if not is_there and not self._is_lost:
            log.error("the database file is lost", file=str(self._path), reason=LOST.reason)
        self._is_lost = not is_there
        if not is_there:
            raise WouldBeLost(LOST.reason)


async def require_writable(connection: AsyncConnection) -> None:
    """Ask PostgreSQL whether this connection can write, and drop it if it cannot.

    Raises:
        DatabaseUnavailable: it cannot: the server is a standby, or was made read-only.
    """
    if (await connection.execute(_IS_READ_ONLY)).scalar() == "on":
        await connection.invalidate()
        raise DatabaseUnavailable(READ_ONLY.reason)


def _is_read_only(context: ExceptionContext) -> bool:
    """Whether the statement ran in a transaction that was begun as READ ONLY on purpose."""
    connection = context.connection
    return connection is not None and bool(
        connection.get_execution_options().get("postgresql_readonly")
    )


def _identity(path: Path) -> _Identity | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _is_full(folder: Path) -> bool:
    disk = os.statvfs(folder)
    blocks = disk.f_bfree if os.geteuid() == 0 else disk.f_bavail
    return bool(disk.f_blocks) and blocks * disk.f_frsize < _ROOM
