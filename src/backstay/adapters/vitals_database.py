"""The Vitals port: asks the database, within a bound; Redis is asked all the time."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from backstay.adapters.redis_links import RedisLinks
from backstay.core.errors import AppError
from backstay.core.jobs import Backlog
from backstay.core.lifeline import is_draining
from backstay.db.session import Database

PATIENCE = 1.5
"""Seconds after which a database that does not answer counts as down."""
LATE_SECONDS = 60.0
"""How long a job that could run may wait before the queue counts as down: no worker takes it."""


Asking = asyncio.Future[str | None]


class DatabaseVitals:
    """Looks after the database; ``schema_fault`` says what is wrong with its schema.

    ``channel`` tells how principals are heard of.
    """

    def __init__(
        self,
        database: Database,
        links: RedisLinks,
        schema_fault: Callable[[], Awaitable[str | None]],
        channel: Callable[[], str],
        backlog: Callable[[], Awaitable[Sequence[Backlog]]],
    ) -> None:
        self._database = database
        self._links = links
        self._schema_fault = schema_fault
        self._channel = channel
        self._backlog = backlog
        self._asking: set[Asking] = set()

    async def checks(self) -> dict[str, str]:
        """The state of each dependency."""
        database, queue = await asyncio.gather(
            self._state(self._database.ping), self._state(self._why_jobs_wait)
        )
        found = {
            "database": database,
            "principal_channel": self._channel(),
            "cache": self._links.state,
            "queue": queue,
        }
        if self._database.replica_engine is not None:
            found["replica"] = await self._state(self._database.ping_replica)
        return found

    async def why_not_ready(self) -> str | None:
        """Why no request should be sent here, or None when they may."""
        if is_draining():
            return "the server is about to stop"
        return await self._bounded(self._schema_fault) or await self._bounded(self._database.ping)

    async def _why_jobs_wait(self) -> str | None:
        oldest = max((each.oldest for each in await self._backlog()), default=0.0)
        return f"a job has waited for {oldest:.0f} s" if oldest > LATE_SECONDS else None

    async def _state(self, ask: Callable[[], Awaitable[str | None]]) -> str:
        return "error" if await self._bounded(ask) else "ok"

    async def _bounded(self, ask: Callable[[], Awaitable[str | None]]) -> str | None:
        asking = asyncio.ensure_future(ask())
        self._asking.add(asking)
        asking.add_done_callback(self._asked)
        done, _ = await asyncio.wait({asking}, timeout=PATIENCE)
        if not done:
            asking.cancel()  # and not awaited: a dead connection takes seconds to let go of
            return f"the database did not answer within {PATIENCE} s"
        try:
            return asking.result()
        except AppError as error:
            return error.detail

    def _asked(self, asking: Asking) -> None:
        self._asking.discard(asking)
        if not asking.cancelled():
            asking.exception()
