"""What becomes of one file: what was generated, what is there and what is rendered, compared."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import unified_diff
from enum import StrEnum
from pathlib import Path

from backstay.blueprints.errors import BlueprintError
from backstay.blueprints.files import CONFLICT, Style, decoded, encoded, unreadable
from backstay.blueprints.merging import merge
from backstay.blueprints.records import OWNED, base_of, base_path


class Action(StrEnum):
    """What a plan does with a file."""

    WRITE = "written"
    UPDATE = "updated"
    MERGE = "merged"
    REMOVE = "removed"
    KEEP = "unchanged"
    LEAVE_DELETED = "left deleted"
    LEAVE = "left"
    CONFLICT = "conflict"


@dataclass(frozen=True)
class Change:
    """What a plan does with one file of the project.

    Attributes:
        path: in the project.
        action: what is done.
        before: its content now; None if there is no such file.
        after: its content then; with conflicts, the content of the file that marks them.
        note: why, or what the person should know; else empty.
        base: the text that is kept as generated; None if the file is not generated any more.
        tracked: whether a base is kept at all.
        own: with conflicts, what the file itself becomes, beside which they are marked.
    """

    path: str
    action: Action
    before: bytes | None
    after: bytes | None
    note: str = ""
    base: str | None = None
    tracked: bool = True
    own: bytes | None = None

    @property
    def target(self) -> str:
        """The path that is written."""
        return f"{self.path}{CONFLICT}" if self.action is Action.CONFLICT else self.path


def content_of(path: Path) -> bytes | None:
    """The content of a file, or None."""
    return path.read_bytes() if path.is_file() else None


def change_of(root: Path, path: str, text: str | None, edits: Mapping[str, str]) -> Change:
    """What becomes of a file that was generated, or shall be.

    Args:
        root: the folder of the project.
        path: of the file.
        text: what is rendered now; None if nothing is.
        edits: by path, the person's texts and bases as they shall count: with the names that a
            release renamed, say, so that these do not stand against what is rendered.
    """
    kept = base_of(root, path)
    if text is None:
        return _gone(root, path, kept, edits)
    if kept is None:
        return new_file(root, path, text, tracked=True)
    before = content_of(root / path)
    if before is None:
        note = "" if text == kept else "You deleted or moved it, so this change does not reach it."
        return Change(path, Action.LEAVE_DELETED, None, None, note, text)
    if before == text.encode() or (text == kept and path not in edits):
        return Change(path, Action.KEEP, before, before, "", text)
    base = edits.get(base_path(path), kept)
    return _merged(path, (kept, base), before, _sound(path, text), edits)


def _merged(
    path: str, bases: tuple[str, str], before: bytes, text: str, edits: Mapping[str, str]
) -> Change:
    """Merge into the person's file; the bases are that of now, and that with the edits."""
    found, style = decoded(path, before)
    yours = edits.get(path, found)
    merged = merge(bases[1], yours, text)
    after = encoded(merged.text, style)
    note = ""
    if merged.conflicts:
        note = "You and the blueprint changed the same lines."
    elif wrong := unreadable(path, merged.text):
        note = f"Your changes and those of the blueprint do not go together: {wrong}."
    if note:
        own = encoded(_rest_of(path, (bases[1], yours, text)), style)
        return Change(path, Action.CONFLICT, before, after, note, text, own=own)
    action = Action.UPDATE if found == bases[0] else Action.MERGE
    return Change(path, Action.KEEP if after == before else action, before, after, "", text)


def _rest_of(path: str, texts: tuple[str, str, str]) -> str:
    """What the person's file becomes that has conflicts: it stays as it is.

    The files of Backstay itself depend on one another, so those of a project that owns it take
    along every change of the release but those of the lines in conflict.
    """
    if not path.startswith(f"{OWNED}/"):
        return texts[1]
    rest = merge(*texts, mark=False).text
    return texts[1] if unreadable(path, rest) else rest


def moved_file(root: Path, path: str, old: str, text: str, edits: Mapping[str, str]) -> Change:
    """What becomes of a file that has another path now: it takes the person's changes along."""
    base = edits.get(base_path(old), base_of(root, old) or "")
    found, style = decoded(old, content_of(root / old) or b"")
    yours = encoded(edits.get(old, found), style)
    change = _merged(path, (base, base), yours, _sound(path, text), {})
    note = change.note or f"It was {old}, with your changes."
    action = Action.CONFLICT if change.action is Action.CONFLICT else Action.MERGE
    return replace(change, action=action, before=None, note=note)


def left_file(root: Path, path: str) -> Change:
    """What becomes of the old path of a file that moved: it is removed."""
    return Change(path, Action.REMOVE, content_of(root / path), None)


def edited_file(root: Path, path: str, text: str, note: str) -> Change:
    """What becomes of a file that nothing generates, but a release edits.

    Raises:
        BlueprintError: it is not UTF-8.
    """
    before = content_of(root / path) or b""
    after = encoded(text, decoded(path, before)[1])
    action = Action.KEEP if after == before else Action.UPDATE
    return Change(path, action, before, after, note, tracked=False)


def new_file(root: Path, path: str, text: str, *, tracked: bool) -> Change:
    """What becomes of a file that was not generated before.

    Raises:
        BlueprintError: a person has written it.
    """
    base = text if tracked else None
    before = content_of(root / path)
    if before is None:
        after = encoded(_sound(path, text), Style())
        return Change(path, Action.WRITE, None, after, "", base, tracked)
    if before == text.encode():
        return Change(path, Action.KEEP, before, before, "", base, tracked)
    raise BlueprintError(f"{path} is there already, and was not generated. Rename or move it.")


def _gone(root: Path, path: str, base: str | None, edits: Mapping[str, str]) -> Change:
    before = content_of(root / path)
    if before is None:
        return Change(path, Action.LEAVE_DELETED, None, None)
    try:
        unchanged = base is not None and decoded(path, before)[0] == base
    except BlueprintError:  # no text that was generated
        unchanged = False
    if unchanged:
        return Change(path, Action.REMOVE, before, None)
    note = "You changed it: delete it if you do not need it."
    after = encoded(edits[path], decoded(path, before)[1]) if path in edits else before
    return Change(path, Action.LEAVE, before, after, note)


def _sound(path: str, text: str) -> str:
    if wrong := unreadable(path, text):
        raise BlueprintError(f"The blueprint wrote {path} wrongly ({wrong}). Please report it.")
    return text


def diff_of(change: Change) -> Iterator[str]:
    """The lines of a unified diff."""
    if change.before == change.after:
        return
    old, new = (
        [] if content is None else content.decode(errors="replace").splitlines(keepends=True)
        for content in (change.before, change.after)
    )
    before = "/dev/null" if change.before is None else f"a/{change.path}"
    after = "/dev/null" if change.after is None else f"b/{change.target}"
    for line in unified_diff(old, new, before, after):
        yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
