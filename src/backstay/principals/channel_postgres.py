"""The PrincipalChannel port on PostgreSQL: LISTEN, and NOTIFY as part of the transaction."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import text

from backstay.caching.memory import EVERYTHING, MemoryCache
from backstay.core.context import Context
from backstay.db.engine import driver_arguments
from backstay.db.session import Database
from backstay.principals.cache import PrincipalCache
from backstay.principals.channel import PATIENCE, Beat, SharedPrincipals

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
        self,
        cache: PrincipalCache,
        database: Database,
        report: Callable[[bool], None],
        answers: MemoryCache | None = None,
    ) -> None:
        super().__init__(cache, report, answers)
        if answers is not None:
            answers.collect_untold()
        self._database = database
        self._own_pid: int | None = None

    async def announce(self, context: Context) -> None:
        """Name who changed and, where a replica may lag behind, who wrote."""
        changes = context.unit.changes
        author = context.principal.user_id if self._database.replica_engine is not None else None
        if not changes and author is None:
            return
        payload = _payload(changes.everyone, changes.user_ids, author)
        if len(payload) > MAX_PAYLOAD:
            payload = _payload(True, (), author)
        await context.unit.transaction.execute(_NOTIFY, {"channel": CHANNEL, "payload": payload})

    async def start(self) -> None:
        """Begin to listen, in the background, unless through PgBouncer."""
        if not self._database.options.pgbouncer:
            self._database.budget.set_aside("listener")
            await super().start()

    def flush(self) -> None:
        """Forget everything; somebody may have written, too."""
        super().flush()
        self._database.anyone_wrote()

    @asynccontextmanager
    async def subscription(self) -> AsyncIterator[Beat]:
        """Listen on a connection of its own, which no pool can take away."""
        options = self._database.options
        seconds = min(options.pool_timeout, PATIENCE)
        _, arguments = driver_arguments(options, "backstay listener", seconds)
        connection = await asyncpg.connect(**arguments)
        try:
            async with asyncio.timeout(PATIENCE):
                await connection.add_listener(CHANNEL, self._hear)
            self._own_pid = connection.get_server_pid()
            yield lambda: self._beat(connection)
        finally:
            connection.terminate()

    async def _beat(self, connection: Any) -> None:
        """Ask for a proof; what answers were outdated meanwhile is told along with it.

        A notification in each transaction would cost a write half as much again.
        """
        answers = self._answers
        if answers is None or not (tags := answers.take_untold()):
            await connection.execute("SELECT 1")
            return
        payload = _payload(tags=tags)
        if len(payload) > MAX_PAYLOAD:
            payload = _payload(tags=[EVERYTHING])
        try:
            await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, payload)
        except BaseException:
            answers.add_untold(tags)
            raise

    def _hear(self, connection: Any, pid: int, channel: str, payload: Any) -> None:
        if pid == self._own_pid:
            return  # what answers this process has outdated, it knows
        try:
            told = json.loads(payload)
            users = [UUID(user) for user in told["users"]]
            author = UUID(told["author"]) if told["author"] else None
            everyone, tags = bool(told["everyone"]), set(told["tags"])
        except (ValueError, TypeError, KeyError, AttributeError):
            self.flush()
            return
        if everyone:
            self._cache.forget_all()
        else:
            self._cache.forget(users)
        if self._answers is not None:
            self._answers.forget_tags({EVERYTHING} if everyone else tags)
        self._database.wrote(*users, author)


def _payload(
    everyone: bool = False,
    user_ids: Iterable[UUID] = (),
    author: UUID | None = None,
    tags: Iterable[str] = (),
) -> str:
    return json.dumps(
        {
            "tags": list(tags),
            "everyone": everyone,
            "users": [str(user_id) for user_id in user_ids],
            "author": author and str(author),
        }
    )
