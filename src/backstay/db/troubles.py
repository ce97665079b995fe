"""Conditions of a database that last until an operator repairs them, by the driver's error code."""

from dataclasses import dataclass
from math import inf

SECONDS = 15.0
"""How long a database counts as out of order after a failed write: only another write would show
that it works again."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """One such condition: ``told`` is the text for operators, ``detail`` the one for clients.

    ``seconds`` is how long the database counts as out of order; 0 where only one statement is
    concerned, or where the condition can be checked whenever needed.
    """

    told: str
    detail: str
    seconds: float = SECONDS


NOT_SAVED, _UNREADABLE = "Nothing can be saved at present.", "The database cannot be read there."
READ_ONLY = Trouble("The database is read-only.", NOT_SAVED, 0)
READ_ONLY_FILE = Trouble(
    "The database is read-only: its file and the folder around it must be writable.", NOT_SAVED
)
FULL = Trouble("The disk of the database is full.", NOT_SAVED)
LOST = Trouble(
    "The database file was moved, deleted or replaced; restart the server.", NOT_SAVED, 0
)
FAILING = Trouble("The database cannot use its disk.", "The database cannot use its disk.")
DAMAGED = Trouble(
    "The database file is damaged: stop the server, restore a backup, start it again.",
    _UNREADABLE,
    inf,
)
_PART_DAMAGED = Trouble("A table or an index is damaged.", _UNREADABLE, 0)
_NO_MEMORY = Trouble("The database is short of memory.", "The database is short of memory.", 0)

_BY_SQLSTATE = {
    "25006": READ_ONLY,
    "53000": _NO_MEMORY,
    "53100": FULL,
    "53200": _NO_MEMORY,
    "58000": FAILING,
    "58030": FAILING,
    "58P01": _PART_DAMAGED,
    "58P02": FAILING,
    "XX001": _PART_DAMAGED,
    "XX002": _PART_DAMAGED,
}
_BY_SQLITE_CODE = {
    8: READ_ONLY_FILE,
    10: FAILING,
    11: DAMAGED,
    13: FULL,
    26: DAMAGED,
    1032: LOST,
}
"""READONLY, IOERR, CORRUPT, FULL and NOTADB, whatever the upper bits of an extended code are, and
the extended code READONLY_DBMOVED."""


def trouble_of(cause: BaseException | None) -> Trouble | None:
    """The condition that a driver's error reports, or None."""
    code: int | None = getattr(cause, "sqlite_errorcode", None)
    if code is not None:
        return _BY_SQLITE_CODE.get(code) or _BY_SQLITE_CODE.get(code & 0xFF)
    return _BY_SQLSTATE.get(getattr(cause, "sqlstate", None) or "")
