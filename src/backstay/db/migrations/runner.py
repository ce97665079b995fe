"""Reads histories of revisions, and sets Alembic up for them without an alembic.ini.

Alembic is imported only when there is something to do; a database that is current needs none.
"""

import ast
import re
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection
from sqlalchemy.exc import NoReferenceError

from backstay.db.base import Base
from backstay.db.migrations.declared import wrong_declarations

if TYPE_CHECKING:
    from alembic.config import Config
    from alembic.script import Script, ScriptDirectory

CONNECTION, OPTIONS = "connection", "options"
_FOLDER = Path(__file__).parent
NUMBERED = re.compile(r"([0-9]{4})_.*\.py")


@dataclass(frozen=True, slots=True)
class History:
    """A line of revisions in one folder.

    Its tables are those of the models whose module belongs to it, and those that say
    ``info={"owner": label}``.
    """

    label: str
    folder: Path


PLATFORM = History("platform", _FOLDER / "versions")
"""The history of the package's tables."""

Histories = tuple[History, ...]
"""Each history may depend on those before it: the platform's is the first."""


class MigrationError(Exception):
    """The database cannot be migrated as requested; the text says why, in sentences."""


class FaultyHistory(MigrationError):
    """The files of a history contradict each other, or one cannot be read; the database is fine."""


@cache
def last_revisions(histories: Histories) -> frozenset[str]:
    """What a current database has stored, read from file names: no migration is imported.

    It is the last revision of each history, without those that the last one of a later history
    depends on, which the database does not store. It is empty unless all files are numbered
    without gaps.
    """
    last: set[str] = set()
    for history in histories:
        names = {path.name: path for path in revision_files(history)}
        numbers = sorted(int(found[1]) for found in map(NUMBERED.fullmatch, names) if found)
        if not names or numbers != list(range(1, len(names) + 1)):
            return frozenset()
        last -= _dependencies(names[max(names)]) if last else set()
        last.add(revision_id(history, numbers[-1]))
    return frozenset(last)


@cache
def known_revisions(histories: Histories) -> frozenset[str]:
    """The ids of all revisions: read from file names if these are numbered without gaps.

    A server asks for it when the database has revisions that it does not know, and then imports
    neither migrations nor Alembic.
    """
    files = {
        revision_id(history, number): path
        for history in histories
        for number, path in enumerate(revision_files(history), 1)
    }
    needed = {each for path in files.values() for each in _dependencies(path)}
    if last_revisions(histories) and needed <= files.keys():
        return frozenset(files)
    return frozenset(script.revision for script in scripts(histories).walk_revisions())


def revision_files(history: History) -> list[Path]:
    """The files of a history's revisions, in the order of their names."""
    return sorted(p for p in history.folder.glob("*.py") if p.name != "__init__.py")


def revision_id(history: History, number: int) -> str:
    """The id of the revision with that number, as stored in the database."""
    return f"{history.label}_{number:04d}"


def _dependencies(file: Path) -> set[str]:
    """What a file says in ``depends_on``, without importing it."""
    with suppress(SyntaxError, TypeError, ValueError):
        for node in ast.parse(file.read_bytes()).body:
            if isinstance(node, ast.Assign) and "depends_on" in map(ast.unparse, node.targets):
                found = ast.literal_eval(node.value)
                return {found} if isinstance(found, str) else set(found or ())
    return set()


@contextmanager
def worded() -> Iterator[None]:
    """Raise errors of Alembic's commands, and of the models, as `MigrationError`."""
    from alembic.script.revision import ResolutionError, RevisionError
    from alembic.util import CommandError

    try:
        yield
    except NoReferenceError as error:
        hint = "list the feature that has this table, or correct the name"
        raise MigrationError(f"{error}: {hint}.") from error
    except (CommandError, RevisionError) as error:
        told, cause = str(error), error.__cause__
        if told.startswith("Can't locate revision") and isinstance(cause, ResolutionError):
            told = f"There is no migration {cause.argument}: `backstay db current` names the last"
        raise MigrationError(f"{told.rstrip('.')}.") from error


