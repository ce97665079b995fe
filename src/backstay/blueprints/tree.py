"""Brings what a blueprint rendered into a project, beside what a person has changed there since.

What was generated is kept in ``.blueprints/``, so that a later rendering changes only what the
blueprint changed. A plan is made first, which writes nothing; `Plan.apply` writes all of it or
nothing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from backstay import __version__
from backstay.blueprints.changes import (
    Action,
    Change,
    change_of,
    content_of,
    diff_of,
    edited_file,
    left_file,
    moved_file,
    new_file,
)
from backstay.blueprints.errors import BlueprintError
from backstay.blueprints.files import CONFLICT, FOLDER, checked, decoded, obstacle
from backstay.blueprints.journal import Step, refuse_unfinished, write_all
from backstay.blueprints.moving import moves
from backstay.blueprints.records import (
    Conflict,
    Record,
    base_of,
    base_path,
    conflict_of,
    conflict_path,
    record_of,
    records,
    release_at,
)

__all__ = ["CONFLICT", "Action", "Change", "Plan"]
_KEPT = """\
# What is kept here belongs to the project, whatever its other rules are called; a journal does not.
!*
/journal/
/journal.draft/
"""


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
        edits: Mapping[str, str] | None = None,
    ) -> "Plan":
        """Compare a rendering with the project: with what was generated before, and what is there.

        Args:
            root: the folder of the project.
            rendered: by path, every text that this use of the blueprint stands for. What it
                rendered before and does not any more is removed.
            record: the use of the blueprint; its ``files`` are filled in, and its ``release``
                unless it is given.
            once: by path, what is written now and is the person's from then on, such as a
                migration: it is neither rendered nor removed later.
            edits: by path, other texts for files and bases, which count instead of what is there.

        Raises:
            BlueprintError: something must not be written; it has every reason. A command was
                interrupted, or conflicts of an earlier one are still there.
        """
        release = record.release or release_at(root)
        record = replace(record, files=tuple(sorted(rendered)), release=release)
        return cls._made(root, rendered, record, once or {}, {record.path: record}, edits or {})

    @classmethod
    def removal(
        cls, root: Path, record: Record, *, once: Mapping[str, str] | None = None
    ) -> "Plan":
        """Undo a use of a blueprint; what a person changed is left.

        Raises:
            BlueprintError: as in `of`.
        """
        return cls._made(root, {}, record, once or {}, {record.path: None}, {})

    @classmethod
    def of_edits(
        cls, root: Path, edits: Mapping[str, str], note: str, *, once: Mapping[str, str]
    ) -> "Plan":
        """Edit files that nothing generates, and write new ones that are the person's.

        Raises:
            BlueprintError: as in `of`.
        """
        refuse_unfinished(root)
        paths = sorted(str(checked(path)) for path in {*edits, *once})
        if problems := [wrong for path in paths if (wrong := obstacle(root, path))]:
            raise BlueprintError(*problems)
        edited = [edited_file(root, path, text, note) for path, text in edits.items()]
        new = [new_file(root, path, text, tracked=False) for path, text in once.items()]
        changes = sorted((*edited, *new), key=lambda change: change.path)
        return cls(root, tuple(changes), {})

    @classmethod
    def _made(
        cls,
        root: Path,
        rendered: Mapping[str, str],
        record: Record,
        once: Mapping[str, str],
        kept: Mapping[str, Record | None],
        edits: Mapping[str, str],
    ) -> "Plan":
        refuse_unfinished(root)
        _refuse_pending(root)
        earlier = record_of(root, record.blueprint, record.name)
        gone = set(earlier.files if earlier else ()) - set(rendered)
        paths = sorted(str(checked(path)) for path in {*rendered, *once, *gone})
        problems = [*_collisions(paths), *_taken(root, record, [*rendered, *once])]
        problems += [wrong for path in paths if (wrong := obstacle(root, path))]
        if problems:
            raise BlueprintError(*problems)
        moved = moves(root, rendered, gone)
        changes = []
        for path in paths:
            try:
                if path in once:
                    changes.append(new_file(root, path, once[path], tracked=False))
                elif path in moved:
                    changes.append(moved_file(root, path, moved[path], rendered[path], edits))
                elif path in moved.values():
                    changes.append(left_file(root, path))
                else:
                    changes.append(change_of(root, path, rendered.get(path), edits))
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
        return "".join(line for change in self.changes for line in diff_of(change))

    def apply(self) -> tuple[Step, ...]:
        """Write everything or nothing, also when the process is killed meanwhile.

        A file with conflicts is left as it is; `<path>.conflict` beside it has them marked.

        Returns:
            what was done, for `revert`.

        Raises:
            BlueprintError: a file is no longer as it was when the plan was made, or cannot be
                written.
            OSError: a file cannot be written; nothing was changed.
        """
        steps = tuple(self._steps())
        if problems := [wrong for step in steps if (wrong := obstacle(self.root, step.path))]:
            raise BlueprintError(*problems)
        write_all(self.root, steps)
        return steps

    def _steps(self) -> Iterator[Step]:
        for change in self.changes:
            if change.action is Action.CONFLICT:
                yield Step(change.target, None, change.after)
                if change.own not in (None, change.before):
                    yield Step(change.path, change.before, change.own)
            elif change.before != change.after:
                yield Step(change.path, change.before, change.after)
        releases = {path: each.release for each in records(self.root) for path in each.files}
        for change in self.changes:
            if change.tracked:
                conflict = self._conflict(change, releases.get(change.path))
                yield from self._kept(conflict_path(change.path), conflict)
                yield from self._kept(base_path(change.path), change.base)
        for path, record in self.records.items():
            yield from self._kept(path, record.to_json() if record else None)
        yield from self._kept(f"{FOLDER}/.gitignore", _KEPT)

    def _conflict(self, change: Change, release: str | None) -> str | None:
        """What is kept of the conflicts of a file, until the person has all that they brought."""
        kept, base = conflict_of(self.root, change.path), base_of(self.root, change.path)
        if change.action is Action.CONFLICT and kept is None and base is not None:
            kept = Conflict(release or __version__, base)
        elif kept and (change.base is None or _is_settled(kept, change)):
            kept = None
        return kept.to_json() if kept else None

    def _kept(self, path: str, text: str | None) -> Iterator[Step]:
        before, after = content_of(self.root / path), None if text is None else text.encode()
        if before != after:
            yield Step(path, before, after)


def _is_settled(conflict: Conflict, change: Change) -> bool:
    if change.action is Action.CONFLICT or change.before is None or change.base is None:
        return False
    return conflict.is_settled(decoded(change.path, change.before)[0], change.base)


def revert(root: Path, steps: tuple[Step, ...]) -> None:
    """Take back what `Plan.apply` has just done.

    Raises:
        BlueprintError: a file was changed meanwhile; nothing is taken back.
    """
    write_all(root, [Step(step.path, step.after, step.before) for step in reversed(steps)])


def pending_conflicts(root: Path) -> list[str]:
    """A sentence for each file of conflicts that nobody has settled yet."""
    paths = [f"{path}{CONFLICT}" for record in records(root) for path in record.files]
    return [
        f"{path} has conflicts of an earlier command. Take what you want of it into "
        f"{path.removesuffix(CONFLICT)}, then delete it."
        for path in paths
        if (root / path).exists()
    ]


def _refuse_pending(root: Path) -> None:
    if pending := pending_conflicts(root):
        raise BlueprintError(*pending)


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
