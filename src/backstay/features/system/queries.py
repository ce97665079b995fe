"""Questions that load balancers, operators and auditors ask."""

from contextlib import suppress
from datetime import datetime
from uuid import UUID

from backstay.core.bus import handles
from backstay.core.errors import AppError
from backstay.core.jobs import JobStore
from backstay.core.listing import CursorPage, Equals, ListQuery, Page, Range
from backstay.core.messages import PUBLIC, PermissionSpec, Query
from backstay.core.ports import Clock, Metrics, Vitals
from backstay.core.principal import Grant, Principal
from backstay.db.activity import Activity
from backstay.db.cursors import Cursors
from backstay.db.listing import Listing
from backstay.db.session import Reader
from backstay.features.system.schemas import (
    ActivityEntry,
    Alive,
    Health,
    Outcome,
    Pong,
    Readiness,
    Status,
)
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
async def get_readiness(query: GetReadiness, vitals: Vitals) -> Readiness:
    reason = await vitals.why_not_ready()
    return Readiness(status="not ready" if reason else "ready", reason=reason)


class GetHealth(Query[Health]):
    """The state of the application and of each thing it depends on."""

    permission = PUBLIC


@handles(GetHealth)
async def get_health(query: GetHealth, vitals: Vitals, app: AppSettings) -> Health:
    checks = await vitals.checks()
    failed = {name for name, state in checks.items() if state == "error"}
    status: Status = "error" if "database" in failed else "degraded" if failed else "ok"
    return Health(status=status, version=app.version, checks=checks)


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
async def get_metrics(query: GetMetrics, metrics: Metrics, jobs: JobStore) -> str:
    with suppress(AppError):
        metrics.show(await jobs.backlog())
    return metrics.exposition().decode()


class ListActivity(ListQuery[ActivityEntry]):
    """The audit trail, newest first."""

    permission = PermissionSpec("audit", "list", description="Read the audit trail")

    user_id: Equals[UUID] | None = None
    session_id: Equals[UUID] | None = None
    message: Equals[str] | None = None
    outcome: Equals[Outcome] | None = None
    code: Equals[str] | None = None
    created_at: Range[datetime] | None = None


ACTIVITY = Listing(ListActivity, Activity, ActivityEntry, owner=Activity.user_id)


@handles(ListActivity)
async def list_activity(
    query: ListActivity, reader: Reader, principal: Principal, grant: Grant, cursors: Cursors
) -> Page[ActivityEntry] | CursorPage[ActivityEntry]:
    return await ACTIVITY.fetch(reader, query, principal, grant, cursors)
