"""The state of the application: what load balancers, metrics and operators ask."""

from sqlalchemy import func, select

from backstay.core.bus import handles
from backstay.core.messages import Query
from backstay.core.permissions import PUBLIC, SYSTEM_ONLY
from backstay.core.ports import Clock, HealthChecks, Metrics
from backstay.db.maintenance import CURRENT
from backstay.db.session import Reader
from backstay.features.system.schemas.probes import (
    Alive,
    Health,
    MaintenanceState,
    Pong,
    Readiness,
    Status,
)
from backstay.jobs.tables import RUNNING, Job
from backstay.settings import AppSettings


class GetLiveness(Query[Alive]):
    """Whether the process answers. No I/O."""

    permission = PUBLIC


@handles(GetLiveness)
async def get_liveness(query: GetLiveness) -> Alive:
    return Alive()


class GetReadiness(Query[Readiness]):
    """Whether the database answers in time and its schema is current."""

    permission = PUBLIC


@handles(GetReadiness)
async def get_readiness(query: GetReadiness, health_checks: HealthChecks) -> Readiness:
    reason = await health_checks.why_not_ready()
    return Readiness(status="not ready" if reason else "ready", reason=reason)


class GetHealth(Query[Health]):
    """The state of the application and of each thing it depends on."""

    permission = PUBLIC


@handles(GetHealth)
async def get_health(query: GetHealth, health_checks: HealthChecks, app: AppSettings) -> Health:
    checks = await health_checks.checks()
    states = {name: check.state for name, check in checks.items()}
    failed = {"error", "degraded"} & set(states.values())
    status: Status = "error" if states["database"] == "error" else "degraded" if failed else "ok"
    reasons = {name: check.reason for name, check in checks.items() if check.reason}
    return Health(status=status, version=app.version, checks=states, reasons=reasons)


class GetMaintenance(Query[MaintenanceState]):
    """Whether maintenance is on, and how many jobs have not ended yet."""

    permission = SYSTEM_ONLY


@handles(GetMaintenance)
async def get_maintenance(query: GetMaintenance, reader: Reader) -> MaintenanceState:
    found = await reader.one_or_none(CURRENT)
    running = await reader.scalar(select(func.count()).select_from(Job).where(RUNNING))
    reason, operator, began_at, ends_at = found[:4] if found else ("", "", None, None)
    return MaintenanceState(
        is_on=found is not None,
        reason=reason,
        operator=operator,
        began_at=began_at,
        ends_at=ends_at,
        running_jobs=running,
    )


class Ping(Query[Pong]):
    """The server's time."""

    permission = PUBLIC


@handles(Ping)
async def ping(query: Ping, clock: Clock) -> Pong:
    return Pong(time=clock())


class GetMetrics(Query[str]):
    """Metrics in the text format of Prometheus."""

    permission = PUBLIC


@handles(GetMetrics)
async def get_metrics(query: GetMetrics, metrics: Metrics) -> str:
    await metrics.refresh()
    return metrics.exposition().decode()
