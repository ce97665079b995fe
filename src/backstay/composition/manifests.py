"""Compares the manifests of features with one another and with the features' modules."""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from inspect import (
    getattr_static,
    isclass,
    iscoroutinefunction,
    isfunction,
    isgeneratorfunction,
    ismodule,
    signature,
)
from typing import Any

from backstay.composition.ownership import Member, Ownership
from backstay.core.events import Event
from backstay.core.feature import NAMES, Feature, PersonalData
from backstay.core.messages import Command, Message
from backstay.core.permissions import Policy
from backstay.core.registry import Registry
from backstay.core.schedule import Scheduled
from backstay.core.shapes import Held, shape_flaws
from backstay.core.wiring import Code, Flaw, Place

_MARKS = ("__handles__", "__prepares__", "__subscribes__")


def shape_faults(features: Sequence[Feature]) -> Iterator[Flaw]:
    """Manifests with a wrong package, or with fields of the wrong types."""
    for feature in features:
        yield from feature.faults
        of = f"the feature {feature.name}"
        name: Any = feature.name
        if not isinstance(name, str) or not name:
            hint = 'Write Feature("notes", __name__).'
            yield Flaw(Code.FEATURE_SHAPE, f"A feature is called {name!r}.", hint).of(feature)
        yield from shape_flaws(Code.FEATURE_SHAPE, of, feature, _HELD)
        for field in ("personal_data", "tasks"):
            if not isinstance(getattr(feature, field), Mapping):
                hint = f'Write `{field}={{"name": Message}}`.'
                yield Flaw(Code.FEATURE_SHAPE, f"`{field}` of {of} is no dict.", hint).of(feature)


_HELD = {
    "modules": Held("module", ismodule),
    "routes": Held("module.routes", lambda each: hasattr(type(each), "operations")),
    "schedule": Held(
        'every("1h", SendReport())',
        lambda each: isinstance(each, Scheduled) and isinstance(each.command, Command),
    ),
    "requires": Held('"name"', lambda each: isinstance(each, str)),
}


def manifest_faults(
    features: Sequence[Feature], registry: Registry, ownership: Ownership
) -> Iterator[Flaw]:
    """The faults in what features declare about themselves and each other."""
    members = list(ownership.members())
    yield from _names(features)
    yield from _requirements(features)
    yield from _personal_data(features, registry)
    yield from _subscribers(features)
    yield from _left_out(features, members)
    yield from _not_required(features, members, ownership)
    yield from _unhandled(members, registry)


def _names(features: Sequence[Feature]) -> Iterator[Flaw]:
    seen: dict[str, Feature] = {}
    listing: dict[int, Feature] = {}
    for feature in features:
        if feature.name in seen:
            first = seen[feature.name]
            problem = f"Another feature is called {feature.name}, at {Place.of(first)}."
            if first is feature:
                problem = f"The feature {feature.name} is listed twice."
            yield Flaw(Code.FEATURE_TWICE, problem, "Rename or remove one.").of(feature)
        seen.setdefault(feature.name, feature)
        for module in feature.modules:
            other = listing.setdefault(id(module), feature)
            if other is not feature:
                problem = f"{module.__name__} is a module of {other.name} and of {feature.name}."
                hint = "Let one of them list it; the other may require that."
                yield Flaw(Code.FEATURE_MODULE_TWICE, problem, hint).of(feature)


def _requirements(features: Sequence[Feature]) -> Iterator[Flaw]:
    needs = {feature.name: feature.requires for feature in features}
    seen: set[str] = set()
    told: set[frozenset[str]] = set()
    for feature in features:
        for name in feature.requires:
            circle = _cycle(feature.name, name, needs)
            if name not in needs:
                near = get_close_matches(name, needs, n=1, cutoff=0.75)
                hint = f" Did you mean {near[0]}?" if near else ""
                problem = f"The feature {feature.name} requires {name}, which is not listed.{hint}"
                hint = f"List {name} before it, or correct the name."
                yield Flaw(Code.FEATURE_REQUIRES_UNKNOWN, problem, hint).of(feature)
            elif circle and frozenset(circle) not in told:
                told.add(frozenset(circle))
                problem = f"Features require one another in a circle: {' -> '.join(circle)}."
                hint = "Let one of them react to an event of the other instead."
                yield Flaw(Code.FEATURE_REQUIRES_CIRCLE, problem, hint).of(feature)
            elif not circle and name not in seen:
                problem = f"The feature {feature.name} requires {name}, which is listed after it."
                hint = f"List {name} before {feature.name}."
                yield Flaw(Code.FEATURE_REQUIRES_LATER, problem, hint).of(feature)
        seen.add(feature.name)


def _cycle(start: str, through: str, needs: dict[str, tuple[str, ...]]) -> list[str]:
    """The path from a feature through a required one back to itself; empty if there is none."""
    ways, visited = [[start, through]], {through}
    while ways:
        way = ways.pop(0)
        if way[-1] == start:
            return way
        for name in needs.get(way[-1], ()):
            if name not in visited:
                visited.add(name)
                ways.append([*way, name])
    return []


