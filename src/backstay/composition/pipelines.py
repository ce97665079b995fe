"""Lists the steps of both pipelines in order, and the providers of handlers' parameters."""

from collections.abc import Container, Mapping
from functools import partial
from operator import attrgetter
from typing import Any

from backstay import __version__
from backstay.caching.steps import QueryCache
from backstay.composition.adapters import Adapters
from backstay.composition.replacing import provided_twice
from backstay.core.bus import Bus, authorize, conditional
from backstay.core.context import ActivityNote, Context, Origin, Sender
from backstay.core.jobs import Progress
from backstay.core.messages import Command, Query
from backstay.core.permissions import PermissionSpec
from backstay.core.ports import PrincipalChannel
from backstay.core.principal import Grant, Principal
from backstay.core.proof import demanding_proof
from backstay.core.registry import Provider, Registry
from backstay.core.representation import Preconditions
from backstay.core.uploads import receive
from backstay.db.activity import AuditTrail
from backstay.db.database import Database
from backstay.db.idempotency import Idempotency
from backstay.db.maintenance import MaintenanceMode, MaintenanceSwitch
from backstay.db.paging import Cursors, Paginator
from backstay.db.session import WRITING, Reader, Transaction
from backstay.db.transaction import Transactions
from backstay.jobs.outbox import Jobs, Outbox
from backstay.jobs.purging import Purge
from backstay.jobs.step import finish_job
from backstay.settings import Settings, SettingsReport
from backstay.settings.fields import SettingsGroup


def bus_for(
    settings: Settings,
    registry: Registry,
    adapters: Adapters,
    channel: PrincipalChannel,
    trail: AuditTrail,
    outbox: Outbox,
    services: Mapping[Any, Any],
    provided: Mapping[Any, Any],
) -> Bus:
    """The bus of commands and queries, each with its steps in the order in which they begin."""
    providers = _providers(adapters, settings, services)
    maintenance = adapters.maintenance
    writing = providers | WRITING | outbox.providers() | _chores(outbox, maintenance)
    registry.hint_of = partial(_hint_of, writing.keys() - providers.keys())
    bus = Bus(registry, adapters.tracer)
    own = {kind: _always(each) for kind, each in provided.items()}
    prepare = bus.prepare_with(own | providers)
    transactions = Transactions(adapters.database, channel, adapters.clock)
    retries = Idempotency(adapters.database, adapters.clock)
    version = f"{__version__} {settings.app.version}"
    demand_proof = demanding_proof(adapters.clock)
    kept = QueryCache(adapters.cache, settings.cache.ttl_seconds, version)
    command_steps = (
        retries.hold,  # refuses a request while this process runs one with the same Idempotency-Key
        trail.note_refusal,  # records a failure in the audit trail, after the rollback
        authorize,  # checks the grant, its field rules and the rules of the message
        demand_proof,  # refuses a sender who has not proven lately enough who they are
        maintenance.refuse_writes,  # refuses it during maintenance, unless an answer may be stored
        receive,  # receives the upload of the command, and removes its file in the end
        prepare,  # does slow work, such as hashing, before a connection is taken
        transactions.transaction,  # commits before the response is made
        retries.replay,  # returns the stored answer of an Idempotency-Key, else stores this one
        maintenance.refuse_writes,  # refuses it if that began meanwhile, or no answer was stored
        finish_job,  # marks the job that sent the command as done, in the same transaction
        trail.record,  # records a success in the audit trail, in the same transaction
        kept.outdate,  # drops cached answers that the command outdates, after the commit
        conditional,  # refuses `If-None-Match: *` if the handler found the resource
    )
    query_steps = (
        trail.note_refusal,  # records a refusal in the audit trail
        authorize,  # checks the grant, its field rules and the rules of the message
        demand_proof,  # refuses a sender who has not proven lately enough who they are
        kept.answer,  # returns a cached answer, else caches this one
    )
    registry.faults += provided_twice(provided, writing)
    bus.route(Command, command_steps, own | writing)
    bus.route(Query, query_steps, own | providers)
    return bus


def _chores(outbox: Outbox, maintenance: MaintenanceMode) -> dict[Any, Provider]:
    """By type: what handlers of commands get to take care of the application itself."""
    return {
        MaintenanceSwitch: lambda context: MaintenanceSwitch(context, maintenance),
        Purge: lambda context: Purge(context, Jobs(outbox, context)),
    }


def _providers(
    adapters: Adapters, settings: Settings, services: Mapping[Any, Any]
) -> dict[Any, Provider]:
    """By type: fixed services, groups of settings, and values of the message being handled."""
    return {kind: _always(service) for kind, service in services.items()} | {
        **{type(group): _always(group) for group in _settings_groups(settings)},
        SettingsReport: _always(settings.report),
        Reader: adapters.database.reader_of,
        Paginator: _paginating(adapters.database, Cursors(adapters.key)),
        Principal: attrgetter("principal"),
        Grant: attrgetter("grant"),
        ActivityNote: attrgetter("note"),
        Origin: attrgetter("origin"),
        Progress: lambda context: Progress(context.origin.job),
        Preconditions: attrgetter("origin.preconditions"),
        Sender: lambda context: context.sender.inside(context),
    }


def _hint_of(of_commands: Container[Any], kind: Any) -> str | None:
    """How a handler gets a parameter that nobody provides; ``of_commands`` only theirs get."""
    name = getattr(kind, "__name__", repr(kind))
    if kind in of_commands:
        hint = f"Only the handler of a command gets its {name}."
        return f"{hint} Read with a Reader." if kind is Transaction else hint
    if not (isinstance(kind, type) and issubclass(kind, SettingsGroup)):
        return None
    if kind.__module__.startswith("backstay."):
        return f"Handlers do not get the package's {name}: declare a group of your own."
    return f"List it in `settings=` of the application: Application(..., settings=({name},))."


def _paginating(database: Database, cursors: Cursors) -> Provider:
    def paginator_of(context: Context) -> Paginator:
        has_grant = isinstance(context.message.permission, PermissionSpec)
        grant = context.grant if has_grant else None
        reader, principal = database.reader_of(context), context.principal
        return Paginator(reader, cursors, principal, grant, renders=context.renders)

    return paginator_of


def _settings_groups(settings: Settings) -> tuple[SettingsGroup, ...]:
    """The groups of settings that handlers may take as parameters."""
    groups = settings.admin, settings.app, settings.backup, settings.log, settings.mail
    return (*groups, settings.rate_limit, settings.security, *settings.added)


def _always(service: Any) -> Provider:
    return lambda context: service
