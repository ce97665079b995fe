"""How to connect: the options of the engines, and the arguments that a driver takes for them."""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

from sqlalchemy import URL
from sqlalchemy.engine import make_url

from backstay.db import sqlite
from backstay.settings import Settings
from backstay.settings.groups.db import FEWEST, FEWEST_BEHIND_PGBOUNCER

_OF_THE_DSN = (
    "sslcert",
    "sslcrl",
    "sslkey",
    "sslnegotiation",
    "sslpassword",
    "sslrootcert",
    "ssl_max_protocol_version",
    "ssl_min_protocol_version",
)
"""Parameters that asyncpg accepts only in a URL."""


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How to connect. Timeouts are in seconds; 0 turns the statement and read timeouts off."""

    url: str
    replica_url: str | None = None
    min_connections: int = 1
    max_connections: int = 10
    replica_max_connections: int = 10
    ping: bool = True
    statement_timeout: float = 30.0
    read_timeout: float = 5.0
    max_reads_per_user: int = 5
    pool_timeout: float = 2.0
    pgbouncer: bool = False
    migration_lock_timeout: float = 2.0
    migration_max_wait: float = 300.0

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The options of the database that the settings name."""
        db = settings.db
        return cls(
            url=db.sqlalchemy_url,
            replica_url=db.replica_sqlalchemy_url,
            min_connections=db.min_connections,
            max_connections=db.max_connections,
            replica_max_connections=db.replica_max_connections,
            ping=db.ping_connection,
            statement_timeout=db.statement_timeout,
            read_timeout=db.read_timeout,
            max_reads_per_user=db.max_reads_per_user,
            pool_timeout=db.pool_timeout,
            pgbouncer=db.pgbouncer,
            migration_lock_timeout=db.migration_lock_timeout,
            migration_max_wait=db.migration_max_wait,
        )

    @property
    def kept(self) -> int:
        """How many connections to PostgreSQL a process may need outside of the pools.

        One listens to other processes, one answers probes. Behind PgBouncer none can listen.
        """
        return (FEWEST_BEHIND_PGBOUNCER if self.pgbouncer else FEWEST) - 2

    @property
    def share(self) -> int:
        """The size of each pool on PostgreSQL: reads and writes leave each other one connection."""
        return max(1, self.max_connections - self.kept - 1)

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is SQLite."""
        return make_url(self.url).get_backend_name() == "sqlite"

    @property
    def read_seconds(self) -> float:
        """The timeout of a query: the shorter one of the two that are set; 0 is no timeout."""
        ends = [seconds for seconds in (self.read_timeout, self.statement_timeout) if seconds]
        return min(ends, default=0.0)

    @property
    def can_corrupt(self) -> bool:
        """Whether the database is SQLite, in a version that can corrupt files in WAL mode."""
        return self.is_sqlite and sqlite.in_use().is_affected

    @property
    def file(self) -> Path | None:
        """The file of a SQLite database; None on PostgreSQL and for a database in memory."""
        name = make_url(self.url).database
        if not self.is_sqlite or not name or name == ":memory:" or name.startswith("file:"):
            return None
        return Path(name)

    @property
    def is_missing(self) -> bool:
        """Whether the file of SQLite does not exist; open connections would not notice that."""
        return self.file is not None and not self.file.exists()

    @property
    def shown_url(self) -> str:
        """The URL with its passwords hidden."""
        url = make_url(self.url)
        hidden = {name: "hidden" for name in url.query if "pass" in name}
        return repr(url.update_query_dict(hidden))

    @property
    def host(self) -> str:
        """The host of the database, or ``this machine``."""
        url = make_url(self.url)
        return url.host or str(url.query.get("host", "this machine"))


def create_file(options: EngineOptions) -> None:
    """Create the file of a SQLite database if it is missing, readable for its owner alone.

    SQLite gives its other files the same mode.

    Raises:
        OSError: the folder does not exist or is not writable.
    """
    if options.file is not None:
        with suppress(FileExistsError):
            os.close(os.open(options.file, os.O_CREAT | os.O_EXCL, 0o600))


def driver_arguments(
    options: EngineOptions, application: str, seconds: float | None = None
) -> tuple[Sequence[str], dict[str, Any]]:
    """The arguments with which the driver opens a connection outside of any pool.

    On PostgreSQL they set the name of the ``application`` and a connect timeout of ``seconds``.
    """
    if not options.is_sqlite:
        return (), postgres_arguments(options.url, application, seconds or options.pool_timeout)
    url = sqlite_url(options)
    positional, named = url.get_dialect()().create_connect_args(url)
    return positional, dict(named)


def sqlite_url(options: EngineOptions) -> URL:
    """The URL of a SQLite file; in mode ``rw`` SQLite does not create one that is missing."""
    url = make_url(options.url)
    if options.file is None:
        return url
    query = {"mode": "rw", "uri": "true"}
    return url.set(database=options.file.absolute().as_uri()).update_query_dict(query)


def postgres_arguments(text: str, application: str, seconds: float) -> dict[str, Any]:
    """The arguments of `asyncpg.connect` for a database URL.

    ``application`` and ``seconds`` (the connect timeout) are defaults; the URL may override them.
    """
    url = make_url(text)
    query: dict[str, Any] = dict(url.query)
    session = {"application_name": query.pop("application_name", application)}
    if "options" in query:
        session["options"] = query.pop("options")
    timeout = float(query.pop("connect_timeout", seconds))
    dsn = {name: query.pop(name) for name in _OF_THE_DSN if name in query}
    url = url.set(query=query)
    _, found = url.get_dialect()().create_connect_args(url)
    if dsn.get("sslrootcert") == "system":
        del dsn["sslrootcert"]
        found["ssl"] = True  # verify-full, with the certificate authorities of this system
    if dsn:
        found["dsn"] = f"postgresql://?{urlencode(dsn)}"
    return {**found, "server_settings": session, "timeout": timeout}
