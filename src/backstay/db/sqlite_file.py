"""Checks that the file of a SQLite database is still in place: SQLite itself does not notice."""

import os
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import SQLAlchemyError

from backstay.db.troubles import FULL, LOST, READ_ONLY_FILE

log = structlog.get_logger("backstay.database")

ROOM = 2**20
"""A disk with fewer free bytes than this counts as full."""

Identity = tuple[int, int]
"""The device and the inode number of a file."""


class WouldBeLost(SQLAlchemyError):
    """A write would be lost: the database file was moved, deleted, replaced or is damaged."""


class OpenFile:
    """The file that the first connection has opened; all later ones must open the same.

    It is checked without being opened: closing it would release the locks that SQLite holds in
    this process (sqlite.org/howtocorrupt.html, 2.2).
    """

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()
        self._log_path = self._path.with_name(path.name + "-wal")
        self._opened: Identity | None = None
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
            return LOST.told
        folder = self._path.parent
        if not (os.access(self._path, os.W_OK) and os.access(folder, os.W_OK)):
            return READ_ONLY_FILE.told
        return FULL.told if _is_full(folder) else None

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
            log.error("the database file is lost", file=str(self._path), reason=LOST.told)
        self._is_lost = not is_there
        if not is_there:
            raise WouldBeLost(LOST.told)


def _identity(path: Path) -> Identity | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _is_full(folder: Path) -> bool:
    disk = os.statvfs(folder)
    blocks = disk.f_bfree if os.geteuid() == 0 else disk.f_bavail
    return bool(disk.f_blocks) and blocks * disk.f_frsize < ROOM
