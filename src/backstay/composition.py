"""What is below the edge, wired together: adapters, pipelines, buses; and the first rows."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from backstay import __version__
from backstay.adapters.cache_memory import MemoryCache
from backstay.adapters.cache_metrics import CacheMetrics
from backstay.adapters.cache_redis import RedisCache
from backstay.adapters.limiter_memory import MemoryLimiter
from backstay.adapters.limiter_off import NoLimiter
from backstay.adapters.limiter_redis import RedisLimiter
from backstay.adapters.log_files import LogFiles
from backstay.adapters.passwords_argon2 import Argon2Passwords
from backstay.adapters.principals_channels import Channels
from backstay.adapters.principals_postgres import PostgresPrincipals
from backstay.adapters.principals_redis import RedisPrincipals
from backstay.adapters.principals_sqlite import SqlitePrincipals
from backstay.adapters.redis_link import RedisLink
from backstay.adapters.redis_links import RedisLinks
from backstay.adapters.redis_metrics import RedisMetrics
from backstay.adapters.refresh_tokens_hmac import HmacRefreshTokens
from backstay.adapters.signals_redis import RedisSignals
from backstay.adapters.tokens_jwt import JwtAccessTokens
from backstay.adapters.vitals_database import DatabaseVitals
from backstay.adapters.wakeups import wakeups_of
from backstay.core.bus import BootError, Bus, Buses, Provider, Registry, Sender, Step
from backstay.core.clock import utc_now
from backstay.core.context import ActivityNote, Origin
from backstay.core.feature import Feature, outbox_of, registry_of, schedule_of
from backstay.core.jobs import JobStore, Progress
from backstay.core.messages import Command, Query
from backstay.core.outbox import Outbox, leaving
from backstay.core.pipeline import authorize, prepare_with
from backstay.core.ports import (
    AccessTokens,
    Cache,
    Clock,
    Limiter,
    Metrics,
    Passwords,
    PrincipalChannel,
    RefreshTokens,
    Vitals,
)
from backstay.core.principal import MAX_AGE, SYSTEM, Grant, Principal, PrincipalCache
from backstay.core.query_cache import QueryCache
from backstay.core.representation import Preconditions
from backstay.core.worker import Workplace
from backstay.db import migrate
from backstay.db.activity import AuditTrail
from backstay.db.cursors import Cursors
from backstay.db.engine import EngineOptions
from backstay.db.idempotency import Idempotency
from backstay.db.job_step import finish_job
from backstay.db.job_store import DatabaseJobs
from backstay.db.session import WRITING, Database, Reader
from backstay.db.transaction import transaction_with
from backstay.features import STANDARD
from backstay.features.access.commands import SyncAccess
from backstay.features.access.schemas import declared
from backstay.features.auth.queries import GetPrincipal
from backstay.features.tiers.commands.seeding import EnsureTier
from backstay.features.users.commands.admins import Admin, EnsureAdmin
from backstay.features.users.commands.tiers import GiveTier
from backstay.settings import Settings, decode_key
from backstay.settings.group import Group
from backstay.web.metrics import HttpMetrics


@dataclass(frozen=True, slots=True)
class Backstay:
    """Everything below the edge: what HTTP, the command line and tests send messages through."""

    settings: Settings
    features: tuple[Feature, ...]
    database: Database
    links: RedisLinks
    buses: Buses
    principals: PrincipalCache
    channel: PrincipalChannel
    passwords: Argon2Passwords
    tokens: JwtAccessTokens
    limiter: Limiter
    cache: MemoryCache
    metrics: HttpMetrics
    trail: AuditTrail
    files: LogFiles
    clock: Clock
    workplace: Workplace

    @property
    def system(self) -> Sender:
        """Sends messages as the application itself."""
        return Sender(self.buses, SYSTEM)

    @property
    def cache_is_remote(self) -> bool:
        """Whether to ask the cache may cost a round trip."""
        return bool(self.settings.cache.ttl_seconds) and isinstance(self.cache, RedisCache)

    async def close(self) -> None:
        """Release threads and connections."""
        await self.channel.stop()
        for wakeups in self.workplace.outbox.wakeups:
            await wakeups.stop()
        await self.links.stop()
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
    store, files = DatabaseJobs(database), LogFiles(settings.log.dir)
    tokens = JwtAccessTokens.configured(security, lambda: clock().timestamp())
    metrics, key = HttpMetrics(), decode_key(security.refresh_token_secret.get_secret_value())
    links = RedisLinks(RedisMetrics(metrics.registry))
    cache, limiter = _cache(settings, links, key, metrics), _limiter(settings, links)

    async def load_principal(session_id: UUID) -> Principal | None:
        return await Sender(buses, SYSTEM)(GetPrincipal(session_id=session_id))

    principals = PrincipalCache(load_principal, monotonic=time.monotonic, clock=clock)
    channel = _channel(principals, database, metrics, cache, links.to(settings.redis.address))
    providers = _providers(
        database,
        settings,
        {
            Clock: clock,
            Passwords: passwords,
            AccessTokens: tokens,
            RefreshTokens: HmacRefreshTokens(key),
            Limiter: limiter,
            Cache: cache,
            Metrics: metrics,
            Vitals: DatabaseVitals(
                database, links, store, channel, lambda: migrate.schema_fault(database)
            ),
            JobStore: store,
            Cursors: Cursors(key),
            tuple[Feature, ...]: tuple(features),
        },
    )
    trail = AuditTrail(database, clock, files.activity)
    once = Idempotency(database, clock)
    transaction = transaction_with(database, channel, clock)
    outbox = outbox_of(registry, features, store, wakeups_of(settings, database))
    buses = _buses(registry, providers, transaction, trail, once, _kept(settings, cache), outbox)
    return Backstay(
        settings, tuple(features), database, links, buses, principals, channel, passwords, tokens,
        limiter, cache, metrics, trail, files, clock,
        Workplace(outbox, buses, metrics.jobs.observe, schedule_of(features)),
    )  # fmt: skip


def _cache(settings: Settings, links: RedisLinks, key: bytes, metrics: HttpMetrics) -> MemoryCache:
    link, counted = links.to(settings.redis.cache_address), CacheMetrics(metrics.registry)
    return MemoryCache(counted) if link is None else RedisCache(link, key, counted)


def _kept(settings: Settings, cache: Cache) -> QueryCache:
    version = f"{__version__} {settings.app.version}"
    return QueryCache(cache, settings.cache.ttl_seconds, version)


def _limiter(settings: Settings, links: RedisLinks) -> Limiter:
    if not settings.rate_limit.enabled:
        return NoLimiter()
    link = links.to(settings.redis.rate_limit_address)
    return RedisLimiter(link) if link else MemoryLimiter()


def _told(settings: Settings) -> tuple[Group, ...]:
    """The groups of settings that handlers may ask for."""
    return settings.admin, settings.app, settings.log, settings.rate_limit, settings.security


def _channel(
    principals: PrincipalCache,
    database: Database,
    metrics: HttpMetrics,
    cache: MemoryCache,
    link: RedisLink | None,
) -> PrincipalChannel:
    kind = SqlitePrincipals if database.options.is_sqlite else PostgresPrincipals
    answers = None if isinstance(cache, RedisCache) else cache
    channel = kind(principals, database, metrics.principal_channel, answers)
    if link is None:
        return channel
    commit_seconds = database.options.statement_timeout or MAX_AGE
    return Channels(channel, RedisPrincipals(principals, RedisSignals(link), commit_seconds))


async def seed(backstay: Backstay) -> Admin | None:
    """Bring permissions and roles in line with the code; create what every installation has.

    That is the tier of new users, given to whoever has none, and an administrator if none lives.

    Outside local there is no administrator without ``ADMIN_PASSWORD``: one made up would end in
    the log of a deployment.

    Raises:
        AppError: the administrator's e-mail or username belongs to somebody else.
    """
    admin = backstay.settings.admin
    async with migrate.alone(backstay.database.options):
        await backstay.system(SyncAccess(permissions=declared(backstay.features)))
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


def _buses(
    registry: Registry,
    providers: dict[Any, Provider],
    transaction: Step,
    trail: AuditTrail,
    once: Idempotency,
    kept: QueryCache,
    outbox: Outbox,
) -> Buses:
    """The two pipelines, each from the outside in."""
    prepare = prepare_with(registry, providers)
    around, within = (once.around, trail.around), (finish_job, once.within, trail.within)
    commanding = (*around, authorize, prepare, transaction, *within, kept.touching)
    asking = (trail.around, authorize, kept.cached)
    buses = Buses(
        commands=Bus(Command, registry, commanding, providers | WRITING | leaving(outbox)),
        queries=Bus(Query, registry, asking, providers),
    )
    if registry.faults:
        raise BootError("\n".join(registry.faults))
    return buses


def _providers(
    database: Database, settings: Settings, services: Mapping[Any, Any]
) -> dict[Any, Provider]:
    """Where handler parameters come from, by type: fixed services and the message under way."""
    return {kind: _always(service) for kind, service in services.items()} | {
        **{type(group): _always(group) for group in _told(settings)},
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
