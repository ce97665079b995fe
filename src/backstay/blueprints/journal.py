"""Writes many files or none: what a killed process left half done can be finished or undone.

Before the first file of the person is touched, ``.blueprints/journal`` holds the content of every
file before and after, on the disk. Each step then is one rename within the disk, which needs no
space. Many files are written before the disk is asked to hold the first: it then writes them at
once, where waiting for each took many seconds.
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from backstay.blueprints.errors import BlueprintError
from backstay.blueprints.files import CONFLICT, FOLDER

_JOURNAL = "journal"
_DRAFT = "journal.draft"
"""Not complete yet, or not needed any more: whoever finds it deletes it."""
_STEPS = "steps.json"


class Step(NamedTuple):
    """A file that changes: its content before and after; None if there is no such file."""

    path: str
    before: bytes | None
    after: bytes | None


@dataclass(frozen=True)
class _Noted:
    """A step as the journal holds it: digests instead of contents, which lie beside it."""

    number: int
    path: str
    before: str | None
    after: str | None


def unfinished(root: Path) -> tuple[str, ...]:
    """The paths that an interrupted command was writing; none if no command was interrupted."""
    if not (root / FOLDER / _JOURNAL).is_dir():
        return ()
    return tuple(noted.path for noted in _noted(root))


def refuse_unfinished(root: Path) -> None:
    """Refuse to begin anything while a command is half done.

    Raises:
        BlueprintError: one was interrupted.
    """
    if paths := unfinished(root):
        raise BlueprintError(
            f"An earlier command was interrupted while it wrote {len(paths)} files. "
            "Finish it with --continue, or undo it with --abort."
        )


def clean(root: Path) -> None:
    """Remove what a killed command has left that had not begun to change files, or had done so.

    Raises:
        BlueprintError: another command is at work.
    """
    if (root / FOLDER / _DRAFT).exists():
        with _alone(root):
            pass


def write_all(root: Path, steps: Sequence[Step]) -> None:
    """Carry out every step or none.

    Raises:
        BlueprintError: a file is not as its step says, or another command is at work.
        OSError: a file cannot be written; nothing was changed.
    """
    if not steps:
        return
    with _alone(root) as folder:
        refuse_unfinished(root)
        if changed := [step.path for step in steps if _read(root / step.path) != step.before]:
            raise BlueprintError(
                *(f"{path} was changed meanwhile. Run this again." for path in changed)
            )
        try:
            _draft(folder, root, steps)
            (folder / _DRAFT).rename(folder / _JOURNAL)
            _sync(folder)
            _forward(root)
        except BaseException:
            if (folder / _JOURNAL).is_dir():
                _backward(root)
            raise
        finally:
            shutil.rmtree(folder / _DRAFT, ignore_errors=True)


def finish(root: Path) -> tuple[str, ...]:
    """Finish an interrupted command; again, if that was interrupted, too.

    Returns:
        the paths that somebody changed since: they are left as they are, with what was to be
        written in ``<path>.conflict``.
    """
    with _alone(root):
        return _forward(root)


def undo(root: Path) -> tuple[str, ...]:
    """Undo an interrupted command; again, if that was interrupted, too.

    Returns:
        the paths that somebody changed since: they are left as they are.
    """
    with _alone(root):
        return _backward(root)


@contextmanager
def _alone(root: Path) -> Iterator[Path]:
    """Keep other commands away; the system ends this with the process."""
    folder = root / FOLDER
    if folder.is_symlink():
        raise BlueprintError(f"{FOLDER} is a symbolic link, and nothing is written through one.")
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        _lock(handle, root)
        try:
            shutil.rmtree(folder / _DRAFT, ignore_errors=True)
            yield folder
        finally:
            with suppress(OSError):  # it holds something, as it should
                folder.rmdir()
    finally:
        os.close(handle)


def _lock(handle: int, root: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BlueprintError(f"Another command is writing in {root}. Wait for it.") from None


def _draft(folder: Path, root: Path, steps: Sequence[Step]) -> None:
    """Write the journal, and make the disk hold it."""
    draft = folder / _DRAFT
    draft.mkdir()
    noted = []
    for number, step in enumerate(steps):
        for part, content in (("before", step.before), ("after", step.after)):
            if content is not None:
                _write(draft / f"{number}.{part}", content)
        if step.before is not None and step.after is not None:
            shutil.copymode(root / step.path, draft / f"{number}.after")
        if step.before is not None:
            shutil.copymode(root / step.path, draft / f"{number}.before")
        noted.append([number, step.path, _digest(step.before), _digest(step.after)])
    _write(draft / _STEPS, json.dumps(noted).encode())
    for path in draft.iterdir():
        _sync(path)
    _sync(draft)


def _noted(root: Path) -> list[_Noted]:
    text = (root / FOLDER / _JOURNAL / _STEPS).read_text("utf-8")
    return [_Noted(*each) for each in json.loads(text)]


def _forward(root: Path) -> tuple[str, ...]:
    journal = root / FOLDER / _JOURNAL
    left = []
    steps = _noted(root) if journal.is_dir() else []
    for step in steps:
        now = _digest(_read(root / step.path))
        source = journal / f"{step.number}.after"
        if now == step.before:
            _put(root, step.path, source if step.after else None)
        elif now != step.after:
            left.append(step.path)
            if source.is_file():
                _put(root, f"{step.path}{CONFLICT}", source)
    _close(root, steps)
    return tuple(left)


def _backward(root: Path) -> tuple[str, ...]:
    journal = root / FOLDER / _JOURNAL
    left = []
    steps = _noted(root) if journal.is_dir() else []
    for step in reversed(steps):
        now = _digest(_read(root / step.path))
        if now == step.after:
            _put(root, step.path, journal / f"{step.number}.before" if step.before else None)
        elif now != step.before:
            left.append(step.path)
        else:
            _prune(root, root / step.path)
    _close(root, steps)
    return tuple(left)


def _put(root: Path, path: str, source: Path | None) -> None:
    """Move the content into its place, or remove the file."""
    target = root / path
    if source is None:
        target.unlink()
        _prune(root, target)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        source.replace(target)


def _prune(root: Path, target: Path) -> None:
    """Remove the folders of a file that is not there, as far as they are empty."""
    if target.exists():
        return
    for folder in target.parents:
        if folder == root:
            return
        with suppress(FileNotFoundError):
            if any(folder.iterdir()):
                return
            folder.rmdir()


def _close(root: Path, steps: Sequence[_Noted]) -> None:
    """Make the disk hold what was done, then forget the journal, in one step."""
    folder = root / FOLDER
    for each in {above for step in steps for above in (root / step.path).parents}:
        if each.is_relative_to(root) and each.is_dir():
            _sync(each)
    if (folder / _JOURNAL).is_dir():
        (folder / _JOURNAL).rename(folder / _DRAFT)
        shutil.rmtree(folder / _DRAFT, ignore_errors=True)


def _read(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _digest(content: bytes | None) -> str | None:
    return None if content is None else hashlib.sha256(content).hexdigest()


def _write(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)


def _sync(path: Path) -> None:
    """Make the disk hold the content of a file, or the names in a folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
