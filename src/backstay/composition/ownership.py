"""Finds the feature of a module: the one that lists it, or whose manifest is in a package above."""

import re
import sys
from collections.abc import Iterator, Sequence
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

from backstay.core.feature import Feature
from backstay.core.messages import Message


class Ownership:
    """Maps the modules of an application to its features; used at boot only."""

    def __init__(self, features: Sequence[Feature]) -> None:
        self._features = features
        self._listing: dict[str, set[str]] = {}
        for feature in features:
            for module in feature.modules:
                self._listing.setdefault(module.__name__, set()).add(feature.name)
        self._tops = {name.partition(".")[0] for name in self._listing}
        self._tops |= {feature.place.module.partition(".")[0] for feature in features}
        self._known: dict[str, str | None] = {}

    def owner(self, module: str) -> str | None:
        """The name of the feature that a module belongs to, or None."""
        if module not in self._known:
            self._known[module] = self._find(module)
        return self._known[module]

    def _find(self, module: str) -> str | None:
        if names := self._listing.get(module):
            return next(iter(names)) if len(names) == 1 else None
        if module.partition(".")[0] not in self._tops:
            return None
        manifest = _manifest(module)
        if manifest is not None:
            return manifest.name
        above = module.rpartition(".")[0]
        return self.owner(above) if above else None

    def members(self) -> Iterator["Member"]:
        """The names in features' loaded modules whose values belong to another feature or are
        messages."""
        for feature, module, is_listed in self._modules():
            for name, value in list(vars(module).items()):
                owner: str | None = feature.name
                if isinstance(value, _NAMED):
                    origin = value.__name__ if isinstance(value, ModuleType) else value.__module__
                    owner = self.owner(origin or "")  # generated code may have no module
                if owner == feature.name and is_listed:
                    continue
                if owner is not None or (isinstance(value, type) and issubclass(value, Message)):
                    yield Member(feature, module, is_listed, name, value, owner)

    def _modules(self) -> Iterator[tuple[Feature, ModuleType, bool]]:
        by_name = {feature.name: feature for feature in self._features}
        for feature in self._features:
            yield from ((feature, module, True) for module in feature.modules)
        for name, module in list(sys.modules.items()):
            if name in self._listing or name.partition(".")[0] not in self._tops:
                continue
            if OF_TESTS.search(name):
                continue
            found = by_name.get(self.owner(name) or "")
            if found is not None:
                yield found, module, False


class Member(NamedTuple):
    """A name in a module of a feature; ``owner`` is the feature that defines its value, if any.

    ``is_listed`` says whether the manifest lists the module.
    """

    feature: Feature
    module: ModuleType
    is_listed: bool
    name: str
    value: Any
    owner: str | None


OF_TESTS = re.compile(r"\.(tests?|conftest|test_\w+)(\.|$)")
"""Test modules, which no server loads."""
_NAMED = (type, FunctionType, ModuleType)


def _manifest(module: str) -> Feature | None:
    """The manifest that a module defines; None if it defines none or several."""
    members: dict[str, Any] = vars(sys.modules[module]) if module in sys.modules else {}
    here = {
        value.name: value
        for value in list(members.values())
        if isinstance(value, Feature) and value.place.module == module
    }
    return next(iter(here.values())) if len(here) == 1 else None
