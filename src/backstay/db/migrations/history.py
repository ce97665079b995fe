"""Lines of revisions, as far as files and their names tell: no migration is loaded for that."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_NUMBERED = re.compile(r"([0-9]{4})_.*\.py")


@dataclass(frozen=True, slots=True)
class History:
    """A line of revisions in one folder. Its tables carry its label: ``info={"owner": label}``."""

    label: str
    folder: Path


PLATFORM = History("platform", Path(__file__).parent / "versions")
"""The tables of the package; also those that name no owner."""

Histories = tuple[History, ...]


class HistoryError(Exception):
    """A revision is not known, or a history contradicts itself; the text says which."""


@cache
def last_revisions(histories: Histories) -> frozenset[str]:
    """Where each history ends; nothing unless their files are numbered one by one, as ours are."""
    last: set[str] = set()
    for history in histories:
        names = [path.name for path in history.folder.glob("*.py")]
        numbers = sorted(int(found[1]) for found in map(_NUMBERED.fullmatch, names) if found)
        if not names or numbers != list(range(1, len(names) + 1)):
            return frozenset()
        last.add(revision_id(history, numbers[-1]))
    return frozenset(last)


def revision_id(history: History, number: int) -> str:
    """What the revision of a number is called in the database."""
    return f"{history.label}_{number:04d}"
