"""Translates database errors into those of the application, in one place for both databases."""

import re
from typing import TypeVar

from sqlalchemy import Index, UniqueConstraint
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm.exc import StaleDataError

from backstay.core.errors import (
    AppError,
    Conflict,
    DatabaseFailed,
    DatabaseTimedOut,
    DatabaseUnavailable,
    Invalid,
)
from backstay.db.base import Base
from backstay.db.sqlite_file import WouldBeLost
from backstay.db.troubles import NOT_SAVED, READ_ONLY, READ_ONLY_FILE, trouble_of

U = TypeVar("U", Index, UniqueConstraint)

_SQLITE_COLUMNS = re.compile(r"UNIQUE constraint failed: (?!index )(.+)")
_SQLITE_INDEX = re.compile(r"UNIQUE constraint failed: index '(.+)'")
_RETRY, _RETRY_LATER = {"Retry-After": "1"}, {"Retry-After": "15"}
_UNSTORABLE = {"22001", "22003", "22008", "22021", "22P05"}
_ENDED = {"57014", "25P03", "25P04"}
_TRANSIENT = ("08", "57P", "40001", "40003", "40P01", "53300", "55P03")
"""SQLSTATEs, or their prefixes, of errors that disappear without an operator's help."""


class _IntegrityViolated(Conflict):
    code, title = "db_integrity_error", "The database refused the change"


class ShareInUse(DatabaseUnavailable):
    """A client has too many concurrent reads; the database itself works."""


def taken_by(constraint: U, error: type[Conflict]) -> U:
    """Declare the error with which a violation of a unique index or constraint is answered."""
    constraint.info["taken"] = error
    return constraint


def translate(error: BaseException) -> AppError:
    """The application's error for one of SQLAlchemy, a driver or the network."""
    if isinstance(error, DBAPIError):
        return _of_driver(error)
    if isinstance(error, StaleDataError):
        return Conflict("Somebody else changed this at the same moment: read it, then retry.")
    if isinstance(error, PoolTimeout):
        return no_connection_free()
    if isinstance(error, WouldBeLost):
        return DatabaseUnavailable(NOT_SAVED, headers=_RETRY_LATER)
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
    if isinstance(translated, DatabaseUnavailable):
        return translated
    return DatabaseFailed("The change could not be saved; nothing of it was kept.")


def _is_unstorable(cause: BaseException | None) -> bool:
    by_driver = getattr(cause, "sqlstate", None) == "22000" and "range" in str(cause)
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
    violated = _violated(error)
    taken: type[Conflict] = (violated.info if violated is not None else {}).get(
        "taken", _IntegrityViolated
    )
    return taken()


def _violated(error: IntegrityError) -> Index | UniqueConstraint | None:
    cause = getattr(error.orig, "__cause__", None)
    name = getattr(cause, "constraint_name", None)
    if name is None and (match := _SQLITE_INDEX.search(str(error.orig))):
        name = match.group(1)
    if name is not None:
        return _uniques_by_name().get(name)
    if match := _SQLITE_COLUMNS.search(str(error.orig)):
        return _uniques_by_columns().get(frozenset(match.group(1).split(", ")))
    return None


def _uniques() -> list[Index | UniqueConstraint]:
    found: list[Index | UniqueConstraint] = []
    for table in Base.metadata.tables.values():
        found += [index for index in table.indexes if index.unique]
        found += [c for c in table.constraints if isinstance(c, UniqueConstraint)]
    return found


def _uniques_by_name() -> dict[str, Index | UniqueConstraint]:
    return {str(unique.name): unique for unique in _uniques()}


def _uniques_by_columns() -> dict[frozenset[str], Index | UniqueConstraint]:
    return {frozenset(_columns(unique)): unique for unique in _uniques()}


def _columns(unique: Index | UniqueConstraint) -> list[str]:
    return [str(column) for column in unique.columns]
