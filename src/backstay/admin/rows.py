"""Draws the rows of a table, each with its link, its box and what can be done to it."""

from collections.abc import Mapping
from typing import Any

from backstay.admin.catalog import Catalog
from backstay.admin.cells import Drawing
from backstay.admin.linking import form_link
from backstay.admin.operations import Operation
from backstay.admin.tables import Column, label_in, row_links
from backstay.admin.visits import Visit

_BOX = (
    '<td class="choose"><input type="checkbox" name="row" value="%s" aria-label="Choose %s"></td>'
)


def rows_of(
    visit: Visit,
    operation: Operation,
    path: Mapping[str, str],
    items: list[dict[str, Any]],
    columns: tuple[Column, ...],
    *,
    are_chosen: bool = False,
) -> dict[str, Any]:
    """The rows of a table, with a box to choose each, or none. Where a row has no page of its own,
    it names what can be done to it."""
    detail = visit.catalog.detail_of(operation)
    if detail is not None and not visit.may(detail):
        detail = None
    acts = [] if detail else [e for e in visit.catalog.acts_on_row(operation) if visit.may(e)]
    arranged = visit.catalog.view_of(operation)
    told = arranged.cells if arranged else {}
    href_of = row_links(detail, path)
    lines = Drawing()
    for row in items:
        row |= {name: tell(row[name]) for name, tell in told.items() if name in row}
        lines.add("<tr>")
        if are_chosen:
            lines.add(_BOX, str(row.get("id")), label_in(row))
        _cells(lines, row, columns, visit.catalog, href_of(row))
        if acts:
            _acts(lines, acts, path, row)
        lines.add("</tr>\n")
    return {"rows": bool(items), "lines": lines, "has_acts": bool(acts)}


def _cells(
    lines: Drawing,
    row: Mapping[str, Any],
    columns: tuple[Column, ...],
    catalog: Catalog,
    href: str,
) -> None:
    """The cells of a row, of which the first leads to its page, if it has one."""
    first, *others = columns
    if href:
        lines.add('<th scope="row"><a href="%s">', href)
        lines.cell(row.get(first.name) or label_in(row), first.kind)
        lines.add("</a></th>")
    else:
        lines.add('<th scope="row">')
        lines.cell(row.get(first.name), first.kind, catalog, first.name)
        lines.add("</th>")
    for each in others:
        lines.add("<td>")
        lines.cell(row.get(each.name), each.kind, catalog, each.name)
        lines.add("</td>")


def _acts(
    lines: Drawing, acts: list[Operation], path: Mapping[str, str], row: Mapping[str, Any]
) -> None:
    lines.add('<td class="acts">')
    for each in acts:
        href = form_link(each, {**path, each.parameters[-1]: row.get("id")})
        lines.add('<a href="%s">%s</a> ', href, each.title)
    lines.add("</td>")
