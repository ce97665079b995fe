"""What the feature answers and is told."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict

from backstay.core.feature import Feature
from backstay.core.listing import PAGING, ListQuery
from backstay.core.messages import Message, PermissionSpec, Scope, Source
from backstay.core.principal import Grant


class DeclaredField(BaseModel):
    """A field of a message that a permission guards."""

    model_config = ConfigDict(frozen=True)

    name: str
    source: Source
    type: str


class DeclaredPermission(BaseModel):
    """A permission as the code declares it, with the fields of the messages it guards."""

    model_config = ConfigDict(frozen=True)

    resource: str
    action: str
    operation: str | None
    description: str
    everyone: Scope | None
    key: str
    fields: tuple[DeclaredField, ...]


@dataclass(frozen=True, slots=True)
class Membership:
    """What a user's roles add up to."""

    roles: tuple[str, ...]
    level: int
    is_superuser: bool
    grants: dict[str, Grant]


NO_ROLES = Membership(roles=(), level=0, is_superuser=False, grants={})


def declared(features: Iterable[Feature]) -> tuple[DeclaredPermission, ...]:
    """Every permission that the features declare, with the fields that rules can name."""
    guarded: dict[PermissionSpec, set[DeclaredField]] = {}
    for message in (message for feature in features for message in feature.messages()):
        if isinstance(message.permission, PermissionSpec):
            guarded.setdefault(message.permission, set()).update(_fields_of(message))
    return tuple(
        DeclaredPermission(
            resource=spec.resource,
            action=spec.action,
            operation=spec.operation,
            description=spec.description,
            everyone=spec.everyone,
            key=spec.key,
            fields=tuple(sorted(fields, key=lambda field: (field.source, field.name))),
        )
        for spec, fields in sorted(guarded.items(), key=lambda item: item[0].key)
    )


def _fields_of(message: type[Message[Any]]) -> Iterator[DeclaredField]:
    schema = message.model_json_schema()
    for name, source in message.sources().items():
        if source is Source.PATH or (issubclass(message, ListQuery) and name in PAGING):
            continue
        described = schema["properties"][name]
        if source is Source.JSON:
            yield from _described(name, source, described, schema.get("$defs", {}))
        else:
            yield DeclaredField(name=name, source=source, type=_type_of(described))


def _described(
    path: str, source: Source, described: dict[str, Any], defs: dict[str, Any]
) -> Iterator[DeclaredField]:
    """A field and, where it is an object, those inside it by path."""
    yield DeclaredField(name=path, source=source, type=_type_of(described))
    for option in (described, described.get("items", {}), *described.get("anyOf", ())):
        inner = defs.get(str(option.get("$ref", "")).rpartition("/")[2], {})
        for name, nested in inner.get("properties", {}).items():
            yield from _described(f"{path}.{name}", source, nested, defs)


def _type_of(described: dict[str, Any]) -> str:
    options = [described, *described.get("anyOf", ())]
    types = [option.get("format") or option.get("type") for option in options]
    return next((t for t in types if t and t != "null"), "object")