@contextmanager
def quiet() -> Iterator[None]:
    """Do not warn of the indexes of expressions that SQLite cannot describe."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".* expression-based index")
        yield


@cache
def scripts(histories: Histories) -> "ScriptDirectory":
    """The revisions of some histories; read once and cached.

    Raises:
        FaultyHistory: a file cannot be read, or two are the same revision, or one refers to a
            revision that is not there.
    """
    from alembic.script import ScriptDirectory

    for history in histories:
        _require_numbers(history)
    try:
        with worded():
            found = ScriptDirectory.from_config(config_of(histories))
            _require_references(found)
            if wrong := next(wrong_declarations(found), None):
                raise FaultyHistory(wrong)
            found.get_heads()
    except MigrationError:
        raise
    except Exception as error:  # a file may raise anything when it is imported
        place = place_of(error, histories) or "A migration cannot be read"
        raise FaultyHistory(f"{place}: {type(error).__name__}: {error}.") from error
    return found


def _require_numbers(history: History) -> None:
    seen: dict[str, str] = {}
    for name in (path.name for path in revision_files(history)):
        other = seen.setdefault(name[:4], name)
        if other != name and NUMBERED.fullmatch(name):
            raise FaultyHistory(
                f"{other} and {name} in {history.folder} have the same number: give the later one "
                "the next number, in its name and its `revision`, and let its `down_revision` "
                "name the other."
            )


def _require_references(directory: "ScriptDirectory") -> None:
    """Refuse a revision that refers to one that is not there, for which Alembic has no sentence."""
    found = {script.revision: script for script in directory._load_revisions()}
    known = found.keys() | {label for script in found.values() for label in script.branch_labels}
    for script in found.values():
        for name in (*script._versioned_down_revisions, *_names(script.dependencies)):
            if name not in known:
                whose = " of Backstay" if name.startswith(f"{PLATFORM.label}_") else ""
                raise FaultyHistory(
                    f"The revision {script.revision} builds on {name}, which is not there: install "
                    f"the version{whose} that has it, or correct {script.path}."
                )


def _names(given: str | Sequence[str] | None) -> Sequence[str]:
    return [given] if isinstance(given, str) else given or ()


def place_of(error: Exception, histories: Histories) -> str | None:
    """The file of a revision, and the line, in which an error was raised; None if in no such."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}, line {error.lineno}"
    folders = {str(history.folder.resolve()) for history in histories}
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if str(Path(frame.filename).resolve().parent) in folders:
            return f"{frame.filename}, line {frame.lineno}"
    return None


def forget() -> None:
    """Read the revisions again: a file was written."""
    scripts.cache_clear()
    last_revisions.cache_clear()
    known_revisions.cache_clear()


def history_of(histories: Histories, revision: str) -> History:
    """The history that has a revision."""
    script = scripts(histories).get_revision(revision)
    folder = Path(script.path).parent.resolve()
    return next(history for history in histories if history.folder.resolve() == folder)


def heads_of(histories: Histories, history: History) -> tuple[str, ...]:
    """The last revision of a history: several if it branches, none if it is empty."""
    heads = scripts(histories).get_heads()
    return tuple(sorted(head for head in heads if history_of(histories, head) == history))


def applied_of(histories: Histories, stored: Sequence[str]) -> "dict[str, Script]":
    """Every revision that a database has, by the last ones, which it stores."""
    known, found, ahead = scripts(histories), {}, list(stored)
    while ahead:
        script = known.get_revision(ahead.pop())
        if script.revision not in found:
            found[script.revision] = script
            ahead += script._all_down_revisions
    return found


@dataclass(frozen=True, slots=True)
class Gap:
    """What a database lacks of some histories, and what it has of none of them."""

    behind: tuple[History, ...]
    unknown: tuple[str, ...]


def gap(histories: Histories, stored: Sequence[str]) -> Gap:
    """Compare the revisions in a database with those of the histories."""
    with worded():
        known = scripts(histories)
        every = {script.revision for script in known.walk_revisions()}
        unknown = tuple(sorted(set(stored) - every))
        if unknown:
            return Gap((), unknown)
        reached = {script.revision for script in known.get_all_current(tuple(stored))}
        behind = [h for h in histories if not reached.issuperset(heads_of(histories, h))]
        return Gap(tuple(behind), ())


def config_of(
    histories: Histories,
    connection: Connection | None = None,
    applied: list[str] | None = None,
    options: dict[str, Any] | None = None,
) -> "Config":
    """The configuration of an Alembic command; ``applied`` receives the revisions it applies."""
    from argparse import Namespace

    from alembic.config import Config

    def note(*, step: Any, **_: Any) -> None:
        if applied is not None:
            applied.append(step.up_revision_id)

    given = {"target_metadata": Base.metadata, "on_version_apply": note, **(options or {})}
    config = Config(
        cmd_opts=Namespace(quiet=True), attributes={CONNECTION: connection, OPTIONS: given}
    )
    folders = "\n".join(str(history.folder) for history in histories)
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.set_main_option("version_locations", folders.replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    return config
