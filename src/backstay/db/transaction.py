"""The pipeline step with the one transaction of a command."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from sqlalchemy.util import greenlet_spawn

from backstay.core.bus import Next
from backstay.core.context import Context, UnitOfWork
from backstay.core.messages import Command, Message
from backstay.core.ports import Clock, PrincipalChannel
from backstay.db.database import Database
from backstay.db.direct import Write
from backstay.db.faults import commit_failed, raise_translated
from backstay.db.session import Transaction

log = structlog.get_logger("backstay.transaction")


class Transactions:
    """The pipeline step that opens a command's transaction, commits it, then publishes who changed.

    A nested command joins the open transaction, in a savepoint of its own. An error rolls
    everything back; if the commit fails, the sender gets an error. If the sender is cancelled,
    the transaction still runs to its end: a driver that is interrupted within a statement may
    keep its locks.

    On PostgreSQL a command that only inserts rows, and reads nothing within its transaction, is
    written and committed by one statement, its row of the audit trail included.
    """

    def __init__(self, database: Database, channel: PrincipalChannel, clock: Clock) -> None:
        self._database, self._channel, self._clock = database, channel, clock

    def transaction(self, message: type[Message[Any]], call_next: Next) -> Next:
        """The step."""
        if not issubclass(message, Command):
            return call_next
        database, channel = self._database, self._channel

        async def whole(context: Context) -> Any:
            author = context.principal.user_id
            session = Transaction(database.writer, author=author, clock=self._clock)
            unit = context.unit_of_work = UnitOfWork(session)
            try:
                async with database.writing.of(None):
                    try:
                        result = await call_next(context)
                        await self._last(context)
                        await self._end(session, unit.writes)
                    except BaseException:
                        await session.close()
                        raise
            except (SQLAlchemyError, OSError) as error:
                raise_translated(error)
            database.wrote(author, *unit.changes.user_ids)
            if unit.changes:
                await _after(message, partial(channel.publish, unit.changes))
            for act in unit.after_commit:
                await _after(message, act)
            return result

        async def run(context: Context) -> Any:
            if context.unit_of_work is not None:
                async with context.unit_of_work.transaction.begin_nested():
                    return await call_next(context)
            return await database.shielded(whole(context))

        return run

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

    async def _end(self, session: Transaction, writes: Sequence[Write]) -> None:
        """Write what is left and commit: in one statement, if the session was not used yet."""
        direct = self._database.direct_writes
        if direct is not None and session.only_pends:
            everything = [*session.pending, *writes]
            if not everything or await direct.write(everything):
                return
        await greenlet_spawn(_finish, session.sync_session, writes)


async def _after(message: type[Message[Any]], act: Callable[[], Awaitable[None]]) -> None:
    """Run an action after the commit; its failure is only logged, because the commit succeeded."""
    try:
        await act()
    except Exception:
        log.exception("not done after a commit", command=message.__name__)


def _finish(session: Session, writes: Sequence[Write]) -> None:
    """Write the remaining rows and commit, all within one switch to SQLAlchemy's greenlet."""
    session.flush()
    if session.info["pending"]:
        session.connection()  # writes it
    for statement, parameters in writes:
        session.connection().execute(statement, parameters)
    session.info["committing"] = True
    try:
        session.commit()
    except SQLAlchemyError as error:
        # on SQLite a transaction stays open if its COMMIT fails: the next one would commit it, too
        session.invalidate()
        raise commit_failed(error) from error
    session.close()
