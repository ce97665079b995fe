"""Tells mypy and pyright of a further folder, by careful edits of a person's `pyproject.toml`."""

import re
import tomllib
from typing import Any, NamedTuple

from backstay.blueprints.changes import Action, Change
from backstay.blueprints.files import decoded, encoded

FILE = "pyproject.toml"
_NOTE = " # with the copies of packaged features"
"""Ends a line that was written here, and so is removed here."""
_HEADER = re.compile(r"^[ \t]*\[", re.MULTILINE)


class _Option(NamedTuple):
    """The option of a checker: a list of folders, or a text with colons between them."""

    checker: str
    key: str
    usual: tuple[str, ...] = ()
    """What it is where it is not set, which setting it would end."""


_OPTIONS = (_Option("mypy", "mypy_path"), _Option("pyright", "extraPaths", ("src",)))


def finding(content: bytes, folder: str) -> tuple[Change, tuple[str, ...]]:
    """The change by which checkers find a folder, and what must be done by hand, in sentences."""
    return _edited(content, folder, present=True)


def without(content: bytes, folder: str) -> tuple[Change, tuple[str, ...]]:
    """The change by which they do not look there any more, and what must be done by hand."""
    return _edited(content, folder, present=False)


def _edited(content: bytes, folder: str, *, present: bool) -> tuple[Change, tuple[str, ...]]:
    text, style = decoded(FILE, content)
    by_hand = []
    for option in _OPTIONS:
        section = tomllib.loads(text).get("tool", {}).get(option.checker)
        if section is None and not present:
            continue
        folders = _folders(section, option)
        if section is None or folders is None:
            by_hand.append(f"Let {option.checker} search {folder}, too ({option.key}).")
        elif (folder in folders) != present:
            wanted = [*(folders or option.usual), folder]
            if not present:
                wanted = [each for each in folders if each != folder]
            changed = _with(text, option, wanted)
            if changed is None:
                done = "add it to" if present else "take it out of"
                by_hand.append(f"{folder}: {done} {option.key} of [tool.{option.checker}].")
            text = changed or text
    after = encoded(text, style)
    action = Action.KEEP if after == content else Action.UPDATE
    return Change(FILE, action, content, after, tracked=False), tuple(by_hand)


def _folders(section: Any, option: _Option) -> list[str] | None:
    """The folders that an option names; None if it is of another form."""
    found = section.get(option.key, []) if isinstance(section, dict) else None
    if isinstance(found, str):
        return [each.strip() for each in re.split("[:,]", found) if each.strip()]
    if isinstance(found, list) and all(isinstance(each, str) for each in found):
        return found
    return None


def _with(text: str, option: _Option, folders: list[str]) -> str | None:
    """The text with an option set; None if it is written in a way that cannot be edited safely."""
    header = re.search(rf"^\[tool\.{option.checker}\][^\n]*\n", text, re.MULTILINE)
    if header is None:
        return None
    following = _HEADER.search(text, header.end())
    end = following.start() if following else len(text)
    body = text[header.end() : end]
    line = re.search(rf"^{option.key}[ \t]*=[ \t]*(\"[^\"\n]*\"|\[[^\]]*\])", body, re.MULTILINE)
    before = tomllib.loads(text)["tool"][option.checker].get(option.key)
    value: Any = ":".join(folders) if isinstance(before, str) else folders
    written = f'"{value}"' if isinstance(value, str) else f"[{', '.join(map(_quoted, folders))}]"
    if line and tuple(folders) == option.usual and body[line.end() :].startswith(f"{_NOTE}\n"):
        body = body[: line.start()] + body[line.end() + len(_NOTE) + 1 :]
        value = None
    elif line is not None:
        body = body[: line.start(1)] + written + body[line.end(1) :]
    elif before is None:
        body = f"{option.key} = {written}{_NOTE}\n{body}"
    changed = text[: header.end()] + body + text[end:]
    return changed if _only(text, changed, option, value) else None


def _quoted(folder: str) -> str:
    return f'"{folder}"'


def _only(before: str, after: str, option: _Option, value: Any) -> bool:
    """Whether an edit changed this option, or took it out, and nothing else."""
    wanted = tomllib.loads(before)
    wanted["tool"][option.checker][option.key] = value
    if value is None:
        del wanted["tool"][option.checker][option.key]
    try:
        return bool(tomllib.loads(after) == wanted)
    except tomllib.TOMLDecodeError:
        return False
