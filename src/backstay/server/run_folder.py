"""The folder that a supervisor shares with its processes, and what becomes of a dead one's.

A supervisor that is killed cannot remove its folder. So each living one holds a lock on its own,
which ends with the process however that ends, and the next one removes those that nobody holds.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

PREFIX = "backstay-run-"


@contextmanager
def run_folder() -> Iterator[Path]:
    """A new folder in the temporary one, for as long as the block lasts."""
    _sweep(Path(tempfile.gettempdir()))
    with ExitStack() as held:
        yield _made(held)


def _made(held: ExitStack) -> Path:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        try:
            lock = _locked(folder)
        except (BlockingIOError, FileNotFoundError):
            continue  # another supervisor that starts right now takes it for left, and removes it
        except OSError:  # no locks here: nobody removes what others left, either
            held.callback(shutil.rmtree, folder, ignore_errors=True)
            return folder
        if folder.exists():
            held.callback(os.close, lock)
            held.callback(shutil.rmtree, folder, ignore_errors=True)
            return folder
        os.close(lock)


def _sweep(temporary: Path) -> None:
    """Remove the folders of this user whose supervisors are dead."""
    for folder in temporary.glob(f"{PREFIX}*"):
        with suppress(OSError):
            lock = _locked(folder)
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


def _locked(folder: Path) -> int:
    """What holds the lock on a folder of this user, until it is closed.

    Raises:
        BlockingIOError: another process holds it.
        OSError: it is gone, no folder, a link, somebody else's, or cannot be locked.
    """
    found = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        if os.fstat(found).st_uid != os.geteuid():
            raise PermissionError
        fcntl.flock(found, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(found)
        raise
    return found
