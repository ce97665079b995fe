"""Runs single statements that read, on the primary or a replica, each with its timeout."""

import asyncio
from collections.abc import Hashable, Iterable
from contextlib import suppress
from functools import partial
from math import inf
from time import monotonic
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import Executable, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import greenlet_spawn

from backstay.core.errors import DatabaseTimedOut, DatabaseUnavailable
from backstay.core.principal import Principal
from backstay.db.direct import Direct, unguarded
from backstay.db.fair_semaphore import FairSemaphore
from backstay.db.faults import ShareInUse, timed_out, translate
from backstay.db.plain import Parameters, Rows

log = structlog.get_logger("backstay.database")

_CANNOT_WRITE = text("SELECT current_setting('default_transaction_read_only') = 'on'")
_WRITTEN = text(
    "SELECT (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()"
    " ELSE pg_current_wal_insert_lsn() END - '0/0')::bigint"
)
_REPLAYED = text("SELECT coalesce(pg_last_wal_replay_lsn() - '0/0', 0)::bigint")
_LAG = text(
    "SELECT coalesce(pg_last_wal_replay_lsn() - '0/0', 0)::bigint,"
    " coalesce(extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()), 0)::float8"
)
AGAIN_SECONDS = 0.1
"""How long after an interruption the next one follows, while the statement has not ended."""
LOOK_SECONDS = 0.1
"""The least time between two questions to the replica how far it has replayed."""
REST_SECONDS = 5.0
"""How long a replica is not used after it failed."""
ANYONE = UUID(int=0)
"""Stands for every user when it is unknown who has written."""


class Reads:
    """Runs statements on one engine, the ``direct`` way where there is one and it can.

    ``seconds`` is the timeout of each statement on SQLite, 0 is none; on PostgreSQL the timeout is
    a setting of the connection.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        semaphore: FairSemaphore,
        seconds: float,
        direct: Direct | None = None,
    ) -> None:
        self.engine = engine
        self.semaphore = semaphore
        self._seconds = seconds if engine.dialect.name == "sqlite" else 0.0
        self._guard = partial(_Deadline, seconds=self._seconds) if self._seconds else unguarded
        self.direct = direct

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
                rows = None
                if self.direct is not None:
                    rows = await self.direct.rows(statement, parameters, self._guard)
                if rows is None:
                    rows = await greenlet_spawn(self._run, statement, parameters)
                return rows
            except TimeoutError as error:  # of the driver, where the server has no timeout
                raise timed_out() from error
            except DBAPIError as error:
                if not error.connection_invalidated:
                    raise translate(error) from error
            except (SQLAlchemyError, OSError) as error:
                raise translate(error) from error
            try:
                return await greenlet_spawn(self._run, statement, parameters)
            except (SQLAlchemyError, OSError) as error:
                raise translate(error) from error

    async def spare_transactions(self, direct: Direct) -> None:
        """Behind PgBouncer, run reads without a transaction if the role's default is read-only.

        Then they may go the direct way. Otherwise keep the read-only transactions and log how to
        avoid them. Commands can write with such a role, too: their transactions are begun as READ
        WRITE.
        """
        if (await self.rows(None, _CANNOT_WRITE))[0][0]:
            self.engine = self.engine.execution_options(isolation_level="AUTOCOMMIT")
            self.direct = direct
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
                with self._guard(connection.connection.driver_connection):
                    return connection.execute(statement, parameters).all()
            except TimeoutError as error:  # of the driver, where the server has no timeout
                raise timed_out() from error


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


class Replica:
    """Reads from the replica what it may serve, so that users always see what they have written.

    Positions are bytes of the write-ahead log. A user who has written is remembered in this
    process until the replica has replayed up to a position that the primary had after that write.
    """

    def __init__(self, reads: Reads, primary: Reads) -> None:
        self.reads = reads
        self._primary = primary
        self._unplaced: set[UUID] = set()
        self._placed: dict[UUID, float] = {}
        self._looked = 0.0
        self._rests_until = 0.0

    def wrote(self, user_ids: Iterable[UUID]) -> None:
        """From now on, reads of these users must include what the primary holds now."""
        self._unplaced.update(user_ids)

    async def rows(
        self,
        principal: Principal,
        who: Hashable | None,
        statement: Executable,
        parameters: Parameters = None,
    ) -> Rows:
        """Read from the replica if it may serve this principal, and from the primary if it fails.

        A read that took too long, or waited too long for the client's others, is not repeated.
        """
        try:
            if await self._may_serve(principal):
                return await self.reads.rows(who, statement, parameters)
        except ShareInUse:
            raise
        except DatabaseUnavailable as error:
            self._rests_until = monotonic() + REST_SECONDS
            log.warning("replica failed", rest=REST_SECONDS, fault=error)
        return await self._primary.rows(who, statement, parameters)

    async def lag(self) -> tuple[int, float]:
        """How far the replica is behind: bytes of the log, and seconds since the last commit in it.

        The seconds are 0 where nothing is missing: without commits, that moment says nothing.

        Raises:
            AppError: one of the two servers does not answer.
        """
        written = await _number(self._primary, _WRITTEN)
        ((replayed, seconds),) = await self.reads.rows(None, _LAG)
        behind = max(0, written - replayed)
        return behind, max(0.0, seconds) if behind else 0.0

    async def _may_serve(self, principal: Principal) -> bool:
        try:
            return await self.serves(principal)
        except DatabaseTimedOut as error:  # of the question for its position, which is quick
            raise DatabaseUnavailable from error

    async def serves(self, principal: Principal) -> bool:
        """Whether a read of this principal may go to the replica.

        The system reads from the primary, because its reads decide who may sign in.
        """
        if principal.is_system or monotonic() < self._rests_until:
            return False
        if not self._lags_for(principal):
            return True
        await self._look()
        return not self._lags_for(principal)

    def _lags_for(self, principal: Principal) -> bool:
        return any(
            user_id in self._unplaced or user_id in self._placed
            for user_id in (ANYONE, principal.user_id)
        )

    async def _look(self) -> None:
        if monotonic() - self._looked < LOOK_SECONDS:
            return
        self._looked = inf  # so that no other task asks meanwhile
        try:
            await self._place()
            replayed = await _number(self.reads, _REPLAYED)
        finally:
            self._looked = monotonic()
        for user_id in [u for u, position in self._placed.items() if position <= replayed]:
            del self._placed[user_id]

    async def _place(self) -> None:
        unplaced = frozenset(self._unplaced)
        if not unplaced:
            return
        self._unplaced.clear()
        self._placed.update(dict.fromkeys(unplaced, inf))
        try:
            self._placed.update(dict.fromkeys(unplaced, await _number(self._primary, _WRITTEN)))
        except BaseException:
            self._unplaced |= unplaced
            raise


async def _number(reads: Reads, statement: Executable) -> int:
    return int((await reads.rows(None, statement))[0][0])
