"""The manifest of a feature: everything the composition root needs to know about one folder."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from backstay.core.bus import Registry
from backstay.core.catalog import Catalog
from backstay.core.messages import SYSTEM_ONLY, Command, Message, PermissionSpec, Query, View
from backstay.core.outbox import answer_event
from backstay.core.schedule import Scheduled


class PersonalData(Query[tuple[View, ...]]):
    """The base of the question what a feature holds about a person; the answer is told to them."""

    permission = SYSTEM_ONLY
    takes_long = True

    user_id: UUID


class Operation(NamedTuple):
    """How a message is sent over HTTP; ``name`` is the operation id.

    ``has_tier_limit`` tells whether a tier may say how often.
    """

    message: type[Message[Any]]
    name: str
    method: str
    path: str
    has_tier_limit: bool


class RouteTable(Protocol):
    """Where messages are reached over HTTP; the edge knows more of it."""

    def operations(self, root_path: str) -> Iterator[Operation]:
        """Every row, under the root path of the application."""
        ...

    def build(self, root_path: str) -> Sequence[Any]:
        """The routes, ready to be appended to an application."""
        ...


@dataclass(frozen=True, slots=True)
class Feature:
    """One folder with everything of one noun.

    Attributes:
        modules: the modules with messages and their handlers.
        routes: the route tables, for the edge.
        exports: what it holds about a person, each kind with the question for it.
        schedule: what the application sends itself by the clock; see :mod:`backstay.core.schedule`.
        tasks: the commands that may be started as jobs over HTTP, by name.
        requires: names of the features whose messages, events and schemas it uses.
        foundation: whether it can not be switched off.
    """

    name: str
    modules: tuple[ModuleType, ...] = ()
    routes: tuple[RouteTable, ...] = ()
    exports: Mapping[str, type[PersonalData]] = field(default_factory=dict)
    schedule: tuple[Scheduled, ...] = ()
    tasks: Mapping[str, type[Command[Any]]] = field(default_factory=dict)
    requires: tuple[str, ...] = ()
    foundation: bool = False

    def messages(self) -> Iterator[type[Message[Any]]]:
        """Every message class that the feature declares."""
        for module in self.modules:
            for name, value in vars(module).items():
                if (
                    _is_message(value)
                    and value.__module__ == module.__name__
                    and name.isidentifier()
                ):
                    yield value

    def functions(self) -> Iterator[Callable[..., Any]]:
        """Every function of its modules, handlers and preparers among them."""
        for module in self.modules:
            for value in vars(module).values():
                if inspect.isfunction(value) and value.__module__ == module.__name__:
                    yield value

    def permissions(self) -> set[PermissionSpec]:
        """The permissions that its messages declare."""
        return {p for m in self.messages() if isinstance(p := m.permission, PermissionSpec)}


def _is_message(value: Any) -> bool:
    return inspect.isclass(value) and issubclass(value, (Command, Query))


def features_of(package: str, *names: str) -> tuple[Feature, ...]:
    """The manifests of the named folders of a package, in that order."""
    return tuple(import_module(f"{package}.{name}").feature for name in names)


def registry_of(features: Sequence[Feature]) -> Registry:
    """The handlers of all features, with the faults of what is declared and required."""
    functions = (function for feature in features for function in feature.functions())
    registry = Registry((answer_event, *functions))
    registry.check(message for feature in features for message in feature.messages())
    seen: set[str] = set()
    for feature in features:
        if feature.name in seen:
            registry.faults.append(f"feature {feature.name}: listed twice")
        registry.faults += [
            f"feature {feature.name}: requires {name}, which must be listed before it"
            for name in feature.requires
            if name not in seen
        ]
        seen.add(feature.name)
    return registry


def catalog_of(registry: Registry, features: Sequence[Feature]) -> Catalog:
    """What jobs can be made of; faults of what features want as jobs are noted in the registry."""
    catalog = Catalog(m for m in registry.handlers if issubclass(m, Command))
    registry.faults += [*catalog.faults, *_job_faults(features, catalog)]
    return catalog


def _job_faults(features: Sequence[Feature], catalog: Catalog) -> Iterator[str]:
    scheduled = [(each.name, type(each.command)) for f in features for each in f.schedule]
    tasks = [pair for feature in features for pair in feature.tasks.items()]
    for what, pairs in (("schedule", scheduled), ("task", tasks)):
        names = [name for name, _ in pairs]
        yield from (f"{what} {n}: declared twice" for n in sorted(set(names)) if names.count(n) > 1)
        yield from (f"{what} {n}: {fault}" for n, c in pairs if (fault := catalog.fault(c)))
