"""The folder that a supervisor shares with its processes; also removes those of dead supervisors.

A supervisor that is killed cannot remove its folder. Each supervisor therefore holds a lock on its
folder, which the system releases when the process ends. The next supervisor removes the folders
that are not locked.
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
    """A new folder in the directory for temporary files, removed at the end of the block."""
    _sweep(Path(tempfile.gettempdir()))
    with ExitStack() as held:
        yield _made(held)


def _made(held: ExitStack) -> Path:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        try:
            lock = _locked(folder)
        except (BlockingIOError, FileNotFoundError):
            continue  # another supervisor, starting now, took it for an abandoned one
        except OSError:  # no locks here, so no supervisor removes the folders of others
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
    """Lock a folder of this user; the lock lasts until the returned descriptor is closed.

    Raises:
        BlockingIOError: another process holds it.
        OSError: it is missing, not a folder, a link, another user's, or cannot be locked.
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
