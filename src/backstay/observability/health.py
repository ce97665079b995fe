"""Implements the HealthChecks port: runs queries with a timeout, and only reads Redis's state."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from backstay.core.background import in_background
from backstay.core.errors import AppError
from backstay.core.jobs import JobStore
from backstay.core.maintenance import Maintenance
from backstay.core.ports import Check, PrincipalChannel
from backstay.core.runtime_dir import is_draining
from backstay.db.database import Database
from backstay.redis.client import RedisLinks

PATIENCE = 1.5
"""Seconds after which a database that does not answer counts as down."""
LATE_SECONDS = 60.0
"""How long a due job may wait before the queue counts as down, because no worker claims it."""

Find = Callable[[], Awaitable[Maintenance | None]]
Ask = Callable[[], Coroutine[Any, Any, str | None]]


class ServiceHealth:
    """Checks the database, the other services and the queue.

    ``schema_fault`` returns what is wrong with the schema, or None. ``channel`` reports whether
    changes of principals arrive. ``maintenance`` returns the one that is on; jobs wait meanwhile.
    ``backup_fault`` returns what is wrong with the backups, or None; it is itself None if none are
    made. ``lacks_mail`` says that no mail backend is configured.

    The state of Redis is not queried here: its connection is checked all the time.
    """

    def __init__(
        self,
        database: Database,
        links: RedisLinks,
        jobs: JobStore,
        channel: PrincipalChannel,
        schema_fault: Ask,
        maintenance: Find,
        *,
        lacks_mail: bool = False,
        backup_fault: Ask | None = None,
    ) -> None:
        self._database = database
        self._links = links
        self._jobs = jobs
        self._channel = channel
        self._schema_fault = schema_fault
        self._maintenance = maintenance
        self._lacks_mail = lacks_mail
        self._backup_fault = backup_fault
        self._asking: dict[Ask, asyncio.Task[str | None]] = {}

    async def checks(self) -> dict[str, Check]:
        database, queue, maintenance = await asyncio.gather(
            self._check(self._database.ping), self._check(self._why_jobs_wait), self._maintenance()
        )
        if database.state == "ok" and self._database.options.can_corrupt:
            database = Check("degraded")
        found = {
            "database": database,
            "principal_channel": Check(self._channel.state()),
            "cache": Check(self._links.state),
            "queue": Check("ok") if maintenance and queue.state == "error" else queue,
            "maintenance": Check("degraded", str(maintenance)) if maintenance else Check("off"),
        }
        if self._database.replica_engine is not None:
            found["replica"] = await self._check(self._database.ping_replica)
        if self._backup_fault is not None and database.state != "error":
            fault = await self._bounded(self._backup_fault)
            found["backup"] = Check("degraded" if fault else "ok")  # anybody may read this
        if self._lacks_mail:
            found["mail"] = Check("degraded")
        return found

    async def why_not_ready(self) -> str | None:
        if is_draining():
            return "the server is about to stop"
        return await self._bounded(self._database.ping) or await self._bounded(self._schema_fault)

    async def _why_jobs_wait(self) -> str | None:
        oldest = max((each.oldest for each in await self._jobs.backlog()), default=0.0)
        return f"a job has waited for {oldest:.0f} s" if oldest > LATE_SECONDS else None

    async def _check(self, ask: Ask) -> Check:
        reason = await self._bounded(ask)
        return Check("error", reason) if reason else Check("ok")

    async def _bounded(self, ask: Ask) -> str | None:
        """Run a check with a timeout of ``PATIENCE``; the reason if it fails, else None.

        Callers share a check that is already running. Any client may ask for the health, and many
        checks at once would delay each other beyond the timeout of a load balancer.
        """
        asking = self._asking.get(ask)
        if asking is None:
            asking = self._asking[ask] = in_background(ask())
            asking.add_done_callback(lambda task: self._forget(ask, task))
        done, _ = await asyncio.wait({asking}, timeout=PATIENCE)
        if not done:
            self._forget(ask, asking)
            asking.cancel()  # not awaited: it takes seconds to close a dead connection
        if not done or asking.cancelled():
            return f"the database did not answer within {PATIENCE} s"
        try:
            return asking.result()
        except AppError as error:
            return error.detail

    def _forget(self, ask: Ask, asking: asyncio.Task[str | None]) -> None:
        if self._asking.get(ask) is asking:
            del self._asking[ask]
