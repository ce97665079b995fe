"""Reads a person's files, and refuses those that must not be written."""

import ast
import json
import stat
import tomllib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from backstay.blueprints.errors import BlueprintError

FOLDER = ".blueprints"
"""In the root of a project, committed: what was generated, and from what."""
CONFLICT = ".conflict"
"""Ending of the file, beside the person's own, that has what could not be brought into it."""
_BOM = "\ufeff"


class Style(NamedTuple):
    """How a person's file is kept, where that is no change of what it says."""

    newline: str = "\n"
    mark: str = ""
    ends: bool = True


def checked(path: str) -> PurePosixPath:
    """The path inside a project.

    Raises:
        BlueprintError: it leads out of the project, or into what is not the project's.
    """
    pure = PurePosixPath(path)
    odd = not pure.parts or path != str(pure) or "\\" in path or ":" in path
    if odd or pure.is_absolute() or ".." in pure.parts or pure.parts[0] in (".git", FOLDER):
        raise BlueprintError(f"{path!r} is not the path of a file in a project.", usage=True)
    return pure


def obstacle(root: Path, path: str) -> str | None:
    """Why the file of this path must not be written or removed, or None."""
    folder = root
    *above, name = PurePosixPath(path).parts
    for part in above:
        if wrong := _unusual(root, folder, part) or _other_kind(root, folder / part, Path.is_dir):
            return wrong
        folder = folder / part
    target = folder / name
    if wrong := _unusual(root, folder, name) or _other_kind(root, target, Path.is_file):
        return wrong
    if target.exists():
        return _read_only(root, target) or _read_only(root, folder)
    while not folder.exists():
        folder = folder.parent
    return _read_only(root, folder)


def _read_only(root: Path, place: Path) -> str | None:
    """What is wrong with the mode of a file, or of a folder whose entries change."""
    if place.stat().st_mode & stat.S_IWUSR:
        return None
    path = place.relative_to(root).as_posix()
    return f"{path} is read-only. Make it writable: chmod u+w {path}"


def _unusual(root: Path, folder: Path, name: str) -> str | None:
    """What is wrong with a name in a folder."""
    path = (folder / name).relative_to(root)
    if (folder / name).is_symlink():
        return f"{path} is a symbolic link, and nothing is written through one."
    if other := _other_case(folder, name):
        return f"{path} differs only in upper and lower case from {other}, which is there already."
    return None


def _other_kind(root: Path, place: Path, wanted: Callable[[Path], bool]) -> str | None:
    if not place.exists() or wanted(place):
        return None
    kind = "a file" if wanted is Path.is_dir else "a folder, or no plain file"
    return f"{place.relative_to(root)} is {kind}."


def _other_case(folder: Path, name: str) -> str | None:
    if not folder.is_dir():
        return None
    names = [each.name for each in folder.iterdir()]
    if name in names:
        return None
    return next((each for each in names if each.casefold() == name.casefold()), None)


def decoded(path: str, content: bytes) -> tuple[str, Style]:
    """The text with plain newlines, and how the file is kept.

    Raises:
        BlueprintError: it is not UTF-8.
    """
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        place = content[: error.start].count(b"\n") + 1
        raise BlueprintError(
            f"{path} is not UTF-8 (line {place}), so nothing can be merged into it. "
            "Save it as UTF-8, then run this again."
        ) from None
    newline = "\r\n" if "\r\n" in text else "\n"
    mark = _BOM if text.startswith(_BOM) else ""
    text = text.removeprefix(_BOM).replace("\r\n", "\n")
    ends = not text or text.endswith("\n")
    return text if ends else f"{text}\n", Style(newline, mark, ends)


def encoded(text: str, style: Style) -> bytes:
    """The text as the person keeps the file."""
    text = text if style.ends else text.removesuffix("\n")
    return (style.mark + text.replace("\n", style.newline)).encode()


def unreadable(path: str, text: str) -> str | None:
    """Why a program could not read this text as what the path says it is, or None."""
    try:
        if path.endswith(".py"):
            ast.parse(text)
        elif path.endswith(".toml"):
            tomllib.loads(text)
        elif path.endswith(".json"):
            json.loads(text)
    except SyntaxError as error:
        return f"line {error.lineno}: {error.msg}"
    except ValueError as error:
        return str(error)
    return None
