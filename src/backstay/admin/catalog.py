"""Finds in the route tables what the console can show, and what can be done where."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import quote

from backstay.admin.operations import PARAMETER, Operation, words
from backstay.core.console import DATA, AdminView
from backstay.core.messages import Message
from backstay.core.permissions import PUBLIC
from backstay.web.dispatch import Route

_ACCOUNTS = frozenset(
    {"owner_id", "created_by", "updated_by", "impersonator_id", "impersonated_by"}
)
"""Fields that name an account, besides ``user_id``."""


@dataclass(frozen=True, eq=False)
class Section:
    """A list at the top level of the API, which the navigation names."""

    title: str
    group: str
    operation: Operation

    @cached_property
    def href(self) -> str:
        """The path of its page inside the console."""
        return f"/data{self.operation.path}"

    @cached_property
    def noun(self) -> str:
        """What one of its rows is called: ``user``, ``rate_limit``."""
        return _singular(self.operation.path.rpartition("/")[2]).replace("-", "_")


@dataclass(frozen=True, eq=False)
class Catalog:
    """Everything that the console can show (`reads`) and do (`acts`), by operation id.

    ``queries`` are all queries with a route, of which pages of features show those they name.
    """

    reads: Mapping[str, Operation]
    acts: Mapping[str, Operation]
    sections: tuple[Section, ...]
    queries: Mapping[type[Message[Any]], Operation]
    views: Mapping[type[Message[Any]], AdminView] = field(default_factory=dict)
    _named: dict[str, Section | None] = field(default_factory=dict)
    _pages: dict[str, tuple[str, str] | None] = field(default_factory=dict)

    @classmethod
    def of(cls, routes: Iterable[Route], prefix: str, views: Iterable[AdminView] = ()) -> "Catalog":
        """The catalog of an application whose API is under ``prefix``, arranged by ``views``."""
        arranged: dict[type[Message[Any]], AdminView] = {each.list: each for each in views}
        every = [Operation(each, each.path_format.removeprefix(prefix)) for each in routes]
        found = [each for each in every if each.route.spec.versioned and _is_usual(each.route)]
        reads = {each.id: each for each in found if each.method == "GET"}
        acts = {each.id: each for each in found if each.method != "GET"}
        sections = [
            _section(each, arranged.get(each.message))
            for each in reads.values()
            if each.is_list and not each.parameters
        ]
        queries = {each.message: each for each in every if each.method == "GET"}
        return cls(reads, acts, tuple(sections), queries, arranged)

    def detail_of(self, listed: Operation) -> Operation | None:
        """The query that shows one row of a list."""
        return self._details.get(listed.id)

    def view_of(self, listed: Operation | None) -> AdminView | None:
        """How its feature arranges a list."""
        return None if listed is None else self.views.get(listed.message)

    def above(self, shown: Operation) -> Operation | None:
        """What a query hangs under: the list of such objects, or the object that has them."""
        template = shown.template
        while template:
            template = template.rpartition("/")[0]
            for each in self.reads.values():
                if each.template == template:
                    return each
        return None

    def nearest(self, act: Operation) -> Operation | None:
        """The query that shows what a command is about, or what is nearest above it."""
        return self._nearest.get(act.id)

    def reading_of(self, act: Operation) -> Operation | None:
        """The query that shows the very object that a command changes."""
        found = self.nearest(act)
        return found if found is not None and found.template == act.template else None

    def acts_on(self, shown: Operation) -> tuple[Operation, ...]:
        """The commands that are nearest to what a query shows: at its path, or below it."""
        return self._acts_on.get(shown.id, ())

    def acts_on_row(self, listed: Operation) -> tuple[Operation, ...]:
        """Those about one row of a list, if its rows have no page of their own."""
        if self.detail_of(listed) is not None:
            return ()
        most = len(listed.parameters) + 1
        return tuple(each for each in self.acts_on(listed) if len(each.parameters) == most)

    def relations_of(self, shown: Operation) -> tuple[Operation, ...]:
        """The queries about what belongs to the object that a query shows."""
        if not shown.parameters or shown.is_list:
            return ()
        own = shown.template + "/"
        return tuple(
            each
            for each in self.reads.values()
            if len(each.parameters) == len(shown.parameters) and each is not shown
            if each.template.startswith(own) or self._detail_named(each.parameters) is shown
        )

    def filtered_by(self, shown: Operation) -> tuple[tuple[Section, str], ...]:
        """The sections whose rows can be filtered by the object that a query shows, and how."""
        return self._filtered_by.get(shown.id, ())

    def section_of(self, name: str) -> Section | None:
        """The section whose rows a field such as ``role_id`` or ``owner_id`` names."""
        if name not in self._named:
            self._named[name] = self._find_section(name)
        return self._named[name]

    def is_found(self, names: Sequence[str]) -> bool:
        """Whether a form can search for what these parameters name."""
        return all(self.section_of(each) is not None for each in names)

    def path_to(self, name: str, value: Any) -> str | None:
        """The path of the object that a field such as ``owner_id`` names, if it has a page."""
        if name not in self._pages:
            self._pages[name] = self._find_page(name)
        around = self._pages[name]
        return None if around is None else quote(str(value), safe="").join(around)

    def operation_at(self, path: str) -> tuple[Operation, dict[str, str]] | None:
        """The query at a path of the API, and the values of the parameters in it."""
        for pattern, each in self._patterns:
            found = pattern.fullmatch(path)
            if found is not None:
                return each, found.groupdict()
        return None

    def _detail_named(self, names: Sequence[str]) -> Operation | None:
        """The query that shows the object of a single field or parameter, such as ``user_id``."""
        section = self.section_of(names[0]) if len(names) == 1 else None
        detail = None if section is None else self.detail_of(section.operation)
        return detail if detail is not None and len(detail.parameters) == 1 else None

    def _find_section(self, name: str) -> Section | None:
        last = name.rpartition(".")[2]
        base = "user" if last in _ACCOUNTS else last.removesuffix("_id")
        if base == last:
            return None
        return next((each for each in self.sections if each.noun == base), None)

    def _find_page(self, name: str) -> tuple[str, str] | None:
        """What is before and after the value of a field in the path of the page that it names."""
        detail = self._detail_named((name,))
        if detail is None:
            return None
        before, after = PARAMETER.sub("\0", detail.path).split("\0")
        return before, after

    @cached_property
    def _details(self) -> dict[str, Operation]:
        lists = [each for each in self.reads.values() if each.is_list]
        found = {
            listed.id: each
            for listed in self.reads.values()
            for each in self.reads.values()
            if each.template == f"{listed.template}/{{}}" and not each.is_list
        }
        by_view = {each.view: found[each.id] for each in lists if each.id in found}
        return {each.id: by_view[each.view] for each in lists if each.view in by_view} | found

    @cached_property
    def _nearest(self) -> dict[str, Operation]:
        found = {}
        for act in self.acts.values():
            above = [
                each
                for each in self.reads.values()
                if f"{act.template}/".startswith(f"{each.template}/")
            ]
            if above:
                found[act.id] = max(above, key=lambda each: len(each.template))
        return found

    @cached_property
    def _acts_on(self) -> dict[str, tuple[Operation, ...]]:
        found: dict[str, tuple[Operation, ...]] = {}
        for act_id, shown in self._nearest.items():
            found[shown.id] = (*found.get(shown.id, ()), self.acts[act_id])
        return found

    @cached_property
    def _filtered_by(self) -> dict[str, tuple[tuple[Section, str], ...]]:
        found: dict[str, tuple[tuple[Section, str], ...]] = {}
        for section in self.sections:
            for name in section.operation.filters:
                of = self.section_of(name)
                detail = None if of is None else self.detail_of(of.operation)
                if detail is not None:
                    found[detail.id] = (*found.get(detail.id, ()), (section, name))
        return found

    @cached_property
    def _patterns(self) -> list[tuple[re.Pattern[str], Operation]]:
        """Literal segments come before parameters."""
        ordered = sorted(self.reads.values(), key=lambda each: each.template.replace("{}", "~"))
        return [(re.compile(PARAMETER.sub(r"(?P<\1>[^/]+)", each.path)), each) for each in ordered]


def _section(listed: Operation, view: AdminView | None) -> Section:
    title = (view and view.title) or words(listed.path.rpartition("/")[2])
    return Section(title, view.group if view else DATA, listed)


def _is_usual(route: Route) -> bool:
    """Whether a route sends its message in the usual way, for signed-in people."""
    spec = route.spec
    return (
        spec.endpoint is None
        and spec.sends_view
        and spec.upload is None
        and spec.message.permission is not PUBLIC
    )


def _singular(plural: str) -> str:
    for ending, single in (("ies", "y"), ("sses", "ss"), ("s", "")):
        if plural.endswith(ending):
            return plural.removesuffix(ending) + single
    return plural
