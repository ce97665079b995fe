"""Lets one process at a time serve an SQLite file: several would wait for each other's writes.

`backstay serve` refuses several workers on SQLite by the settings. A server of another kind starts
its workers unseen, so each holds a lock beside the database.
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

    Where no lock can be had, as on a read-only file system, others are not noticed.

    Raises:
        BootError: another process serves it.
    """
    try:
        flags = os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW
        lock = None if file is None else os.open(f"{file.resolve()}-server", flags, 0o600)
    except OSError:
        lock = None
    if lock is None:
        yield
        return
    try:
        _take(lock, str(file))
        yield
    finally:
        os.close(lock)


def _take(lock: int, file: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                problem = "Another process serves this database, and SQLite is for one alone."
                hint = "Start the server with one worker, or use PostgreSQL."
                raise BootError([Flaw(Code.SERVER_TWICE, problem, hint, file)]) from None
            time.sleep(_PAUSE)
        except OSError:
            return  # this file system has no locks
        else:
            return
