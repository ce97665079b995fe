"""Runs migrations on PostgreSQL so that nobody waits long behind one that waits for a table.

A statement that changes a table waits for every transaction that uses it, and all who come later
wait behind that statement. So it gives up soon, undoes everything, and tries again after a pause.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from math import ceil
from time import monotonic
from typing import Any, TypeVar

from sqlalchemy import Connection, event, text
from sqlalchemy.ext.asyncio import AsyncConnection

from backstay.core.background import in_background
from backstay.db.engine import writer_engine
from backstay.db.migrations.runner import MigrationError
from backstay.db.migrations.transaction import LOCK, Blocked, explained, migrating, until_locked
from backstay.db.options import EngineOptions

T = TypeVar("T")
Work = Callable[[Connection], T]
Tell = Callable[[str], None]
"""Receives sentences about what is waited for."""

_UNDONE = "Nothing was changed."
_STAYED = "It ran outside of a transaction: what it did before that has stayed."
LONGEST_PAUSE = 15.0
"""The longest pause between two tries, in seconds."""
LOOKS = 4
"""How often, within the time for a lock, it is looked who holds it."""

_BLOCKERS = text("""
SELECT blocker.pid, backend_type, state, nullif(application_name, '') AS name,
       extract(epoch FROM clock_timestamp() - xact_start) AS age,
       (SELECT string_agg(DISTINCT relation::regclass::text, ', ')
          FROM pg_locks WHERE pid = :pid AND NOT granted) AS wanted
  FROM unnest(pg_blocking_pids(:pid)) AS blocker(pid)
  LEFT JOIN pg_stat_activity USING (pid)
 ORDER BY xact_start
