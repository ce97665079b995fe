"""Leads from a page to what belongs to it, what can be done with it, and what it hangs under."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, urlencode

from backstay.admin.forms import PATH
from backstay.admin.operations import Operation, words
from backstay.admin.tables import BASE
from backstay.admin.visits import Visit


def relations_of(
    visit: Visit, operation: Operation, path: Mapping[str, str], data: Mapping[str, Any]
) -> list[tuple[str, str]]:
    """Titles and addresses of what belongs to an object: lists below it, those that can be
    filtered by it, and the audit trail about it."""
    below = {
        _short(title_of(visit, each)): f"/data{each.filled(_renamed(each, operation, path))}"
        for each in visit.catalog.relations_of(operation)
        if visit.may(each)
    }
    value = str(data.get("id") or "")
    filtered: dict[str, str] = {}
    for section, name in visit.catalog.filtered_by(operation) if value else ():
        if visit.may(section.operation) and section.title not in below:
            title = section.title
            if title in filtered:  # by another of its fields
                title += f" (as {words(name.removesuffix('_id')).lower()})"
            filtered[title] = f"{section.href}?{urlencode({name: value})}"
    trail = visit.catalog.reads.get("list_activity")
    if value and trail is not None and "target" in trail.filters and visit.may(trail):
        filtered["History"] = f"/data{trail.path}?target={quote(value)}"
    return [(title, BASE + href) for title, href in (below | filtered).items()]


def _short(title: str) -> str:
    """A title on the page of the object that it is of: of `Sessions of user` only `Sessions`."""
    return title.partition(" of ")[0]


def _renamed(to: Operation, of: Operation, path: Mapping[str, str]) -> dict[str, str]:
    """The values of one path for another that has other names for them, quoted."""
    values = [quote(path[name], safe="") for name in of.parameters]
    return dict(zip(to.parameters, values, strict=False))


def acts_of(
    visit: Visit,
    operation: Operation,
    path: Mapping[str, str],
    data: Mapping[str, Any] = MappingProxyType({}),
) -> list[dict[str, Any]]:
    """What can be done with what is shown; a command that needs further ids is not near.

    Of a list, one that needs a further id is there only if its form can search for what that names,
    and its rows do not have it.
    """
    acts = [each for each in visit.catalog.acts_on(operation) if visit.may(each)]
    has_rows = operation.is_list or operation.items is not None
    if has_rows:
        own, in_rows = len(operation.parameters), visit.catalog.acts_on_row(operation)
        acts = [e for e in acts if visit.catalog.is_found(e.parameters[own:]) and e not in in_rows]
    arranged = visit.catalog.view_of(visit.catalog.above(operation))
    first = arranged.actions if arranged else ()
    if first:
        acts.sort(key=lambda each: first.index(each.message) if each.message in first else 99)
    partial = {each.template for each in acts if each.method == "PATCH"}
    return [
        {
            "title": each.title,
            "about": each.about,
            "href": form_link(each, dict(zip(each.parameters, path.values(), strict=False))),
            "is_risky": each.method == "DELETE",
            "is_near": len(each.parameters) == len(operation.parameters)
            and (not first or has_rows or each.message in first),
        }
        for each in acts
        if not (each.method == "PUT" and each.template in partial)
        if not (each.path.endswith("/restore") and _is_there(data))
    ]


def _is_there(data: Mapping[str, Any]) -> bool:
    """Whether an object is known not to be deleted."""
    return data.get("is_deleted") is False or data.get("deleted_at", 0) is None


def form_link(act: Operation, values: Mapping[str, Any]) -> str:
    """The page on which a command is filled in and sent."""
    told = {PATH + name: str(value) for name, value in values.items() if value is not None}
    return f"{BASE}/form/{act.id}" + (f"?{urlencode(told)}" if told else "")


def above_of(visit: Visit, operation: Operation, path: Mapping[str, str]) -> tuple[str, str] | None:
    """The title and the address of what a page hangs under, if the principal may see it."""
    above = visit.catalog.above(operation)
    if above is None or not visit.may(above):
        return None
    values = {name: quote(value, safe="") for name, value in path.items()}
    renamed = dict(zip(above.parameters, values.values(), strict=False))
    return title_of(visit, above), f"{BASE}/data{above.filled(renamed)}"


def title_of(visit: Visit, operation: Operation) -> str:
    """What the page of a query is called: as its feature says, else by its path or its message."""
    declared = (e.title for e in visit.parts.pages.values() if e.query is operation.message)
    if title := next(declared, ""):
        return title
    if operation.is_list and not operation.parameters:
        return next(e.title for e in visit.catalog.sections if e.operation is operation)
    return operation.title.removeprefix("List ").removeprefix("Get ").capitalize()


def done_of(visit: Visit) -> str | None:
    """What was just done, by the operation that the address names."""
    act = visit.catalog.acts.get(visit.given.get("done", ""))
    return None if act is None else f"{act.title}: done."
