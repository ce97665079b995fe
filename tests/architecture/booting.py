"""Builds sample features from the calling module, and lists the faults that stop their boot."""

import sys
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any

from backstay.core.feature import Feature
from backstay.core.wiring import Flaw

Faults = Callable[..., list[Flaw]]


def feature(
    *members: Any,
    name: str = "rigs",
    requires: Iterable[str] = (),
    **said: Any,
) -> Feature:
    """A feature whose one module holds these members of the calling module."""
    module = ModuleType(sys._getframe(1).f_globals["__name__"])
    for number, member in enumerate(members):
        setattr(module, getattr(member, "__name__", f"member{number}"), member)
    return Feature(name, modules=(module,), requires=tuple(requires), **said)
