"""Which adapter stands for which port: the settings say."""

from dataclasses import dataclass

from backstay.adapters.cache_memory import MemoryCache
from backstay.adapters.cache_metrics import CacheMetrics
from backstay.adapters.cache_redis import RedisCache
from backstay.adapters.cache_seal import Seal
from backstay.adapters.limiter_memory import MemoryLimiter
from backstay.adapters.limiter_off import NoLimiter
from backstay.adapters.limiter_redis import RedisLimiter
from backstay.adapters.log_files import LogFiles
from backstay.adapters.metrics_prometheus import PrometheusMetrics
from backstay.adapters.passwords_argon2 import Argon2Passwords
from backstay.adapters.principals_channels import Channels
from backstay.adapters.principals_postgres import PostgresPrincipals
from backstay.adapters.principals_redis import RedisPrincipals
from backstay.adapters.principals_sqlite import SqlitePrincipals
from backstay.adapters.redis_links import RedisLinks
from backstay.adapters.redis_metrics import RedisMetrics
from backstay.adapters.tokens_jwt import JwtAccessTokens
from backstay.adapters.wakeups import wakeups_of
from backstay.core.jobs import Wakeups
from backstay.core.ports import Clock, Limiter, PrincipalChannel
from backstay.core.principal_cache import MAX_AGE, PrincipalCache
from backstay.db.engine import EngineOptions
from backstay.db.session import Database
from backstay.settings import Settings, decode_key


@dataclass(frozen=True, slots=True)
class Adapters:
    """Everything between the application and the outside. ``key`` signs what clients keep."""

    clock: Clock
    key: bytes
    database: Database
    links: RedisLinks
    metrics: PrometheusMetrics
    passwords: Argon2Passwords
    tokens: JwtAccessTokens
    limiter: Limiter
    cache: MemoryCache
    wakeups: tuple[Wakeups, ...]
    files: LogFiles


def adapters_for(settings: Settings, clock: Clock) -> Adapters:
    """The adapters that the settings ask for, none of them connected yet."""
    metrics, database = PrometheusMetrics(), Database(engine_options(settings))
    links = RedisLinks(RedisMetrics(metrics.registry))
    key = decode_key(settings.security.refresh_token_secret.get_secret_value())
    return Adapters(
        clock=clock,
        key=key,
        database=database,
        links=links,
        metrics=metrics,
        passwords=Argon2Passwords(),
        tokens=JwtAccessTokens.configured(settings.security, lambda: clock().timestamp()),
        limiter=_limiter(settings, links, key),
        cache=_cache(settings, links, key, CacheMetrics(metrics.registry)),
        wakeups=wakeups_of(settings, database),
        files=LogFiles(settings.log.dir),
    )


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


def channel_for(
    settings: Settings, adapters: Adapters, principals: PrincipalCache
) -> PrincipalChannel:
    """How processes hear of one another's changes: by the database, and by Redis if there is."""
    database, cache = adapters.database, adapters.cache
    kind = SqlitePrincipals if database.options.is_sqlite else PostgresPrincipals
    answers = None if isinstance(cache, RedisCache) else cache
    channel = kind(principals, database, adapters.metrics.principal_channel, answers)
    link = adapters.links.to(settings.redis.address)
    if link is None:
        return channel
    commit_seconds = database.options.statement_timeout or MAX_AGE
    return Channels(
        channel,
        RedisPrincipals(principals, link, Seal(adapters.key).name, commit_seconds),
    )


def _limiter(settings: Settings, links: RedisLinks, key: bytes) -> Limiter:
    if not settings.rate_limit.enabled:
        return NoLimiter()
    link = links.to(settings.redis.rate_limit_address)
    return RedisLimiter(link, Seal(key).name) if link else MemoryLimiter()


def _cache(settings: Settings, links: RedisLinks, key: bytes, metrics: CacheMetrics) -> MemoryCache:
    link = links.to(settings.redis.cache_address)
    return MemoryCache(metrics) if link is None else RedisCache(link, key, metrics)
