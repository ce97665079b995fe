"""What is below the edge, wired together: adapters, pipelines, buses; and the first rows."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from backstay.adapters.limiter_memory import MemoryLimiter
from backstay.adapters.limiter_off import NoLimiter
from backstay.adapters.log_files import LogFiles
from backstay.adapters.mail_chosen import mail_services
from backstay.adapters.passwords_argon2 import Argon2Passwords
from backstay.adapters.principals_postgres import PostgresPrincipals
from backstay.adapters.principals_sqlite import SqlitePrincipals
from backstay.adapters.refresh_tokens_hmac import HmacRefreshTokens
from backstay.adapters.tokens_jwt import JwtAccessTokens
from backstay.adapters.vitals_database import DatabaseVitals
from backstay.core.bus import BootError, Bus, Buses, Provider, Registry, Sender, Step
from backstay.core.catalog import Catalog
from backstay.core.clock import utc_now
from backstay.core.context import ActivityNote, Origin
from backstay.core.events import Subscriptions
from backstay.core.feature import Feature, registry_of
from backstay.core.jobs import Bell, JobStore, Progress, Wakeups
from backstay.core.messages import Command, Query
from backstay.core.outbox import Events, Jobs, Outbox
from backstay.core.pipeline import authorize, prepare_with
from backstay.core.ports import (
    AccessTokens,
    Clock,
    Limiter,
    Metrics,
    Passwords,
    PrincipalChannel,
    RefreshTokens,
    Vitals,
)
from backstay.core.principal import SYSTEM, Grant, Principal, PrincipalCache
from backstay.core.representation import Preconditions
from backstay.core.schedule import Scheduled
from backstay.core.worker import Workplace
from backstay.db import migrate
from backstay.db.activity import AuditTrail
from backstay.db.cursors import Cursors
from backstay.db.engine import EngineOptions
from backstay.db.job_step import finish_job
from backstay.db.job_store import DatabaseJobs
from backstay.db.session import WRITING, Database, Reader
from backstay.db.transaction import transaction_with
from backstay.features import STANDARD
from backstay.features.access.commands import SyncAccess
from backstay.features.access.schemas import declared
from backstay.features.auth.queries import GetPrincipal, GetPrincipalOfUser
from backstay.features.users.commands.admins import Admin, EnsureAdmin
from backstay.settings import (
    AppSettings,
    LogSettings,
    SecuritySettings,
    Settings,
    decode_key,
)
from backstay.web.metrics import HttpMetrics


@dataclass(frozen=True, slots=True)
class Backstay:
    """Everything below the edge: what HTTP, the command line and tests send messages through."""

    settings: Settings
    features: tuple[Feature, ...]
    database: Database
    buses: Buses
    principals: PrincipalCache
    channel: PrincipalChannel
    passwords: Argon2Passwords
    tokens: JwtAccessTokens
    limiter: Limiter
    metrics: HttpMetrics
    trail: AuditTrail
    files: LogFiles
    clock: Clock
    workplace: Workplace

    @property
    def schedule(self) -> tuple[Scheduled, ...]:
        """What every feature wants to be sent by the clock."""
        return tuple(each for feature in self.features for each in feature.schedule)

    @property
    def system(self) -> Sender:
        """Sends messages as the application itself."""
        return Sender(self.buses, SYSTEM)

    async def close(self) -> None:
        """Release threads and connections."""
        await self.channel.stop()
        for wakeups in self.workplace.outbox.wakeups:
            await wakeups.stop()
        await self.trail.settle()
        self.passwords.close()
        await self.database.dispose()


def engine_options(settings: Settings) -> EngineOptions:
    """How to connect, from the settings."""
    db = settings.db
    return EngineOptions(
        url=db.sqlalchemy_url,
        replica_url=db.replica_sqlalchemy_url,
        min_connections=db.min_connections,
        max_connections=db.max_connections,
        replica_max_connections=db.replica_max_connections,
        ping=db.ping_connection,
        statement_timeout=db.statement_timeout,
        pool_timeout=db.pool_timeout,
        pgbouncer=db.pgbouncer,
    )


def compose(
    settings: Settings, features: Sequence[Feature] = STANDARD, *, clock: Clock = utc_now
) -> Backstay:
    """Wire features, adapters and the two pipelines together.

    Raises:
        BootError: the features contradict each other or a rule of messages; with every fault.
    """
    registry, security = registry_of(features), settings.security
    database, passwords = Database(engine_options(settings)), Argon2Passwords()
    limiter = MemoryLimiter() if settings.rate_limit.enabled else NoLimiter()
    store = DatabaseJobs(database)
    tokens = JwtAccessTokens.configured(security, lambda: clock().timestamp())
    metrics, key = HttpMetrics(), decode_key(security.refresh_token_secret.get_secret_value())

    async def load_principal(session_id: UUID) -> Principal | None:
        return await Sender(buses, SYSTEM)(GetPrincipal(session_id=session_id))

    principals = PrincipalCache(load_principal, monotonic=time.monotonic, clock=clock)
    channel = _channel(principals, database)
    providers = _providers(
        database,
        {
            Clock: clock,
            Passwords: passwords,
            AccessTokens: tokens,
            RefreshTokens: HmacRefreshTokens(key),
            Limiter: limiter,
            Metrics: metrics,
            Vitals: DatabaseVitals(database, lambda: migrate.schema_fault(database), store.backlog),
            JobStore: store,
            Cursors: Cursors(key),
            SecuritySettings: security,
            AppSettings: settings.app,
            LogSettings: settings.log,
            tuple[Feature, ...]: tuple(features),
        }
        | mail_services(settings, key, clock),
    )
    files = LogFiles(settings.log.dir)
    trail = AuditTrail(database, clock, files.activity)
    outbox = _outbox(store, _wakeups(settings, database), registry, features)
    buses = _buses(registry, providers, transaction_with(database, channel, clock), trail, outbox)
    if registry.faults:
        raise BootError("\n".join(registry.faults))
    return Backstay(
        settings, tuple(features), database, buses, principals, channel, passwords, tokens,
        limiter, metrics, trail, files, clock,
        _workplace(outbox, buses, metrics),
    )  # fmt: skip


def _outbox(
    store: JobStore,
    wakeups: tuple[Wakeups, ...],
    registry: Registry,
    features: Sequence[Feature],
) -> Outbox:
    """Where jobs go, and what they can be made of."""
    catalog = Catalog(m for m in registry.handlers if issubclass(m, Command))
    registry.faults += catalog.faults
    subscriptions = Subscriptions(f for feature in features for f in feature.functions())
    return Outbox(store, catalog, subscriptions, Bell(), wakeups)


def _workplace(outbox: Outbox, buses: Buses, metrics: HttpMetrics) -> Workplace:
    async def principal_of(user_id: UUID) -> Principal | None:
        return await Sender(buses, SYSTEM)(GetPrincipalOfUser(user_id=user_id))

    return Workplace(outbox, buses, principal_of, metrics.jobs.observe)


def _wakeups(settings: Settings, database: Database) -> tuple[Wakeups, ...]:
    """What tells workers in other processes of new jobs."""
    return ()


def _channel(principals: PrincipalCache, database: Database) -> PrincipalChannel:
    kind = SqlitePrincipals if database.options.is_sqlite else PostgresPrincipals
    return kind(principals, database)


async def seed(backstay: Backstay) -> Admin | None:
    """Bring permissions and roles in line with the code; create the administrator if none lives.

    Outside local there is no administrator without ``ADMIN_PASSWORD``: one made up would end in
    the log of a deployment.

    Raises:
        AppError: the administrator's e-mail or username belongs to somebody else.
    """
    admin = backstay.settings.admin
    async with migrate.alone(backstay.database.options):
        await backstay.system(SyncAccess(permissions=declared(backstay.features)))
        if admin.password is None and not backstay.settings.is_local:
            return None
        return await backstay.system(
            EnsureAdmin(
                email=admin.email,
                username=admin.username,
                name=admin.name,
                password=admin.password.get_secret_value() if admin.password else None,
            )
        )


def _buses(
    registry: Registry,
    providers: dict[Any, Provider],
    transaction: Step,
    trail: AuditTrail,
    outbox: Outbox,
) -> Buses:
    """The two pipelines, each from the outside in."""
    prepare = prepare_with(registry, providers)
    commanding = (trail.around, authorize, prepare, transaction, finish_job, trail.within)
    leaving = {
        Jobs: lambda context: Jobs(outbox, context),
        Events: lambda context: Events(outbox, context),
    }
    return Buses(
        commands=Bus(Command, registry, commanding, providers | WRITING | leaving),
        queries=Bus(Query, registry, (trail.around, authorize), providers),
    )


def _providers(database: Database, services: Mapping[Any, Any]) -> dict[Any, Provider]:
    """Where handler parameters come from, by type: fixed services and the message under way."""
    return {kind: _always(service) for kind, service in services.items()} | {
        Reader: database.reader_of,
        Principal: lambda context: context.principal,
        Grant: lambda context: context.grant,
        ActivityNote: lambda context: context.note,
        Origin: lambda context: context.origin,
        Progress: lambda context: Progress(context.origin.job),
        Preconditions: lambda context: context.origin.preconditions,
        Sender: lambda context: context.sender.inside(context),
    }


def _always(service: Any) -> Provider:
    return lambda context: service
