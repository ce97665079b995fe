"""Whether the database works, judged by the errors of its statements, its server and its file."""

import asyncio
import re
from contextlib import suppress
from math import inf
from pathlib import Path
from time import monotonic

import structlog
from sqlalchemy import Connection, Engine, ExceptionContext, event, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from backstay.core.errors import AppError, DatabaseUnavailable
from backstay.db.reading import Reads
from backstay.db.reasons import reason
from backstay.db.sqlite_file import OpenFile, WouldBeLost
from backstay.db.troubles import DAMAGED, READ_ONLY, READ_ONLY_FILE, Trouble, trouble_of

log = structlog.get_logger("backstay.database")

CHECK_SECONDS = 0.5
"""How long the SQLite file is checked at the start; of a large file only a part is checked."""

_IS_READ_ONLY = text("SHOW transaction_read_only")
_QUICK_CHECK = text("PRAGMA quick_check")
_OF_ROWS = re.compile(r"CHECK constraint failed in |[\w-]+ value in ")
"""Findings about rows that violate a constraint of their table; SQLite still reads and writes
them."""


class Watch:
    """Collects the errors of a database's engines, and checks the file of SQLite."""

    def __init__(self, file: Path | None, writer: AsyncEngine, *readers: AsyncEngine) -> None:
        self._until: dict[Trouble, float] = {}
        self._monotonic = monotonic
        self._listen(writer.sync_engine, writes=True)
        for reader in readers:
            self._listen(reader.sync_engine, writes=False)
        self._file = OpenFile(file) if file else None
        if self._file is not None:
            event.listen(writer.sync_engine, "commit", self._require_undamaged)
            self._file.guard(*(engine.sync_engine for engine in (writer, *readers)))

    async def require_sound(self) -> None:
        """Refuse if the database is out of order; at most a few system calls, no query.

        Raises:
            DatabaseUnavailable: its text tells operators what is wrong.
        """
        now = self._monotonic()
        for trouble, until in self._until.items():
            if now < until:
                raise DatabaseUnavailable(trouble.told)
        if self._file is not None and (fault := await asyncio.to_thread(self._file.fault)):
            raise DatabaseUnavailable(fault)

    async def look_over(self, reads: Reads) -> None:
        """Check whether the file of SQLite is damaged; later statements may find damage, too."""
        with suppress(AppError):  # it took too long, or failed on damage that `met` has noted
            found = [finding for (finding,) in await reads.rows(None, _QUICK_CHECK)]
            damage = [
                finding for finding in found if finding != "ok" and not _OF_ROWS.match(finding)
            ]
            if damage:
                self.met(DAMAGED, damage[0])

    def met(self, trouble: Trouble, cause: str) -> None:
        """Count the database as out of order for the trouble's time, and log that once.

        A command line without a configured log prints its own error instead.
        """
        if not trouble.seconds:
            return
        now = self._monotonic()
        if structlog.is_configured() and now >= self._until.get(trouble, 0.0):
            log.error("the database is out of order", reason=trouble.told, cause=cause)
        self._until[trouble] = now + trouble.seconds

    def _require_undamaged(self, _: Connection) -> None:
        if DAMAGED in self._until:
            raise WouldBeLost(DAMAGED.told)

    def _listen(self, engine: Engine, *, writes: bool) -> None:
        """Note the troubles that statements of this engine run into.

        A connection of the writer that cannot write is dropped, with all others of its pool: a new
        one may reach the server that is now the primary, or a file that is writable again. On a
        connection for reads that error means that the statement is wrong. An error while
        connecting is treated like a connection that broke.
        """

        @event.listens_for(engine, "handle_error")
        def note(context: ExceptionContext) -> None:
            if context.connection is None:
                context.is_disconnect = True
            cause = context.original_exception
            trouble = trouble_of(cause)
            could_write = writes and not _is_read_only(context)
            if trouble in (READ_ONLY, READ_ONLY_FILE):
                if not could_write:
                    return
                context.is_disconnect = True
            if trouble is not None and (could_write or trouble.seconds == inf):
                self.met(trouble, reason(cause))


async def require_writable(connection: AsyncConnection) -> None:
    """Ask PostgreSQL whether this connection can write, and drop it if it cannot.

    Raises:
        DatabaseUnavailable: it cannot: the server is a standby, or was made read-only.
    """
    if (await connection.execute(_IS_READ_ONLY)).scalar() == "on":
        await connection.invalidate()
        raise DatabaseUnavailable(READ_ONLY.told)


def _is_read_only(context: ExceptionContext) -> bool:
    """Whether the statement ran in a transaction that was begun as READ ONLY on purpose."""
    connection = context.connection
    return connection is not None and bool(
        connection.get_execution_options().get("postgresql_readonly")
    )
