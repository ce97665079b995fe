"""Finds the unique index or constraint that an error of the database names."""

import re

from sqlalchemy import Index, UniqueConstraint
from sqlalchemy.exc import IntegrityError

from backstay.db.base import Base

_SQLITE_COLUMNS = re.compile(r"UNIQUE constraint failed: (?!index )(.+)")
_SQLITE_INDEX = re.compile(r"UNIQUE constraint failed: index '(.+)'")


def violated_by(error: IntegrityError) -> Index | UniqueConstraint | None:
    """The unique index or constraint that a change would have violated, if that is known."""
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
