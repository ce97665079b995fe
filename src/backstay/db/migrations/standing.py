"""How the revisions in a database compare to those of the histories, in sentences."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

from backstay.db.migrations.record import Record
from backstay.db.migrations.runner import (
    PLATFORM,
    Histories,
    History,
    applied_of,
    gap,
    heads_of,
    known_revisions,
    last_revisions,
)
from backstay.db.migrations.transaction import ABSENT

_OF_HISTORY = re.compile(r"(\w+)_[0-9]{4}")
UNFINISHED_COPY = "unfinished_copy"
"""What stands in place of the revisions in the target of `db copy` until the copy has ended."""


class State(Enum):
    """How the schema of a database compares to this version; the value says what to do."""

    ABSENT = ABSENT
    EMPTY = "The database is empty: run `backstay db upgrade`."
    BEHIND = "The database is behind this version: run `backstay db upgrade`."
    AHEAD = "The database was migrated by a newer version than this one: install that version."
    FOREIGN = "The database has migrations that are not here."
    COMPATIBLE = "The database is ahead of this version, which works with it."
    UNFINISHED = (
        "A copy into this database has not ended: run the same `backstay db copy` again, which "
        "goes on, or empty this database."
    )
    CURRENT = ""


FIT = State.CURRENT, State.COMPATIBLE
"""The states that this version works with."""
_OF_OTHERS = State.AHEAD, State.FOREIGN, State.UNFINISHED
_TOLD = {
    State.COMPATIBLE: "The database is ahead of this version by {of}; this version works with it.",
    State.BEHIND: "The database is behind {of}: run `backstay db upgrade`.",
    State.AHEAD: "The database was migrated by a newer version of {of}: install that version.",
    State.FOREIGN: "The database has migrations that are not here, `{of}`. If it is of another "
    "project, run this there, or correct the address of the database. If it is of this one, the "
    "folder with its migrations is gone: bring it back.",
}


@dataclass(frozen=True, slots=True)
class Standing:
    """The state of a database, and ``of`` which history if that is not the platform's alone.

    For a foreign one, ``of`` is a revision; for one that is ahead, but compatible, it is those that
    this version does not know. ``stored`` are the last revisions in the database.
    """

    state: State
    of: str = ""
    stored: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """How the database compares and what to do; empty if it is current."""
        return _TOLD[self.state].format(of=self.of) if self.of else self.state.value

    @property
    def fault(self) -> str:
        """What keeps this version from working with the database; empty if nothing does."""
        return "" if self.state in FIT else self.sentence

    @property
    def refusal(self) -> str:
        """Why this version cannot change the schema; empty if it can bring it up to date."""
        if self.state is State.COMPATIBLE:
            return (
                f"The database is ahead of this version by {self.of}: only the version that has "
                "these migrations can change the schema."
            )
        return self.sentence if self.state in _OF_OTHERS else ""


def is_current(histories: Histories, stored: Sequence[str]) -> bool:
    """Whether a database has just the revisions of the histories; False where files must tell."""
    return frozenset(stored) == last_revisions(histories)


def standing_of(histories: Histories, stored: Sequence[str], record: Record) -> Standing:
    """Compare the revisions in a database, of which there is one at least, with the histories."""
    if UNFINISHED_COPY in stored:
        return Standing(State.UNFINISHED)
    found = _compared(histories, stored, record)
    return replace(found, stored=tuple(stored))


def _compared(histories: Histories, stored: Sequence[str], record: Record) -> Standing:
    if newer := _compatible(histories, stored, record):
        return Standing(State.COMPATIBLE, ", ".join(newer))
    found = gap(histories, stored)
    if found.unknown:
        return _ahead(histories, found.unknown)
    if not found.behind:
        return Standing(State.CURRENT)
    labels = [history.label for history in found.behind]
    of = " and ".join(map(_name, found.behind)) if labels != [PLATFORM.label] else ""
    return Standing(State.BEHIND, of)


def _compatible(histories: Histories, stored: Sequence[str], record: Record) -> list[str]:
    """The revisions of newer code, if this code works with all of them; else none."""
    if frozenset(stored) <= record.keys():
        known = known_revisions(histories)
        newer, labels = record.keys() - known, {history.label for history in histories}
        owners = {found[1] for each in newer if (found := _OF_HISTORY.fullmatch(each))}
        needed = {oldest for each in newer if (oldest := record[each]) is not None}
        if known <= record.keys() and owners <= labels and needed <= known:
            return sorted(newer)
    return []


def last_revision_of_each(
    histories: Histories, stored: Sequence[str], record: Record
) -> dict[str, tuple[str, str]]:
    """By history: the last revision of the code and of a database, empty where there is none."""
    found = {history.label: [", ".join(heads_of(histories, history)), ""] for history in histories}
    known = known_revisions(histories)
    reached = applied_of(histories, sorted(known.intersection(stored)))
    for revision in sorted({*stored, *record, *reached}):
        found.setdefault(revision.rpartition("_")[0] or revision, ["", ""])[1] = revision
    return {label: (code, database) for label, (code, database) in found.items()}


def _ahead(histories: Histories, unknown: tuple[str, ...]) -> Standing:
    known = {history.label: history for history in histories}
    labels = {each: found[1] for each in unknown if (found := _OF_HISTORY.fullmatch(each))}
    for revision, label in labels.items():
        if label not in known:
            return Standing(State.FOREIGN, revision)
    return Standing(State.AHEAD, " and ".join(_name(known[label]) for label in labels.values()))


def _name(history: History) -> str:
    return "Backstay" if history.label == PLATFORM.label else history.label
