"""SQLite as the source or the target of a copy: one connection, on a thread of its own."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Self

from sqlalchemy.ext.asyncio import AsyncConnection

from backstay.core.wiring import BootError
from backstay.db import sqlite
from backstay.db.copying.codecs import AnyCodec, Column
from backstay.db.copying.sides import (
    BATCH_BYTES,
    BATCH_ROWS,
    NOTES,
    VERSIONS,
    Columns,
    CopyFailed,
    Counter,
    quoted,
)
from backstay.db.faults import explanation
from backstay.db.options import EngineOptions, create_file, driver_arguments
from backstay.db.sole_server import lock_server

_BUSY_SECONDS = 2.0
_TABLES = "PRAGMA main.table_list"
_FIRST_ROWS = 100
_COUNTERS = """
    SELECT m.name, s.seq FROM sqlite_master m LEFT JOIN sqlite_sequence s ON s.name = m.name
    WHERE m.type = 'table' AND upper(m.sql) LIKE '%AUTOINCREMENT%'"""
_IN_USE = (
    "Another process uses {file}: stop the servers and workers of the application, and whatever "
    "else has it open, then run this again."
)


class SqliteSide:
    """A file of SQLite. The source is locked: nobody else may even open it meanwhile."""

    is_sqlite = True

    def __init__(self, options: EngineOptions, lock: int | None, connection: Any) -> None:
        self._options = options
        self._lock = lock
        self._connection = connection
        self._thread = ThreadPoolExecutor(max_workers=1)

    @classmethod
    async def source(cls, options: EngineOptions) -> Self:
        """Open and lock a file to read it.

        Raises:
            CopyFailed: another process uses it, or it cannot be opened.
        """
        side = await cls._open(options)
        await side._begun("PRAGMA locking_mode = EXCLUSIVE", "BEGIN EXCLUSIVE")
        return side

    @classmethod
    async def target(cls, options: EngineOptions) -> Self:
        """Open a file to write into it; it is made if it is missing.

        Raises:
            CopyFailed: a server serves it, or it cannot be opened.
        """
        create_file(options)
        side = await cls._open(options)
        pragmas = (*sqlite.in_use().pragmas, "foreign_keys = OFF")
        await side._begun(*(f"PRAGMA {pragma}" for pragma in pragmas))
        return side

    @classmethod
    async def _open(cls, options: EngineOptions) -> Self:
        lock = _server_lock(options)
        try:
            positional, named = driver_arguments(options, "")
            connection = sqlite.in_use().module.connect(
                *positional,
                **named | {"timeout": _BUSY_SECONDS, "check_same_thread": False},
                isolation_level=None,
            )
        except BaseException as error:
            if lock is not None:
                os.close(lock)
            if isinstance(error, sqlite.in_use().module.Error):
                raise CopyFailed(explanation(error, options)) from error
            raise
        return cls(options, lock, connection)

    async def _begun(self, *statements: str) -> None:
        try:
            with self._explained():
                for statement in statements:
                    await self._run(statement)
        except BaseException:
            await self.close()
            raise

    async def tables(self) -> Columns:
        """The tables; virtual ones and those behind them are what an extension makes of others."""
        found: Columns = {}
        for _, name, kind, *_ in sorted(await self._all(_TABLES)):
            if kind == "table" and not name.startswith("sqlite_") and name not in {VERSIONS, NOTES}:
                rows = await self._all(f"PRAGMA main.table_xinfo({quoted(name)})")
                found[name] = tuple(
                    Column(column, is_key=bool(key))
                    for _, column, _, _, _, key, hidden in rows
                    if not hidden
                )
        return found

    async def count(self, table: str) -> int:
        ((number,),) = await self._all(f"SELECT count(*) FROM {quoted(table)}")  # noqa: S608
        return int(number)

    async def rows(self, table: str, codec: AnyCodec) -> AsyncIterator[list[bytes]]:
        """Every row in the order of the file; the next ones are read while these are used."""
        statement = await self._selecting(table, codec)
        batches = self._batches(table, statement, codec)
        ahead = self._begin(next, batches, None)
        while rows := await ahead:
            ahead = self._begin(next, batches, None)
            yield rows

    async def _selecting(self, table: str, codec: AnyCodec) -> str:
        listed = await self._all(f"PRAGMA main.table_list({quoted(table)})")
        keys = [column.name for column in codec.columns if column.is_key]
        order = quoted(*keys) if listed[0][4] else "rowid"
        names = quoted(*(column.name for column in codec.columns))
        return f"SELECT {names} FROM main.{quoted(table)} ORDER BY {order}"  # noqa: S608

    def _batches(self, table: str, statement: str, codec: AnyCodec) -> Iterator[list[bytes]]:
        """Rows of about `BATCH_BYTES` at a time, whatever the size of one."""
        size = _FIRST_ROWS
        with self._explained(table):
            cursor = self._connection.execute(statement)
            try:
                while rows := cursor.fetchmany(size):
                    found = codec.encode(rows)
                    yield found
                    each = sum(map(len, found)) // len(found) + 1
                    size = max(1, min(BATCH_ROWS, BATCH_BYTES // each))
            finally:
                cursor.close()

    async def write(self, table: str, codec: AnyCodec, rows: list[bytes]) -> None:
        columns = codec.columns
        marks = ", ".join("?" * len(columns))
        names = quoted(*(column.name for column in columns))
        statement = f"INSERT INTO main.{quoted(table)} ({names}) VALUES ({marks})"  # noqa: S608
        values = codec.decode(rows)

        def insert() -> None:
            with self._transaction():
                self._connection.executemany(statement, values)

        with self._explained(table):
            await self._begin(insert)

    async def clear(self, table: str) -> None:
        with self._explained(table):
            await self._run(f"DELETE FROM main.{quoted(table)}")  # noqa: S608

    async def counters(self) -> list[Counter]:
        """Columns with AUTOINCREMENT; others take the number after the highest."""
        if not await self._all("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence'"):
            return []
        tables = await self.tables()
        return [
            Counter(table, table, column.name, last)
            for table, last in await self._all(_COUNTERS)
            for column in tables.get(table, ())
            if column.is_key
        ]

    async def highest(self, table: str, column: str) -> int | None:
        """The highest number in a column."""
        statement = f"SELECT max({quoted(column)}) FROM {quoted(table)}"  # noqa: S608
        ((number,),) = await self._all(statement)
        return number if isinstance(number, int) else None

    async def finish(self, last: Iterable[Counter]) -> None:
        def run() -> None:
            with self._transaction():
                for counter in last:
                    self._set(counter)
                notes = f"SELECT statement FROM {NOTES} ORDER BY position"  # noqa: S608
                for (statement,) in self._connection.execute(notes).fetchall():
                    self._connection.execute(statement)
                broken = self._connection.execute("PRAGMA foreign_key_check").fetchall()
                if broken:
                    names = ", ".join(sorted({row[0] for row in broken}))
                    raise CopyFailed(f"Rows of {names} refer to rows that are not there.")

        with self._explained():
            await self._begin(run)
            await self._run("ANALYZE")

    def _set(self, counter: Counter) -> None:
        """Let AUTOINCREMENT go on where the source was."""
        run = self._connection.execute
        run("DELETE FROM sqlite_sequence WHERE name = ?", (counter.table,))
        run("INSERT INTO sqlite_sequence VALUES (?, ?)", (counter.table, counter.last))

    async def close(self) -> None:
        await self._begin(self._connection.close)
        self._thread.shutdown()
        if self._lock is not None:
            os.close(self._lock)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def _begin(self, work: Callable[..., Any], *arguments: Any) -> "asyncio.Future[Any]":
        """Begin work on the thread of the connection, after all that was begun before."""
        return asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    async def _run(self, statement: str) -> None:
        await self._begin(self._connection.execute, statement)

    async def _all(self, statement: str) -> list[Any]:
        with self._explained():
            read = self._begin(lambda: self._connection.execute(statement).fetchall())
            return list(await read)

    @contextmanager
    def _explained(self, table: str = "") -> Iterator[None]:
        try:
            yield
        except sqlite.in_use().module.Error as error:
            if "database is locked" in str(error):
                raise CopyFailed(_IN_USE.format(file=self._options.file)) from error
            told = str(error).partition(" with text")[0]
            where = f", table {table}" if table else ""
            raise CopyFailed(f"{self._options.file}{where}: {told}.") from error


def _server_lock(options: EngineOptions) -> int | None:
    try:
        return lock_server(options.file)
    except BootError:
        raise CopyFailed(_IN_USE.format(file=options.file)) from None


async def triggers(connection: AsyncConnection) -> tuple[list[str], list[str]]:
    """The statements that take the triggers of a target away, and those that bring them back."""
    statement = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
    found = (await connection.exec_driver_sql(statement)).all()
    return [f"DROP TRIGGER {quoted(row.name)}" for row in found], [row.sql for row in found]
