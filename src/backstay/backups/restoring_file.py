"""Restores a backup of SQLite: into a file beside the database, which then takes its place."""

import os
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from secrets import token_hex
from typing import Any

from sqlalchemy.engine import make_url

from backstay.backups.pipes import Stop
from backstay.backups.proving import check_file, fetch, in_thread
from backstay.backups.sqlite import explained
from backstay.backups.wish import Finish, Wish
from backstay.core.backups import BackupError
from backstay.core.wiring import BootError
from backstay.db import sqlite
from backstay.db.options import EngineOptions
from backstay.db.sole_server import lock_server

_BESIDE, _BEFORE = ".restoring-", ".before-"
_FURTHER = ("-wal", "-shm", "-journal")
_IN_USE = "{} is in use: stop the server, the workers and what else has it open, then try again."


async def restore(wish: Wish, options: EngineOptions, moment: str, finish: Finish) -> str:
    """Restore into the file of the options; see `restoring.restore`."""
    file = options.file
    assert file is not None  # noqa: S101 - on SQLite
    if not file.absolute().parent.is_dir():
        raise BackupError(f"There is no folder {file.absolute().parent} for the database.")
    file, stop = file.resolve(), Stop()
    with _only_we(file), _only_open_here(file, wish):
        beside = file.with_name(f"{file.name}{_BESIDE}{token_hex(4)}")
        try:
            await in_thread(stop, _written, wish, beside, stop)
            await finish(replace(options, url=_url_of(options, beside)))
            _settle(beside, file)
            return _swapped(file, beside, moment, wish)
        finally:
            _remove(beside)


def _written(wish: Wish, beside: Path, stop: Stop) -> None:
    fetch(wish.manifest, wish.catalogue, beside, stop, wish.told)
    check_file(wish.manifest, beside, stop, wish.told)


def _url_of(options: EngineOptions, file: Path) -> str:
    url = make_url(options.url).set(database=str(file))
    return url.render_as_string(hide_password=False)


@contextmanager
def _only_we(file: Path) -> Iterator[None]:
    """Keep servers from starting, and other restores; refuse if there is one."""
    try:
        lock = lock_server(file)
    except BootError:
        raise BackupError(_IN_USE.format(file)) from None
    try:
        yield
    finally:
        if lock is not None:
            os.close(lock)


@contextmanager
def _only_open_here(file: Path, wish: Wish) -> Iterator[None]:
    """Hold the database that is to be replaced, so that nobody writes to it any more.

    Leaving WAL mode fails while another connection has the file open (sqlite.org/pragma.html,
    journal_mode). A file that is damaged cannot be locked; nobody can write to it, either.
    """
    _tell_of_interrupted(file, wish)
    module = sqlite.in_use().module
    if not file.exists():
        yield
        return
    with closing(module.connect(file, isolation_level=None, timeout=1.0)) as database:
        try:
            _take(database, file, wish)
        except module.OperationalError as error:
            told = _IN_USE if "locked" in str(error) else f"{{}} cannot be opened: {error}."
            raise BackupError(told.format(file)) from None
        except module.DatabaseError as error:
            if not wish.force:
                raise BackupError(
                    f"{file} cannot be read ({error}): to put the backup in its place, add --force."
                ) from None
        yield


def _take(database: Any, file: Path, wish: Wish) -> None:
    if _has_tables(database) and not wish.force:
        raise BackupError(_holds_data(file))
    _lock(database)


def _has_tables(database: Any) -> bool:
    found = database.execute("SELECT count(*) FROM sqlite_master WHERE type = 'table'").fetchone()
    return bool(found[0])


def _lock(database: Any) -> None:
    database.execute("PRAGMA journal_mode = DELETE").fetchone()
    database.execute("BEGIN EXCLUSIVE")


def _holds_data(name: object) -> str:
    return (
        f"{name} holds data: to put the backup in its place, add --force. The database that is "
        "there is kept under another name."
    )


def _tell_of_interrupted(file: Path, wish: Wish) -> None:
    """Remove the copies of restores that were killed, and tell where the former database is."""
    left = [each for each in file.parent.glob(f"{file.name}{_BESIDE}*")
            if not each.name.endswith(_FURTHER)]  # fmt: skip
    for each in left:
        _remove(each)
    kept = sorted(each for each in file.parent.glob(f"{file.name}{_BEFORE}*")
                  if not each.name.endswith(_FURTHER))  # fmt: skip
    if left:
        wish.say("An earlier restore was interrupted; its unfinished copy was removed.")
    if kept and (left or not file.exists()):
        wish.say(f"What was there before it is kept as {kept[-1]}.")


def _settle(beside: Path, file: Path) -> None:
    """Bring the copy into one file on the disk, with the owner and mode of the database."""
    module = sqlite.in_use().module
    with explained(f"{beside} cannot be finished"):
        with closing(module.connect(beside, isolation_level=None)) as database:
            database.execute("PRAGMA journal_mode = DELETE").fetchone()
        if file.exists():
            shutil.copymode(file, beside)
            with suppress(PermissionError):
                os.chown(beside, file.stat().st_uid, file.stat().st_gid)
        _sync(beside)


def _swapped(file: Path, beside: Path, moment: str, wish: Wish) -> str:
    """Let the copy take the place of the database, whose file is kept; the name of that.

    The second name comes first, so that the database is never absent.
    """
    kept = file.with_name(f"{file.name}{_BEFORE}{moment}")
    if not file.exists():
        beside.replace(file)
        _sync(file.parent)
        return ""
    try:
        kept.hardlink_to(file)
    except OSError:  # this file system has no second names
        file.replace(kept)
    for further in _FURTHER:  # of a damaged database alone: SQLite would apply them to the copy
        with suppress(FileNotFoundError):
            Path(f"{file}{further}").replace(f"{kept}{further}")
    beside.replace(file)
    _sync(file.parent)
    if wish.drop_old:
        _remove(kept)
        return ""
    return str(kept)


def _remove(file: Path) -> None:
    for each in ("", *_FURTHER):
        Path(f"{file}{each}").unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
