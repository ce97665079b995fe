"""The database of a process: its engines, and the one transaction of a command."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

import structlog
from sqlalchemy import Executable, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession
from sqlalchemy.orm import Session
from sqlalchemy.util import greenlet_spawn

from backstay.core.background import in_background
from backstay.core.bus import Next, Step
from backstay.core.context import Context, Guard, UnitOfWork, Write
from backstay.core.errors import DatabaseUnavailable
from backstay.core.messages import Command, Message
from backstay.core.ports import Clock, PrincipalChannel
from backstay.db.engine import probe_engine, reader_engine, writer_engine
from backstay.db.fair_semaphore import FairSemaphore, whose
from backstay.db.faults import commit_failed, raise_translated, translate
from backstay.db.folding import tell_if_letters_differ
from backstay.db.group_commit import GroupCommit
from backstay.db.options import EngineOptions
from backstay.db.pool import Budget, pool_of
from backstay.db.reading import ANYONE, Parameters, Reads, Replica, Rows
from backstay.db.session import Reader, Transaction
from backstay.db.watch import CHECK_SECONDS, Watch, require_writable

log = structlog.get_logger("backstay.transaction")

T = TypeVar("T")

LAST_SECONDS = 2.0
"""How long running transactions may take when the connections are to be closed."""

_ALIVE = text("SELECT 1")


class Database:
    """The engines of a process, their connection budgets, and what runs statements on them."""

    def __init__(self, options: EngineOptions) -> None:
        self.options = options
        self.waited_for_lock: Callable[[float], None] = lambda seconds: None
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
        self._writing = self._semaphore(self.writer, self.budget, "writer")
        self._together = GroupCommit(self.writer)
        reading = self._semaphore(self.read_engine, self.budget, "reader")
        self._reads = Reads(self.read_engine, reading, options.read_seconds)
        self._long_reads = self._unhurried(reading)
        self.reader = Reader(partial(self._reads.rows, None))
        self.replica: Replica | None = None
        if self.replica_engine is not None:
            budget = Budget(options.replica_max_connections, options.min_connections)
            self.budgets["replica"] = budget
            semaphore = self._semaphore(self.replica_engine, budget, "replica")
            reads = Reads(self.replica_engine, semaphore, options.read_seconds)
            self.replica = Replica(reads, self._reads)
        engines = (self.read_engine, self.probe_engine, self.replica_engine)
        readers = [engine for engine in engines if engine is not None]
        self.watch = Watch(options.file, self.writer, *readers)
        self._under_way: set[asyncio.Task[Any]] = set()

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
        return Reads(engine, self._writing, seconds)

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
            await self._reads.spare_transactions()

    async def write(self, statement: Executable, parameters: Parameters = None) -> Rows:
        """Run one statement in a transaction of its own, and return its rows.

        Raises:
            AppError: it failed; nothing was written.
        """
        return await self._shielded(self._write(statement, parameters))

    async def _write(self, statement: Executable, parameters: Parameters) -> Rows:
        try:
            async with self._writing.of(None), self.writer.begin() as connection:
                result = await connection.execute(statement, parameters)
                return result.all() if result.returns_rows else ()
        except (SQLAlchemyError, OSError) as error:
            raise translate(error) from error

    def transaction(self, channel: PrincipalChannel, clock: Clock) -> Step:
        """The step that opens a command's transaction, commits it, then publishes who changed.

        A nested command joins the open transaction, in a savepoint of its own. An error rolls
        everything back; if the commit fails, the sender gets an error. If the sender is cancelled,
        the transaction still runs to its end: a driver that is interrupted within a statement may
        keep its locks.
        """

        def transaction(message: type[Message[Any]], call_next: Next) -> Next:
            if not issubclass(message, Command):
                return call_next

            async def whole(context: Context) -> Any:
                unit = context.unit_of_work = UnitOfWork(
                    open=partial(self._session, context, clock)
                )
                try:
                    try:
                        result = await call_next(context)
                        await self._last(context, channel)
                        await self._commit(unit)
                    except BaseException:
                        if unit.opened is not None:
                            await unit.opened.close()
                        raise
                except (SQLAlchemyError, OSError) as error:
                    raise_translated(error)
                self.wrote(context.principal.user_id, *unit.changes.user_ids)
                if unit.changes:
                    await _after(message, partial(channel.publish, unit.changes))
                for act in unit.after_commit:
                    await _after(message, act)
                return result

            async def run(context: Context) -> Any:
                if context.unit_of_work is not None:
                    async with context.unit_of_work.transaction.begin_nested():
                        return await call_next(context)
                return await self._shielded(whole(context))

            return run

        return transaction

    def _session(self, context: Context, clock: Clock, unit: UnitOfWork) -> Transaction:
        session = Transaction(self.writer, expire_on_commit=False)
        author, pending = context.principal.user_id, unit.pending
        session.info.update(author=author, clock=clock, pending=pending)
        return session

    async def _commit(self, unit: UnitOfWork) -> None:
        """Commit. What has never used its session needs no transaction of its own."""
        guard, writes = unit.guard, unit.writes
        if unit.has_begun:
            await greenlet_spawn(_finish, unit.transaction.sync_session, writes, guard)
        elif guard is not None and not await self._together([*unit.pending, *writes], guard):
            raise guard.broken
        elif guard is None and (unit.pending or writes):
            await self._together([*unit.pending, *writes])

    async def _last(self, context: Context, channel: PrincipalChannel) -> None:
        """Announce who changed, then run ``before_commit``, which may wait for locks of others.

        Every transaction takes such locks last, after it has written its rows. So one that holds
        such a lock never waits for a row of this one, and there is no deadlock.
        """
        unit = context.unit
        if unit.changes or self.replica_engine is not None:  # then others learn who wrote
            await channel.announce(context)
        if unit.before_commit:
            await unit.transaction.flush()
        for act in unit.before_commit:
            await act()

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

    async def _shielded(self, work: Coroutine[Any, Any, T]) -> T:
        """Run work to its end, even if the task that waits for its result is cancelled."""
        task = in_background(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return await asyncio.shield(task)

    async def dispose(self) -> None:
        """Close every connection, after waiting up to ``LAST_SECONDS`` for running work."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=LAST_SECONDS)
        for engine in (self.writer, self.read_engine, self.probe_engine, self.replica_engine):
            if engine is not None:
                await engine.dispose()


async def _after(message: type[Message[Any]], act: Callable[[], Awaitable[None]]) -> None:
    """Run an action after the commit; its failure is only logged, because the commit succeeded."""
    try:
        await act()
    except Exception:
        log.exception("not done after a commit", command=message.__name__)


def _finish(session: Session, writes: Iterable[Write], guard: Guard | None) -> None:
    """Write the remaining rows and commit, all within one switch to SQLAlchemy's greenlet."""
    session.flush()
    if session.info["pending"]:
        session.connection()
    if guard is not None and not session.connection().execute(*guard.change).rowcount:
        raise guard.broken
    for statement, parameters in writes:
        session.connection().execute(statement, parameters)
    session.info["committing"] = True
    try:
        session.commit()
    except SQLAlchemyError as error:
        # on SQLite a transaction stays open if its COMMIT fails: the next one would commit it, too
        session.invalidate()
        raise commit_failed(error) from error
    session.close()
