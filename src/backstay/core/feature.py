"""The manifest of a feature: everything the composition root needs to know about one folder."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from backstay.core.messages import Command, Message, Query, View
from backstay.core.permissions import SYSTEM_ONLY, PermissionSpec
from backstay.core.schedule import Scheduled
from backstay.core.wiring import Place, WiringFault, calling_place


class PersonalData(Query[tuple[View, ...]]):
    """The base of the question what a feature holds about a person; the answer is told to them."""

    permission = SYSTEM_ONLY
    takes_long = True

    user_id: UUID


class Operation(NamedTuple):
    """How a message is sent over HTTP; ``name`` is the operation id.

    ``has_tier_limit`` tells whether a tier may say how often, ``place`` where the row is written.
    """

    message: type[Message[Any]]
    name: str
    method: str
    path: str
    has_tier_limit: bool
    place: Place


class RouteTable(Protocol):
    """Where messages are reached over HTTP; the edge knows more of it.

    ``tag`` names it in the description of the API, ``about`` says in a sentence what it is for.
    """

    tag: str
    about: str
    place: Place

    def operations(self, root_path: str) -> Iterator[Operation]:
        """Every row, under the root path of the application."""
        ...

    def build(self, root_path: str) -> Sequence[Any]:
        """The routes, ready to be appended to an application."""
        ...

    def faults(self) -> Iterator[WiringFault]:
        """What is wrong with single rows."""
        ...


@dataclass(frozen=True, slots=True)
class Feature:
    """One folder with everything of one noun.

    Attributes:
        modules: the modules with messages and their handlers.
        routes: the route tables, for the edge.
        personal_data: what it holds about a person, each kind with the question for it.
        schedule: what the application sends itself by the clock; see :mod:`backstay.core.schedule`.
        tasks: the commands that may be started as jobs over HTTP, by name.
        requires: names of the features whose messages, events and schemas it uses.
        foundation: whether it can not be switched off.
        place: where the manifest is written.
    """

    name: str
    modules: tuple[ModuleType, ...] = ()
    routes: tuple[RouteTable, ...] = ()
    personal_data: Mapping[str, type[PersonalData]] = field(default_factory=dict)
    schedule: tuple[Scheduled, ...] = ()
    tasks: Mapping[str, type[Command[Any]]] = field(default_factory=dict)
    requires: tuple[str, ...] = ()
    foundation: bool = False
    place: Place = field(default_factory=calling_place, compare=False, repr=False)

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
