"""Brings what a blueprint rendered into a project, beside what a person has changed there since.

What was generated is kept in ``.blueprints/``, so that a later rendering changes only what the
blueprint changed. A plan is made first, which writes nothing; `Plan.apply` writes all of it or
nothing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import unified_diff
from enum import StrEnum
from pathlib import Path

from backstay.blueprints.errors import BlueprintError
from backstay.blueprints.files import FOLDER, Style, checked, decoded, encoded, obstacle, unreadable
from backstay.blueprints.journal import Step, refuse_unfinished, write_all
from backstay.blueprints.merging import merge
from backstay.blueprints.records import Record, base_of, base_path, record_of, records

_KEPT = """\
# What is kept here belongs to the project, whatever its other rules are called; a journal does not.
!*
/journal/
/journal.draft/
"""
CONFLICT = ".conflict"
"""Ending of the file, beside the person's own, that has the conflicts marked."""


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
    """

    path: str
    action: Action
    before: bytes | None
    after: bytes | None
    note: str = ""
    base: str | None = None
    tracked: bool = True

    @property
    def target(self) -> str:
        """The path that is written."""
        return f"{self.path}{CONFLICT}" if self.action is Action.CONFLICT else self.path


@dataclass(frozen=True)
class Plan:
    """What would be done with the files of a project; add plans to carry them out as one.

    Attributes:
        root: the folder of the project.
        changes: in the order of the paths.
        records: what is remembered afterwards; None stands for a record that is dropped.
    """

    root: Path
    changes: tuple[Change, ...]
    records: Mapping[str, Record | None]

    @classmethod
    def of(
        cls,
        root: Path,
        rendered: Mapping[str, str],
        record: Record,
        *,
        once: Mapping[str, str] | None = None,
    ) -> "Plan":
        """Compare a rendering with the project: with what was generated before, and what is there.

        Args:
            root: the folder of the project.
            rendered: by path, every text that this use of the blueprint stands for. What it
                rendered before and does not any more is removed.
            record: the use of the blueprint; its ``files`` are filled in.
            once: by path, what is written now and is the person's from then on, such as a
                migration: it is neither rendered nor removed later.

        Raises:
            BlueprintError: something must not be written; it has every reason. A command was
                interrupted, or conflicts of an earlier one are still there.
        """
        record = replace(record, files=tuple(sorted(rendered)))
        return cls._made(root, rendered, record, once or {}, {record.path: record})

    @classmethod
    def removal(
        cls, root: Path, record: Record, *, once: Mapping[str, str] | None = None
    ) -> "Plan":
        """Undo a use of a blueprint; what a person changed is left.

        Raises:
            BlueprintError: as in `of`.
        """
        return cls._made(root, {}, record, once or {}, {record.path: None})

    @classmethod
    def _made(
        cls,
        root: Path,
        rendered: Mapping[str, str],
        record: Record,
        once: Mapping[str, str],
        kept: Mapping[str, Record | None],
    ) -> "Plan":
        refuse_unfinished(root)
        _refuse_pending(root)
        earlier = record_of(root, record.blueprint, record.name)
        gone = set(earlier.files if earlier else ()) - set(rendered)
        paths = sorted({*rendered, *once, *gone})
        problems = [*_collisions(paths), *_taken(root, record, [*rendered, *once])]
        problems += [wrong for path in paths if (wrong := obstacle(root, path))]
        if problems:
            raise BlueprintError(*problems)
        changes = []
        for path in paths:
            try:
                if path in once:
                    changes.append(_new(root, path, once[path], tracked=False))
                else:
                    changes.append(_change(root, path, rendered.get(path)))
            except BlueprintError as error:
                problems += error.problems
        if problems:
            raise BlueprintError(*problems)
        return cls(root, tuple(changes), kept)

    def __add__(self, other: "Plan") -> "Plan":
        """Both plans as one."""
        changes = tuple(sorted((*self.changes, *other.changes), key=lambda change: change.path))
        if twice := _collisions([change.path for change in changes]):
            raise BlueprintError(*twice)
        return Plan(self.root, changes, {**self.records, **other.records})

    @property
    def conflicts(self) -> tuple[Change, ...]:
        """The files that cannot be merged."""
        return tuple(change for change in self.changes if change.action is Action.CONFLICT)

    def diff(self) -> str:
        """What would change in the person's files, as a unified diff."""
        return "".join(line for change in self.changes for line in _diff(change))

    def apply(self) -> None:
        """Write everything or nothing, also when the process is killed meanwhile.

        A file with conflicts is left as it is; `<path>.conflict` beside it has them marked.

        Raises:
            BlueprintError: a file is no longer as it was when the plan was made.
            OSError: a file cannot be written; nothing was changed.
        """
        write_all(self.root, tuple(self._steps()))

    def _steps(self) -> Iterator[Step]:
        for change in self.changes:
            if change.action is Action.CONFLICT:
                yield Step(change.target, None, change.after)
            elif change.before != change.after:
                yield Step(change.path, change.before, change.after)
        for change in self.changes:
            if change.tracked:
                yield from self._kept(base_path(change.path), change.base)
        for path, record in self.records.items():
            yield from self._kept(path, record.to_json() if record else None)
        yield from self._kept(f"{FOLDER}/.gitignore", _KEPT)

    def _kept(self, path: str, text: str | None) -> Iterator[Step]:
        before, after = _content(self.root / path), None if text is None else text.encode()
        if before != after:
            yield Step(path, before, after)


