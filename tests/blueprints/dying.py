"""Runs a command of Backstay that is killed before one of its operations in a folder.

``python -m tests.blueprints.dying FOLDER NUMBER ARGUMENTS``. Operations are changes of files below
the folder, and starts of other programs. If it lives, it says in ``FOLDER.count`` how many it did.
"""

import os
import signal
import sys
from pathlib import Path

from backstay.cli import main as backstay

_WRITING = os.O_WRONLY | os.O_RDWR
_OTHERS = {"os.listdir", "os.scandir", "os.walk", "os.fwalk", "os.putenv", "os.unsetenv"}


def is_operation(event: str, arguments: tuple[object, ...], folder: str) -> bool:
    """Whether an audit event changes something there, or starts a program."""
    if event == "subprocess.Popen":
        return True
    if event == "open":
        writes = isinstance(arguments[2], int) and bool(arguments[2] & _WRITING)
    else:
        writes = event.startswith("os.") and event not in _OTHERS
    first = arguments[0] if arguments else None
    if not writes or not isinstance(first, str | bytes | os.PathLike):
        return False
    path = os.fsdecode(first)
    if not path.startswith("/"):
        path = os.path.join(_above(event, arguments), path)  # noqa: PTH118 - no events of its own
    return path.startswith(f"{folder}/")


def _above(event: str, arguments: tuple[object, ...]) -> str:
    """What the path of an event is relative to."""
    given = arguments[-1] if event in ("os.remove", "os.rmdir", "os.mkdir") else -1
    return os.getcwd() if given == -1 else os.readlink(f"/proc/self/fd/{given}")  # noqa: PTH109, PTH115


def main() -> None:
    folder, number, *rest = sys.argv[1:]
    done = 0

    def count(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal done
        if is_operation(event, arguments, folder):
            if done == int(number):
                os.kill(os.getpid(), signal.SIGKILL)
            done += 1

    sys.addaudithook(count)
    sys.argv = ["backstay", *rest]
    try:
        backstay()
    finally:
        Path(f"{folder}.count").write_text(str(done))


if __name__ == "__main__":
    main()
