"""Histories of revisions, read from file names alone, so that no migration need be imported."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_NUMBERED = re.compile(r"([0-9]{4})_.*\.py")


@dataclass(frozen=True, slots=True)
class History:
    """A line of revisions in one folder; its tables are marked ``info={"owner": label}``."""

    label: str
    folder: Path


PLATFORM = History("platform", Path(__file__).parent / "versions")
"""The history of the package's tables, and of tables without an owner."""

Histories = tuple[History, ...]


class HistoryError(Exception):
    """A revision is unknown, or a history is inconsistent; the text says which."""


@cache
def last_revisions(histories: Histories) -> frozenset[str]:
    """The last revision of each history; empty unless all files are numbered without gaps."""
    last: set[str] = set()
    for history in histories:
        names = [path.name for path in history.folder.glob("*.py")]
        numbers = sorted(int(found[1]) for found in map(_NUMBERED.fullmatch, names) if found)
        if not names or numbers != list(range(1, len(names) + 1)):
            return frozenset()
        last.add(revision_id(history, numbers[-1]))
    return frozenset(last)


def revision_id(history: History, number: int) -> str:
    """The id of the revision with that number, as stored in the database."""
    return f"{history.label}_{number:04d}"
