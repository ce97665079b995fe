"""Runs Alembic from code: without alembic.ini, for any number of histories, on one connection.

Alembic is imported only when there is something to do; a database that is current needs none.
"""

import os
import re
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Table
from sqlalchemy.sql.schema import SchemaItem

from backstay.db.base import Base, UtcDateTime

if TYPE_CHECKING:
    from alembic.autogenerate.api import AutogenContext
    from alembic.config import Config
    from alembic.operations.ops import MigrationScript
    from alembic.script import ScriptDirectory

CONNECTION, OPTIONS = "connection", "options"
_FOLDER = Path(__file__).parent
_NUMBERED = re.compile(r"([0-9]{4})_.*\.py")


@dataclass(frozen=True, slots=True)
class History:
    """A line of revisions in one folder; its tables are marked ``info={"owner": label}``."""

    label: str
    folder: Path


PLATFORM = History("platform", _FOLDER / "versions")
"""The history of the package's tables, and of tables without an owner."""

Histories = tuple[History, ...]


class MigrationError(Exception):
    """The database cannot be migrated as requested; the text says why, in sentences."""


@cache
def last_revisions(histories: Histories) -> frozenset[str]:
    """The last revision of each history, read from file names alone: no migration is imported.

    It is empty unless all files are numbered without gaps.
    """
    last: set[str] = set()
    for history in histories:
        names = [path.name for path in history.folder.glob("*.py")]
        numbers = sorted(int(found[1]) for found in map(_NUMBERED.fullmatch, names) if found)
        if not names or numbers != list(range(1, len(names) + 1)):
            return frozenset()
        last.add(_revision_id(history, numbers[-1]))
    return frozenset(last)


def _revision_id(history: History, number: int) -> str:
    """The id of the revision with that number, as stored in the database."""
    return f"{history.label}_{number:04d}"


@contextmanager
def _worded() -> Iterator[None]:
    """Raise errors of Alembic's commands as `MigrationError`."""
    from alembic.util import CommandError

    try:
        yield
    except CommandError as error:
        raise MigrationError(f"{str(error).rstrip('.')}.") from error


@cache
def scripts(histories: Histories) -> "ScriptDirectory":
    """The revisions of some histories; read once and cached."""
    from alembic.script import ScriptDirectory

    return ScriptDirectory.from_config(_config(histories))


@_worded()
def reaches_heads(histories: Histories, stored: tuple[str, ...]) -> bool:
    """Whether a database with these revisions has every migration.

    Raises:
        MigrationError: one of these revisions is unknown.
    """
    known = scripts(histories)
    reached = {script.revision for script in known.get_all_current(stored)}
    return reached.issuperset(known.get_heads())


@_worded()
def require(histories: Histories, revision: str) -> None:
    """Check that a new database can be migrated to a revision.

    Raises:
        MigrationError: it cannot.
    """
    from alembic.script.revision import RevisionError

    known, target = scripts(histories), _target(revision)
    if not target.startswith("+"):
        known.get_revisions(target)  # its error for an unknown revision is that of an upgrade
    try:
        list(known.iterate_revisions(target, "base"))
    except RevisionError as error:
        raise MigrationError(f"{str(error).rstrip('.')}.") from error


@_worded()
def upgrade(connection: Connection, histories: Histories, revision: str) -> list[str]:
    """Migrate up to a revision in the connection's transaction; return the revisions applied."""
    from alembic import command

    applied: list[str] = []
    command.upgrade(_config(histories, connection, applied), _target(revision))
    return applied


def _target(revision: str) -> str:
    return "heads" if revision == "head" else revision


@_worded()
def downgrade(connection: Connection, histories: Histories, revision: str) -> list[str]:
    """Migrate down to a revision in the connection's transaction; return the revisions undone."""
    from alembic import command

    undone: list[str] = []
    command.downgrade(_config(histories, connection, undone), revision)
    return undone


@_worded()
def write(
    connection: Connection, histories: Histories, history: History, message: str, *, empty: bool
) -> Path | None:
    """Write the next revision of a history; None when models and database agree."""
    from alembic import command
    from alembic.script import Script

    history.folder.mkdir(parents=True, exist_ok=True)
    number = 1 + max(
        (int(path.name[:4]) for path in history.folder.glob("[0-9][0-9][0-9][0-9]_*.py")), default=0
    )
    config = _config(histories, connection, owners=(history,))
    config.set_main_option("file_template", f"{number:04d}_%%(slug)s")

    def drop_if_empty(_: Any, __: Any, written: "list[MigrationScript]") -> None:
        if written[0].upgrade_ops is None or written[0].upgrade_ops.is_empty():
            written.clear()

    script = command.revision(
        config,
        message,
        autogenerate=not empty,
        head="base" if number == 1 else f"{history.label}@head",
        branch_label=history.label if number == 1 else None,
        version_path=history.folder,
        rev_id=_revision_id(history, number),
        process_revision_directives=None if empty else drop_if_empty,
    )
    scripts.cache_clear()
    last_revisions.cache_clear()
    return Path(script.path) if isinstance(script, Script) else None


@_worded()
def drift(connection: Connection, histories: Histories) -> list[str]:
    """The differences between the models and the database, in words."""
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext

    context = MigrationContext.configure(connection, opts=_options(histories))
    return sorted(
        _in_words(difference) for difference in _flat(compare_metadata(context, Base.metadata))
    )


def _config(
    histories: Histories,
    connection: Connection | None = None,
    applied: list[str] | None = None,
    owners: Histories | None = None,
) -> "Config":
    from alembic.config import Config

    def note(*, step: Any, **_: Any) -> None:
        if applied is not None:
            applied.append(step.up_revision_id)

    options = _options(owners or histories) | {"on_version_apply": note}
    config = Config(
        cmd_opts=Namespace(quiet=True), attributes={CONNECTION: connection, OPTIONS: options}
    )
    folders = os.pathsep.join(str(history.folder) for history in histories)
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.set_main_option("version_locations", folders.replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _options(owners: Histories) -> dict[str, Any]:
    labels = {history.label for history in owners}

    def is_ours(item: SchemaItem, _: Any, kind: str, reflected: bool, __: Any) -> bool:
        """Whether to compare an item; a table without a model may belong to a disabled feature."""
        if kind != "table" or not isinstance(item, Table):
            return True
        return not reflected and item.info.get("owner", PLATFORM.label) in labels

    return {
        "target_metadata": Base.metadata,
        "include_object": is_ours,
        "render_item": _render,
        "render_as_batch": True,
        "compare_server_default": True,
    }


def _render(kind: str, item: Any, _: "AutogenContext") -> str | bool:
    return (
        "sa.DateTime(timezone=True)" if kind == "type" and isinstance(item, UtcDateTime) else False
    )


def _flat(differences: Sequence[Any]) -> list[tuple[Any, ...]]:
    return [d for group in differences for d in (group if isinstance(group, list) else [group])]


def _in_words(difference: tuple[Any, ...]) -> str:
    kind, *rest = difference
    names = [part if isinstance(part, str) else getattr(part, "name", None) for part in rest[:4]]
    return f"{kind.replace('_', ' ')}: " + ".".join(str(name) for name in names if name)
