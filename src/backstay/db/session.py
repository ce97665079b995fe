"""What handlers ask the database through: the session of a command, the reader of a query."""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, Protocol, TypeVar
from uuid import UUID

from sqlalchemy import Executable, Row, event, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session
from sqlalchemy.util import greenlet_spawn

from backstay.core.background import in_background
from backstay.core.bus import Provider
from backstay.core.caching import CacheTags
from backstay.core.context import Context, PrincipalChanges
from backstay.core.errors import DatabaseUnavailable
from backstay.core.principal import Principal
from backstay.db.engine import EngineOptions, reader_engine, writer_engine
from backstay.db.faults import translate
from backstay.db.replica import ANYONE, Replica
from backstay.db.turns import Turns

T = TypeVar("T")

LAST_SECONDS = 2.0
"""How long what is under way may take when the connections are to be closed."""


class CommitForbidden(RuntimeError):
    """Something other than the transaction step tried to end a transaction."""


class _SyncTransaction(Session):
    pass


class Transaction(AsyncSession):
    """The session that a command's handler receives. Only the transaction step commits it.

    Whatever else would end the transaction raises :class:`CommitForbidden`; savepoints are free.
    """

    sync_session_class = _SyncTransaction


@event.listens_for(_SyncTransaction, "before_commit")
def _only_the_step_commits(session: Session) -> None:
    if session.get_nested_transaction() is None and not session.info.get("committing"):
        raise CommitForbidden("only the transaction step commits; return from the handler instead")


WRITING: dict[Any, Provider] = {
    Transaction: lambda context: context.unit.transaction,
    PrincipalChanges: lambda context: context.unit.changes,
    CacheTags: lambda context: context.unit.tags,
}
"""What only the handler of a command receives."""

Parameters = Mapping[str, Any] | None


class Run(Protocol):
    """Executes one statement and returns every row."""

    async def __call__(
        self, statement: Executable, parameters: Parameters = None, /
    ) -> Sequence[Row[*tuple[Any, ...]]]: ...


class Reader:
    """Runs single statements; each is one checkout of one connection, held for nothing else."""

    __slots__ = ("rows",)

    def __init__(self, run: Run) -> None:
        self.rows = run

    async def one_or_none(self, statement: Executable, parameters: Parameters = None) -> Any:
        """The first row, or None."""
        rows = await self.rows(statement, parameters)
        return rows[0] if rows else None

    async def scalar(self, statement: Executable, parameters: Parameters = None) -> Any:
        """The first column of the first row, or None."""
        rows = await self.rows(statement, parameters)
        return rows[0][0] if rows else None


_WRITTEN = text("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint")
_REPLAYED = text("SELECT (pg_last_wal_replay_lsn() - '0/0')::bigint")
_ALIVE = text("SELECT 1")


