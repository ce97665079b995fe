"""Makes the engines: one that writes in transactions, one that reads without, one for probes."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from math import ceil, inf
from time import monotonic
from typing import Any

import structlog
from sqlalchemy import Engine, ExceptionContext, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from backstay.db import sqlite
from backstay.db.faults import unstorable
from backstay.db.folding import holds
from backstay.db.options import EngineOptions, postgres_arguments, sqlite_url
from backstay.db.pool import FRESH_SECONDS, SharedPool
from backstay.db.watch import begin_immediate

log = structlog.get_logger("backstay.database")
PROBE_SECONDS = 1.5
"""How long a probe may wait for its connection, and then for its answer."""


def writer_engine(
    options: EngineOptions, waited: Callable[[float], None] = lambda seconds: None
) -> AsyncEngine:
    """The engine of the transaction step; ``waited`` is that of `begin_immediate`.

    On SQLite it has a single connection, whose transactions begin IMMEDIATE. Writers queue for it:
    a transaction that reads before it writes does not fail, and no update is lost.
    """
    if options.is_sqlite:
        engine = create_async_engine(
            sqlite_url(options),
            module=sqlite.in_use().dbapi(),
            poolclass=SharedPool,
            pool_size=1,
            max_overflow=0,
            pool_timeout=options.pool_timeout,
            hide_parameters=True,
            connect_args={"isolation_level": None, "timeout": options.pool_timeout},
        )
        _sqlite_pragmas(engine.sync_engine, options, read_only=False)
        begin_immediate(engine.sync_engine, waited)
        return engine
    return _postgres(options, options.url, options.share)


def reader_engine(options: EngineOptions, *, replica: bool = False) -> AsyncEngine:
    """The engine of queries: each statement runs alone, in AUTOCOMMIT, and cannot write.

    Behind PgBouncer each statement has a read-only transaction instead.
    """
    autocommit: dict[str, Any] = {"isolation_level": "AUTOCOMMIT", "pool_reset_on_return": None}
    if options.is_sqlite:
        engine = create_async_engine(
            sqlite_url(options),
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
        extra.pop("isolation_level", None)
        connect |= _pooled(options.statement_timeout, read_only=read_only)
        if read_only:
            connect["command_timeout"] = seconds or None
    engine = create_async_engine(
        make_url(url).set(query={}),  # `postgres_arguments` has read the query
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


def _pooled(seconds: float, *, read_only: bool) -> dict[str, Any]:
    """Arguments for the driver behind PgBouncer: it keeps no prepared statement after its use."""
    return {
        "connection_class": _limited(seconds, read_only=read_only),
        "statement_cache_size": 0,
        "prepared_statement_cache_size": 0,
        "prepared_statement_name_func": lambda: "",
    }


def _limited(seconds: float, *, read_only: bool) -> type[Any]:
    """A connection class whose transactions set their timeouts and whether they may write.

    The settings are sent together with BEGIN, so they cost no round trip, and end with the
    transaction, so the next client of the same session does not inherit them. A transaction that
    writes sets READ WRITE, because the role's default may be read-only. ``seconds`` of 0 means no
    timeout.
    """
    import asyncpg  # noqa: PLC0415  not needed on SQLite

    limit = ceil(seconds * 1000)
    settings = (
        f" SET LOCAL statement_timeout = {limit};"
        f" SET LOCAL idle_in_transaction_session_timeout = {limit};"
    )
    access = "READ ONLY" if read_only else "READ WRITE"

    class Limited(asyncpg.Connection):
        async def execute(
            self,
            query: str,
            *arguments: Any,
            timeout: float | None = None,  # noqa: ASYNC109
        ) -> str:
            if not query.startswith("BEGIN"):
                return await super().execute(query, *arguments, timeout=timeout)
            begin = query.removesuffix(";").removesuffix(" READ ONLY")
            wanted = "READ ONLY" if query.endswith(" READ ONLY;") else access
            try:
                return await super().execute(f"{begin} {wanted};{settings}", timeout=timeout)
            except asyncpg.FeatureNotSupportedError as error:  # a standby refuses READ WRITE
                raise asyncpg.ReadOnlySQLTransactionError(str(error)) from error

    return Limited


def _replace_the_closed(engine: Engine) -> None:
    """Replace a connection that the driver knows to be closed: that check costs no round trip."""

    @event.listens_for(engine, "checkout")
    def look(connection: Any, *_: Any) -> None:
        if connection.driver_connection.is_closed():
            raise DisconnectionError("the server has closed the connection")


def _ping_the_idle(engine: Engine) -> None:
    """Ping a connection that was idle for ``FRESH_SECONDS`` before it is used.

    A ping before every use (``pool_pre_ping``) would double the round trips of a query.
    """

    @event.listens_for(engine, "checkout")
    def ask(connection: Any, record: Any, _: Any) -> None:
        if monotonic() - record.info.get("idle_since", inf) > FRESH_SECONDS:
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
