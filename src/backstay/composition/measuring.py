"""Connects the metrics with what they measure."""

from collections.abc import Sequence
from math import nan

from backstay import __version__
from backstay.composition.adapters import Adapters
from backstay.composition.backups import BackupLog
from backstay.core.errors import AppError
from backstay.core.jobs import JobStore
from backstay.core.ports import HealthChecks
from backstay.core.schedule import Scheduled
from backstay.db.activity import AuditTrail
from backstay.observability.metrics import PrometheusMetrics
from backstay.settings import Settings


def start_measuring(metrics: PrometheusMetrics, settings: Settings) -> None:
    """Measure the process once a second, if anybody may read it."""
    if settings.app.metrics:
        metrics.process.start(__version__, settings.app.name, settings.app.version)


def trail_for(adapters: Adapters) -> AuditTrail:
    """The audit trail, which counts how commands end and what it loses."""
    events = adapters.metrics.events
    return AuditTrail(
        adapters.database,
        adapters.clock,
        written=adapters.files.activity,
        ended=events.command,
        lost=events.audit_row_lost,
    )


def read_for_scrapes(
    adapters: Adapters,
    store: JobStore,
    health: HealthChecks,
    schedule: Sequence[Scheduled],
    backups: BackupLog,
) -> None:
    """Let each scrape read the backlog, schedules, backups, the replica's lag, maintenance, health.

    The reads of the first group follow one another, so that a scrape takes one connection.
    """
    metrics, replica = adapters.metrics, adapters.database.replica

    async def read_database() -> None:
        metrics.jobs.show(await store.backlog())
        metrics.jobs.show_schedule(schedule, *await store.slots())
        if backups.interval:
            metrics.backups.show(backups.interval, *await backups.read())

    async def read_replica() -> None:
        if replica is None:
            return
        try:
            metrics.replica.show(*await replica.lag())
        except (AppError, TimeoutError):
            metrics.replica.show(nan, nan)
            raise

    async def read_maintenance() -> None:
        metrics.found.maintenance(await adapters.maintenance.is_on())

    async def read_health() -> None:
        for name, check in (await health.checks()).items():
            metrics.found.health(name, check.state)

    metrics.readers += [read_database, read_replica, read_maintenance, read_health]