def _personal_data(features: Sequence[Feature], registry: Registry) -> Iterator[Flaw]:
    seen: dict[str, Feature] = {}
    question: Any
    for feature in features:
        for name, question in feature.personal_data.items():
            problem = None
            if name in seen:
                problem = f"The export {name} is declared twice, first at {Place.of(seen[name])}."
            elif not (isclass(question) and issubclass(question, PersonalData)):
                problem = f"The export {name} is no PersonalData query."
            elif question not in registry.handlers:
                problem = f"The export {name} asks {question.__name__}, which nobody handles."
            if problem is not None:
                hint = "Name a PersonalData query of this feature, under a name of its own."
                yield Flaw(Code.FEATURE_EXPORT, problem, hint).of(feature)
            seen.setdefault(name, feature)


def _subscribers(features: Sequence[Feature]) -> Iterator[Flaw]:
    """The faults of subscribers: one is never called, or returns no command."""
    for feature in features:
        for function in feature.functions():
            if hasattr(function, "__subscribes__"):
                flaws = _subscriber_flaws(function, function.__subscribes__)
                yield from (flaw.of(function) for flaw in flaws)


def _subscriber_flaws(function: Any, event: Any) -> Iterator[Flaw]:
    name = function.__name__
    if not (isclass(event) and issubclass(event, Event)):
        told = getattr(event, "__name__", repr(event))
        problem = f"{name} subscribes to {told}, which is no event: it is never called."
        yield Flaw(
            Code.SUBSCRIBER_NO_EVENT, problem, "Subscribe to a class that derives from Event."
        )
    hint = "Write `def` with the event as its one parameter, and return a command or None."
    if iscoroutinefunction(function) or isgeneratorfunction(function):
        problem = f"The subscriber {name} returns no command: it is async, or a generator."
        yield Flaw(Code.SUBSCRIBER_SHAPE, problem, hint)
        return
    try:
        signature(function).bind(None)
    except TypeError:
        problem = f"The subscriber {name} does not take just an event."
        yield Flaw(Code.SUBSCRIBER_SHAPE, problem, hint)


def _left_out(features: Sequence[Feature], members: Sequence[Member]) -> Iterator[Flaw]:
    """Handlers and routes that have no effect because no manifest lists them."""
    tables = {id(table) for feature in features for table in feature.routes}
    for feature, module, is_listed, _, value, _ in members:
        if is_listed:
            continue
        if isfunction(value) and value.__module__ == module.__name__:
            if any(hasattr(value, mark) for mark in _MARKS):
                told = f"the feature {feature.name} does not list {module.__name__}"
                problem = f"{value.__name__} is never called: {told}."
                finds = f'which Feature("{feature.name}", __name__) finds'
                hint = f"Call it one of {', '.join(NAMES)}, {finds}, or add it to `modules`."
                yield Flaw(Code.FEATURE_MODULE_NOT_LISTED, problem, hint).of(value)
        elif _is_table(value) and id(value) not in tables:
            tables.add(id(value))
            problem = f"Nobody reaches these routes: the feature {feature.name} does not list them."
            finds = f'which Feature("{feature.name}", __name__) finds'
            hint = f"Move it into the module routes, {finds}, or add it to `routes` there."
            yield Flaw(Code.ROUTE_NOT_LISTED, problem, hint).of(value)


def _not_required(
    features: Sequence[Feature], members: Sequence[Member], ownership: Ownership
) -> Iterator[Flaw]:
    used: dict[tuple[str, str], tuple[Feature, str]] = {}
    for feature, what, owner in _uses(features, members, ownership):
        if owner is not None and owner not in {feature.name, *feature.requires}:
            used.setdefault((feature.name, owner), (feature, what))
    for (_, owner), (feature, what) in used.items():
        problem = f"The feature {feature.name} uses {what} of {owner}, which it does not require."
        hint = f'Add "{owner}" to `requires` of the manifest.'
        yield Flaw(Code.FEATURE_REQUIRES_MISSING, problem, hint).of(feature)


def _uses(
    features: Sequence[Feature], members: Sequence[Member], ownership: Ownership
) -> Iterator[tuple[Feature, str, str | None]]:
    """Each name that a feature's modules and routes use, with the feature that owns it."""
    yield from ((each.feature, each.name, each.owner) for each in members)
    for feature in features:
        for message in {row.message for table in feature.routes for row in table.operations("")}:
            yield feature, message.__name__, ownership.owner(message.__module__)


def _unhandled(members: Sequence[Member], registry: Registry) -> Iterator[Flaw]:
    """Messages that a feature imports, and so may send, but that no listed feature handles."""
    told: set[tuple[str, type[Any]]] = set()
    for feature, _, _, _, value, owner in members:
        if owner == feature.name or not _is_sent(value) or value in registry.handlers:
            continue
        if (feature.name, value) not in told:
            told.add((feature.name, value))
            problem = f"The feature {feature.name} uses {value.__name__}, which nobody handles."
            hint = f"List the feature that {value.__module__} belongs to, or do without it."
            yield Flaw(Code.FEATURE_MESSAGE_UNHANDLED, problem, hint).of(feature)


def _is_table(value: Any) -> bool:
    """Whether a value is a table of routes.

    It looks at the type and at static attributes only: some objects, such as mocks, have every
    attribute.
    """
    can = all(hasattr(type(value), name) for name in ("operations", "build"))
    return can and isinstance(getattr_static(value, "place", None), Place)


def _is_sent(value: Any) -> bool:
    """Whether a value is a message that can be sent, not a base class of messages."""
    if not isclass(value) or not issubclass(value, Message) or value in {Message, PersonalData}:
        return False
    return isinstance(value.__dict__.get("permission"), Policy)
