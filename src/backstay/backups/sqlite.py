"""Backups of SQLite: an online copy in one file, its checksums, and its checks."""

import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any

from backstay.backups.manifest import RECORD, REVISIONS, Source, Table
from backstay.backups.pipes import Stop, Stopped, Told
from backstay.core.backups import BackupError
from backstay.db import sqlite

_PAGES = 2000
_PATIENCE = 30.0
"""Seconds to wait for the lock of somebody who writes."""
_RESTARTS = 5
_ROWS = 1000
_ENOUGH = 64


def copy_database(source: Path, target: Path, stop: Stop, told: Told) -> None:
    """Copy a database that others go on writing to, as it is at one moment, into one file.

    In WAL mode one read transaction covers the whole copy, and nobody waits for it. With a
    rollback journal it would keep writers waiting: there SQLite begins anew after each write of
    others, and only the last of several attempts holds them up.

    Raises:
        BackupError: the database cannot be read, or there is no room.
    """
    require_room(target.parent, source.stat().st_size)
    module = sqlite.in_use().module
    target.touch(mode=0o600)
    with explained(f"{source} cannot be copied"), _opened(source, "ro") as origin:
        is_wal = origin.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        with closing(module.connect(target, isolation_level=None)) as copy:
            _copy(origin, copy, _Watch(origin, stop, told, holds=is_wal))
            copy.execute("PRAGMA journal_mode = DELETE").fetchone()


class _Watch:
    """Is told of the pages that are left; holds the source if others write to it all the time."""

    def __init__(self, origin: Any, stop: Stop, told: Told, *, holds: bool) -> None:
        self._origin, self._stop, self._told = origin, stop, told
        self._left, self._restarts = -1, 0
        if holds:
            self.hold()

    def hold(self) -> None:
        """Begin a read transaction, in which the copy then reads."""
        self._origin.execute("BEGIN")
        self._origin.execute("SELECT count(*) FROM sqlite_master").fetchone()

    def __call__(self, status: int, left: int, total: int) -> None:
        self._stop.check()
        self._told("copied", total - left, total)
        if 0 <= self._left < left:
            self._restarts += 1
            if self._restarts == _RESTARTS:
                self.hold()
        self._left = left


def _copy(origin: Any, target: Any, watch: _Watch) -> None:
    origin.backup(target, pages=_PAGES, progress=watch, sleep=0.005)


def describe(file: Path, name: str, stop: Stop, told: Told) -> tuple[Source, dict[str, Table]]:
    """A file that is a copy of the database ``name``: its version and schema, and every table."""
    with explained(f"{file.name} cannot be read"), _opened(file, "ro") as database:
        source = Source(
            kind="sqlite",
            version=sqlite.in_use().version_text,
            name=name,
            revisions=tuple(sorted(row[0] for row in _rows(database, REVISIONS))),
            record=dict(_rows(database, RECORD)),
        )
        return source, tables(database, stop, told)


def tables(database: Any, stop: Stop, told: Told) -> dict[str, Table]:
    """Rows and checksum of every table; shadow tables of virtual ones are tables, too."""
    database.text_factory = bytes
    names = [
        name.decode()
        for (name,) in database.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' "
            "ESCAPE '\\' AND sql NOT LIKE 'CREATE VIRTUAL%' ORDER BY name"
        )
    ]
    found: dict[str, Table] = {}
    for number, name in enumerate(names):
        told("compared", number, len(names))
        found[name] = _table(database, name, stop)
    told("compared", len(names), len(names))
    return found


def _table(database: Any, name: str, stop: Stop) -> Table:
    """Sum up a hash of each row, so that the order of rows does not matter."""
    quoted = name.replace('"', '""')
    cursor = database.execute(f'SELECT * FROM "{quoted}"')  # noqa: S608 - quoted
    rows = total = 0
    while batch := cursor.fetchmany(_ROWS):
        stop.check()
        for row in batch:
            total += int.from_bytes(blake2b(repr(row).encode(), digest_size=16).digest())
        rows += len(batch)
    return Table(rows=rows, checksum=f"{total % 2**128:032x}")


def faults(file: Path, stop: Stop, told: Told) -> Iterator[str]:
    """What the checks of SQLite say is wrong with a file."""
    with explained(f"{file.name} is damaged"), _opened(file, "rw") as database:
        database.set_progress_handler(lambda: int(_is_set(stop)), 100_000)
        told("checked", 0, 2)
        said = [row[0] for row in database.execute("PRAGMA integrity_check(10)")]
        if said != ["ok"]:
            yield f"integrity_check says: {'; '.join(said)[:300]}"
        told("checked", 1, 2)
        broken = {row[0] for row in database.execute("PRAGMA foreign_key_check")}
        if broken:
            yield f"rows of {', '.join(sorted(broken))} refer to nothing"
        told("checked", 2, 2)


def _is_set(stop: Stop) -> bool:
    try:
        stop.check()
    except Stopped:
        return True
    return False


def require_room(folder: Path, size: int) -> None:
    """Refuse to fill a disk.

    Raises:
        BackupError: less than ``size`` bytes, and some more, are free.
    """
    free = shutil.disk_usage(folder).free
    if free < size + _ENOUGH * 2**20:
        raise BackupError(
            f"{folder} has {free // 2**20} MiB free, and {size // 2**20 + _ENOUGH} MiB are needed."
        )


def _rows(database: Any, statement: str) -> list[Any]:
    """The rows of a query; none if the table is not there."""
    try:
        return list(database.execute(statement))
    except sqlite.in_use().module.OperationalError:
        return []


@contextmanager
def _opened(file: Path, mode: str) -> Iterator[Any]:
    uri = f"{file.absolute().as_uri()}?mode={mode}"
    connect = sqlite.in_use().module.connect
    with closing(connect(uri, uri=True, isolation_level=None, timeout=_PATIENCE)) as database:
        yield database


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Tell of errors of SQLite and of the disk in a sentence."""
    try:
        yield
    except sqlite.in_use().module.Error as error:
        raise BackupError(f"{what}: {error}.") from error
    except OSError as error:
        raise BackupError(f"{what}: {error.strerror or error}.") from error
