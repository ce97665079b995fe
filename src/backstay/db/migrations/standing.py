"""How the revisions in a database compare to those of the histories, in sentences."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from backstay.db.migrations.runner import PLATFORM, Histories, History, gap, last_revisions
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
    UNFINISHED = (
        "A copy into this database has not ended: run the same `backstay db copy` again, which "
        "goes on, or empty this database."
    )
    CURRENT = ""


_TOLD = {
    State.BEHIND: "The database is behind {of}: run `backstay db upgrade`.",
    State.AHEAD: "The database was migrated by a newer version of {of}: install that version.",
    State.FOREIGN: "The database has migrations that are not here, `{of}`. If it is of another "
    "project, run this there, or correct the address of the database. If it is of this one, the "
    "folder with its migrations is gone: bring it back.",
}


@dataclass(frozen=True, slots=True)
class Standing:
    """The state of a database, and ``of`` which history if that is not the platform's alone.

    For a foreign one, ``of`` is a revision.
    """

    state: State
    of: str = ""

    @property
    def sentence(self) -> str:
        """What is wrong and what to do; empty if the database is current."""
        return _TOLD[self.state].format(of=self.of) if self.of else self.state.value


def standing_of(histories: Histories, stored: Sequence[str]) -> Standing:
    """Compare the revisions in a database, of which there is one at least, with the histories."""
    if frozenset(stored) == last_revisions(histories):
        return Standing(State.CURRENT)
    if UNFINISHED_COPY in stored:
        return Standing(State.UNFINISHED)
    found = gap(histories, stored)
    if found.unknown:
        return _ahead(histories, found.unknown)
    if not found.behind:
        return Standing(State.CURRENT)
    labels = [history.label for history in found.behind]
    of = " and ".join(map(_name, found.behind)) if labels != [PLATFORM.label] else ""
    return Standing(State.BEHIND, of)


def _ahead(histories: Histories, unknown: tuple[str, ...]) -> Standing:
    known = {history.label: history for history in histories}
    labels = {each: found[1] for each in unknown if (found := _OF_HISTORY.fullmatch(each))}
    for revision, label in labels.items():
        if label not in known:
            return Standing(State.FOREIGN, revision)
    return Standing(State.AHEAD, " and ".join(_name(known[label]) for label in labels.values()))


def _name(history: History) -> str:
    return "Backstay" if history.label == PLATFORM.label else history.label
