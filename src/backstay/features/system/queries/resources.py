"""What may be asked of which resource."""

from asyncio import to_thread
from collections import defaultdict
from inspect import getdoc
from typing import Any

from backstay.core.bus import handles
from backstay.core.caching import Cached
from backstay.core.feature import Feature
from backstay.core.introspection import fields_of
from backstay.core.messages import Command, Message, Query
from backstay.core.permissions import PermissionSpec
from backstay.core.principal import Grant, Principal
from backstay.features.system.schemas.resources import (
    EditableResources,
    MessageEntry,
    OperationEntry,
    ResourceEntry,
)
from backstay.settings import AppSettings


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
