"""The manifest of a feature: all that the composition root needs to know about one folder."""

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from inspect import getattr_static
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from backstay.core.messages import Command, Message, Query, View
from backstay.core.permissions import SYSTEM_ONLY
from backstay.core.registry import HandlerSource
from backstay.core.schedule import Scheduled
from backstay.core.targets import Finder
from backstay.core.wiring import BootError, Code, Flaw, Place

NAMES = ("messages", "commands", "queries", "events", "parts", "routes")
"""The modules of a feature that are found by their names; routes of parts come first, so that
`/{id}` hides none of them."""


class PersonalData(Query[tuple[View, ...]]):
    """The base of queries for the data that a feature holds about a person, who gets the answer."""

    permission = SYSTEM_ONLY
    takes_long = True

    user_id: UUID


class Operation(NamedTuple):
    """How a message is sent over HTTP; ``name`` is the operation id.

    ``has_tier_limit`` tells whether a tier may set a rate for it; ``place`` is where the row of the
    table is written. Of one that ``has_endpoint``, a function of its own handles the requests.
    """

    message: type[Message[Any]]
    name: str
    method: str
    path: str
    has_tier_limit: bool
    place: Place
    has_endpoint: bool = False


class RouteTable(Protocol):
    """A table of routes, as far as the core needs it; the HTTP edge has the class.

    ``tag`` is its name in the description of the API, ``about`` a sentence on its purpose.
    """

    tag: str
    about: str
    place: Place

    def operations(self, root_path: str) -> Iterator[Operation]:
        """Every row, with paths that begin with the root path of the application."""
        ...

    def build(self, root_path: str) -> Sequence[Any]:
        """The routes, ready to be added to an application."""
        ...

    def faults(self) -> Iterator[Flaw]:
        """The wiring faults of single rows."""
        ...


