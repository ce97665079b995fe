"""The database of a process: its engines, their connection budgets, and single statements."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Executable, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

from backstay.core.background import in_background
from backstay.core.context import Context
from backstay.core.errors import DatabaseUnavailable
from backstay.db.budget import Budget
from backstay.db.direct import Direct
from backstay.db.engine import probe_engine, reader_engine, writer_engine
from backstay.db.fair_semaphore import FairSemaphore, whose
from backstay.db.faults import translate
from backstay.db.folding import tell_if_letters_differ
from backstay.db.options import EngineOptions
from backstay.db.plain import Parameters, Rows
from backstay.db.pool import pool_of
from backstay.db.reading import ANYONE, Reads, Replica
from backstay.db.session import Reader
from backstay.db.sight import Look
from backstay.db.watch import CHECK_SECONDS, Watch, require_writable

T = TypeVar("T")

LAST_SECONDS = 2.0
"""How long running transactions may take when the connections are to be closed."""

_ALIVE = text("SELECT 1")


class Database:
    """The engines of a process, their connection budgets, and what runs statements on them."""

    def __init__(self, options: EngineOptions) -> None:
        self.options = options
        self.waited_for_lock: Callable[[float], None] = lambda seconds: None
        self.is_tracing: Callable[[], bool] = lambda: False
        self.writer = writer_engine(options, self._wait_for_lock_ended)
        self.read_engine = reader_engine(options)
        self.probe_engine = probe_engine(options)
        self.replica_engine = reader_engine(options, replica=True) if options.replica_url else None
        self.budgets: dict[str, Budget] = {}
        self.budget = self.budgets["primary"] = Budget(
            options.max_connections + options.is_sqlite, options.min_connections
        )
        if not options.is_sqlite:
            self.budget.set_aside("probes")
        self.writing = self._semaphore(self.writer, self.budget, "writer")
        reading = self._semaphore(self.read_engine, self.budget, "reader")
        direct = None if options.pgbouncer else self._direct(self.read_engine)
        self._reads = Reads(self.read_engine, reading, options.read_seconds, direct)
        self._long_reads = self._unhurried(reading)
        self.reader = Reader(partial(self._reads.rows, None))
        self.replica: Replica | None = None
        if self.replica_engine is not None:
            budget = Budget(options.replica_max_connections, options.min_connections)
            self.budgets["replica"] = budget
            semaphore = self._semaphore(self.replica_engine, budget, "replica")
            direct = None if options.pgbouncer else self._direct(self.replica_engine)
            reads = Reads(self.replica_engine, semaphore, options.read_seconds, direct)
            self.replica = Replica(reads, self._reads)
        engines = (self.read_engine, self.probe_engine, self.replica_engine)
        readers = [engine for engine in engines if engine is not None]
        self.watch = Watch(options.file, self.writer, *readers)
        is_pooled = options.is_sqlite or options.pgbouncer
        self.direct_writes = None if is_pooled else self._direct(self.writer)
        self.look: Look | None = None if self.direct_writes is None else self.direct_writes.rows
        if options.is_sqlite:
            self.look = partial(self._reads.rows, None)
        self._under_way: set[asyncio.Task[Any]] = set()

    def _direct(self, engine: AsyncEngine) -> Direct:
        could_write = engine is self.writer

        def is_broken(error: BaseException) -> bool:
            return self.watch.breaks(error, could_write=could_write)

        return Direct(engine, is_broken, self._is_traced)

    def _is_traced(self) -> bool:
        return self.is_tracing()

    def _wait_for_lock_ended(self, seconds: float) -> None:
        self.waited_for_lock(seconds)

    def _semaphore(self, engine: AsyncEngine, budget: Budget, name: str) -> FairSemaphore:
        pool = pool_of(engine)
        pool.join(budget, name, self.options.max_reads_per_user)
        return pool.semaphore

    def reader_of(self, context: Context) -> Reader:
        """A reader that sees the writes of the current transaction and earlier ones of its sender.

        A result that will be cached for others is read from the primary: a replica may lag behind
        the commit that invalidated it. So are the reads of jobs and of queries that take long: only
        the connections of commands have a timeout as long as that of a command.
        """
        if context.unit_of_work is None:
            who = whose(context)
            if context.origin.job is not None or context.message.takes_long:
                return Reader(partial(self._long_reads.rows, who))
            if self.replica is None or context.shared_result:
                return Reader(partial(self._reads.rows, who))
            return Reader(partial(self.replica.rows, context.principal, who))
        session: AsyncSession = context.unit_of_work.transaction

        async def rows(statement: Executable, parameters: Parameters = None) -> Rows:
            return (await session.execute(statement, parameters)).all()

        return Reader(rows)

    def wrote(self, *user_ids: UUID | None) -> None:
        """Note a commit of these users in any process: their reads must see it from now on."""
        if self.replica is not None:
            self.replica.wrote(user_id for user_id in user_ids if user_id is not None)

    def anyone_wrote(self) -> None:
        """Note that any user may have written in another process: all reads must see it."""
        if self.replica is not None:
            self.replica.wrote([ANYONE])

    def _unhurried(self, reading: FairSemaphore) -> Reads:
        """Reads with a command's timeout: on PostgreSQL read-only, on connections of commands."""
        seconds = self.options.statement_timeout
        if self.options.is_sqlite:
            return Reads(self.read_engine, reading, seconds)
        engine = self.writer.execution_options(postgresql_readonly=True)
        return Reads(engine, self.writing, seconds)

    async def warm_up(self) -> None:
        """Open the least number of connections; check SQLite's file or PostgreSQL's lower-casing.

        Raises:
            DatabaseUnavailable: the database cannot be reached.
        """
        engines = (self.read_engine,) if self.options.is_sqlite else (self.read_engine, self.writer)
        async with AsyncExitStack() as opened:
            for number in range(self.budget.least):
                engine = engines[number % len(engines)]
                if pool_of(engine).has_room:
                    opened.push_async_callback((await engine.connect()).close)
        if self.options.is_sqlite:
            semaphore = self._reads.semaphore
            await self.watch.look_over(Reads(self.read_engine, semaphore, CHECK_SECONDS))
        else:
            await tell_if_letters_differ(self._long_reads)
        if self.options.pgbouncer:
            await self._reads.spare_transactions(self._direct(self.read_engine))

    async def write(self, statement: Executable, parameters: Parameters = None) -> Rows:
        """Run one statement in a transaction of its own, and return its rows.

        Raises:
            AppError: it failed; nothing was written.
        """
        return await self.shielded(self._write(statement, parameters))

    async def _write(self, statement: Executable, parameters: Parameters) -> Rows:
        try:
            async with self.writing.of(None):
                if self.direct_writes is not None:
                    rows = await self.direct_writes.rows(statement, parameters)
                    if rows is not None:
                        return rows
                async with self.writer.begin() as connection:
                    result = await connection.execute(statement, parameters)
                    return result.all() if result.returns_rows else ()
        except (SQLAlchemyError, OSError) as error:
            raise translate(error) from error

    @asynccontextmanager
    async def probing(self) -> AsyncIterator[AsyncConnection]:
        """The connection of probes, which requests never use, so that a probe never waits for them.

        Raises:
            DatabaseUnavailable: the database cannot be reached.
        """
        if self.options.is_missing:
            raise DatabaseUnavailable("The file of the database is gone.")
        try:
            async with self.probe_engine.connect() as connection:
                yield connection
        except (SQLAlchemyError, OSError) as error:
            raise translate(error) from error

    async def ping(self) -> None:
        """Check the primary, with one round trip on the connection of probes.

        Raises:
            DatabaseUnavailable: there is no answer, or nothing can be written.
        """
        await self.watch.require_sound()
        async with self.probing() as connection:
            if self.options.is_sqlite:
                await connection.execute(_ALIVE)
            else:
                await require_writable(connection)

    async def ping_replica(self) -> None:
        """Check the replica, if there is one, with one round trip.

        Raises:
            DatabaseUnavailable: there is no answer.
        """
        if self.replica is not None:
            await self.replica.reads.rows(None, _ALIVE)

    async def shielded(self, work: Coroutine[Any, Any, T]) -> T:
        """Run work to its end, even if the task that waits for its result is cancelled."""
        task = in_background(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return await asyncio.shield(task)

    async def dispose(self) -> None:
        """Close every connection, after waiting up to ``LAST_SECONDS`` for running work."""
        closing = (budget.under_way for budget in self.budgets.values())
        if under_way := self._under_way.union(*closing):
            await asyncio.wait(under_way, timeout=LAST_SECONDS)
        for engine in (self.writer, self.read_engine, self.probe_engine, self.replica_engine):
            if engine is not None:
                await engine.dispose()
