"""Runs single statements that read, each with a slot, a connection and a timeout."""

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
"""How long after an interruption the next one follows, while the statement has not ended."""


class Reads:
    """Runs statements on one engine.

    ``seconds`` is the timeout of each statement on SQLite, 0 is none; on PostgreSQL the timeout is
    a setting of the connection.
    """

    def __init__(self, engine: AsyncEngine, semaphore: FairSemaphore, seconds: float) -> None:
        self.engine = engine
        self.semaphore = semaphore
        self._seconds = seconds if engine.dialect.name == "sqlite" else 0.0

    async def rows(
        self, who: Hashable | None, statement: Executable, parameters: Parameters = None
    ) -> Rows:
        """Run a statement for a client and return every row; ``who`` None is the application.

        If the connection turns out to be dead, the statement is run once more on a new one.

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
        """Behind PgBouncer, run reads without a transaction if the role's default is read-only.

        Otherwise keep the read-only transactions and log how to avoid them. Commands can write
        with such a role, too: their transactions are begun as READ WRITE.
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
            except TimeoutError as error:  # of the driver, where the server has no timeout
                raise timed_out() from error

    def _deadline(self, connection: Connection) -> AbstractContextManager[None]:
        if not self._seconds:
            return _NONE
        return _Deadline(connection.connection.driver_connection, self._seconds)


_NONE = nullcontext()


class _Deadline:
    """Interrupts a statement of SQLite after its timeout, again and again until it has ended.

    An interruption ends only what runs at that moment; any thread may call it. The timer is
    cancelled when the statement has ended, so that the next one is not interrupted.
    """

    def __init__(self, driver: Any, seconds: float) -> None:
        self._driver = driver
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(seconds, self._interrupt)

    def _interrupt(self) -> None:
        self._timer = self._loop.call_later(AGAIN_SECONDS, self._interrupt)
        with suppress(ValueError):  # the connection is closed
            self._driver._conn.interrupt()

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
