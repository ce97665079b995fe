"""The pages about what a query of the API answers: a list, one object, or what belongs to it."""

from collections.abc import Mapping
from secrets import token_urlsafe
from typing import Any

from markupsafe import Markup
from starlette.responses import Response

from backstay.admin.linking import above_of, acts_of, done_of, form_link, relations_of, title_of
from backstay.admin.operations import Operation, words
from backstay.admin.sending import Answer
from backstay.admin.tables import (
    BASE,
    Column,
    asked_of,
    cell,
    columns_of,
    fields_in,
    filters_of,
    headings,
    label_in,
    link,
    name_in,
    row_link,
    short,
)
from backstay.admin.visits import Visit
from backstay.core.errors import AppError, Invalid, NotFound, Unavailable
from backstay.core.listing import ListQuery
from backstay.core.messages import View, argument_of

_PROGRESS = Markup('<progress max="%s" value="%s" aria-label="%s"></progress> %s')
_GOING = {"queued", "running"}
PAGE = "25"
"""Rows of a page, unless the address says otherwise."""
_HEAD = Markup('<a href="%s">%s</a>')
_OURS = frozenset({"done"})
"""Parameters of the console itself, which the API does not know."""


async def show(visit: Visit) -> Response:
    """The page of what is at a path of the API."""
    found = visit.catalog.operation_at("/" + visit.request.path_params["path"])
    if found is None:
        raise NotFound("The console has no such page.")
    return await shown(visit, *found)


async def shown(
    visit: Visit, operation: Operation, path: Mapping[str, str], title: str = ""
) -> Response:
    """The page of what a query of the API answers."""
    given = {name: value for name, value in visit.given.items() if name not in _OURS}
    if operation.listing is not None:
        return await _list(visit, operation, operation.listing, path, given)
    missing = [each for each in operation.required if each not in given]
    if missing:
        return visit.redirect(f"/ask/{operation.id}", **given)
    answer = await visit.send(operation, path, list(given.items()))
    if operation.items is not None:
        return _collection(visit, operation, path, answer.data["items"], operation.items, title)
    return _detail(visit, operation, path, answer, title)


async def _list(
    visit: Visit,
    operation: Operation,
    listing: type[ListQuery[Any]],
    path: Mapping[str, str],
    given: dict[str, str],
) -> Response:
    view: type[View] = argument_of(listing, ListQuery)
    arranged = visit.catalog.view_of(operation)
    columns = columns_of(view, arranged.columns if arranged else ())
    data: dict[str, Any] = {"items": [], "next_cursor": None, "prev_cursor": None}
    problem, status = None, 200
    asked = {"limit": PAGE} | asked_of(listing, given)
    try:
        data = (await visit.send(operation, path, list(asked.items()))).data
    except (Invalid, Unavailable) as error:
        problem, status = sentence(error), error.status
    detail = visit.catalog.detail_of(operation)
    return visit.page(
        "list.html",
        status=status,
        problem=problem,
        done=done_of(visit),
        heading=title_of(visit, operation),
        operation=operation,
        rows=_rows(visit, operation, detail, path, data["items"], columns),
        headings=tuple(headings(listing, columns, visit.principal, given)),
        filters=tuple(filters_of(listing, visit.principal, given)),
        is_searched=bool(listing.searchable),
        given=given,
        is_filtered=bool(given.keys() - {"sort", "limit", "cursor"}),
        before=data["prev_cursor"] and link(given, cursor=data["prev_cursor"]),
        after=data["next_cursor"] and link(given, cursor=data["next_cursor"]),
        export=f"{BASE}/export/{operation.id}",
        count=f"{BASE}/count/{operation.id}",
        exported={**path, **{n: v for n, v in given.items() if n not in {"cursor", "limit"}}},
        acts=acts_of(visit, operation, path),
        above=above_of(visit, operation, path),
        bulk=_bulk(visit, detail),
        key=token_urlsafe(16),
    )


def _bulk(visit: Visit, detail: Operation | None) -> list[Operation]:
    """What can be done with many rows at once: commands that need nothing but their id."""
    if detail is None or visit.offered("start_bulk") is None:
        return []
    return [
        each
        for each in visit.catalog.acts_on(detail)
        if len(each.parameters) == 1 and not each.required and visit.may(each)
        if each.method in {"POST", "DELETE"}  # the others change what a form says
    ]


