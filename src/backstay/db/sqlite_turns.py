"""Makes SQLAlchemy go to the thread of SQLite once a statement, and see that it was executed."""

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import closing
from time import monotonic
from typing import Any, NamedTuple

from sqlalchemy.dialects.sqlite.aiosqlite import (
    AsyncAdapt_aiosqlite_connection,
    AsyncAdapt_aiosqlite_cursor,
    AsyncAdapt_aiosqlite_dbapi,
)

_TELLING = ("SELECT", "INSERT", "UPDATE", "DELETE")
"""The beginnings of statements that return rows, or count them."""
_ENDED = "SQLite has ended the transaction: nothing of it was kept"


class _Done(NamedTuple):
    """What is known of a statement that has ended, under the names of PEP 249."""

    description: Any
    rowcount: int
    lastrowid: int | None
    arraysize: int


_Turn = tuple[_Done, deque[Any]]


class _Cursor(AsyncAdapt_aiosqlite_cursor):
    """Executes a statement and fetches its rows in one turn of the connection's thread.

    SQLAlchemy's own takes four: it also opens and closes a cursor there. A turn costs more than
    most statements. No cursor outlives its turn, so closing needs none.
    """

    __slots__ = ()

    def _make_new_cursor(self, connection: Any) -> Any:
        return _Done(None, -1, None, 1)

    def _aenter_cursor(self, cursor: Any) -> Any:
        return cursor

    async def _execute_async(self, operation: Any, parameters: Any) -> None:
        await self._turn(operation, [() if parameters is None else parameters])

    async def _executemany_async(self, operation: Any, seq_of_parameters: Any) -> None:
        await self._turn(operation, seq_of_parameters)

    async def _turn(self, sql: str, given: Sequence[Any]) -> None:
        driver: Any = self._connection
        begun = self._adapt_connection.begun  # type: ignore[attr-defined]
        run = driver._execute(_executed, driver._conn, begun, sql, given)
        self._cursor, self._rows = await run

    async def _async_soft_close(self) -> None:
        pass

    def close(self) -> None:
        self._rows.clear()


class _Begun:
    """A transaction that begins IMMEDIATE with its first statement, in the same turn.

    ``waited`` is called in the connection's thread, with the seconds until it had the lock or gave
    up.
    """

    def __init__(self, waited: Callable[[float], None]) -> None:
        self._waited = waited
        self.has_lock = False

    def ensure(self, connection: Any) -> None:
        """Begin it, or see that it still is: SQLite itself ends one whose write it interrupts."""
        if self.has_lock:
            if not connection.in_transaction:
                raise connection.OperationalError(_ENDED)
            return
        before = monotonic()
        try:
            connection.execute("BEGIN IMMEDIATE")
            if not connection.in_transaction:
                raise _interrupted(connection)
            self.has_lock = True
        finally:
            self._waited(monotonic() - before)


def _executed(connection: Any, begun: _Begun | None, sql: str, given: Sequence[Any]) -> _Turn:
    if begun is not None:
        begun.ensure(connection)
    done = 0
    with closing(connection.cursor()) as cursor:
        for values in given:
            _execute(connection, cursor, sql, values)
            done += cursor.rowcount
        rows = deque(cursor.fetchall() if cursor.description else ())
        return _Done(cursor.description, done, cursor.lastrowid, cursor.arraysize), rows


def fetched(connection: Any, sql: str, values: Any) -> Sequence[Any]:
    """Every row of a statement, in the thread of its connection."""
    with closing(connection.cursor()) as cursor:
        _execute(connection, cursor, sql, values)
        rows: Sequence[Any] = cursor.fetchall()
        return rows


def _execute(connection: Any, cursor: Any, sql: str, values: Any) -> None:
    """Execute a statement, and see that it was.

    SQLite forgets the error of one that is interrupted before its first step, and some drivers then
    raise nothing: neither rows nor a count are there.
    """
    cursor.execute(sql, values)
    if cursor.description is None and cursor.rowcount < 0 and sql.startswith(_TELLING):
        raise _interrupted(connection)


def _interrupted(connection: Any) -> Exception:
    error: Any = connection.OperationalError("interrupted")
    error.sqlite_errorname = "SQLITE_INTERRUPT"
    found: Exception = error
    return found


class Adapted(AsyncAdapt_aiosqlite_connection):
    """A connection as SQLAlchemy uses it, with fewer turns of its thread.

    It is rolled back only within a transaction: mostly it is at rest by then. One that still
    executes a statement, because its task was cancelled, is not rolled back but closed.
    """

    __slots__ = ("begun",)
    _cursor_cls = _Cursor

    def __init__(self, dbapi: Any, connection: Any) -> None:
        super().__init__(dbapi, connection)
        self.begun: _Begun | None = None

    def begin_immediate(self, waited: Callable[[float], None]) -> None:
        """Begin a transaction, with the lock for writing, before the next statement.

        ``waited`` is called, in the connection's thread, with the seconds until that had the lock,
        or gave up.
        """
        self.begun = _Begun(waited)

    def commit(self) -> None:
        driver: Any = self._connection
        has_lock = self.begun is not None and self.begun.has_lock
        if driver._connection and (has_lock or driver.in_transaction):
            self.cursor().execute("COMMIT")
            if driver.in_transaction:
                raise _interrupted(driver._conn)
        self.begun = None

    def rollback(self) -> None:
        self.begun = None
        driver: Any = self._connection
        if driver._connection and driver.in_transaction:
            super().rollback()


class Dbapi(AsyncAdapt_aiosqlite_dbapi):
    """The DBAPI of aiosqlite, with such connections."""

    def connect(self, *arguments: Any, **named: Any) -> Adapted:
        return Adapted(self, super().connect(*arguments, **named)._connection)
