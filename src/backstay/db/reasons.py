"""Explains to operators why a database cannot be used; clients never see these texts."""

import os
from pathlib import Path

from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from backstay.db.address import place, shown


def reason(error: BaseException) -> str:
    """The error of a driver, in one line."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, OSError) and cause.filename is not None:
        return f"{cause.filename}: {cause.strerror}"
    text = str(cause).splitlines()[0] if str(cause) else repr(cause)
    if "readonly database" in text:
        text += " (its file and the folder around it must be writable)"
    return text


def explanation(error: Exception, url: str) -> str:
    """A sentence for an operator about an error of the database at that URL."""
    text, state = reason(error), sqlstate(error)
    if state == "55P03" or "database is locked" in text:
        return "Somebody else is migrating this database, or uses it without end: try again later."
    if state == "3D000":
        return f"There is no database {make_url(url).database!r} on {place(url)}: create it first."
    if isinstance(error, OSError) or "unable to open" in text or state[:2] == "08":
        return f"The database `{shown(url)}` cannot be reached: {text}."
    return f"The database `{shown(url)}` refused, nothing was changed: {text}."


def sqlstate(error: Exception) -> str:
    """The SQLSTATE of an error from PostgreSQL, or an empty text."""
    return getattr(getattr(error, "orig", None), "sqlstate", None) or ""


def fault_of_file(file: Path | None) -> str | None:
    """Why SQLite cannot open its file, or None; a file that does not exist is no fault."""
    if file is None or not os.path.lexists(file):
        return None
    if not file.is_file():
        return "it is not a file"
    return None if os.access(file, os.R_OK) else "it may not be read"
