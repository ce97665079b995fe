"""Stores answers to commands with an ``Idempotency-Key``, so that a retry gets the same answer."""

from collections.abc import Awaitable
from datetime import datetime
from typing import Any

from sqlalchemy import Index, LargeBinary, delete, func, insert, select
from sqlalchemy.orm import Mapped, mapped_column

from backstay.core.bus import Next
from backstay.core.context import Context
from backstay.core.errors import AppError, Conflict, Refusal
from backstay.core.idempotency import KEPT, IdempotencyKey, Replayed
from backstay.core.messages import Command, Message
from backstay.core.ports import Clock
from backstay.core.representation import Representation
from backstay.db.base import Base
from backstay.db.database import Database
from backstay.db.session import Transaction


class _KeyInUse(Conflict):
    code, title = "idempotency_in_flight", "A request with this Idempotency-Key is under way"


class _KeyReused(AppError):
    status, code = 422, "idempotency_key_reused"
    title = "This Idempotency-Key belongs to another request"


class StoredAnswer(Base):
    """The rendered answer to a command; ``id`` is the hash of its sender, target and key."""

    __tablename__ = "idempotency_keys"

    id: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    created_at: Mapped[datetime]
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary(32))
    body: Mapped[bytes | None] = mapped_column(LargeBinary)


stored_answer_age = Index("ix_idempotency_keys_created_at", StoredAnswer.created_at)


class Idempotency:
    """The two pipeline steps that execute a command with a key only once.

    A refusal is returned, not raised: nothing happened that belongs into the audit trail.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._under_way: set[bytes] = set()

    def hold(self, message: type[Message[Any]], call_next: Next) -> Next:
        """The outermost step: refuse duplicates within this process without taking a connection."""
        if not (issubclass(message, Command) and message.takes_key()):
            return call_next

        async def alone(key: bytes, context: Context) -> Any:
            if key in self._under_way:
                return _in_use()
            self._under_way.add(key)
            try:
                return await call_next(context)
            finally:
                self._under_way.discard(key)

        def run(context: Context) -> Awaitable[Any]:
            key = _key(context)
            return call_next(context) if key is None else alone(key, context)

        return run

    def replay(self, message: type[Message[Any]], call_next: Next) -> Next:
        """The step inside the transaction: return the stored answer, else run the command and store
        its answer.

        On PostgreSQL a lock until the end of the transaction keeps other processes out; SQLite has
        a single writer.
        """
        if not (issubclass(message, Command) and message.takes_key()):
            return call_next

        async def once(key: bytes, given: IdempotencyKey, context: Context) -> Any:
            session: Transaction = context.unit.transaction
            if not self._database.options.is_sqlite and not await _lock(session, key):
                return _in_use()
            now = self._clock()
            stored = await session.get(StoredAnswer, key)
            if stored is not None and stored.created_at > now - KEPT:
                if stored.fingerprint != given.fingerprint:
                    return Refusal(_KeyReused("Send another body with another key."))
                return Replayed(stored.body)
            result = await call_next(context)
            if isinstance(result, Refusal):
                return result
            if stored is not None:
                await session.execute(delete(StoredAnswer).where(StoredAnswer.id == key))
            answer = {
                "id": key,
                "created_at": now,
                "fingerprint": given.fingerprint,
                "body": None if result is None else Representation.of(result).body,
            }
            await session.execute(insert(StoredAnswer).inline(), answer)
            return result

        def run(context: Context) -> Awaitable[Any]:
            key, given = _key(context), context.origin.idempotency
            if key is None or given is None:
                return call_next(context)
            return once(key, given, context)

        return run


def _key(context: Context) -> bytes | None:
    given, user_id = context.origin.idempotency, context.principal.user_id
    if given is None or user_id is None or context.is_nested:
        return None
    return given.of(user_id)


def _in_use() -> Refusal:
    return Refusal(
        _KeyInUse("The first request is not answered yet: retry.", headers={"Retry-After": "1"})
    )


async def _lock(session: Transaction, key: bytes) -> bool:
    number = int.from_bytes(key[:8], signed=True)
    return bool(await session.scalar(select(func.pg_try_advisory_xact_lock(number))))
