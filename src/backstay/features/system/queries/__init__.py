"""Queries of load balancers, operators and auditors."""

from asyncio import to_thread
from collections import defaultdict
from datetime import datetime
from inspect import getdoc
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, func, select

from backstay.core.bus import handles
from backstay.core.caching import Cached
from backstay.core.errors import NotFound
from backstay.core.feature import Feature, PersonalData
from backstay.core.introspection import fields_of
from backstay.core.jobs import JobState
from backstay.core.listing import Equals, ListQuery, Range
from backstay.core.messages import Command, Message, Query, View
from backstay.core.permissions import PUBLIC, SYSTEM_ONLY, PermissionSpec
from backstay.core.ports import Clock, HealthChecks, Metrics
from backstay.core.principal import Grant, Principal
from backstay.db.activity import Activity
from backstay.db.listing import Listing
from backstay.db.maintenance import CURRENT
from backstay.db.queries import columns_of
from backstay.db.session import Reader
from backstay.features.system.schemas import (
    ActivityEntry,
    ActivityExport,
    Alive,
    EditableResources,
    Health,
    JobDetail,
    JobSummary,
    MaintenanceState,
    MessageEntry,
    OperationEntry,
    Outcome,
    Pong,
    Readiness,
    ResourceEntry,
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


class ListActivity(ListQuery[ActivityEntry]):
    """The audit trail, newest first."""

    permission = PermissionSpec("audit", "list", description="Read the audit trail")

    user_id: Equals[UUID] | None = None
    session_id: Equals[UUID] | None = None
    message: Equals[str] | None = None
    outcome: Equals[Outcome] | None = None
    code: Equals[str] | None = None
    created_at: Range[datetime] | None = None


ACTIVITY = Listing(ListActivity, Activity, ActivityEntry)


class ExportActivity(PersonalData):
    """What the audit trail holds about a person, the newest entries if there are too many."""

    permission = SYSTEM_ONLY


MOST_ENTRIES = 10_000
_EXPORT = (
    select(*columns_of(ActivityExport, Activity))
    .where(Activity.user_id == bindparam("user_id"))
    .order_by(Activity.id.desc())
    .limit(MOST_ENTRIES)
)


@handles(ExportActivity)
async def export_activity(query: ExportActivity, reader: Reader) -> tuple[View, ...]:
    rows = await reader.rows(_EXPORT, {"user_id": query.user_id})
    return tuple(ActivityExport.model_validate(row) for row in reversed(rows))


class ListJobs(Query[tuple[JobSummary, ...]]):
    """Jobs of whatever kind, newest first, ``most`` at most; a filter that is null is none."""

    permission = SYSTEM_ONLY
    takes_long = True

    state: JobState | None = None
    name: str | None = None
    queue: str | None = None
    user_id: UUID | None = None
    most: int | None = None


@handles(ListJobs)
async def list_jobs(query: ListJobs, reader: Reader) -> tuple[JobSummary, ...]:
    filters = {name: getattr(query, name) for name in ("state", "name", "queue", "user_id")}
    given = [getattr(Job, name) == value for name, value in filters.items() if value is not None]
    found = select(*columns_of(JobSummary, Job)).where(*given).order_by(Job.id.desc())
    rows = await reader.rows(found.limit(query.most))
    return tuple(JobSummary.model_validate(row) for row in rows)


class GetJob(Query[JobDetail]):
    """A job of whatever kind."""

    permission = SYSTEM_ONLY

    id: UUID


_JOB = select(*columns_of(JobDetail, Job)).where(Job.id == bindparam("job_id"))


@handles(GetJob)
async def get_job(query: GetJob, reader: Reader) -> JobDetail:
    row = await reader.one_or_none(_JOB, {"job_id": query.id})
    if row is None:
        raise NotFound(f"There is no job {query.id}.")
    return JobDetail.model_validate(row)


class ListEditableResources(Query[EditableResources]):
    """What you may ask of which resource: messages with their fields, types and constraints.

    Only what your permissions reach is shown, without the fields that their rules refuse.
    """

    permission = PermissionSpec("system", "introspect", description="See what may be asked for")
    cache = Cached(ttl=0, client=True)


@handles(ListEditableResources)
async def list_editable_resources(
    query: ListEditableResources,
    principal: Principal,
    features: tuple[Feature, ...],
    app: AppSettings,
) -> EditableResources:
    # in a thread, because the first call builds the schemas of all messages
    return await to_thread(_resources, principal, features, app.root_path)


def _resources(
    principal: Principal, features: tuple[Feature, ...], root_path: str
) -> EditableResources:
    operations: defaultdict[type[Message[Any]], list[OperationEntry]] = defaultdict(list)
    for table in (table for feature in features for table in feature.routes):
        for each in table.operations(root_path):
            entry = OperationEntry(id=each.name, method=each.method, path=each.path)
            operations[each.message].append(entry)
    resources: defaultdict[str, list[MessageEntry]] = defaultdict(list)
    for message in (message for feature in features for message in feature.messages()):
        spec = message.permission
        if isinstance(spec, PermissionSpec) and (grant := principal.grant(spec.key)) is not None:
            entries = tuple(operations[message])
            resources[spec.resource].append(_message_entry(message, spec, grant, entries))
    return EditableResources(
        resources=tuple(
            ResourceEntry(name=name, messages=tuple(sorted(messages, key=lambda each: each.name)))
            for name, messages in sorted(resources.items())
        )
    )


def _message_entry(
    message: type[Message[Any]],
    spec: PermissionSpec,
    grant: Grant,
    operations: tuple[OperationEntry, ...],
) -> MessageEntry:
    return MessageEntry(
        name=message.__name__,
        kind="command" if issubclass(message, Command) else "query",
        description=getdoc(message) or "",
        permission=spec.key,
        scope=grant.scope,
        operations=operations,
        fields=tuple(f for f in fields_of(message) if not grant.refuses(f.source, f.name)),
    )
