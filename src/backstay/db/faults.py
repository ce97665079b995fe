"""What an error of the database means, to clients and to operators, on both databases."""

import os
from dataclasses import dataclass
from math import inf
from pathlib import Path
from traceback import walk_tb
from typing import NoReturn, TypeVar

import structlog
from sqlalchemy import Index, UniqueConstraint
from sqlalchemy.engine import make_url
from sqlalchemy.exc import (
    DBAPIError,
    IntegrityError,
    OperationalError,
    SQLAlchemyError,
    StatementError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm.exc import StaleDataError

from backstay.core.errors import (
    AppError,
    Conflict,
    DatabaseFailed,
    DatabaseTimedOut,
    DatabaseUnavailable,
    FieldError,
    Invalid,
)
from backstay.db.options import EngineOptions
from backstay.db.uniques import violated_by

log = structlog.get_logger("backstay.database")
U = TypeVar("U", Index, UniqueConstraint)

_RETRY, _RETRY_LATER = {"Retry-After": "1"}, {"Retry-After": "15"}
_UNSTORABLE = {"22001", "22003", "22008", "22021", "22P05"}
_ENDED = {"57014", "25P03", "25P04"}
_TRANSIENT = ("08", "57P", "40001", "40003", "40P01", "53300", "55P03")
"""SQLSTATEs, or their prefixes, of errors that disappear without an operator's help."""
_TROUBLE_SECONDS = 15.0
"""How long a database counts as out of order after a failed write: only another write would show
that it works again."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A condition of a database that lasts until an operator repairs it.

    ``reason`` is the text for operators, ``detail`` the one for clients.
    ``seconds`` is how long the database counts as out of order; 0 where only one statement is
    concerned, or where the condition can be checked whenever needed.
    """

    reason: str
    detail: str
    seconds: float = _TROUBLE_SECONDS


_NOT_SAVED, _UNREADABLE = "Nothing can be saved at present.", "The database cannot be read there."
READ_ONLY = Trouble("The database is read-only.", _NOT_SAVED, 0)
READ_ONLY_FILE = Trouble(
    "The database is read-only: its file and the folder around it must be writable.", _NOT_SAVED
)
FULL = Trouble("The disk of the database is full.", _NOT_SAVED)
LOST = Trouble(
    "The database file was moved, deleted or replaced; restart the server.", _NOT_SAVED, 0
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


class WouldBeLost(SQLAlchemyError):
    """A write would be lost: the database file was moved, deleted, replaced or is damaged."""


class _IntegrityViolated(Conflict):
    code, title = "db_integrity_error", "The database refused the change"


class ShareInUse(DatabaseUnavailable):
    """A client has too many concurrent reads; the database itself works."""


def taken_by(constraint: U, error: type[Conflict]) -> U:
    """Declare the error with which a violation of a unique index or constraint is answered."""
    constraint.info["taken"] = error
    return constraint


def raise_translated(error: SQLAlchemyError | OSError) -> NoReturn:
    """Raise the application's error for one of the database, and any other error as it is.

    A failure to connect is a plain ``OSError``, as are those of a handler's files and of other
    networks; but it has come through SQLAlchemy.
    """
    is_of_database = isinstance(error, SQLAlchemyError) or any(
        frame.f_globals.get("__name__", "").startswith("sqlalchemy.")
        for frame, _ in walk_tb(error.__traceback__)
    )
    if not is_of_database:
        raise error
    raise translate(error) from error


def translate(error: BaseException) -> AppError:
    """The application's error for one of SQLAlchemy, a driver or the network."""
    if isinstance(error, DBAPIError):
        return _of_driver(error)
    if isinstance(error, StatementError):  # a value did not fit the type of its column
        return _of_statement(error.orig) or DatabaseFailed()
    if isinstance(error, StaleDataError):
        return Conflict("Somebody else changed this at the same moment: read it, then retry.")
    if isinstance(error, PoolTimeout):
        return no_connection_free()
    if isinstance(error, WouldBeLost):
        return DatabaseUnavailable(_NOT_SAVED, headers=_RETRY_LATER)
    return DatabaseUnavailable(headers=_RETRY) if isinstance(error, OSError) else DatabaseFailed()


def _of_driver(error: DBAPIError) -> AppError:
    if isinstance(error, IntegrityError):
        return _integrity(error)
    if refused := _of_statement(error.orig):
        return refused
    trouble = trouble_of(error.orig)
    if trouble in (READ_ONLY, READ_ONLY_FILE) and not error.connection_invalidated:
        return DatabaseFailed()  # a bug: the statement writes on a connection for reads
    if trouble is not None:
        return DatabaseUnavailable(trouble.detail, headers=_RETRY_LATER)
    return DatabaseUnavailable(headers=_RETRY) if _is_transient(error) else DatabaseFailed()


def _of_statement(cause: BaseException | None) -> AppError | None:
    """The error if this one statement is to blame, else None; the database itself works."""
    if _is_timeout(cause):
        return timed_out()
    return unstorable() if _is_unstorable(cause) else None


def no_connection_free() -> DatabaseUnavailable:
    """The error after the timeout of waiting for a connection."""
    return DatabaseUnavailable("Every database connection is in use.", headers=_RETRY)


def share_in_use() -> ShareInUse:
    """The error after the timeout of waiting for other reads of the same client."""
    return ShareInUse(
        "You have too many requests under way: wait for their answers first.", headers=_RETRY
    )


def timed_out() -> DatabaseTimedOut:
    """The error for a statement that was ended because it took too long."""
    return DatabaseTimedOut(
        "It took longer than it may and was ended. Ask for less: "
        "narrow the search or the filters, or take smaller pages.",
        headers=_RETRY,
    )


def unstorable() -> Invalid:
    """The error for a value that the database cannot store, such as a text with NUL."""
    return Invalid("A value is out of the range of what can be stored.")


def commit_failed(error: BaseException) -> AppError:
    """The error for a transaction that could not be committed: nothing of it was kept."""
    translated = translate(error)
    if isinstance(translated, DatabaseUnavailable | DatabaseTimedOut):
        return translated
    return DatabaseFailed("The change could not be saved; nothing of it was kept.")


def _is_unstorable(cause: BaseException | None) -> bool:
    by_driver = getattr(cause, "sqlstate", None) == "22000" and "range" in str(cause)
    by_driver = by_driver or isinstance(cause, OverflowError)
    return by_driver or getattr(cause, "sqlstate", None) in _UNSTORABLE


def _is_timeout(cause: BaseException | None) -> bool:
    interrupted = getattr(cause, "sqlite_errorname", None) == "SQLITE_INTERRUPT"
    return interrupted or getattr(cause, "sqlstate", None) in _ENDED


def _is_transient(error: DBAPIError) -> bool:
    sqlstate = getattr(error.orig, "sqlstate", None) or ""
    if error.connection_invalidated or sqlstate.startswith(_TRANSIENT):
        return True
    return isinstance(error, OperationalError) and (
        "database is locked" in str(error.orig) or "unable to open" in str(error.orig)
    )


def _integrity(error: IntegrityError) -> AppError:
    violated = violated_by(error)
    if violated is not None:
        taken: type[Conflict] | None = violated.info.get("taken")
        return taken() if taken else _taken([column.name for column in violated.columns])
    # perhaps a bug, such as a column that nobody fills
    cause = getattr(error.orig, "__cause__", None)
    named = {name: getattr(cause, f"{name}_name", None) for name in ("table", "constraint")}
    known = {name: value for name, value in named.items() if value is not None}
    log.warning("the database refused a change", reason=first_line(error), **known)
    return _IntegrityViolated(_of_key(error, known.get("table")))


def _taken(columns: list[str]) -> AppError:
    """The error where another row has the value that has to be unique, or these values."""
    message = "Another row has this value" + (" and the others named here." if columns[1:] else ".")
    faults = tuple(FieldError(column, "taken", message) for column in columns)
    return _IntegrityViolated("Another row has the same value.", errors=faults)


def _of_key(error: IntegrityError, table: str | None) -> str:
    """The sentence on a violated foreign key, whose ``table`` SQLite does not tell; else empty."""
    is_key = sqlstate(error) == "23503" or "FOREIGN KEY" in str(error.orig)
    rows = f"a row of {table}" if table else "a row"
    return f"By this change {rows} would refer to one that is not there." if is_key else ""


def first_line(error: BaseException) -> str:
    """The error of a driver, in one line."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, OSError) and cause.filename is not None:
        return f"{cause.filename}: {cause.strerror}"
    text = str(cause).splitlines()[0] if str(cause) else repr(cause)
    if "readonly database" in text:
        text += " (its file and the folder around it must be writable)"
    return text


def explanation(error: Exception, options: EngineOptions) -> str:
    """A sentence for an operator about an error of that database; clients never see it."""
    text, state = first_line(error), sqlstate(error)
    if state == "55P03" or "database is locked" in text:
        return "Somebody else is migrating this database, or uses it without end: try again later."
    if state == "3D000":
        name = make_url(options.url).database
        return f"There is no database {name!r} on {options.host}: create it first."
    if isinstance(error, OSError) or "unable to open" in text or state[:2] == "08":
        return f"The database `{options.shown_url}` cannot be reached: {text}."
    return f"The database `{options.shown_url}` refused, nothing was changed: {text}."


def sqlstate(error: Exception) -> str:
    """The SQLSTATE of an error from PostgreSQL, or an empty text."""
    return getattr(getattr(error, "orig", None), "sqlstate", None) or ""


def fault_of_file(file: Path | None) -> str | None:
    """Why SQLite cannot open its file, or None; a file that does not exist yet is no fault."""
    if file is None:
        return None
    if not os.path.lexists(file):
        is_gone = not os.path.lexists(file.parent)
        return "its folder is missing. Make it, or correct the address" if is_gone else None
    if not file.is_file():
        return "it is not a file"
    return None if os.access(file, os.R_OK) else "it may not be read"
