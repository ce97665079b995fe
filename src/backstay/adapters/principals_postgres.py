"""The PrincipalChannel port on PostgreSQL: LISTEN, and NOTIFY as part of the transaction."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import text

from backstay.adapters.cache_memory import MemoryCache
from backstay.adapters.principals_shared import PATIENCE, Beat, SharedPrincipals
from backstay.core.context import Context
from backstay.core.principal import PrincipalCache
from backstay.db.engine import driver_arguments
from backstay.db.session import Database

CHANNEL = "backstay_principals"
MAX_PAYLOAD = 7000
"""PostgreSQL takes less than 8000 bytes; whoever does not fit makes it everyone."""

_NOTIFY = text("SELECT pg_notify(:channel, :payload)")


class PostgresPrincipals(SharedPrincipals):
    """Notifications are sent by the commit itself: none is lost, none is early.

    They arrive in order on the connection that listens, so an answer on it proves that earlier
    ones have arrived. PgBouncer hands connections from one client to the next, so nobody can
    listen through it; what is committed through it is announced all the same.
    """

    def __init__(
        self, cache: PrincipalCache, database: Database, answers: MemoryCache | None = None
    ) -> None:
        super().__init__(cache, answers)
        self._database = database

    async def announce(self, context: Context) -> None:
        """Name who changed, which answers are outdated and, where a replica may lag, who wrote."""
        changes = context.changes
        author = context.principal.user_id if self._database.replica_engine is not None else None
        tags = context.tags.tags if self._answers is not None else ()
        if not changes and not tags and author is None:
            return
        payload = _payload(changes.everyone, changes.user_ids, tags, author)
        if len(payload) > MAX_PAYLOAD:
            payload = _payload(True, (), None, author)
        await context.transaction.execute(_NOTIFY, {"channel": CHANNEL, "payload": payload})

    async def start(self) -> None:
        """Begin to listen, in the background, unless through PgBouncer."""
        if not self._database.options.pgbouncer:
            await super().start()

    def flush(self) -> None:
        """Forget everything; somebody may have written, too."""
        super().flush()
        self._database.anyone_wrote()

    @asynccontextmanager
    async def subscription(self) -> AsyncIterator[Beat]:
        """Listen on a connection of its own, which no pool can take away."""
        options = self._database.options
        _, arguments = driver_arguments(options)
        connection = await asyncpg.connect(
            **{"timeout": options.pool_timeout, **arguments},
            server_settings={"application_name": "backstay listener"},
        )
        try:
            async with asyncio.timeout(PATIENCE):
                await connection.add_listener(CHANNEL, self._hear)
            yield lambda: connection.execute("SELECT 1")
        finally:
            connection.terminate()

    def _hear(self, connection: Any, pid: int, channel: str, payload: Any) -> None:
        try:
            told = json.loads(payload)
            users = [UUID(user) for user in told["users"]]
            author = UUID(told["author"]) if told["author"] else None
            everyone, tags = bool(told["everyone"]), told["tags"]
            if self._answers is not None and tags is None:
                self._answers.forget_all()
            elif self._answers is not None:
                self._answers.forget_tags(tags)
        except (ValueError, TypeError, KeyError, AttributeError):
            self.flush()
            return
        if everyone:
            self._cache.forget_all()
        else:
            self._cache.forget(users)
        self._database.wrote(*users, author)


def _payload(
    everyone: bool, user_ids: Iterable[UUID], tags: Iterable[str] | None, author: UUID | None
) -> str:
    """Without ``tags`` every answer is outdated."""
    return json.dumps(
        {
            "tags": tags if tags is None else list(tags),
            "everyone": everyone,
            "users": [str(user_id) for user_id in user_ids],
            "author": author and str(author),
        }
    )
