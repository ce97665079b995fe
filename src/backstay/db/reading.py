"""Runs single statements that read: each takes a turn, a connection, and its time at most."""

import asyncio
from collections.abc import Hashable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any

import structlog
from sqlalchemy import Connection, Executable, Row, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import greenlet_spawn

from backstay.db.fair_semaphore import FairSemaphore
from backstay.db.faults import timed_out, translate

Parameters = Mapping[str, Any] | None
Rows = Sequence[Row[*tuple[Any, ...]]]

log = structlog.get_logger("backstay.database")

_CANNOT_WRITE = text("SELECT current_setting('default_transaction_read_only') = 'on'")
AGAIN_SECONDS = 0.1
"""How long after an interruption that met nothing the next one follows."""


class Reads:
    """Runs statements on one engine.

    ``seconds`` is how long each may take on SQLite, 0 is without end; PostgreSQL is told with
    every connection.
    """

    def __init__(self, engine: AsyncEngine, semaphore: FairSemaphore, seconds: float) -> None:
        self.engine = engine
        self.semaphore = semaphore
        self._seconds = seconds if engine.dialect.name == "sqlite" else 0.0

    async def rows(
        self, who: Hashable | None, statement: Executable, parameters: Parameters = None
    ) -> Rows:
        """Every row of a statement that somebody wants; None is the application itself.

        It is run once more when the connection turns out to be dead: others are made.

        Raises:
            DatabaseTimedOut: it took too long and was ended.
            AppError: it failed, or no connection was free in time.
        """
        async with self.semaphore.of(who):
            try:
                return await greenlet_spawn(self._run, statement, parameters)
            except DBAPIError as error:
                if not error.connection_invalidated:
                    raise translate(error) from error
            except (SQLAlchemyError, OSError) as error:
                raise translate(error) from error
            try:
                return await greenlet_spawn(self._run, statement, parameters)
            except (SQLAlchemyError, OSError) as error:
                raise translate(error) from error

    async def spare_transactions(self) -> None:
        """Behind PgBouncer, run statements bare if the role cannot write that way; tell if not.

        It can where a transaction says so, as those of commands do.
        """
        if (await self.rows(None, _CANNOT_WRITE))[0][0]:
            self.engine = self.engine.execution_options(isolation_level="AUTOCOMMIT")
            return
        log.info(
            "each read has a transaction of its own",
            cause="DB_PGBOUNCER is on, and the role could write outside of one",
            mend="ALTER ROLE ... SET default_transaction_read_only = on, RECONNECT in PgBouncer, "
            "then restart: a read then takes two round trips less, and commands write as before",
        )

    def _run(self, statement: Executable, parameters: Parameters) -> Rows:
        with self.engine.sync_engine.connect() as connection:
            try:
                with self._deadline(connection):
                    return connection.execute(statement, parameters).all()
            except TimeoutError as error:  # of the driver, where the server is not told
                raise timed_out() from error

    def _deadline(self, connection: Connection) -> AbstractContextManager[None]:
        if not self._seconds:
            return _NONE
        return _Deadline(connection.connection.driver_connection, self._seconds)


_NONE = nullcontext()


class _Deadline:
    """Interrupts what a connection of SQLite does, once it took its time, until it has ended.

    An interruption meets only what runs at that moment; it may come from any thread. The timer is
    gone when the statement has ended, so that none meets the next one.
    """

    def __init__(self, driver: Any, seconds: float) -> None:
        self._driver = driver
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(seconds, self._interrupt)

    def _interrupt(self) -> None:
        self._timer = self._loop.call_later(AGAIN_SECONDS, self._interrupt)
        with suppress(ValueError):  # there is no connection any more
            self._driver._conn.interrupt()

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
