"""Runs statements straight on the driver of a pooled connection, at a quarter of the cost.

What a statement is stays said in SQLAlchemy, and SQLAlchemy connects, pings and runs whatever is
not usual; see :meth:`Direct.rows`.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, NoReturn
from weakref import WeakKeyDictionary

from sqlalchemy import Executable
from sqlalchemy.exc import DBAPIError, StatementError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.util import greenlet_spawn

from backstay.core.bounded_map import BoundedMap
from backstay.core.context import Write
from backstay.db.plain import Parameters, PlainStatement, Rows, joined
from backstay.db.pool import SharedPool, pool_of
from backstay.db.sight import Overtaken
from backstay.db.sqlite_turns import fetched

Guard = Callable[[Any], AbstractContextManager[None]]
"""Makes the context in which the driver's connection runs a statement, such as its deadline."""

_MOST_JOINED = 256
_DIVISION_BY_ZERO, _CONSTRAINT = "22012", "23"
_NONE: Final = nullcontext()
_ONCE: Final = object()
"""Stands for a statement that has been run once: one that is made for every use is not kept."""


def unguarded(_: Any) -> AbstractContextManager[None]:
    """No context."""
    return _NONE


class Direct:
    """The direct way to the database of one engine, whose statements commit by themselves.

    ``is_broken`` judges an error of the driver: whether its connection must not be used again,
    although it is open. While ``is_traced`` is true, SQLAlchemy runs the statements, because its
    events make the spans; so it does as soon as anybody listens to such events.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        is_broken: Callable[[BaseException], bool],
        is_traced: Callable[[], bool],
    ) -> None:
        self._engine = engine.sync_engine
        self._is_broken, self._is_traced = is_broken, is_traced
        self._fetch = _from_sqlite if engine.dialect.name == "sqlite" else _from_postgres
        self._kept: WeakKeyDictionary[Executable, Any] = WeakKeyDictionary()
        self._joined: BoundedMap[tuple[Any, ...], str] = BoundedMap(_MOST_JOINED)

    async def rows(
        self, statement: Executable, parameters: Parameters, guard: Guard = unguarded
    ) -> Rows | None:
        """Run one statement and return every row, or None where only SQLAlchemy can run it.

        That is a statement which is not plain or is run for the first time, one with wrong
        parameters, and any for which a connection was idle so long that it needs a ping.

        Raises:
            DBAPIError: the driver's error, as SQLAlchemy would raise it. If the connection was
                lost, ``connection_invalidated`` is true.
            StatementError: the driver could not take a value.
        """
        plain = self._plain(statement, parameters)
        if plain is None:
            return None
        try:
            values = plain.values(parameters)
        except Exception:
            return None  # SQLAlchemy says what is wrong
        records = await self._run(plain.sql, values, guard)
        return None if records is None else plain.rows(records)

    async def write(self, writes: Sequence[Write], checks: Sequence[Write] = ()) -> bool:
        """On PostgreSQL, execute and commit several INSERTs as one statement, in their order, and
        calls of functions, such as NOTIFY.

        False means that nothing was done, because only SQLAlchemy can execute them. ``checks`` are
        executed with them, and must return a row each.

        Raises:
            Overtaken: a check returned no row, or a constraint was violated, which may depend on
                the order; nothing was written.
            DBAPIError: as :meth:`rows`; nothing was written, unless the connection was lost.
            StatementError: as :meth:`rows`.
        """
        every = (*checks, *writes)
        found = tuple(self._plain(statement, given) for statement, given in every)
        if None in found or not all(plain.may_join for plain in found[len(checks) :] if plain):
            return False
        values: list[Any] = []
        try:
            for plain, (_, given) in zip(found, every, strict=True):
                values += plain.values(given)  # type: ignore[union-attr]
        except Exception:
            return False
        sql = self._joined.get((*found, len(checks)))
        if sql is None:
            sql = joined(found, len(checks))  # type: ignore[arg-type]
            self._joined.put((*found, len(checks)), sql)
        try:
            return await self._run(sql, values, unguarded) is not None
        except DBAPIError as error:
            state = getattr(error.orig, "sqlstate", None) or ""
            if checks and (state == _DIVISION_BY_ZERO or state.startswith(_CONSTRAINT)):
                raise Overtaken from error
            raise

    def _plain(self, statement: Executable, parameters: Parameters) -> PlainStatement | None:
        """The statement as the driver takes it, from its second use on, else None."""
        kept = self._kept.get(statement)
        if kept is None:
            self._kept[statement] = _ONCE
        elif kept is _ONCE:
            kept = PlainStatement.of(statement, self._engine.dialect, parameters)
            self._kept[statement] = kept or ()
        return kept if isinstance(kept, PlainStatement) else None

    async def _run(self, sql: str, values: Sequence[Any], guard: Guard) -> Sequence[Any] | None:
        """Run SQL of the driver and return its records, or None while it cannot."""
        if self._engine._has_events or self._is_traced():
            return None
        pool = pool_of(self._engine)
        record = await pool.take()
        if record is None:
            return None
        driver = record.driver_connection
        try:
            with guard(driver):
                records = await self._fetch(driver, sql, values)
        except (asyncio.CancelledError, TimeoutError):  # the statement may still run
            pool.budget.hold(_closed(pool, record, guard))
            raise
        except Exception as error:
            self._failed(pool, record, error, sql)
        pool.put_back(record)
        return records

    def _failed(
        self, pool: SharedPool, record: ConnectionPoolEntry, error: Exception, sql: str
    ) -> NoReturn:
        """Put the connection back, unless it is lost.

        Raises:
            DBAPIError: for an error of the driver.
            StatementError: for a value that it could not take.
        """
        found = self._as_sqlalchemy(record.dbapi_connection, error, sql)
        if getattr(found, "connection_invalidated", False):
            pool.drop(record)
        else:
            pool.put_back(record)
        raise found from error

    def _as_sqlalchemy(self, adapter: Any, error: Exception, sql: str) -> StatementError:
        dialect: Any = self._engine.dialect
        adapted = error
        try:
            adapter._handle_exception(error)
        except Exception as raised:
            adapted = raised
        is_gone = dialect.is_disconnect(adapted, adapter, None) or self._is_broken(error)
        return DBAPIError.instance(
            sql,
            None,
            adapted,
            dialect.loaded_dbapi.Error,
            hide_parameters=True,
            connection_invalidated=is_gone,
            dialect=dialect,
        )


async def _closed(pool: SharedPool, record: ConnectionPoolEntry, guard: Guard) -> None:
    """Close a connection after the end of its statement, which the driver or the guard brings.

    Until then it counts as open.
    """
    with guard(record.driver_connection):
        await greenlet_spawn(pool.close, record)


async def _from_postgres(driver: Any, sql: str, values: Sequence[Any]) -> Sequence[Any]:
    records: Sequence[Any] = await driver.fetch(sql, *values)
    return records


async def _from_sqlite(driver: Any, sql: str, values: Sequence[Any]) -> Sequence[Any]:
    records: Sequence[Any] = await driver._execute(fetched, driver._conn, sql, values)
    return records
