"""Finds where the files went that a blueprint renders under another path now."""

from collections.abc import Collection, Iterator, Mapping
from difflib import SequenceMatcher
from pathlib import Path, PurePosixPath

from backstay.blueprints.errors import BlueprintError
from backstay.blueprints.files import decoded
from backstay.blueprints.records import base_of

_ALIKE = 0.6
"""How much of two texts must be equal lines, which is stricter than git."""
_SHORTEST = 4
"""Lines: shorter files are alike by chance."""


def moves(root: Path, rendered: Mapping[str, str], gone: Collection[str]) -> dict[str, str]:
    """By new path: the old one, of each file that a person has changed and that moved."""
    found: dict[str, str] = {}
    for old in sorted(gone):
        base = base_of(root, old)
        if base is None or base.count("\n") < _SHORTEST or not _is_changed(root, old, base):
            continue
        new = (path for path in _new(root, rendered, old) if path not in found)
        alike = {path: _likeness(base, rendered[path]) for path in new}
        best = max(alike, key=alike.__getitem__, default=None)
        if best is not None and alike[best] >= _ALIKE:
            found[best] = old
    return found


def _is_changed(root: Path, path: str, base: str) -> bool:
    file = root / path
    try:
        return file.is_file() and decoded(path, file.read_bytes())[0] != base
    except BlueprintError:
        return False  # it is not UTF-8: nothing can be merged into it, so it stays where it is


def _new(root: Path, rendered: Mapping[str, str], old: str) -> Iterator[str]:
    """The paths that are written for the first time, of files of the same kind."""
    kind = PurePosixPath(old).suffix
    for path in rendered:
        is_new = base_of(root, path) is None and not (root / path).exists()
        if is_new and PurePosixPath(path).suffix == kind:
            yield path


def _likeness(one: str, other: str) -> float:
    return SequenceMatcher(None, one.splitlines(), other.splitlines(), autojunk=False).ratio()