""")
_HARMLESS = " concurrently ", " validate constraint "
"""Parts of statements behind which neither readers nor writers of a table wait."""


@dataclass(slots=True)
class Blockers:
    """Who held the locks that a session waited for, as last seen."""

    wanted: str = ""
    holders: str = "another session"

    def __str__(self) -> str:
        if self.wanted:
            return f"Waiting for {self.wanted}, locked by {self.holders}"
        return f"Waiting for the end of a transaction of {self.holders}"

    def see(self, rows: Sequence[Any]) -> None:
        """Remember what `_BLOCKERS` returned."""
        self.wanted = next((row.wanted for row in rows if row.wanted), self.wanted)
        self.holders = ", ".join(_holder(row) for row in rows[:3])
        if len(rows) > len(rows[:3]):
            self.holders += f" and {len(rows) - 3} more"


def _holder(row: Any) -> str:
    """A session, without its statement, which may hold data of people."""
    if not row.pid:
        return "a prepared transaction (see pg_prepared_xacts)"
    what = [each for each in (row.name or row.backend_type, row.state) if each]
    if row.age is not None and what:
        what[-1] += f" for {row.age:.0f} s"
    return f"pid {row.pid}" + (f" ({', '.join(what)})" if what else "")


async def in_transaction(options: EngineOptions, work: Work[T], tell: Tell) -> T:
    """Run a function in the transaction of a migration, again while others hold its tables.

    Raises:
        MigrationError: nothing was changed; the text says why.
    """
    if options.is_sqlite:
        async with migrating(options) as connection:
            return await connection.run_sync(work)

    async def once(blockers: Blockers) -> T:
        async with migrating(options) as connection, _looking(options, connection, blockers):
            return await connection.run_sync(work)

    return await _again(options, once, tell, _UNDONE)


async def by_itself(options: EngineOptions, work: Work[T], tell: Tell) -> T:
    """Run a function under the migration lock, but each of its statements in its own transaction.

    The connection itself holds the lock: an index that it builds CONCURRENTLY waits for everybody
    who had a transaction when it began, and thus for one that only held the lock.

    Raises:
        MigrationError: the text says why; what the function did before stays.
    """
    if options.pgbouncer:
        raise MigrationError(
            "This revision runs outside of a transaction, which PgBouncer cannot: run "
            "`backstay db upgrade` with the address of PostgreSQL itself and DB_PGBOUNCER=false."
        )

    async def once(blockers: Blockers) -> T:
        engine = writer_engine(replace(options, statement_timeout=0))
        try:
            with explained(options):
                async with engine.connect() as plain:
                    connection = await plain.execution_options(isolation_level="AUTOCOMMIT")
                    await until_locked(partial(_has_lock, connection), connection)
                    _limit_locks(connection, options)
                    async with _looking(options, connection, blockers, tell):
                        return await connection.run_sync(work)
        except Blocked:
            raise
        except MigrationError as error:
            told = str(error).replace(", nothing was changed", "").replace(_UNDONE, "")
            raise MigrationError(f"{told.strip()} {_STAYED}") from error
        finally:
            await engine.dispose()

    return await _again(options, once, tell, _STAYED)


async def _has_lock(connection: AsyncConnection) -> bool:
    return bool(await connection.scalar(text(f"SELECT pg_try_advisory_lock({LOCK})")))


async def _again(
    options: EngineOptions, once: Callable[[Blockers], Awaitable[T]], tell: Tell, undone: str
) -> T:
    """Try until no lock is in the way, at least once."""
    end = monotonic() + options.migration_max_wait
    for pause in _pauses(options.migration_lock_timeout):
        blockers = Blockers()
        try:
            return await once(blockers)
        except Blocked as error:
            if monotonic() + pause > end:
                raise MigrationError(
                    f"{blockers}: that took longer than {options.migration_max_wait:g} s "
                    f"(DB_MIGRATION_MAX_WAIT). {undone} Wait until that session is done, or end it "
                    "with `SELECT pg_terminate_backend(pid)`; then run this again."
                ) from error
            tell(f"{blockers}; trying again in {pause:.1f} s.")
        await asyncio.sleep(pause)
    raise AssertionError  # the pauses have no end


def _pauses(first: float) -> Iterator[float]:
    """Pauses that double, with jitter; none is so short that those who waited had no turn."""
    longest = first
    while True:
        yield random.uniform(longest / 2, longest)  # noqa: S311  no secret
        longest = min(2 * longest, max(LONGEST_PAUSE, first))


def _limit_locks(connection: AsyncConnection, options: EngineOptions) -> None:
    """Wait briefly for locks that others queue behind, and long for those that disturb nobody."""
    brief = ceil(options.migration_lock_timeout * 1000)
    long = ceil(options.migration_max_wait * 1000)

    @event.listens_for(connection.sync_connection, "before_cursor_execute")
    def limit(_: Any, cursor: Any, statement: str, *__: Any) -> None:
        words = f" {' '.join(statement.lower().split())} "
        harmless = any(each in words for each in _HARMLESS)
        cursor.execute(f"SET lock_timeout = {long if harmless else brief}")


@asynccontextmanager
async def _looking(
    options: EngineOptions,
    connection: AsyncConnection,
    blockers: Blockers,
    tell: Tell | None = None,
) -> AsyncIterator[None]:
    """Look who blocks a connection while it works, over another one."""
    pid, done = await connection.scalar(text("SELECT pg_backend_pid()")), asyncio.Event()

    async def look() -> None:
        told: list[int] = []
        pause = options.migration_lock_timeout / LOOKS
        while not await _is_set(done, pause):
            rows = await _blockers(options, pid)
            if rows:
                blockers.see(rows)
            if tell is not None and rows and told != (told := [row.pid for row in rows]):
                tell(f"{blockers}.")

    looking = in_background(look())  # its errors are ignored: what is not known is not told
    try:
        yield
    finally:
        done.set()
        await asyncio.wait([looking])


async def _is_set(done: asyncio.Event, seconds: float) -> bool:
    with suppress(TimeoutError):
        await asyncio.wait_for(done.wait(), seconds)
    return done.is_set()


async def _blockers(options: EngineOptions, pid: int) -> Sequence[Any]:
    engine = writer_engine(options)
    try:
        async with engine.connect() as connection:
            return (await connection.execute(_BLOCKERS, {"pid": pid})).all()
    finally:
        await engine.dispose()
