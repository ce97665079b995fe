"""Stores what this process counts, added to the row of each minute that all processes share."""

import asyncio
from collections import Counter, deque
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import func, select

from backstay.core.background import in_background
from backstay.core.jobs import JobState
from backstay.core.ports import Clock
from backstay.db.database import LAST_SECONDS, Database
from backstay.db.maintenance import MaintenanceMode
from backstay.features.system.model import MetricMinute, adding
from backstay.jobs.statements import NOW
from backstay.jobs.tables import UNFINISHED, Job
from backstay.observability.counting import counts_of
from backstay.observability.metrics import PrometheusMetrics

log = structlog.get_logger("backstay.metrics")

MINUTE = timedelta(minutes=1)
MOST_KEPT = 60
"""Minutes that are kept while the database takes none; beyond that the oldest is dropped."""
_QUEUED = (UNFINISHED, Job.state == JobState.QUEUED.value)
_QUEUE = select(
    func.count().filter(Job.due_at <= NOW).label("jobs_due"),
    func.count().filter(Job.due_at > NOW).label("jobs_later"),
).where(*_QUEUED)
_COLUMNS = {column.name for column in MetricMinute.__table__.columns} - {"minute"}
_OCCASIONS = ("requests", "sign_ins", "failed_sign_ins", "jobs_done", "jobs_failed")


class MinuteKeeper:
    """Once a minute, and at the end, stores by how much the counters of this process grew.

    Nothing is read or written without one of ``_OCCASIONS``, so that neither an idle process nor a
    command of the command line writes. What cannot be stored, because the database is away or
    maintenance is on, is kept and stored later.
    """

    def __init__(
        self,
        database: Database,
        metrics: PrometheusMetrics,
        maintenance: MaintenanceMode,
        clock: Clock,
    ) -> None:
        self._database, self._metrics = database, metrics
        self._maintenance, self._clock = maintenance, clock
        self._add = adding(is_sqlite=database.options.is_sqlite)
        self._seen: Counter[str] = Counter()
        self._minute = datetime.min
        self._kept: deque[dict[str, Any]] = deque(maxlen=MOST_KEPT)
        self._is_failing = False
        self._timer: asyncio.TimerHandle | None = None
        self._storing: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Count from now on, until :meth:`stop`."""
        self._seen, self._minute = counts_of(self._metrics.registry), _minute_of(self._clock())
        self._wait()

    async def stop(self) -> None:
        """Store the rest, unless that takes too long."""
        if self._timer is None:
            return
        self._timer.cancel()
        self._timer = None
        if self._storing is not None:
            await asyncio.wait({self._storing}, timeout=LAST_SECONDS)
        if self._storing is None or self._storing.done():
            await asyncio.wait({in_background(self.store())}, timeout=LAST_SECONDS)

    def _wait(self) -> None:
        now = self._clock()
        left = (_minute_of(now) + MINUTE - now).total_seconds()
        self._timer = asyncio.get_running_loop().call_later(left, self._tick)

    def _tick(self) -> None:
        self._wait()
        if self._storing is None or self._storing.done():
            self._storing = in_background(self.store())

    async def store(self) -> None:
        """Add what was counted since the last call to its minute."""
        grown, minute = self._grown(), self._minute
        self._minute = _minute_of(self._clock())
        if grown:
            self._kept.append({"minute": minute, **dict.fromkeys(_COLUMNS, 0), **grown})
        if not self._kept:
            return
        try:
            if await self._maintenance.is_on():
                return
            if grown:
                [queue] = await self._database.reader.rows(_QUEUE)
                self._kept[-1] |= queue._mapping  # pyright: ignore[reportPrivateUsage]
            while self._kept:
                await self._database.write(self._add, self._kept[0])
                self._kept.popleft()
        except Exception as error:
            if not self._is_failing:
                log.warning("what was counted cannot be stored; it is kept", fault=error)
            self._is_failing = True
        else:
            self._is_failing = False

    def _grown(self) -> dict[str, int]:
        counts = counts_of(self._metrics.registry)
        grown = counts - self._seen
        if not any(map(grown.__contains__, _OCCASIONS)):
            return {}
        self._seen = counts
        in_use, most = self._metrics.database.connections()
        return {**grown, "connections_in_use": in_use, "connections_max": most}


def _minute_of(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)
