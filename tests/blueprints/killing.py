"""Kills a process at each of its file operations in turn, while it brings a rendering in.

It runs by itself, because it forks: ``python -m tests.blueprints.killing FOLDER``.
"""

import os
import random
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from backstay.blueprints.errors import BlueprintError
from backstay.blueprints.journal import finish, undo, unfinished
from backstay.blueprints.tree import Action
from tests.blueprints.trees import FIELDS, actions, everything, generate, plan

FIRST = {"sub/a.py": FIELDS, "b.py": FIELDS, "c.py": FIELDS}
SECOND = {"b.py": FIELDS.replace("c = 3", "c = 300"), "c.py": FIELDS.replace("b = 2", "b = 20")}
SECOND |= {"new/d.py": FIELDS}
WRITING = os.O_WRONLY | os.O_RDWR


def prepare(root: Path) -> None:
    """A project with a file to remove, one to merge, one with a conflict, and none of a new one."""
    generate(root, FIRST)
    (root / "b.py").write_text(FIELDS.replace("a = 1", "a = 100"))
    (root / "c.py").write_text(FIELDS.replace("b = 2", "b = 30"))


def apply(root: Path) -> None:
    made = plan(root, SECOND)
    assert set(actions(made).values()) == {
        Action.REMOVE,
        Action.MERGE,
        Action.CONFLICT,
        Action.WRITE,
    }
    made.apply()


def writes(event: str, arguments: tuple[object, ...]) -> bool:
    """Whether an audit event is an operation that changes files."""
    if event == "open":
        return isinstance(arguments[2], int) and bool(arguments[2] & WRITING)
    return event.startswith("os.") and event not in ("os.listdir", "os.scandir")


def killed(work: Callable[[], object], at: int) -> bool:
    """Whether a process that did this was killed before its operation of this number."""
    child = os.fork()
    if child == 0:
        left = at

        def count(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal left
            left -= writes(event, arguments)
            if left < 0:
                left = sys.maxsize
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        work()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert status == 0 or os.WIFSIGNALED(status), status
    return os.WIFSIGNALED(status)


def state(root: Path) -> dict[str, bytes]:
    """Every file but what nobody needs any more."""
    return {
        path: content
        for path, content in everything(root).items()
        if not path.startswith(".blueprints/journal.draft/")
    }


def recovered(root: Path, at: int, before: object, after: object) -> str:
    """Which way the project got out of what a killed process left."""
    if not unfinished(root):
        assert state(root) in (before, after), at
        return "whole"
    with pytest.raises(BlueprintError, match="--continue"):
        plan(root, SECOND)
    way, end = ((finish, after), (undo, before))[at % 2]
    killed(lambda: way(root), random.Random(at).randrange(30))
    assert way(root) == ()
    assert everything(root) == end, at
    return way.__name__


def main(folder: Path) -> None:
    setattr(os, "fsync", lambda _: None)  # noqa: B010 - the kernel keeps what a killed process wrote
    first, last = folder / "first", folder / "last"
    prepare(first)
    shutil.copytree(first, last)
    apply(last)
    before, after = everything(first), everything(last)
    root = folder / "project"
    ways: list[str] = []
    while True:
        shutil.copytree(first, root)
        if not killed(lambda: apply(root), len(ways)):
            break
        ways.append(recovered(root, len(ways), before, after))
        shutil.rmtree(root)
    assert everything(root) == after
    print({way: ways.count(way) for way in ("whole", "finish", "undo")}, len(ways))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
