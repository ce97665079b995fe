"""The pipeline step with the one transaction of a command."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from sqlalchemy.util import greenlet_spawn

from backstay.core.bus import Next
from backstay.core.context import ActivityNote, Context, Guard, UnitOfWork, Write
from backstay.core.messages import Command, Message
from backstay.core.ports import Clock, PrincipalChannel
from backstay.core.uploads import upload_fields
from backstay.db.database import Database
from backstay.db.faults import commit_failed, raise_translated
from backstay.db.group_commit import GroupCommit
from backstay.db.session import Transaction
from backstay.db.sight import Look, Overtaken

log = structlog.get_logger("backstay.transaction")


class Transactions:
    """The pipeline step that opens a command's transaction, commits it, then publishes who changed.

    A nested command joins the open transaction, in a savepoint of its own. An error rolls
    everything back; if the commit fails, the sender gets an error. If the sender is cancelled,
    the transaction still runs to its end: a driver that is interrupted within a statement may
    keep its locks.

    A command that only inserts rows, or changes those that its message is about, and reads nothing
    else within its transaction, is written and committed at its end: on PostgreSQL by one
    statement, its row of the audit trail included, on SQLite together with others. If somebody else
    has changed such a row meanwhile, nothing is written and the handler runs once more, with the
    row locked. A command whose handler uses its session otherwise has its rows locked from the next
    time on.
    """

    def __init__(self, database: Database, channel: PrincipalChannel, clock: Clock) -> None:
        self._database, self._channel, self._clock = database, channel, clock
        self._together = GroupCommit(database.writer, _finish_group)
        self._lock_first: set[type[Message[Any]]] = set()

    def transaction(self, message: type[Message[Any]], call_next: Next) -> Next:
        """The step."""
        if not issubclass(message, Command):
            return call_next
        database = self._database
        if any(upload_fields(message)):  # it can be read only once
            self._lock_first.add(message)

        async def run(context: Context) -> Any:
            if context.unit_of_work is not None:
                async with context.unit_of_work.transaction.begin_nested():
                    return await call_next(context)
            return await database.shielded(self._whole(message, call_next, context))

        return run

    async def _whole(self, message: type[Message[Any]], run: Next, context: Context) -> Any:
        """The command in a transaction; where it may, without locks at first."""
        if message not in self._lock_first and context.origin.job is None:
            try:
                return await self._once(message, run, context, self._database.look)
            except Overtaken:
                context.note, context.activity = ActivityNote(), None
        return await self._once(message, run, context)

    async def _once(
        self,
        message: type[Message[Any]],
        run: Next,
        context: Context,
        look: Look | None = None,
    ) -> Any:
        author, database = context.principal.user_id, self._database
        unit = context.unit_of_work = UnitOfWork(open=partial(self._session, author, look))
        try:
            try:
                result = await run(context)
                await self._last(context)
                if unit.opened is not None and unit.opened.has_locked_late:
                    self._lock_first.add(message)
                await self._end(unit)
            except BaseException:
                if unit.opened is not None:
                    await unit.opened.close()
                raise
        except (SQLAlchemyError, OSError) as error:
            raise_translated(error)
        database.wrote(context.author_id, *unit.changes.user_ids)
        if unit.changes:
            await _after(message, partial(self._channel.publish, unit.changes))
        for act in unit.after_commit:
            await _after(message, act)
        return result

    async def _last(self, context: Context) -> None:
        """Announce who changed, then run ``before_commit``, which may wait for locks of others.

        Every transaction takes such locks last, after it has written its rows. So one that holds
        such a lock never waits for a row of this one, and there is no deadlock.
        """
        unit = context.unit
        if unit.changes or self._database.replica is not None:  # then others learn who wrote
            await self._channel.announce(context)
        if unit.before_commit:
            await unit.transaction.flush()
        for act in unit.before_commit:
            await act()

    def _session(self, author: UUID | None, look: Look | None, unit: UnitOfWork) -> Transaction:
        bind, clock = self._database.writer, self._clock
        return Transaction(bind, unit.pending, look, author=author, clock=clock)

    async def _end(self, unit: UnitOfWork) -> None:
        """Write what is left and commit: what did not use its session yet, with other commands that
        end now, or in one statement."""
        session: Transaction | None = unit.opened
        if session is None or session.defers():
            everything = [*unit.pending, *unit.writes]
            checks = [] if session is None else [each.check for each in session.seen]
            is_nothing = not (everything or checks or unit.guard)
            if is_nothing or await self._at_once(everything, unit.guard, checks):
                return
        session = unit.transaction
        await greenlet_spawn(_finish, session.sync_session, unit.writes, unit.guard)

    async def _at_once(
        self, writes: Sequence[Write], guard: Guard | None, checks: Sequence[Write]
    ) -> bool:
        if self._database.is_tracing():
            return False  # its statements are spans of this command alone
        if self._together.takes(writes, checks):
            return await self._together(writes, guard, checks)
        direct = self._database.direct_writes
        if direct is None or guard is not None:
            return False
        async with self._database.writing.of(None):
            return await direct.write(writes, checks)


async def _after(message: type[Message[Any]], act: Callable[[], Awaitable[None]]) -> None:
    """Run an action after the commit; its failure is only logged, because the commit succeeded."""
    try:
        await act()
    except Exception:
        log.exception("not done after a commit", command=message.__name__)


def _finish(session: Session, writes: Sequence[Write] = (), guard: Guard | None = None) -> None:
    """Write the remaining rows and commit, all within one switch to SQLAlchemy's greenlet."""
    session.flush()
    connection = session.connection()
    if guard is not None and not connection.execute(*guard.change).rowcount:
        raise guard.broken
    for statement, parameters in writes:
        connection.execute(statement, parameters)
    session.info["committing"] = True
    try:
        session.commit()
    except SQLAlchemyError as error:
        # on SQLite a transaction stays open if its COMMIT fails: the next one would commit it, too
        session.invalidate()
        raise commit_failed(error) from error
    session.close()


def _finish_group(connection: Connection) -> None:
    """Commit what several commands have written that never used a session."""
    try:
        connection.commit()
    except SQLAlchemyError as error:
        connection.invalidate()  # as above
        raise commit_failed(error) from error
