"""Runs each statement of SQLAlchemy on SQLite with one switch to the connection's thread."""

from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from sqlalchemy.dialects.sqlite.aiosqlite import (
    AsyncAdapt_aiosqlite_connection,
    AsyncAdapt_aiosqlite_cursor,
    AsyncAdapt_aiosqlite_dbapi,
)


class _Outcome(NamedTuple):
    """What SQLAlchemy asks a driver's cursor for, once its rows are read."""

    description: Any = None
    rowcount: int = -1
    lastrowid: Any = None

    def close(self) -> None:
        """Nothing to do: the cursor was closed where it was used."""


class _Cursor(AsyncAdapt_aiosqlite_cursor):
    """Makes the driver's cursor, executes, reads every row and closes it, all at once.

    SQLAlchemy's own does each by itself, and a switch between threads costs more than most
    statements. It reads every row at once, too.
    """

    __slots__ = ()
    _awaitable_cursor_close = False

    def _make_new_cursor(self, connection: Any) -> Any:
        return None

    def _aenter_cursor(self, cursor: Any) -> Any:
        return _Outcome()

    async def _execute_async(self, operation: Any, parameters: Any) -> None:
        await self._at_once(lambda cursor: cursor.execute(operation, parameters or ()))

    async def _executemany_async(self, operation: Any, seq_of_parameters: Any) -> None:
        await self._at_once(lambda cursor: cursor.executemany(operation, seq_of_parameters))

    async def _at_once(self, act: Callable[[Any], Any]) -> None:
        driver: Any = self._connection
        async with self._adapt_connection._execute_mutex:
            rows, self._cursor = await driver._execute(_run, driver._conn, act)
        self._rows = deque(rows)


def _run(connection: Any, act: Callable[[Any], Any]) -> tuple[list[Any], _Outcome]:
    cursor = connection.cursor()
    try:
        act(cursor)
        rows = cursor.fetchall() if cursor.description else []
        return rows, _Outcome(cursor.description, cursor.rowcount, cursor.lastrowid)
    finally:
        cursor.close()


class _Connection(AsyncAdapt_aiosqlite_connection):
    __slots__ = ()
    _cursor_cls = _Cursor


class Dbapi(AsyncAdapt_aiosqlite_dbapi):
    """SQLAlchemy's DBAPI for aiosqlite, with these cursors."""

    def connect(self, *arg: Any, **kw: Any) -> AsyncAdapt_aiosqlite_connection:
        """Connect; the arguments are those of `sqlite3.connect`."""
        return _Connection(self, super().connect(*arg, **kw)._connection)
