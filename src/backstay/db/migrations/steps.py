"""Migrates up and down through Alembic, one history after the other, on one connection."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

from alembic import command
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from alembic.script.revision import RangeNotAncestorError
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from backstay.db.migrations.declared import runs_outside
from backstay.db.migrations.record import settle
from backstay.db.migrations.runner import (
    PLATFORM,
    Histories,
    MigrationError,
    config_of,
    heads_of,
    history_of,
    known_revisions,
    place_of,
    quiet,
    revision_id,
    scripts,
    worded,
)

_OF_HISTORY = re.compile(r"(?P<label>\w+)@(?P<rest>.+)")
_STEPS = re.compile(r"[+-][0-9]+")


@dataclass(frozen=True, slots=True)
class Segment:
    """Revisions that are applied in one transaction, or one that runs outside of any."""

    revisions: list[str]
    outside: bool = False


def require(histories: Histories, revision: str) -> None:
    """Check that a new database can be migrated to a revision.

    Raises:
        MigrationError: it cannot.
    """
    with worded():
        known = scripts(histories)
        for target in _targets(histories, revision):
            if not _STEPS.fullmatch(target.rpartition("@")[2]):
                known.get_revisions(target)  # its error for an unknown one is that of an upgrade
            list(known.iterate_revisions(target, "base"))


def upgrade(connection: Connection, histories: Histories, revision: str) -> list[str]:
    """Migrate up to a revision in the connection's transaction; return the revisions applied.

    ``head`` is the last revision of every history, one history after the other.
    """
    if newer := set(_stored(connection)) - known_revisions(histories):
        raise MigrationError(f"A newer version has just applied {', '.join(sorted(newer))}.")
    applied: list[str] = []
    with worded():
        for target in _targets(histories, revision):
            with _placed(histories), quiet():
                command.upgrade(config_of(histories, connection, applied), target)
        settle(connection, histories, _stored(connection), applied)
    return applied


def has_outside(histories: Histories) -> bool:
    """Whether any revision runs outside of the transaction."""
    with worded():
        return any(map(runs_outside, scripts(histories).walk_revisions()))


def segments(histories: Histories, revision: str, stored: Sequence[str]) -> list[Segment]:
    """What an upgrade does, apart where a revision runs outside of the transaction.

    In a new database those of the platform do not: nobody could be kept waiting.
    """
    known, found, seen = scripts(histories), list[Segment](), set[str]()
    with worded():
        for target in _targets(histories, revision):
            for step in known._upgrade_revs(target, cast("Any", tuple(stored))):
                name = step.revision.revision
                if name in seen:
                    continue
                seen.add(name)
                is_ours = name.startswith(f"{PLATFORM.label}_")
                if runs_outside(step.revision) and (stored or not is_ours):
                    found.append(Segment([name], outside=True))
                elif found and not found[-1].outside:
                    found[-1].revisions.append(name)
                else:
                    found.append(Segment([name]))
    return found


def upgrade_through(
    connection: Connection, histories: Histories, revisions: Sequence[str]
) -> list[str]:
    """Migrate up through these revisions in their order; return those that were not applied yet."""
    return [done for each in revisions for done in upgrade(connection, histories, each)]


@contextmanager
def _placed(histories: Histories) -> Iterator[None]:
    """Say in which file a revision failed."""
    try:
        yield
    except SQLAlchemyError as error:
        if place := place_of(error, histories):
            error.add_note(f"It happened in {place}.")
        raise
    except Exception as error:  # a revision may raise anything
        place = place_of(error, histories)
        if place is None:
            raise
        wrong = f"{place}: {type(error).__name__}: {error}. Nothing was changed."
        raise MigrationError(wrong) from error


def _targets(histories: Histories, revision: str) -> list[str]:
    if revision in {"head", "heads"}:
        return [head for history in histories for head in heads_of(histories, history)]
    if _STEPS.fullmatch(revision) and len(histories) > 1:
        raise _needs_label(histories, revision)
    return [_resolved(histories, revision)]


def _needs_label(histories: Histories, revision: str) -> MigrationError:
    choices = " or ".join(f"{history.label}@{revision}" for history in histories)
    return MigrationError(f"{revision} does not say of which history: write {choices}.")


def _resolved(histories: Histories, revision: str) -> str:
    """A revision as Alembic understands it: ``shop@0002`` is ``shop@shop_0002``."""
    found = _OF_HISTORY.fullmatch(revision)
    if found is None:
        return revision
    history = next((h for h in histories if h.label == found["label"]), None)
    if history is None:
        labels = " and ".join(history.label for history in histories)
        raise MigrationError(f"There is no history {found['label']}, only {labels}.")
    rest = found["rest"]
    number = rest.isdecimal() and len(rest) == 4
    return f"{history.label}@{revision_id(history, int(rest))}" if number else revision


def downgrade(connection: Connection, histories: Histories, revision: str) -> list[str]:
    """Migrate down to a revision in the connection's transaction; return the revisions undone.

    Raises:
        MigrationError: among others, a revision of another history depends on what would be undone.
    """
    undone: list[str] = []
    with worded():
        target, doomed = _to_undo(connection, histories, revision)
        if doomed:
            with _placed(histories), quiet():
                command.downgrade(config_of(histories, connection, undone), target)
            settle(connection, histories, _stored(connection), ())
    return undone


def _stored(connection: Connection) -> tuple[str, ...]:
    return MigrationContext.configure(connection).get_current_heads()


def _to_undo(
    connection: Connection, histories: Histories, revision: str
) -> tuple[str, list[Script]]:
    """The target of a downgrade, and the revisions that it undoes, the last applied first."""
    known, target = scripts(histories), _resolved(histories, revision)
    stored = _stored(connection)
    if _STEPS.fullmatch(revision) and len(stored) > 1:
        raise _needs_label(histories, revision)
    label = target.partition("@")[0] if "@" in target else None
    applied = {script.revision for script in known.get_all_current(stored)}
    if label and label not in {history_of(histories, each).label for each in applied}:
        return target, []
    try:
        doomed = list(known.iterate_revisions(stored, target, select_for_downgrade=True))
    except RangeNotAncestorError as error:
        down_to = str(known.get_revision(target.rpartition("@")[2]).revision)
        if down_to in applied:
            return target, []
        wrong = f"{down_to} is not applied: nothing can be undone down to it."
        raise MigrationError(wrong) from error
    if doomed and target != "base":
        asked = label or history_of(histories, _start_of(known, target, stored)).label
        _require_no_dependents(histories, doomed, asked)
    return target, doomed


def _start_of(known: ScriptDirectory, target: str, stored: Sequence[str]) -> str:
    return stored[0] if _STEPS.fullmatch(target) else str(known.get_revision(target).revision)


def _require_no_dependents(histories: Histories, doomed: list[Script], asked: str) -> None:
    others = [s for s in doomed if history_of(histories, s.revision).label != asked]
    if not others:
        return
    first = others[-1]
    history = history_of(histories, first.revision)
    below = first.down_revision if isinstance(first.down_revision, str) else "base"
    needed = {script.revision for script in doomed}.intersection(first._all_down_revisions)
    raise MigrationError(
        f"{first.revision} depends on {', '.join(sorted(needed))}: to undo that, first undo the "
        f"revisions of {history.label} with "
        f"`backstay db downgrade {history.label}@{below.removeprefix(f'{history.label}_')}`. "
        "Nothing was changed."
    )
