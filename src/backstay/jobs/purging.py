"""Deletes expired rows in batches, so that no other transaction waits long for their locks."""

from typing import Any

from sqlalchemy import ColumnElement, SQLColumnExpression, select

from backstay.core.context import Context
from backstay.core.messages import Command
from backstay.db.base import Base
from backstay.db.session import Transaction
from backstay.jobs.outbox import Jobs

BATCH = 1000


class Purge:
    """What the handler of a purging command receives; after a full batch it enqueues the command
    again."""

    __slots__ = ("_context", "_jobs")

    def __init__(self, context: Context, jobs: Jobs) -> None:
        self._context = context
        self._jobs = jobs

    async def __call__(
        self,
        entity: type[Base],
        *over: ColumnElement[bool],
        oldest: SQLColumnExpression[Any] | None = None,
    ) -> bool:
        """Delete rows that meet every predicate, the ``oldest`` first.

        Rows that another transaction has locked are skipped. Returns whether more may be left.
        """
        session: Transaction = self._context.unit.transaction
        command = self._context.message
        key = entity.__mapper__.primary_key[0]
        batch = select(key).where(*over).limit(BATCH).with_for_update(skip_locked=True)
        if oldest is not None:
            batch = batch.order_by(oldest)
        purged = await session.delete_where(entity, key.in_(batch))
        if not purged:
            self._context.note.skip()
        if purged == BATCH and isinstance(command, Command):
            await self._jobs.enqueue(command)
        return purged == BATCH