@dataclass(frozen=True, slots=True)
class Feature:
    """One folder with everything that belongs to one noun: ``Feature("orders", __name__)``.

    Attributes:
        package: the name of the package, or of the one module, whose ``messages``, ``commands``,
            ``queries``, ``events``, ``parts`` and ``routes`` are found by their names.
        modules: further modules with messages and their handlers.
        routes: further route tables, for the HTTP edge.
        personal_data: the queries for data about a person, by the name of the kind of data.
        schedule: the commands that the application sends itself by the clock; see
            :mod:`backstay.core.schedule`.
        tasks: the commands that may be started as jobs over HTTP, by name.
        requires: names of the features whose messages, events and schemas it uses.
        foundation: whether the feature cannot be switched off.
        place: where the manifest is written.
        faults: what is wrong with its package.
    """

    name: str
    package: str | None = None
    modules: tuple[ModuleType, ...] = ()
    routes: tuple[RouteTable, ...] = ()
    personal_data: Mapping[str, type[PersonalData]] = field(default_factory=dict)
    schedule: tuple[Scheduled, ...] = ()
    tasks: Mapping[str, type[Command[Any]]] = field(default_factory=dict)
    requires: tuple[str, ...] = ()
    foundation: bool = False
    place: Place = field(default_factory=Place.of_caller, compare=False, repr=False)
    faults: tuple[Flaw, ...] = field(default=(), init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.package is None:
            return
        if not _is_package(self.package):
            problem = f"The feature {self.name} is of the package {self.package}, which is none."
            hint = f'Write Feature("{self.name}", __name__): the name, then the package.'
            if _is_package(self.name):
                hint = f'Write Feature("{self.package}", __name__): the name comes first.'
            flaw = Flaw(Code.FEATURE_PACKAGE, problem, hint).of(self)
            object.__setattr__(self, "faults", (flaw,))
            return
        found = list(_modules_of(self.package))
        tables = [each for module in found for each in _tables_of(module)]
        modules = [module for module in found if not module.__name__.endswith(".routes")]
        for name, more in (("modules", modules), ("routes", tables)):
            given = getattr(self, name)
            if isinstance(given, tuple | list):  # anything else is refused at boot
                object.__setattr__(self, name, (*more, *given))

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
        """Every function of its modules, including handlers and preparers."""
        yield from self._written()
        yield from (source.handler for source in self.handler_sources())

    def handler_sources(self) -> Iterator[HandlerSource]:
        """What handles a message of this feature that none of its functions handles."""
        handled = {getattr(function, "__handles__", None) for function in self._written()}
        for source in self.declared_sources():
            if vars(source.handler)["__handles__"] not in handled:
                yield source

    def declared_sources(self) -> Iterator[HandlerSource]:
        """What handles a message, or only helps the function that does."""
        for module in self.modules:
            for value in vars(module).values():
                if isinstance(value, HandlerSource) and value.place.module == module.__name__:
                    yield value

    def _written(self) -> Iterator[Callable[..., Any]]:
        for module in self.modules:
            for value in vars(module).values():
                if inspect.isfunction(value) and value.__module__ == module.__name__:
                    yield value

    def finders(self) -> Iterator[Finder]:
        """What finds the rows for its handlers: all that its modules name, imported or not."""
        for module in self.modules:
            yield from (value for value in vars(module).values() if isinstance(value, Finder))


def features_of(package: str) -> tuple[Feature, ...]:
    """The features of the folders and modules of a package, each after those that it requires.

    ``features_of("shop.features")`` holds ``shop.features.orders.feature``, and so on. A name that
    begins with ``_`` is no feature.

    Raises:
        BootError: there is no such package, or something in it has no `feature`; it has each of
            them.
    """
    found: list[Feature] = []
    faults = []
    for name, is_module in _homes(package):
        made = getattr(import_module(f"{package}.{name}"), "feature", None) if is_module else None
        if isinstance(made, Feature):
            found.append(made)
            continue
        lacks = "has no `feature`" if is_module else "has no `__init__.py`"
        problem = f"{package}.{name} {lacks}, and everything in {package} is a feature."
        where = "there" if is_module else f"into {name}/__init__.py"
        hint = f'Write `feature = Feature("{name}", __name__)` {where}, or call it _{name}.'
        faults.append(Flaw(Code.FEATURE_NOT_FOUND, problem, hint, str(Place.of_caller())))
    if faults:
        raise BootError(faults)
    return tuple(_each_after_required(found))


def _homes(package: str) -> Iterator[tuple[str, bool]]:
    """What a package holds, by name, and whether Python can import it."""
    try:
        folders = find_spec(package)
    except ModuleNotFoundError:
        folders = None
    if folders is None or folders.submodule_search_locations is None:
        problem = f"There is no package {package}, of which features are asked."
        hint = "Correct the name, or make the folder with an `__init__.py`."
        raise BootError([Flaw(Code.FEATURE_NOT_FOUND, problem, hint, str(Place.of_caller()))])
    homes = {each.name: True for each in iter_modules(folders.submodule_search_locations)}
    for folder in map(Path, folders.submodule_search_locations):
        for each in folder.iterdir():
            if each.name.isidentifier() and any(each.glob("*.py")):
                homes.setdefault(each.name, False)
    return ((name, homes[name]) for name in sorted(homes) if not name.startswith("_"))


def _each_after_required(features: Sequence[Feature]) -> list[Feature]:
    """The same features in an order that a manifest may have; a circle is refused at boot."""
    by_name = {each.name: each for each in features}
    ordered: list[Feature] = []
    begun: set[int] = set()

    def add(feature: Feature) -> None:
        if id(feature) not in begun:
            begun.add(id(feature))
            for name in feature.requires:
                if name in by_name:
                    add(by_name[name])
            ordered.append(feature)

    for each in features:
        add(each)
    return ordered


def _is_package(name: str) -> bool:
    return name in sys.modules


def _modules_of(package: str) -> Iterator[ModuleType]:
    """The modules of a feature's package that have a usual name, or the one module itself.

    Where such a name is a package, too, all its modules are meant.
    """
    home = sys.modules[package]
    folder = getattr(home, "__path__", None)
    if folder is None:
        yield home
        return
    for name in NAMES:
        if any(each.name == name for each in iter_modules(folder)):
            module = import_module(f"{package}.{name}")
            yield module
            for each in iter_modules(getattr(module, "__path__", ())):
                yield import_module(f"{module.__name__}.{each.name}")


def _tables_of(module: ModuleType) -> Iterator[RouteTable]:
    """The route tables that a module makes, in their order; imported ones are another's."""
    for value in list(vars(module).values()):
        place = getattr_static(value, "place", None)
        is_table = hasattr(type(value), "operations") and hasattr(type(value), "build")
        if is_table and isinstance(place, Place) and place.module == module.__name__:
            yield value


def _is_message(value: Any) -> bool:
    return inspect.isclass(value) and issubclass(value, (Command, Query))
