"""The programs of PostgreSQL that back up and restore, and how they learn the address."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import NamedTemporaryFile

from sqlalchemy import URL

from backstay.core.backups import BackupError

_INSTALLED = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/local/pgsql/bin",
    "/opt/homebrew/opt/*postgresql*/bin",
    "/opt/homebrew/opt/libpq/bin",
)
_OF_PASSWORDS = "PGPASSWORD", "PGPASSFILE"
_SAID = re.compile(r"\(PostgreSQL\) (\d+)")


@dataclass(frozen=True, slots=True)
class Programs:
    """`pg_dump` and `pg_restore` of one version, in one folder."""

    folder: Path
    major: int

    @property
    def dump(self) -> str:
        return str(self.folder / "pg_dump")

    @property
    def restore(self) -> str:
        return str(self.folder / "pg_restore")


def programs_for(server: int, folder: str | None) -> Programs:
    """The programs of the server's version, else of the next newer one that is installed.

    A newer `pg_dump` reads an older server, but its dump may not fit that server; an older one
    refuses.

    Raises:
        BackupError: there are none.
    """
    found = [each for each in _installed(folder) if each.major >= server]
    if not found:
        seen = ", ".join(sorted({str(each.major) for each in _installed(folder)}))
        have = f"the installed ones are of {seen}" if seen else "none is installed"
        raise BackupError(
            f"The server is PostgreSQL {server}, and needs pg_dump and pg_restore of that version: "
            f"{have}. Install postgresql-client-{server}, or name their folder in BACKUP_PG_BIN."
        )
    return min(found, key=lambda each: each.major)


@cache
def _installed(folder: str | None) -> tuple[Programs, ...]:
    folders = [Path(folder)] if folder else list(_folders())
    found = []
    for each in dict.fromkeys(folders):
        if major := _major(each):
            found.append(Programs(each, major))
    return tuple(found)


def _folders() -> Iterator[Path]:
    for name in os.environ.get("PATH", "").split(os.pathsep):
        if name and shutil.which("pg_dump", path=name):
            yield Path(name)
    for pattern in _INSTALLED:
        yield from Path("/").glob(pattern[1:])


def _major(folder: Path) -> int | None:
    """The version of both programs in a folder; None if one is missing there or does not run."""
    majors = set()
    for name in ("pg_dump", "pg_restore"):
        try:
            said = subprocess.run(  # noqa: S603
                [folder / name, "--version"], capture_output=True, text=True, timeout=10, check=True
            ).stdout
        except (OSError, subprocess.SubprocessError):
            return None
        match = _SAID.search(said)
        majors.add(int(match[1]) if match else None)
    return majors.pop() if len(majors) == 1 else None


@contextmanager
def service(url: URL, database: str | None = None) -> Iterator[dict[str, str]]:
    """The environment in which libpq finds an address, password included, in a file of 0600.

    Neither the arguments nor the environment of a program then hold a password, unless this
    process has it from ``PGPASSWORD``, as other commands take it. Other variables of libpq would
    lead elsewhere.
    """
    given = {name: value for name, value in _parameters(url) if value}
    given["dbname"] = database or given.get("dbname", "")
    lines = "".join(f"{name}={value}\n" for name, value in given.items())
    if lines.count("\n") != len(given):
        raise BackupError("A line end in the address of the database cannot be passed on.")
    with NamedTemporaryFile("w", prefix="backstay-pg-", suffix=".conf") as file:
        file.write(f"[backstay]\n{lines}")
        file.flush()
        own = {name: value for name, value in os.environ.items()
               if not name.startswith("PG") or name in _OF_PASSWORDS}  # fmt: skip
        yield {**own, "PGSERVICEFILE": file.name, "PGSERVICE": "backstay", "LC_ALL": "C.UTF-8"}


def _parameters(url: URL) -> Iterator[tuple[str, str]]:
    yield "host", url.host or ""
    yield "port", str(url.port or "")
    yield "user", url.username or ""
    yield "password", str(url.password or "")
    yield "dbname", url.database or ""
    for name, value in url.query.items():
        yield name, value if isinstance(value, str) else ",".join(value)


def last_words(said: bytes, program: str) -> str:
    """What a program said before it failed, on one line."""
    lines = [line.strip() for line in said.decode(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if "error:" in line] or lines[-1:]
    text = errors[0].partition("error: ")[2] or errors[0] if errors else "it failed"
    return f"{program}: {text[:300]}"
