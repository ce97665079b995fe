"""Finds names that two features give: stored names must each mean one thing."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from backstay.composition.ownership import Ownership
from backstay.core.events import Event, with_derived
from backstay.core.feature import Feature
from backstay.core.messages import Message
from backstay.core.permissions import PermissionSpec
from backstay.core.wiring import Code, Flaw, Place
from backstay.db.base import Base
from backstay.db.checks import twice_faults


def clash_faults(
    features: Sequence[Feature], messages: Iterable[type[Message[Any]]], ownership: Ownership
) -> Iterator[Flaw]:
    """Permissions, events and tables that have one name."""
    yield from _permissions(messages, ownership)
    yield from _events(features, ownership)
    yield from _tables(features, ownership)


def _permissions(messages: Iterable[type[Message[Any]]], ownership: Ownership) -> Iterator[Flaw]:
    """Permissions that two features declare alike, so that a grant of one would be both."""
    seen: dict[str, tuple[PermissionSpec, type[Message[Any]]]] = {}
    for message in messages:
        spec = message.permission
        if not isinstance(spec, PermissionSpec):
            continue
        first, other = seen.setdefault(spec.key, (spec, message))
        if first is spec or first != spec:  # what differs is told by the registry
            continue
        owners = ownership.owner(message.__module__), ownership.owner(other.__module__)
        if owners[0] != owners[1]:
            problem = (
                f"{message.__name__} declares {spec.key}, as {other.__name__} of the feature "
                f"{owners[1]} does, at {Place.of(other)}."
            )
            hint = "Give its resource a name of its own, or import that permission."
            yield Flaw(Code.PERMISSION_TWICE, problem, hint).of(message)


def _events(features: Sequence[Feature], ownership: Ownership) -> Iterator[Flaw]:
    """Events of one name that one subscriber gets: they are stored under that name."""
    told: set[type[Event]] = set()
    for function in (each for feature in features for each in feature.functions()):
        subscribed = getattr(function, "__subscribes__", None)
        if not (isinstance(subscribed, type) and issubclass(subscribed, Event)):
            continue
        seen: dict[str, type[Event]] = {}
        for kind in with_derived(subscribed):
            if ownership.owner(kind.__module__) is None:
                continue
            first = seen.setdefault(kind.__name__, kind)
            if first is not kind and kind not in told:
                told.add(kind)
                problem = f"Another event is called {kind.__name__}, at {Place.of(first)}."
                hint = "Give one of them another name: events are stored under it."
                yield Flaw(Code.EVENT_TWICE, problem, hint).of(kind)


def _tables(features: Sequence[Feature], ownership: Ownership) -> Iterator[Flaw]:
    listed = {feature.name for feature in features}
    yield from twice_faults(
        model for model, _ in Base.table_twice if ownership.owner(model.__module__) in listed
    )