def _collection(
    visit: Visit,
    operation: Operation,
    path: Mapping[str, str],
    items: list[dict[str, Any]],
    view: type[View],
    title: str,
) -> Response:
    columns = columns_of(view)
    return visit.page(
        "collection.html",
        heading=title or title_of(visit, operation),
        operation=operation,
        headings=[each.label for each in columns],
        rows=_rows(visit, operation, visit.catalog.detail_of(operation), path, items, columns),
        acts=acts_of(visit, operation, path),
        above=above_of(visit, operation, path),
        done=done_of(visit),
    )


def _rows(
    visit: Visit,
    operation: Operation,
    detail: Operation | None,
    path: Mapping[str, str],
    items: list[dict[str, Any]],
    columns: tuple[Column, ...],
) -> list[dict[str, Any]]:
    """The rows of a table. Where a row has no page of its own, it names what can be done to it."""
    if detail is not None and not visit.may(detail):
        detail = None
    acts = [] if detail else [e for e in visit.catalog.acts_on_row(operation) if visit.may(e)]
    arranged = visit.catalog.view_of(operation)
    told = arranged.cells if arranged else {}
    first, *others = columns
    shown = []
    for row in items:
        href = row_link(detail, row, path)
        row |= {name: tell(row[name]) for name, tell in told.items() if name in row}
        head = cell(
            row.get(first.name), first.kind, visit.catalog if not href else None, first.name
        )
        if href:
            head = _HEAD % (href, head if row.get(first.name) else label_in(row))
        cells = [cell(row.get(c.name), c.kind, visit.catalog, c.name) for c in others]
        links = [(e.title, form_link(e, {**path, e.parameters[-1]: row.get("id")})) for e in acts]
        names = {"id": row.get("id"), "name": label_in(row)}
        shown.append({"head": head, "cells": cells, "acts": links, **names})
    return shown


def _detail(
    visit: Visit, operation: Operation, path: Mapping[str, str], answer: Answer, title: str
) -> Response:
    data = answer.data if isinstance(answer.data, dict) else {"answer": answer.data}
    if data.get("rows") and "done" in data:
        data |= {"progress": 100 * data["done"] // data["rows"]}
    view = operation.message.result_type()
    is_view = isinstance(view, type) and issubclass(view, View)
    kinds = {each.name: each for each in fields_in(view)} if is_view else {}
    acts = acts_of(visit, operation, path, data)
    return visit.page(
        "detail.html",
        heading=title or name_in(data) or _nameless(visit, operation, data),
        operation=operation,
        facts=[
            _fact(visit, each, value, kinds.get(each))
            for each, value in data.items()
            if not _is_table(value)
        ],
        tables=_tables(visit, data),
        is_live=data.get("state") in _GOING or data.get("is_over") is False,
        acts=[each for each in acts if each["is_near"]],
        further=[each for each in acts if not each["is_near"]],
        relations=relations_of(visit, operation, path, data),
        above=above_of(visit, operation, path),
        done=done_of(visit),
    )


def _nameless(visit: Visit, operation: Operation, data: Mapping[str, Any]) -> str:
    """What to call an object without a name: `Bulk …5e2d3c4b`."""
    return f"{title_of(visit, operation)} {short(data.get('id', ''))}".strip()


def _fact(visit: Visit, name: str, value: Any, column: Column | None) -> dict[str, Any]:
    kind = column.kind if column else ""
    is_text = isinstance(value, str) and ("\n" in value or len(value) > 120)
    shown = Markup("<pre>{}</pre>").format(value) if is_text else None
    if name == "progress" and isinstance(value, int):
        shown = _PROGRESS % (100, value, words(name), f"{value} %")
    return {
        "label": column.label if column else words(name),
        "value": shown or cell(value, kind, visit.catalog, name, is_whole=True),
    }


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _tables(visit: Visit, data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The lists of objects inside an object."""
    found = []
    for name, value in data.items():
        if _is_table(value):
            names = list(dict.fromkeys(each for row in value for each in row))
            kinds = ["date-time" if each.endswith("_at") else "" for each in names]
            told = [*zip(names, kinds, strict=True)]
            rows = [[cell(row.get(n), kind, visit.catalog, n) for n, kind in told] for row in value]
            found.append({"name": words(name), "headings": [*map(words, names)], "rows": rows})
    return found


def sentence(error: AppError) -> str:
    """What a refusal says, with the fields that it is about."""
    about = "; ".join(f"{each.field}: {each.message}" for each in error.errors)
    return f"{error.detail} {about}".strip()
