"""Checks subscribers of events: one that is never called, or returns no command, stops the boot."""

import inspect
from collections.abc import Iterator, Sequence
from typing import Any

from backstay.core.events import Event
from backstay.core.feature import Feature
from backstay.core.wiring import Code, Flaw


def subscriber_faults(features: Sequence[Feature]) -> Iterator[Flaw]:
    """The faults of functions that subscribe to an event."""
    for feature in features:
        for function in feature.functions():
            if hasattr(function, "__subscribes__"):
                flaws = _flaws(function, function.__subscribes__)
                yield from (flaw.of(function) for flaw in flaws)


def _flaws(function: Any, event: Any) -> Iterator[Flaw]:
    name = function.__name__
    if not (inspect.isclass(event) and issubclass(event, Event)):
        told = getattr(event, "__name__", repr(event))
        problem = f"{name} subscribes to {told}, which is no event: it is never called."
        yield Flaw(
            Code.SUBSCRIBER_NO_EVENT, problem, "Subscribe to a class that derives from Event."
        )
    hint = "Write `def` with the event as its one parameter, and return a command or None."
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        problem = f"The subscriber {name} returns no command: it is async, or a generator."
        yield Flaw(Code.SUBSCRIBER_SHAPE, problem, hint)
        return
    try:
        inspect.signature(function).bind(None)
    except TypeError:
        problem = f"The subscriber {name} does not take just an event."
        yield Flaw(Code.SUBSCRIBER_SHAPE, problem, hint)
