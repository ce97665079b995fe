"""The folder that a supervisor shares with its processes; also removes those of dead supervisors.

A supervisor that is killed cannot remove its folder. Each supervisor therefore holds a lock on its
folder, which the system releases when the process ends. The next supervisor removes the folders
that are not locked. Commands that try something in a folder of their own do the same.
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
def run_folder(prefix: str = PREFIX) -> Iterator[Path]:
    """A new folder in the directory for temporary files, removed at the end of the block.

    Those of dead processes whose names begin with the same prefix are removed before.
    """
    _sweep(Path(tempfile.gettempdir()), prefix)
    with ExitStack() as held:
        yield _made(held, prefix)


def _made(held: ExitStack, prefix: str) -> Path:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix))
        try:
            lock = _locked(folder)
        except (BlockingIOError, FileNotFoundError):
            continue  # another process, starting now, took it for an abandoned one
        except OSError:  # no locks here, so no process removes the folders of others
            held.callback(shutil.rmtree, folder, ignore_errors=True)
            return folder
        if folder.exists():
            held.callback(os.close, lock)
            held.callback(shutil.rmtree, folder, ignore_errors=True)
            return folder
        os.close(lock)


def _sweep(temporary: Path, prefix: str) -> None:
    """Remove the folders of this user whose processes are dead."""
    for folder in temporary.glob(f"{prefix}*"):
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