class Database:
    """The engines and what is made from them."""

    def __init__(self, options: EngineOptions) -> None:
        self.options = options
        self.writer = writer_engine(options)
        self.read_engine = reader_engine(options)
        size, timeout = options.max_connections, options.pool_timeout
        self.writing = Turns(1 if options.is_sqlite else size, timeout)
        self._reading, self._replica_reading = (
            Turns(size, timeout),
            Turns(options.replica_max_connections, timeout),
        )
        self.reader = Reader(partial(_read, self.read_engine, self._reading))
        self.replica_engine = reader_engine(options, replica=True) if options.replica_url else None
        self._replica = Replica(self._written, self._replayed)
        self._under_way: set[asyncio.Task[Any]] = set()

    def reader_of(self, context: Context) -> Reader:
        """A reader that sees the writes of the message under way and of its sender.

        What is kept for others is read from the primary: a replica may lag behind a commit after
        which it was forgotten.
        """
        if context.unit_of_work is None:
            if self.replica_engine is None or context.for_many:
                return self.reader
            return Reader(partial(self._read_near, self.replica_engine, context.principal))
        session: AsyncSession = context.unit_of_work.transaction

        async def rows(
            statement: Executable, parameters: Parameters = None
        ) -> Sequence[Row[*tuple[Any, ...]]]:
            return (await session.execute(statement, parameters)).all()

        return Reader(rows)

    def wrote(self, *user_ids: UUID | None) -> None:
        """After a commit, in whatever process: these users must see it from now on."""
        if self.replica_engine is not None:
            self._replica.wrote(user_id for user_id in user_ids if user_id is not None)

    def anyone_wrote(self) -> None:
        """Who has written elsewhere is unknown: nobody may see less than is there now."""
        if self.replica_engine is not None:
            self._replica.wrote([ANYONE])

    async def _read_near(
        self,
        replica: AsyncEngine,
        principal: Principal,
        statement: Executable,
        parameters: Parameters = None,
    ) -> Sequence[Row[*tuple[Any, ...]]]:
        try:
            if await self._replica.serves(principal):
                return await _read(replica, self._replica_reading, statement, parameters)
        except DatabaseUnavailable as error:
            self._replica.failed(error)
        return await self.reader.rows(statement, parameters)

    async def _written(self) -> int:
        return int(await self.reader.scalar(_WRITTEN))

    async def _replayed(self) -> int:
        if self.replica_engine is None:
            return 0
        rows = await _read(self.replica_engine, self._replica_reading, _REPLAYED)
        return int(rows[0][0] or 0)

    async def warm_up(self) -> None:
        """Open the least number of connections.

        Raises:
            DatabaseUnavailable: it cannot be reached.
        """
        count = self.options.min_connections
        engines = (self.read_engine,) if self.options.is_sqlite else (self.read_engine, self.writer)
        async with AsyncExitStack() as opened:
            for engine in engines:
                for _ in range(min(count, self.options.max_connections)):
                    connection = await engine.connect()
                    opened.push_async_callback(connection.close)

    async def write(
        self, statement: Executable, parameters: Parameters = None
    ) -> Sequence[Row[*tuple[Any, ...]]]:
        """Run one statement in a transaction of its own; the rows that it returns.

        Raises:
            AppError: it failed; nothing was written.
        """
        return await self.shielded(self._write(statement, parameters))

    async def _write(
        self, statement: Executable, parameters: Parameters
    ) -> Sequence[Row[*tuple[Any, ...]]]:
        try:
            async with self.writing, self.writer.begin() as connection:
                result = await connection.execute(statement, parameters)
                return result.all() if result.returns_rows else ()
        except (SQLAlchemyError, OSError) as error:
            raise translate(error) from error

    async def ping(self) -> None:
        """One round trip on each engine of the primary.

        Raises:
            DatabaseUnavailable: there is no answer.
        """
        if self.options.is_missing:
            raise DatabaseUnavailable("The file of the database is gone.")
        await self.reader.scalar(_ALIVE)
        if self.options.is_sqlite:
            return  # to ask the one writer would be to wait for whoever writes
        try:
            async with self.writer.connect() as connection:
                await connection.execute(_ALIVE)
        except (SQLAlchemyError, OSError) as error:
            raise translate(error) from error

    async def ping_replica(self) -> None:
        """One round trip to the replica, if there is one.

        Raises:
            DatabaseUnavailable: there is no answer.
        """
        if self.replica_engine is not None:
            await _read(self.replica_engine, self._replica_reading, _ALIVE)

    async def shielded(self, work: Coroutine[Any, Any, T]) -> T:
        """Run work to its end, even if whoever waits for its result is cancelled."""
        task = in_background(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return await asyncio.shield(task)

    async def dispose(self) -> None:
        """Close every connection, after what is under way."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=LAST_SECONDS)
        for engine in (self.writer, self.read_engine, self.replica_engine):
            if engine is not None:
                await engine.dispose()


async def _read(
    engine: AsyncEngine, turns: Turns, statement: Executable, parameters: Parameters = None
) -> Sequence[Row[*tuple[Any, ...]]]:
    """Run one statement; once more when the connection turns out to be dead: others are made."""

    def run() -> Sequence[Row[*tuple[Any, ...]]]:
        with engine.sync_engine.connect() as connection:
            return connection.execute(statement, parameters).all()

    async with turns:
        try:
            return await greenlet_spawn(run)
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise translate(error) from error
        except (SQLAlchemyError, OSError) as error:
            raise translate(error) from error
        try:
            return await greenlet_spawn(run)
        except (SQLAlchemyError, OSError) as error:
            raise translate(error) from error
