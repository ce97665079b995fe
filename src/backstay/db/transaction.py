"""The pipeline step that opens the one transaction of a command and commits it."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Any

import structlog
from sqlalchemy import Executable
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from sqlalchemy.util import greenlet_spawn

from backstay.core.bus import Next, Step
from backstay.core.context import Context, UnitOfWork
from backstay.core.messages import Command, Message
from backstay.core.ports import Clock, PrincipalChannel
from backstay.db.faults import commit_failed, translate
from backstay.db.session import Database, Transaction

log = structlog.get_logger("backstay.transaction")


def transaction_with(database: Database, channel: PrincipalChannel, clock: Clock) -> Step:
    """The step that opens a command's transaction, commits it, then publishes who changed.

    A nested command joins the open transaction, in a savepoint of its own. An error rolls
    everything back; if the commit fails, the sender gets an error. If the sender is cancelled, the
    transaction still runs to its end: a driver that is interrupted within a statement may keep its
    locks.
    """

    def transaction(message: type[Message[Any]], call_next: Next) -> Next:
        if not issubclass(message, Command):
            return call_next

        async def whole(context: Context) -> Any:
            session = Transaction(database.writer, expire_on_commit=False)
            session.info.update(author=context.principal.user_id, clock=clock)
            unit = context.unit_of_work = UnitOfWork(session)
            try:
                async with database.writing.of(None):
                    try:
                        result = await call_next(context)
                        await _last(context, database, channel)
                        await greenlet_spawn(_finish, session.sync_session, unit.writes)
                    except BaseException:
                        await session.close()
                        raise
            except (SQLAlchemyError, OSError) as error:
                raise translate(error) from error
            database.wrote(context.principal.user_id, *unit.changes.user_ids)
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

    return transaction


async def _last(context: Context, database: Database, channel: PrincipalChannel) -> None:
    """Announce who changed, then run ``before_commit``, which may wait for locks of others.

    Every transaction takes such locks last, after it has written its rows. So one that holds such
    a lock never waits for a row of this one, and there is no deadlock.
    """
    unit = context.unit
    if unit.changes or database.replica_engine is not None:  # then others learn who wrote
        await channel.announce(context)
    if unit.before_commit:
        await unit.transaction.flush()
    for act in unit.before_commit:
        await act()


async def _after(message: type[Message[Any]], act: Callable[[], Awaitable[None]]) -> None:
    """Run an action after the commit; its failure is only logged, because the commit succeeded."""
    try:
        await act()
    except Exception:
        log.exception("not done after a commit", command=message.__name__)


def _finish(session: Session, writes: Iterable[tuple[Executable, Mapping[str, Any]]]) -> None:
    """Write the remaining rows and commit, all within one switch to SQLAlchemy's greenlet."""
    session.flush()
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
