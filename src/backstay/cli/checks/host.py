"""The checks of this machine: its Python, its disks, and how many files a process may open."""

import os
import resource
import shutil
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from backstay.cli.checks.finding import Finding, check, error, note, ok, warning
from backstay.cli.checks.subject import Subject

_LAST_YEAR = {(3, 11): 2027, (3, 12): 2028, (3, 13): 2029, (3, 14): 2030}
"""The year in whose October a Python gets its last fix of security (peps.python.org)."""
_LITTLE, _TOO_LITTLE = 2**30, 64 * 2**20
"""Bytes that should be free on a disk, and without which writes soon fail."""
_CLIENTS = 1024
"""Connections of clients that a process should be able to hold."""
_OTHER_FILES = 64
"""Files that a process has open besides connections: logs, sockets, libraries."""


@check("host.python")
def python(_: Subject) -> Iterator[Finding]:
    """Whether this Python still gets fixes."""
    yield python_finding(sys.version_info[:2], datetime.now(UTC))


def python_finding(version: tuple[int, int], now: datetime) -> Finding:
    """What to say of a version at a moment."""
    name, last = ".".join(map(str, version)), _LAST_YEAR.get(version)
    if last is not None and now >= datetime(last, 11, 1, tzinfo=UTC):
        return warning(f"Python {name} gets no more fixes.", "Install a newer Python.")
    if last is None:
        return note(f"Python {name} is newer than those that Backstay is tested with.")
    return ok(f"Python {name}")


@check("host.disk", "LOG_DIR", "MAIL_", seconds=10, mend="A disk of the network hangs.")
def disk(subject: Subject) -> Iterator[Finding]:
    """Room where the database, logs, mails and files that are being uploaded are."""
    seen: set[int] = set()
    for what, folder in _folders(subject):
        there = next(each for each in (folder, *folder.parents) if each.exists())
        device = there.stat().st_dev
        if device not in seen:
            seen.add(device)
            yield disk_finding(
                f"{there} ({what})", shutil.disk_usage(there).free, inodes=_inodes(there)
            )


def disk_finding(place: str, free: int, *, inodes: int | None = None) -> Finding:
    """What to say of so many free bytes; ``inodes`` are the files that can still be made."""
    told = f"{free / 2**30:.1f} GiB are free at {place}"
    mend = "Make room, or give it a larger disk."
    if free < _TOO_LITTLE or inodes == 0:
        why = "no file can be made" if inodes == 0 else f"{free / 2**20:.0f} MiB are free"
        return error(f"At {place} {why}: writes fail.", mend)
    return warning(f"{told}.", mend) if free < _LITTLE else ok(told)


def _folders(subject: Subject) -> Iterator[tuple[str, Path]]:
    settings = subject.settings
    if not subject.reads_faulty(("DB_",)) and subject.options.file is not None:
        yield "database", subject.options.file.absolute().parent
    if settings.log.dir:
        yield "LOG_DIR", Path(settings.log.dir).absolute()
    if settings.mail.chosen == "file":
        yield "MAIL_DIR", Path(settings.mail.dir).absolute()
    yield "TMPDIR", Path(tempfile.gettempdir())


def _inodes(folder: Path) -> int | None:
    """How many files can still be made; None where the file system does not count them."""
    found = os.statvfs(folder)
    return found.f_favail if found.f_files else None


@check("host.folders", "LOG_DIR", "MAIL_")
def folders(subject: Subject) -> Iterator[Finding]:
    """Whether the folders can be written in which files are kept."""
    found = list(_unwritable(subject))
    yield from found or [ok(", ".join(what for what, _ in _folders(subject)))]


def _unwritable(subject: Subject) -> Iterator[Finding]:
    for what, folder in _folders(subject):
        there = next(each for each in (folder, *folder.parents) if each.exists())
        if not there.is_dir():
            yield error(f"{there} ({what}) is no folder.", "Move it away, or name another folder.")
        elif not _can_write(there):
            mend = "Let the user that runs the application write there, or name another folder."
            yield error(f"Nothing can be written to {there} ({what}).", mend)


def _can_write(folder: Path) -> bool:
    """Whether a file can be made; it has no name there, and is gone at once."""
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True


@check("host.open-files", "DB_")
def open_files(subject: Subject) -> Iterator[Finding]:
    """Whether a process may open as many files as it needs connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY:
        db = subject.settings.db
        own = db.max_connections + (db.replica_max_connections if db.replica_url else 0)
        yield open_files_finding(soft, own + _OTHER_FILES, hard=hard)


def open_files_finding(soft: int, own: int, *, hard: int) -> Finding:
    """What to say of a limit, of which the process itself needs ``own``."""
    mend = f"Raise it: ulimit -n {min(65536, hard) if hard > soft else 65536}"
    mend += "; in systemd LimitNOFILE=, in compose ulimits."
    if soft < own:
        return error(f"A process may open {soft} files and needs {own} for itself.", mend)
    if soft < own + _CLIENTS:
        told = f"A process may open {soft} files, which leaves {soft - own} for clients."
        return warning(told, mend)
    return ok(f"{soft} files")