def _refuse_pending(root: Path) -> None:
    paths = [f"{path}{CONFLICT}" for record in records(root) for path in record.files]
    if pending := [path for path in paths if (root / path).exists()]:
        raise BlueprintError(
            *(
                f"{path} has conflicts of an earlier command. Take what you want of it into "
                f"{path.removesuffix(CONFLICT)}, then delete it."
                for path in pending
            )
        )


def _collisions(paths: list[str]) -> list[str]:
    seen: dict[str, str] = {}
    problems = []
    for path in paths:
        folded = path.casefold()
        if folded in seen:
            problems.append(f"{path} would be written twice: as {seen[folded]}, too.")
        seen[folded] = path
    return problems


def _taken(root: Path, record: Record, paths: list[str]) -> list[str]:
    return [
        f"{path} belongs to the {other.blueprint} {other.name}, which wrote it."
        for other in records(root)
        if other.path != record.path
        for path in sorted(set(other.files).intersection(paths))
    ]


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _change(root: Path, path: str, text: str | None) -> Change:
    """What becomes of a file that was generated, or shall be."""
    base = base_of(root, path)
    if text is None:
        return _gone(root, path, base)
    if base is None:
        return _new(root, path, text, tracked=True)
    before = _content(root / path)
    if before is None:
        return Change(path, Action.LEAVE_DELETED, None, None, "You deleted it.", text)
    if text == base or before == text.encode():
        return Change(path, Action.KEEP, before, before, "", text)
    return _merged(path, base, before, _sound(path, text))


def _merged(path: str, base: str, before: bytes, text: str) -> Change:
    yours, style = decoded(path, before)
    merged = merge(base, yours, text)
    after = encoded(merged.text, style)
    note = ""
    if merged.conflicts:
        note = "You and the blueprint changed the same lines."
    elif wrong := unreadable(path, merged.text):
        note = f"Your changes and those of the blueprint do not go together: {wrong}."
    action = Action.UPDATE if yours == base else Action.MERGE
    return Change(path, Action.CONFLICT if note else action, before, after, note, text)


def _new(root: Path, path: str, text: str, *, tracked: bool) -> Change:
    base = text if tracked else None
    before = _content(root / path)
    if before is None:
        after = encoded(_sound(path, text), Style())
        return Change(path, Action.WRITE, None, after, "", base, tracked)
    if before == text.encode():
        return Change(path, Action.KEEP, before, before, "", base, tracked)
    raise BlueprintError(f"{path} is there already, and was not generated. Rename or move it.")


def _gone(root: Path, path: str, base: str | None) -> Change:
    before = _content(root / path)
    if before is None:
        return Change(path, Action.LEAVE_DELETED, None, None)
    try:
        unchanged = base is not None and decoded(path, before)[0] == base
    except BlueprintError:  # no text that was generated
        unchanged = False
    if unchanged:
        return Change(path, Action.REMOVE, before, None)
    note = "You changed it: delete it if you do not need it."
    return Change(path, Action.LEAVE, before, before, note)


def _sound(path: str, text: str) -> str:
    checked(path)
    if wrong := unreadable(path, text):
        raise BlueprintError(f"The blueprint wrote {path} wrongly ({wrong}). Please report it.")
    return text


def _diff(change: Change) -> Iterator[str]:
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
