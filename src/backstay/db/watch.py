"""Whether a database can do its work: what its statements met, what its server and its file say."""

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
"""How long the file of SQLite is looked over at the start: a large one only in part."""

_IS_READ_ONLY = text("SHOW transaction_read_only")
_QUICK_CHECK = text("PRAGMA quick_check")
_OF_ROWS = re.compile(r"CHECK constraint failed in |[\w-]+ value in ")
"""Findings about rows that break a rule of their table; SQLite reads and writes them."""


class Watch:
    """Watches the engines of a database, and the file of SQLite."""

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
        """Ask neither the server nor the disk for more than a few system calls.

        Raises:
            DatabaseUnavailable: its text says what is wrong, to who runs the application.
        """
        now = self._monotonic()
        for trouble, until in self._until.items():
            if now < until:
                raise DatabaseUnavailable(trouble.told)
        if self._file is not None and (told := await asyncio.to_thread(self._file.fault)):
            raise DatabaseUnavailable(told)

    async def look_over(self, reads: Reads) -> None:
        """See whether the file of SQLite is damaged; whoever finds that out later is heard, too."""
        with suppress(AppError):  # it takes too long, or is so damaged that `met` has been told
            found = [told for (told,) in await reads.rows(None, _QUICK_CHECK)]
            damage = [told for told in found if told != "ok" and not _OF_ROWS.match(told)]
            if damage:
                self.met(DAMAGED, damage[0])

    def met(self, trouble: Trouble, cause: str) -> None:
        """Hold it against the database for its time, and log it once in that.

        A command that is run by hand keeps no log: it tells its own error.
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
        """Remember what statements of this engine meet.

        A connection that cannot write is dropped with all of its pool: the next one may be to the
        server that has become the primary, or to a file that may be written again. For those that
        only read it is a fault of their statement. Whatever keeps a connection from coming about
        is for the caller like one that broke.
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
    """Ask a PostgreSQL whether this connection can write; one that cannot is of no more use.

    Raises:
        DatabaseUnavailable: it cannot; the server is a standby, or was made read-only.
    """
    if (await connection.execute(_IS_READ_ONLY)).scalar() == "on":
        await connection.invalidate()
        raise DatabaseUnavailable(READ_ONLY.told)


def _is_read_only(context: ExceptionContext) -> bool:
    """Whether it was a transaction that we began as READ ONLY."""
    connection = context.connection
    return connection is not None and bool(
        connection.get_execution_options().get("postgresql_readonly")
    )
