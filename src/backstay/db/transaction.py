"""The pipeline step that opens the one transaction of a command and commits it."""

from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError

from backstay.core.bus import Next, Step
from backstay.core.context import Context
from backstay.core.messages import Command, Message
from backstay.core.ports import Clock, PrincipalChannel
from backstay.db.faults import commit_failed, translate
from backstay.db.session import Database, Transaction

log = structlog.get_logger("backstay.transaction")


def transaction_with(database: Database, channel: PrincipalChannel, clock: Clock) -> Step:
    """The step that gives a command its transaction, commits it, then tells who changed.

    A nested command joins the transaction that is open, in a savepoint of its own. An error rolls
    everything back; a failing commit is an error of the sender, never a success.
    """

    def transaction(message: type[Message[Any]], call_next: Next) -> Next:
        if not issubclass(message, Command):
            return call_next

        async def run(context: Context) -> Any:
            if context.transaction is not None:
                async with context.transaction.begin_nested():
                    return await call_next(context)
            try:
                async with (
                    database.writing,
                    Transaction(database.writer, expire_on_commit=False) as session,
                ):
                    session.sync_session.info.update(author=context.principal.user_id, clock=clock)
                    context.transaction = session
                    result = await call_next(context)
                    await session.flush()
                    await channel.announce(context)
                    await _commit(session)
            except (SQLAlchemyError, OSError) as error:
                raise translate(error) from error
            database.wrote(context.principal.user_id, *context.changes.user_ids)
            if context.changes:
                await channel.publish(context.changes)
            for act in context.after_commit:
                try:
                    await act()
                except Exception:
                    log.exception("not done after a commit", command=message.__name__)
            return result

        return run

    return transaction


async def _commit(session: Transaction) -> None:
    try:
        session.info["committing"] = True
        await session.commit()
    except SQLAlchemyError as error:
        # SQLite keeps a transaction open whose COMMIT failed: the next one would commit it too
        await session.invalidate()
        raise commit_failed(error) from error
