"""Chooses the adapter of each port by the settings."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from backstay.caching.memory import MemoryCache
from backstay.caching.redis import RedisCache, Signer
from backstay.composition.minutes import MinuteKeeper
from backstay.composition.replacing import Replacements
from backstay.composition.telemetry import tracer_for
from backstay.core.jobs import JobNotifier
from backstay.core.mail import Mailbox, Mailer, MailTemplates, MailTokens, NoMailer
from backstay.core.ports import AccessTokens, BreachedPasswords, Cache, Clock, PrincipalChannel
from backstay.core.rates import Limiter
from backstay.core.tracing import Tracer
from backstay.db.database import Database
from backstay.db.listener import Listener, PostgresListener, SqliteListener
from backstay.db.maintenance import MaintenanceMode
from backstay.db.options import EngineOptions
from backstay.jobs.notify import BrokerNotifier, ListeningNotifier
from backstay.limits.memory import MemoryLimiter, NoLimiter
from backstay.limits.redis import RedisLimiter
from backstay.mailing.templates import JinjaMailTemplates, mail_folders
from backstay.mailing.tokens import HmacMailTokens
from backstay.observability.log_files import LogFiles
from backstay.observability.metrics import PrometheusMetrics
from backstay.principals.cache import MAX_AGE, PrincipalCache
from backstay.principals.channel import DatabasePrincipals, PostgresPrincipals
from backstay.principals.channel_redis import RedisPrincipals
from backstay.redis.client import RedisLink, RedisLinks
from backstay.redis.traced import TracedLink
from backstay.security.access_tokens import JwtAccessTokens
from backstay.security.breached_passwords import BreachedPasswordFiles
from backstay.security.passwords import Argon2Passwords
from backstay.settings import MailSettings, Settings, decode_key


@dataclass(frozen=True)
class Adapters:
    """The adapters between the application and the outside.

    ``key`` signs what clients keep, such as cursors. ``answers`` is the cache if it is in this
    process, and None if it is on Redis.
    """

    clock: Clock
    key: bytes
    database: Database
    listener: Listener
    maintenance: MaintenanceMode
    links: RedisLinks
    metrics: PrometheusMetrics
    minutes: MinuteKeeper
    passwords: Argon2Passwords
    breached: BreachedPasswords
    tokens: AccessTokens
    limiter: Limiter
    cache: Cache
    answers: MemoryCache | None
    job_notifiers: tuple[JobNotifier, ...]
    files: LogFiles
    tracer: Tracer


def adapters_for(
    settings: Settings, clock: Clock, own: Replacements, *, for_requests: bool
) -> Adapters:
    """The adapters that the project or the settings ask for, not yet connected."""
    options = EngineOptions.of(settings)
    if not for_requests:
        options = replace(options, read_timeout=options.statement_timeout)
    metrics, database = PrometheusMetrics(), Database(options)
    metrics.database.follow(database)
    listener = SqliteListener(database) if options.is_sqlite else PostgresListener(database)
    maintenance = MaintenanceMode(database, listener, refuses=for_requests)
    tracer = tracer_for(settings, database)
    link = partial(TracedLink, tracer) if tracer.records else RedisLink
    links = RedisLinks(metrics.registry, link)
    key = decode_key(settings.security.refresh_token_secret.get_secret_value())
    cache, answers = own.get(Cache), None
    if cache is None:
        cache, answers = _cache(settings, links, key, metrics.registry)
    return Adapters(
        clock=clock,
        key=key,
        database=database,
        listener=listener,
        maintenance=maintenance,
        links=links,
        metrics=metrics,
        minutes=MinuteKeeper(database, metrics, maintenance, clock),
        passwords=Argon2Passwords(),
        breached=own.get(BreachedPasswords)
        or BreachedPasswordFiles(settings.security.breached_passwords_file),
        tokens=own.get(AccessTokens)
        or JwtAccessTokens.configured(settings.security, lambda: clock().timestamp()),
        limiter=own.get(Limiter) or _limiter(settings, links, key),
        cache=cache,
        answers=answers,
        job_notifiers=_job_notifiers(settings, listener, metrics),
        files=LogFiles(settings.log.dir),
        tracer=tracer,
    )


def channel_for(
    settings: Settings, adapters: Adapters, principals: PrincipalCache
) -> PrincipalChannel:
    """How processes learn of changed principals: by the database, and by Redis if configured."""
    database, listener = adapters.database, adapters.listener
    report, answers = adapters.metrics.principal_channel, adapters.answers
    channel = (
        PostgresPrincipals(principals, listener, report, answers, database)
        if isinstance(listener, PostgresListener)
        else DatabasePrincipals(principals, listener, report, answers)
    )
    link = adapters.links.to(settings.redis.address)
    if link is None:
        return channel
    commit_seconds = database.options.statement_timeout or MAX_AGE
    return RedisPrincipals(channel, principals, link, Signer(adapters.key).name, commit_seconds)


def mail_for(
    settings: Settings, key: bytes, clock: Clock, templates: Path | None = None
) -> dict[Any, Any]:
    """By port: what writes and sends mail. The mailbox page exists in ``local`` only.

    ``key`` signs the tokens in mailed links; ``templates`` is the application's folder.
    """
    mail, sender = settings.mail, settings.mail.sender_of(settings.app)
    mailer = _mailer(mail, sender, clock)
    return {
        Mailer: mailer,
        MailTemplates: JinjaMailTemplates(
            settings.app.name, *mail_folders(templates, mail.templates_dir)
        ),
        MailTokens: HmacMailTokens(key),
        Mailbox | None: mailer if settings.is_local and mail.chosen == "file" else None,
    }


def _mailer(mail: MailSettings, sender: str, clock: Clock) -> Mailer:
    """The mailer of the configured backend; no other one is imported."""
    if mail.chosen == "smtp":
        from backstay.mailing.smtp import SmtpMailer

        return SmtpMailer(mail, sender, clock)
    if mail.chosen is None:
        return NoMailer()
    from backstay.mailing.local import ConsoleMailer, FileMailer

    return (
        ConsoleMailer() if mail.chosen == "console" else FileMailer(Path(mail.dir), sender, clock)
    )


def _limiter(settings: Settings, links: RedisLinks, key: bytes) -> Limiter:
    if not settings.rate_limit.enabled:
        return NoLimiter()
    link = links.to(settings.redis.rate_limit_address)
    return RedisLimiter(link, Signer(key).name) if link else MemoryLimiter()


def _cache(
    settings: Settings, links: RedisLinks, key: bytes, registry: CollectorRegistry
) -> tuple[Cache, MemoryCache | None]:
    link = links.to(settings.redis.cache_address)
    if link is not None:
        return RedisCache(link, key, registry), None
    answers = MemoryCache(registry)
    return answers, answers


def _job_notifiers(
    settings: Settings, listener: Listener, metrics: PrometheusMetrics
) -> tuple[JobNotifier, ...]:
    """PostgreSQL, if that is the database, and the broker, if one is configured."""
    url = settings.queue.url
    broker = (BrokerNotifier(url.get_secret_value(), metrics.jobs.broker),) if url else ()
    if not isinstance(listener, PostgresListener):
        return broker
    return ListeningNotifier(listener, "postgresql"), *broker
