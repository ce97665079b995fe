"""PostgreSQL as the source or the target of a copy: one connection of asyncpg, and binary COPY."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Self

import asyncpg

from backstay.db.copying.catalog import COLUMNS, COUNTERS, OTHERS, TABLES
from backstay.db.copying.codecs import AnyCodec, Column, Splitter
from backstay.db.copying.sides import (
    APPLICATION,
    BATCH_BYTES,
    BATCH_ROWS,
    NOTES,
    VERSIONS,
    Columns,
    CopyFailed,
    Counter,
    quoted,
)
from backstay.db.copying.wire import kind_of
from backstay.db.faults import FULL, explanation, first_line, trouble_of
from backstay.db.options import EngineOptions, driver_arguments

_LOCK = int.from_bytes(b"backcopy")
_SETTINGS = {
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "lock_timeout": "5s",
    "synchronize_seqscans": "off",  # rows come in the order of the file, each time
    "max_parallel_workers_per_gather": "0",
}
_START = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END = b"\xff\xff"
_OF_ROWS = {"22", "23"}
"""The classes of errors about values and constraints."""
_LINE = re.compile(r"COPY [^,]+, line (\d+)(?:, column (\w+))?")


class PostgresSide:
    """A database of PostgreSQL. The tables of the source are locked against writes."""

    is_sqlite = False

    def __init__(self, options: EngineOptions, connection: Any) -> None:
        self._options = options
        self._connection = connection

    @classmethod
    async def source(cls, options: EngineOptions) -> Self:
        """Connect, and lock every table against writes, in a snapshot of all.

        Raises:
            CopyFailed: the application uses it, or it cannot be reached or locked.
        """
        side = await cls._open(options)
        try:
            with side._explained():
                await side._refuse_others()
                names = await side._names()
                await side._connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
                if names:
                    await side._connection.execute(f"LOCK TABLE {quoted(*names)} IN SHARE MODE")
        except BaseException:
            await side.close()
            raise
        return side

    @classmethod
    async def target(cls, options: EngineOptions) -> Self:
        """Connect, alone among copies.

        Raises:
            CopyFailed: the application or another copy uses it, or it cannot be reached.
        """
        side = await cls._open(options)
        try:
            with side._explained():
                await side._refuse_others()
                if not await side._connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):
                    raise CopyFailed("Another copy into this database is running.")
        except BaseException:
            await side.close()
            raise
        return side

    @classmethod
    async def _open(cls, options: EngineOptions) -> Self:
        _, arguments = driver_arguments(options, APPLICATION)
        arguments["server_settings"] = arguments["server_settings"] | _SETTINGS
        try:
            return cls(options, await asyncpg.connect(**arguments))
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise CopyFailed(_reason(error, options)) from error

    async def _refuse_others(self) -> None:
        own = await self._connection.fetchval("SHOW application_name")
        found = [row[0] for row in await self._connection.fetch(OTHERS, own)]
        if found:
            raise CopyFailed(
                f"The application uses {self._options.shown_url} ({', '.join(found)}): stop its "
                "servers and workers, then run this again."
            )

    async def tables(self) -> Columns:
        with self._explained():
            names = await self._names()
            found: dict[str, list[Column]] = {name: [] for name in names}
            for row in await self._connection.fetch(COLUMNS, names):
                limit = row["modifier"] - 4 if row["modifier"] >= 4 else None
                kind = kind_of(row["type"], row["modifier"], is_enum=row["is_enum"])
                found[row["table"]].append(
                    Column(row["name"], row["type"], kind, limit, row["is_key"])
                )
        return {name: tuple(columns) for name, columns in found.items()}

    async def count(self, table: str) -> int:
        with self._explained(table):
            statement = f"SELECT count(*) FROM {quoted(table)}"  # noqa: S608
            return int(await self._connection.fetchval(statement))

    async def rows(self, table: str, codec: AnyCodec) -> AsyncIterator[list[bytes]]:
        chunks: asyncio.Queue[bytes] = asyncio.Queue(maxsize=16)
        names = quoted(*(column.name for column in codec.columns))
        statement = f"SELECT {names} FROM {quoted(table)}"  # noqa: S608
        copying = asyncio.ensure_future(
            self._connection.copy_from_query(statement, output=chunks.put, format="binary")
        )
        copying.add_done_callback(lambda _: _wake(chunks))
        splitter = Splitter()
        found: list[bytes] = []
        size = 0
        try:
            with self._explained(table):
                while (chunk := await _next(chunks, copying)) is not None:
                    found += splitter.rows(chunk)
                    size += len(chunk)
                    if size >= BATCH_BYTES or len(found) >= BATCH_ROWS:
                        yield found
                        found, size = [], 0
                await copying
            if found:
                yield found
        finally:
            if not copying.done():
                copying.cancel()
                await asyncio.wait([copying])

    async def write(self, table: str, codec: AnyCodec, rows: list[bytes]) -> None:
        for start, end in _batches(rows):
            await self._write(table, codec, rows[start:end])

    async def _write(self, table: str, codec: AnyCodec, rows: list[bytes]) -> None:
        async def source() -> AsyncIterator[bytes]:
            yield b"".join([_START, *rows, _END])

        try:
            with self._explained(table):
                await self._connection.copy_to_table(
                    table,
                    source=source(),
                    columns=[column.name for column in codec.columns],
                    format="binary",
                )
        except CopyFailed as error:
            cause: Any = error.__cause__
            state: str = getattr(cause, "sqlstate", None) or ""
            found = _LINE.search(getattr(cause, "context", None) or "")
            if found is None or state[:2] not in _OF_ROWS or not 0 < int(found[1]) <= len(rows):
                raise
            column = f": {found[2]}" if found[2] else ""
            row = f"The row {codec.key(rows[int(found[1]) - 1])}{column}."
            raise CopyFailed(f"{error} {row}") from error

    async def clear(self, table: str) -> None:
        with self._explained(table):
            await self._connection.execute(f"TRUNCATE {quoted(table)}")

    async def counters(self) -> list[Counter]:
        with self._explained():
            return [Counter(**row) for row in await self._connection.fetch(COUNTERS)]

    async def highest(self, table: str, column: str) -> int | None:
        """The highest number in a column."""
        with self._explained(table):
            statement = f"SELECT max({quoted(column)}) FROM {quoted(table)}"  # noqa: S608
            number: int | None = await self._connection.fetchval(statement)
        return number

    async def finish(self, last: Iterable[Counter]) -> None:
        with self._explained():
            async with self._connection.transaction():
                for counter in last:
                    statement = "SELECT setval($1::text::regclass, $2)"
                    await self._connection.execute(statement, quoted(counter.name), counter.last)
                notes = f"SELECT statement FROM {NOTES} ORDER BY position"  # noqa: S608
                for row in await self._connection.fetch(notes):
                    await self._connection.execute(row["statement"])
            await self._connection.execute("ANALYZE")

    async def close(self) -> None:
        with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
            await self._connection.close(timeout=2)

    async def _names(self) -> list[str]:
        return [row[0] for row in await self._connection.fetch(TABLES, [VERSIONS, NOTES])]

    @contextmanager
    def _explained(self, table: str = "") -> Iterator[None]:
        try:
            yield
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            where = f"{table}: " if table else ""
            raise CopyFailed(f"{where}{_reason(error, self._options)}") from error


def _reason(error: Any, options: EngineOptions) -> str:
    """A sentence about an error, with what PostgreSQL adds to it, such as the key that is twice."""
    if trouble_of(error) is FULL:
        return f"The disk of `{options.shown_url}` is full: {first_line(error)}."
    if getattr(error, "sqlstate", None) in {"3D000", None} or isinstance(error, OSError):
        return explanation(_WithCause(error), options)
    if error.sqlstate == "55P03":
        return f"Somebody else uses the tables of `{options.shown_url}`: {first_line(error)}."
    detail = f" ({error.detail.rstrip('.')})" if getattr(error, "detail", None) else ""
    return f"`{options.shown_url}` refused: {first_line(error).rstrip('.')}{detail}."


class _WithCause(ConnectionError):
    """An error of the driver in the form that the explanations expect."""

    def __init__(self, orig: BaseException) -> None:
        super().__init__(str(orig) or type(orig).__name__)
        self.orig = orig


def _batches(rows: list[bytes]) -> Iterator[tuple[int, int]]:
    """The bounds of parts of at most `BATCH_ROWS` rows, each of which is kept or not as a whole."""
    for start in range(0, len(rows), BATCH_ROWS):
        yield start, min(start + BATCH_ROWS, len(rows))


def _wake(chunks: "asyncio.Queue[bytes]") -> None:
    """Tell the reader that no more comes; a full queue tells it by what is in it."""
    with suppress(asyncio.QueueFull):
        chunks.put_nowait(b"")


async def _next(chunks: "asyncio.Queue[bytes]", copying: "asyncio.Future[Any]") -> bytes | None:
    """The next part of the stream, or None at its end."""
    if copying.done() and chunks.empty():
        return None
    return await chunks.get()
