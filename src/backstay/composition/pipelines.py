"""The two pipelines, each step in its place, and where the parameters of handlers come from."""

from collections.abc import Mapping
from typing import Any

from backstay import __version__
from backstay.caching.steps import QueryCache
from backstay.composition.adapters import Adapters
from backstay.core.bus import Bus
from backstay.core.context import ActivityNote, Buses, Context, Origin, Sender
from backstay.core.jobs import Progress
from backstay.core.messages import Command, Query
from backstay.core.permissions import PermissionSpec
from backstay.core.pipeline import authorize, conditional, prepare_with
from backstay.core.ports import PrincipalChannel
from backstay.core.principal import Grant, Principal
from backstay.core.registry import Provider, Registry
from backstay.core.representation import Preconditions
from backstay.db.activity import AuditTrail
from backstay.db.cursors import Cursors
from backstay.db.idempotency import Idempotency
from backstay.db.listing import Paginator
from backstay.db.session import WRITING, Database, Reader
from backstay.db.transaction import transaction_with
from backstay.jobs.outbox import Jobs, Outbox, outbox_providers
from backstay.jobs.purging import Purge
from backstay.jobs.step import finish_job
from backstay.settings import Settings
from backstay.settings.group import Group


def buses_for(
    settings: Settings,
    registry: Registry,
    adapters: Adapters,
    channel: PrincipalChannel,
    trail: AuditTrail,
    outbox: Outbox,
    services: Mapping[Any, Any],
) -> Buses:
    """Commands and queries, each with its steps in the order in which they begin."""
    providers = _providers(adapters, settings, services)
    prepare = prepare_with(registry, providers)
    transaction = transaction_with(adapters.database, channel, adapters.clock)
    retries = Idempotency(adapters.database, adapters.clock)
    version = f"{__version__} {settings.app.version}"
    kept = QueryCache(adapters.cache, settings.cache.ttl_seconds, version)
    command_steps = (
        retries.hold,  # of requests with one Idempotency-Key, one at a time
        trail.note_refusal,  # what fails is noted, after the rollback
        authorize,  # the grant, its field rules, the rules of the message
        prepare,  # what is slow, such as hashing, while no connection is held
        transaction,  # committed before the answer exists
        retries.replay,  # for a known Idempotency-Key its stored answer, else this one is stored
        finish_job,  # the job that sent the command is done with this commit, or not at all
        trail.record,  # what succeeds is noted in the same commit
        kept.outdate,  # kept answers that show what changes are forgotten after the commit
        conditional,  # a request that wants nothing to be there, where something is, is refused
    )
    query_steps = (
        trail.note_refusal,  # what is forbidden is noted
        authorize,  # the grant, its field rules, the rules of the message
        kept.answer,  # an answer that is kept, else this one is kept
    )
    writing = providers | WRITING | outbox_providers(outbox) | _purging(outbox)
    return Buses(
        commands=Bus(Command, registry, command_steps, writing),
        queries=Bus(Query, registry, query_steps, providers),
    )


def _providers(
    adapters: Adapters, settings: Settings, services: Mapping[Any, Any]
) -> dict[Any, Provider]:
    """By type: fixed services, groups of settings, and what is about the message under way."""
    return {kind: _always(service) for kind, service in services.items()} | {
        **{type(group): _always(group) for group in _told(settings)},
        Reader: adapters.database.reader_of,
        Paginator: _paginating(adapters.database, Cursors(adapters.key)),
        Principal: lambda context: context.principal,
        Grant: lambda context: context.grant,
        ActivityNote: lambda context: context.note,
        Origin: lambda context: context.origin,
        Progress: lambda context: Progress(context.origin.job),
        Preconditions: lambda context: context.origin.preconditions,
        Sender: lambda context: context.sender.inside(context),
    }


def _paginating(database: Database, cursors: Cursors) -> Provider:
    def paginator_of(context: Context) -> Paginator:
        has_grant = isinstance(context.message.permission, PermissionSpec)
        grant = context.grant if has_grant else None
        return Paginator(database.reader_of(context), cursors, context.principal, grant)

    return paginator_of


def _purging(outbox: Outbox) -> dict[Any, Provider]:
    return {Purge: lambda context: Purge(context, Jobs(outbox, context))}


def _told(settings: Settings) -> tuple[Group, ...]:
    """The groups of settings that handlers may ask for."""
    told = settings.admin, settings.app, settings.log, settings.mail, settings.rate_limit
    return (*told, settings.security)


def _always(service: Any) -> Provider:
    return lambda context: service
