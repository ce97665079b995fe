"""What a feature may say about its pages in the admin console, in its module `admin`.

Without a word of it everything of a feature is in the console; this only arranges it.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from backstay.core.feature import Feature
from backstay.core.listing import ListQuery
from backstay.core.messages import Command, Query
from backstay.core.wiring import Place

DATA = "Data"
"""The heading, in the navigation, of lists whose features name none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminView:
    """How the console shows the rows of a list, and what it does with them.

    Attributes:
        list: the query of the list.
        title: its name in the navigation; by default the end of its path.
        group: the heading above it there, by default "Data".
        columns: the fields of a row that the table has, in their order.
        form: the fields that forms begin with, in their order; further ones follow.
        actions: the commands about one row, in the order of their buttons; others are in a menu.
        cells: by field, a function from its value in JSON to the text that is shown.
        hidden: whether the navigation leaves it out.
    """

    list: type[ListQuery[Any]]
    title: str = ""
    group: str = DATA
    columns: tuple[str, ...] = ()
    form: tuple[str, ...] = ()
    actions: tuple[type[Command[Any]], ...] = ()
    cells: Mapping[str, Callable[[Any], str]] = field(default_factory=dict)
    hidden: bool = False
    place: Place = field(default_factory=Place.of_caller, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminPage:
    """A page of its own, which shows what a query answers.

    Attributes:
        path: the end of its address, below `/admin/page/`.
        title: its name in the navigation.
        group: the heading above it there; without one it stands at the top.
        query: what it shows; who may not send it does not see the page.
        template: a file in `templates/admin` of the project, in Jinja; it gets ``data``, the answer
            in JSON, and extends ``page.html``. By default the answer is shown as any other.
    """

    path: str
    title: str
    query: type[Query[Any]]
    group: str = ""
    template: str = ""
    place: Place = field(default_factory=Place.of_caller, compare=False, repr=False)


def arrangements_of(features: Sequence[Feature]) -> Iterator[AdminView | AdminPage]:
    """What the modules `admin` of features declare."""
    for feature in features:
        package = feature.package or feature.place.module
        if hasattr(sys.modules.get(package), "__path__") and find_spec(f"{package}.admin"):
            module = import_module(f"{package}.admin")
            for value in vars(module).values():
                is_said = isinstance(value, AdminView | AdminPage)
                if is_said and value.place.module == module.__name__:
                    yield value
