"""What keeps a database from its work until somebody mends it, by what its driver says."""

from dataclasses import dataclass
from math import inf

SECONDS = 15.0
"""How long a write that failed counts: whether the next one does shows only when it is tried."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """``told`` is for who runs the application, ``detail`` for who uses it.

    ``seconds`` is how long the database counts as out of order; 0 where it is about one statement,
    or where the database can be asked.
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
"""READONLY, IOERR, CORRUPT, FULL, NOTADB, whatever more is said in the upper bits of a code, and
READONLY_DBMOVED."""


def trouble_of(cause: BaseException | None) -> Trouble | None:
    """The trouble that an error of a driver tells of, if it does."""
    code: int | None = getattr(cause, "sqlite_errorcode", None)
    if code is not None:
        return _BY_SQLITE_CODE.get(code) or _BY_SQLITE_CODE.get(code & 0xFF)
    return _BY_SQLSTATE.get(getattr(cause, "sqlstate", None) or "")
