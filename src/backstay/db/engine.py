"""Makes the engines: one that writes in transactions, one that reads without, one for probes."""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from math import ceil, inf
from pathlib import Path
from time import monotonic
from typing import Any

import structlog
from sqlalchemy import URL, Engine, ExceptionContext, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from backstay.db import sqlite
from backstay.db.address import postgres_arguments, without_parameters
from backstay.db.faults import unstorable
from backstay.db.folding import holds
from backstay.db.pool import SharedPool
from backstay.settings.groups.db import FEWEST, FEWEST_BEHIND_PGBOUNCER

log = structlog.get_logger("backstay.database")
PROBE_SECONDS = 1.5
"""How long a probe may wait for its connection, and then for its answer."""
IDLE_SECONDS = 5.0
"""A connection that was idle for less than this is used without a ping."""


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
    url = _address(options)
    positional, named = url.get_dialect()().create_connect_args(url)
    return positional, dict(named)


def _address(options: EngineOptions) -> URL:
    """The URL to connect to; in mode ``rw`` SQLite does not create a file that is missing."""
    url = make_url(options.url)
    if options.file is None:
        return url
    query = {"mode": "rw", "uri": "true"}
    return url.set(database=options.file.absolute().as_uri()).update_query_dict(query)


def writer_engine(options: EngineOptions) -> AsyncEngine:
    """The engine of the transaction step.

    On SQLite it has a single connection, whose transactions begin IMMEDIATE. Writers queue for it:
    a transaction that reads before it writes does not fail, and no update is lost.
    """
    if options.is_sqlite:
        engine = create_async_engine(
            _address(options),
            module=sqlite.in_use().dbapi(),
            poolclass=SharedPool,
            pool_size=1,
            max_overflow=0,
            pool_timeout=options.pool_timeout,
            hide_parameters=True,
            connect_args={"isolation_level": None, "timeout": options.pool_timeout},
        )
        _sqlite_pragmas(engine.sync_engine, options, read_only=False)
        event.listen(engine.sync_engine, "begin", _begin_immediate)
        return engine
    return _postgres(options, options.url, options.share)


def reader_engine(options: EngineOptions, *, replica: bool = False) -> AsyncEngine:
    """The engine of queries: each statement runs alone, in AUTOCOMMIT, and cannot write.

    Behind PgBouncer each statement has a read-only transaction instead.
    """
    autocommit: dict[str, Any] = {"isolation_level": "AUTOCOMMIT", "pool_reset_on_return": None}
    if options.is_sqlite:
        engine = create_async_engine(
            _address(options),
            module=sqlite.in_use().dbapi(),
            poolclass=SharedPool,
            pool_size=options.max_connections,
            max_overflow=0,
            pool_timeout=options.pool_timeout,
            hide_parameters=True,
            connect_args={"timeout": options.pool_timeout},
            **autocommit,
        )
        _sqlite_pragmas(engine.sync_engine, options, read_only=True)
        return engine
    url, size = options.url, options.share
    if replica and options.replica_url:
        url, size = options.replica_url, options.replica_max_connections
    return _postgres(options, url, size, read_only=True, **autocommit)


def probe_engine(options: EngineOptions) -> AsyncEngine:
    """The engine of probes: one connection of its own; on PostgreSQL it could write."""
    own = replace(options, max_connections=1, pool_timeout=PROBE_SECONDS)
    if options.is_sqlite:
        return reader_engine(own)
    own = replace(own, statement_timeout=PROBE_SECONDS)
    return _postgres(own, own.url, 1, "backstay probes")


def _postgres(
    options: EngineOptions,
    url: str,
    size: int,
    application: str = "backstay",
    *,
    read_only: bool = False,
    **extra: Any,
) -> AsyncEngine:
    connect = postgres_arguments(url, application, options.pool_timeout)
    seconds = options.read_seconds if read_only else options.statement_timeout
    if not options.pgbouncer:
        connect["server_settings"] |= _limits(seconds, read_only=read_only)
    else:
        from backstay.db.pooler import pooled  # noqa: PLC0415  loads the driver

        extra.pop("isolation_level", None)
        connect |= pooled(options.statement_timeout, read_only=read_only)
        if read_only:
            connect["command_timeout"] = seconds or None
    engine = create_async_engine(
        without_parameters(url),
        poolclass=SharedPool,
        pool_size=size,
        max_overflow=0,
        pool_timeout=options.pool_timeout,
        hide_parameters=True,  # values and hashes must not be logged
        connect_args=connect,
        **extra,
    )
    _replace_the_closed(engine.sync_engine)
    if options.ping:
        _ping_the_idle(engine.sync_engine)
    return engine


def _limits(seconds: float, *, read_only: bool) -> dict[str, str]:
    """The settings of a session, which cannot be used behind PgBouncer: clients share sessions."""
    limits = ("statement_timeout", "idle_in_transaction_session_timeout")
    access = {"default_transaction_read_only": "on"} if read_only else {}
    return access | dict.fromkeys(limits, str(ceil(seconds * 1000)))


def _replace_the_closed(engine: Engine) -> None:
    """Replace a connection that the driver knows to be closed: that check costs no round trip."""

    @event.listens_for(engine, "checkout")
    def look(connection: Any, *_: Any) -> None:
        if connection.driver_connection.is_closed():
            raise DisconnectionError("the server has closed the connection")


def _ping_the_idle(engine: Engine) -> None:
    """Ping a connection that was idle for ``IDLE_SECONDS`` before it is used.

    A ping before every use (``pool_pre_ping``) would double the round trips of a query.
    """

    @event.listens_for(engine, "checkin")
    def remember(connection: Any, record: Any) -> None:
        record.info["used"] = monotonic()

    @event.listens_for(engine, "checkout")
    def ask(connection: Any, record: Any, _: Any) -> None:
        if monotonic() - record.info.get("used", inf) > IDLE_SECONDS:
            try:
                engine.dialect.do_ping(connection)
            except engine.dialect.loaded_dbapi.Error as error:
                raise DisconnectionError from error


def _sqlite_pragmas(engine: Engine, options: EngineOptions, *, read_only: bool) -> None:
    used = sqlite.in_use()
    pragmas = [f"busy_timeout = {int(options.pool_timeout * 1000)}", "foreign_keys = ON"]

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _: Any) -> None:
        cursor = connection.cursor()
        try:
            for pragma in pragmas:
                cursor.execute(f"PRAGMA {pragma}")
            _set_journal(cursor, used)
            if read_only:
                cursor.execute("PRAGMA query_only = ON")
        except BaseException:
            connection.close()  # the pool does not, and the thread would outlive the event loop
            raise
        cursor.close()
        connection.create_function(holds.__name__, 2, holds, deterministic=True)

    @event.listens_for(engine, "handle_error")
    def overflow(context: ExceptionContext) -> None:
        if isinstance(context.original_exception, OverflowError):
            raise unstorable() from context.original_exception


def _set_journal(cursor: Any, used: sqlite.Sqlite) -> None:
    """Set the journal mode; an affected SQLite leaves WAL, unless other processes use the file."""
    for pragma in used.pragmas:
        with suppress(*[used.module.OperationalError] if used.is_affected else []):
            cursor.execute(f"PRAGMA {pragma}")
    cursor.execute("PRAGMA journal_mode")
    if used.is_affected and cursor.fetchone()[0] == "wal":
        log.error(
            "this SQLite can corrupt the database, which other processes keep in WAL mode: "
            "stop all of them, then start again",
            sqlite=used.version_text,
            mend=sqlite.MEND,
        )


def _begin_immediate(connection: Any) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
