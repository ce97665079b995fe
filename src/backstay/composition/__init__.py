"""Wires everything below the edge: adapters, pipelines and the bus; and seeds the first rows."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any
from uuid import UUID

from backstay.composition import wiring
from backstay.composition.adapters import Adapters, adapters_for, channel_for, mail_for
from backstay.composition.backups import BackupLog, BackupsOfProcess
from backstay.composition.health import health_for
from backstay.composition.measuring import read_for_scrapes, start_measuring, trail_for
from backstay.composition.ownership import Ownership
from backstay.composition.pipelines import bus_for
from backstay.composition.replacing import Replacements
from backstay.composition.schema import SchemaCheck
from backstay.core.backups import Backups
from backstay.core.bus import Bus
from backstay.core.clock import utc_now
from backstay.core.context import Sender
from backstay.core.events import Subscriptions
from backstay.core.feature import Feature
from backstay.core.jobs import JobStore
from backstay.core.mail import Mailer, MailTemplates, NoMailer
from backstay.core.messages import Message
from backstay.core.permissions import RoleSpec
from backstay.core.ports import (
    AccessTokens,
    BreachedPasswords,
    Cache,
    Clock,
    HealthChecks,
    Metrics,
    Passwords,
    PrincipalChannel,
    RefreshTokens,
)
from backstay.core.principal import SYSTEM, Principal
from backstay.core.rates import Limiter
from backstay.core.registry import Registry
from backstay.core.schedule import Scheduled, settled
from backstay.db import migrate
from backstay.db.activity import AuditTrail
from backstay.db.base import Base
from backstay.db.migrations.runner import PLATFORM, Histories
from backstay.features.access.commands.seeding import (
    SyncAccess,
    declared_permissions,
    declared_roles,
)
from backstay.features.auth.queries.principals import GetPrincipal, GetPrincipalOfUser
from backstay.features.rate_rules.commands import EnsureTier
from backstay.features.users.commands.admins import Admin, EnsureAdmin
from backstay.features.users.commands.tiers import GiveTier
from backstay.features.users.queries.accounts import HasAdmin
from backstay.jobs.context import WorkerContext
from backstay.jobs.outbox import Outbox
from backstay.jobs.store import DatabaseJobs
from backstay.mailing.template_checks import template_faults
from backstay.observability.health import ServiceHealth
from backstay.principals.cache import PrincipalCache
from backstay.security.guesses import Guesses
from backstay.security.refresh_tokens import HmacRefreshTokens
from backstay.settings import NO_ADMIN, ConfigurationError, Settings


@dataclass(frozen=True, kw_only=True)
class Backstay(Adapters):
    """Everything below the edge, through which HTTP, the command line and tests send messages.

    ``histories`` are the migrations that the database must have, ``templates`` a project's folder.
    Of ``conditional`` messages the preconditions of a request are compared. ``lacks_mail_server``
    tells that features write mails although no mail backend is configured.
    """

    settings: Settings
    features: tuple[Feature, ...]
    histories: Histories
    models: tuple[type[Base], ...]
    schema: SchemaCheck
    bus: Bus
    principals: PrincipalCache
    channel: PrincipalChannel
    trail: AuditTrail
    worker_context: WorkerContext
    conditional: frozenset[type[Message[Any]]]
    lacks_mail_server: bool
    templates: Path | None
    roles: tuple[RoleSpec, ...]

    @property
    def system(self) -> Sender:
        """A sender that acts as the application itself."""
        return Sender(self.bus.send, SYSTEM)

    @property
    def cache_is_remote(self) -> bool:
        """Whether a look into the cache may cost a round trip."""
        return bool(self.settings.cache.ttl_seconds) and self.answers is None

    async def require_schema(self) -> None:
        """Refuse a database with whose schema this application does not work.

        Raises:
            MigrationError: the database is missing, empty, behind, or too far ahead.
            BootError: its revisions are right, but tables or columns are missing.
            AppError: the database does not answer.
        """
        await self.schema.require()

    async def require_admin(self) -> None:
        """Refuse to serve where nobody could administer; in `local` the server makes somebody.

        Raises:
            ConfigurationError: there is no administrator, nor a password for the first one.
            AppError: the database does not answer.
        """
        if self.settings.is_local or self.settings.admin.password is not None:
            return
        if not await self.system(HasAdmin()):
            raise ConfigurationError([NO_ADMIN])

    async def start(self) -> None:
        """Connect to Redis, and start to exchange changes with other processes."""
        start_measuring(self.metrics, self.settings)
        await self.links.start()
        await self.channel.start()
        await self.maintenance.start()
        self.minutes.start()

    async def close(self) -> None:
        """Stop background work, then release threads and connections."""
        self.metrics.process.stop()
        await self.minutes.stop()
        await self.channel.stop()
        for job_notifier in self.job_notifiers:
            await job_notifier.stop()
        for service in (self.listener, self.maintenance, self.links):
            await service.stop()
        await self.trail.settle()
        self.passwords.close()
        await self.database.dispose()
        await self.tracer.stop()


def compose(
    settings: Settings,
    features: Sequence[Feature] | None = None,
    *,
    label: str = "",
    roles: Sequence[RoleSpec] = (),
    replace: Mapping[Any, Any] = MappingProxyType({}),
    provide: Mapping[Any, Any] = MappingProxyType({}),
    histories: Histories = (PLATFORM,),
    templates: Path | None = None,
    clock: Clock = utc_now,
    for_requests: bool = True,
) -> Backstay:
    """Wire features, adapters and the two pipelines together; see `Application` for its parts.

    Without ``features`` those of the package are meant.

    With ``for_requests`` False, as in commands of the command line, queries get the longer timeout
    of commands, because no client waits for them.

    Raises:
        BootError: the features contradict each other or break a rule of messages; it has every
            fault.
    """
    features = wiring.listed(features)
    registry, ownership = wiring.registry_of(features), Ownership(features)
    models = wiring.models_of(features, ownership)
    own = Replacements(replace, provide, settings, clock)
    adapters = adapters_for(settings, clock, own, for_requests=for_requests)

    async def principal_of_session(session_id: UUID) -> Principal | None:
        return await Sender(bus.send, SYSTEM)(GetPrincipal(session_id=session_id))

    principals = PrincipalCache(principal_of_session, monotonic=time.monotonic, clock=clock)
    channel, trail = channel_for(settings, adapters, principals), trail_for(adapters)
    outbox = _outbox(registry, features, adapters)
    mail = mail_for(settings, adapters.key, clock, templates) | own.replaced
    lacks_mail = isinstance(mail[Mailer], NoMailer) and "mail" in [each.name for each in features]
    schema = SchemaCheck(adapters.database, models, histories)
    backups = BackupLog(adapters.database, settings)
    health = health_for(adapters, outbox.store, channel, schema, backups, lacks_mail=lacks_mail)
    schedule = _schedule(features, settings)
    read_for_scrapes(adapters, outbox.store, health, schedule, backups)
    services = _services(settings, label, adapters, features, outbox.store, health) | mail
    bus = bus_for(settings, registry, adapters, channel, trail, outbox, services, own.provided)
    registry.faults += wiring.declared_faults(roles, features, registry, models, settings)
    if MailTemplates not in own.replaced:
        registry.faults += template_faults(templates, settings.mail.templates_dir)
    wiring.check(registry, features, ownership, settings.app.root_path)
    return Backstay(
        **vars(adapters),
        settings=settings,
        features=tuple(features),
        histories=histories,
        models=models,
        schema=schema,
        bus=bus,
        principals=principals,
        channel=channel,
        trail=trail,
        worker_context=_worker_context(outbox, bus, schedule, adapters),
        conditional=frozenset(filter(registry.compares, registry.handlers)),
        lacks_mail_server=lacks_mail,
        templates=templates,
        roles=tuple(roles),
    )


def _outbox(registry: Registry, features: Sequence[Feature], adapters: Adapters) -> Outbox:
    """Where handlers put jobs and events; the registry collects faults of both."""
    commands = wiring.commands_of(registry)
    store = DatabaseJobs(adapters.database, list(commands))
    subscriptions = Subscriptions(f for feature in features for f in feature.functions())
    outbox = Outbox(store, commands, subscriptions, adapters.job_notifiers, adapters.tracer)
    registry.faults += wiring.job_faults(features, outbox)
    return outbox


def _worker_context(
    outbox: Outbox, bus: Bus, schedule: tuple[Scheduled, ...], adapters: Adapters
) -> WorkerContext:
    async def principal_of(user_id: UUID) -> Principal | None:
        return await Sender(bus.send, SYSTEM)(GetPrincipalOfUser(user_id=user_id))

    observe, is_paused = adapters.metrics.jobs.observe, adapters.maintenance.is_on
    return WorkerContext(outbox, bus, principal_of, observe, schedule, is_paused)


def _services(
    settings: Settings,
    label: str,
    adapters: Adapters,
    features: Sequence[Feature],
    store: JobStore,
    health: ServiceHealth,
) -> dict[Any, Any]:
    """By port: the services that handlers receive and that are the same for every message."""
    return {
        AccessTokens: adapters.tokens,
        Backups: BackupsOfProcess(settings, label),
        BreachedPasswords: adapters.breached,
        Cache: adapters.cache,
        Clock: adapters.clock,
        JobStore: store,
        Guesses: Guesses(adapters.passwords.verify, adapters.limiter),
        Limiter: adapters.limiter,
        Metrics: adapters.metrics,
        Passwords: adapters.passwords,
        RefreshTokens: HmacRefreshTokens(adapters.key),
        HealthChecks: health,
        tuple[Feature, ...]: tuple(features),
        tuple[Scheduled, ...]: _schedule(features, settings),
    }


def _schedule(features: Sequence[Feature], settings: Settings) -> tuple[Scheduled, ...]:
    return settled((each for feature in features for each in feature.schedule), settings)


async def sync_access(backstay: Backstay) -> None:
    """Bring permissions and roles in the database in line with the code."""
    permissions = declared_permissions(backstay.features)
    await backstay.system(SyncAccess(permissions=permissions, roles=declared_roles(backstay.roles)))


async def seed(backstay: Backstay) -> Admin | None:
    """Bring permissions and roles in line with the code; create rows that every installation needs.

    These are the tier of new users, which users without a tier get, and an administrator if there
    is none.

    Outside ``local`` the administrator is created only with ``ADMIN_PASSWORD``: a generated
    password would end up in the log of a deployment.

    Raises:
        AppError: another account has the administrator's e-mail or username.
    """
    admin = backstay.settings.admin
    async with migrate.alone(backstay.database.options):
        await sync_access(backstay)
        await backstay.system(EnsureTier(name=admin.tier_name))
        await backstay.system(GiveTier(tier=admin.tier_name))
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
