"""Lets one server at a time serve an SQLite file: several would wait for each other's writes.

`backstay serve` refuses several workers on SQLite by the settings, and its supervisor holds the
lock for all its processes. A server of another kind starts its workers unseen, so each holds it.
Workers of jobs and other commands need none.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backstay.core.wiring import BootError, Code, Flaw

PATIENCE = 10.0
"""Seconds to wait for the former process, which a server replaces by this one, to end."""
_PAUSE = 0.1


@contextmanager
def sole_server(file: Path | None) -> Iterator[None]:
    """Serve a database, of which ``file`` is the SQLite file, inside this context.

    Raises:
        BootError: another server serves it.
    """
    lock = lock_server(file, patience=PATIENCE)
    try:
        yield
    finally:
        if lock is not None:
            os.close(lock)


def lock_server(file: Path | None, *, patience: float = 0) -> int | None:
    """The descriptor of the lock on an SQLite file, which lasts until its process ends.

    A process that is killed leaves no lock behind (flock(2)). Where no lock can be had, as on a
    read-only file system, this returns None, and others are not noticed.

    Raises:
        BootError: another server holds it, also after ``patience`` seconds.
    """
    try:
        flags = os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW
        lock = None if file is None else os.open(f"{file.resolve()}-server", flags, 0o600)
    except OSError:
        lock = None
    if lock is None:
        return None
    try:
        _take(lock, str(file), patience)
    except BaseException:
        os.close(lock)
        raise
    return lock


def _take(lock: int, file: str, patience: float) -> None:
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                problem = "Another server serves this database, and SQLite is for one process."
                hint = "Stop the other server, start this one with one worker, or use PostgreSQL."
                raise BootError([Flaw(Code.SERVER_TWICE, problem, hint, file)]) from None
            time.sleep(_PAUSE)
        except OSError:
            return  # this file system has no locks
        else:
            return
