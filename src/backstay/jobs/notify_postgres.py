"""The Wakeups port on PostgreSQL: LISTEN; NOTIFY is part of the statement that stores a job."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg

from backstay.db.engine import driver_arguments
from backstay.db.session import Database
from backstay.jobs.store import CHANNEL
from backstay.jobs.subscription import Follow, Ring, SubscribedWakeups

BEAT_SECONDS = 1.0
"""How often the connection is asked whether it lives."""
PATIENCE = 5.0
"""Seconds after which a connection that does not answer is replaced."""


class PostgresWakeups(SubscribedWakeups):
    """Listens on a connection of its own; nobody can listen through PgBouncer."""

    def __init__(self, database: Database) -> None:
        super().__init__("postgresql")
        self._options, self._budget = database.options, database.budget

    def publish(self, job_id: UUID) -> None:
        """The commit has told it."""

    async def listen(self, ring: Ring) -> None:
        """Begin to call ``ring`` whenever a job is stored."""
        if not self._options.pgbouncer:
            self._budget.set_aside("jobs")
            await super().listen(ring)

    @asynccontextmanager
    async def subscription(self, ring: Ring) -> AsyncIterator[Follow]:
        """Listen until the connection no longer answers."""
        _, arguments = driver_arguments(self._options, "backstay jobs")
        connection = await asyncpg.connect(**arguments)

        async def follow() -> None:
            while True:
                await asyncio.sleep(BEAT_SECONDS)
                async with asyncio.timeout(PATIENCE):
                    await connection.execute("SELECT 1")

        try:
            async with asyncio.timeout(PATIENCE):
                await connection.add_listener(CHANNEL, lambda *_: ring())
            yield follow
        finally:
            connection.terminate()
