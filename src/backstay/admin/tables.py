"""Lays out lists and objects as tables: columns, cells, filters, and links to other pages."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import quote, urlencode

from markupsafe import Markup, escape
from pydantic_core import to_json

from backstay.admin.catalog import Catalog
from backstay.admin.operations import Operation, words
from backstay.core.introspection import MessageField, fields_of
from backstay.core.listing import ListQuery
from backstay.core.messages import View
from backstay.core.permissions import PermissionSpec, Source
from backstay.core.principal import Principal

BASE = "/admin"
"""Where the console is."""
MOST_COLUMNS = 8
_LONG = 500
_LABELS = ("name", "title", "label", "email", "username", "key", "message", "code")
"""Fields by which people tell rows apart, the best first."""
_NAIVE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?")
_UUID_LENGTH = 36
MOST_PARTS = 20
"""Of a longer object or list a table shows the JSON."""
_SHOWN = 200
"""Of a longer value a table shows so many characters."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table; ``kind`` is the format of its values, or their type."""

    name: str
    label: str
    kind: str


@cache
def columns_of(view: type[View], names: tuple[str, ...] = ()) -> tuple[Column, ...]:
    """The columns of a table of a view: those of these names, else those that it has room for.

    What names a row comes first.
    """
    if names:
        known = {each.name: each for each in fields_in(view)}
        return tuple(known[name] for name in names)
    found = [each for each in fields_in(view) if each.kind not in {"object", "array", "long"}]
    ranks = {name: rank for rank, name in enumerate(_LABELS)}
    found.sort(key=lambda each: ranks.get(each.name, len(ranks)))
    is_named = any(each.name in ranks for each in found)
    return tuple(each for each in found if each.name != "id" or not is_named)[:MOST_COLUMNS]


@cache
def fields_in(view: type[View]) -> tuple[Column, ...]:
    """Every field of a view."""
    schema = view.model_json_schema(mode="serialization")
    return tuple(
        Column(name, words(name), _kind(told)) for name, told in schema["properties"].items()
    )


def name_in(row: Mapping[str, Any]) -> str:
    """What people call a row or an object: the first of its fields that is a name; else empty."""
    return next((str(row[each]) for each in _LABELS if row.get(each)), "")


def label_in(row: Mapping[str, Any]) -> str:
    """What tells a row from others: its name, or its id if it has none."""
    return name_in(row) or str(row.get("id", ""))


def _kind(told: Mapping[str, Any]) -> str:
    options = [each for each in told.get("anyOf", [told]) if each.get("type") != "null"]
    value: Mapping[str, Any] = options[0] if options else {}
    if value.get("maxLength", 0) > _LONG:
        return "long"
    return str(value.get("format") or value.get("type") or ("text" if "$ref" in value else "any"))


_NOTHING = Markup('<span class="none">-</span>')
_YES, _NO = Markup('<span class="yes">yes</span>'), Markup('<span class="no">no</span>')
_LINKED = Markup('<a class="id" href="%s" title="%s">%s</a>')
_ID = Markup('<span class="id" title="%s">%s</span>')
_MOMENT = Markup('<time datetime="%s" title="%s">%s</time>')
_NAMED = Markup("<code>%s</code> %s")
_CLIPPED = Markup('<span title="%s">%s…</span>')


def cell(
    value: Any,
    kind: str = "",
    catalog: Catalog | None = None,
    name: str = "",
    *,
    is_whole: bool = False,
) -> Markup:
    """A value of JSON as HTML; the id of something that the console shows becomes a link.

    Of an id a table shows the end only, unless ``is_whole``.
    """
    if value in (None, "", [], {}) or isinstance(value, bool):
        return (_YES if value else _NO) if isinstance(value, bool) else _NOTHING
    if isinstance(value, (dict, list)):
        return _several(value, catalog, is_whole=is_whole)
    if kind == "date-time":
        return moment(str(value))
    if catalog is not None and (path := catalog.path_to(name, value)) is not None:
        return _LINKED % (f"{BASE}/data{path}", value, value if is_whole else short(value))
    if kind == "uuid":
        return _ID % (value, value if is_whole else short(value))
    return _clipped(value)


def _several(
    value: dict[str, Any] | list[Any], catalog: Catalog | None, *, is_whole: bool
) -> Markup:
    parts = value.values() if isinstance(value, dict) else value
    if len(value) > MOST_PARTS or any(isinstance(each, (dict, list)) for each in parts):
        return _clipped(to_json(value).decode())
    if isinstance(value, list):
        return _clipped(", ".join(map(str, value)))
    named = (
        _NAMED % (name, cell(each, _kind_of(each), catalog, name, is_whole=is_whole))
        for name, each in value.items()
    )
    return Markup("<br>").join(named)


def _kind_of(value: Any) -> str:
    return "uuid" if isinstance(value, str) and len(value) == _UUID_LENGTH else ""


def short(value: Any) -> str:
    """The end of an id, by which ids of one table differ most (RFC 9562, 5.7)."""
    text = str(value)
    return f"…{text[-8:]}" if len(text) == _UUID_LENGTH else text


def told(text: str) -> Markup:
    """A description in code as HTML: what is in backticks is code."""
    parts = text.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if index % 2 else escape(part)
        for index, part in enumerate(parts)
    )


def moment(value: str) -> Markup:
    """A moment in ISO 8601, to the second; the title is the whole of it, with its zone."""
    return _MOMENT % (value, value, value[:19].replace("T", " "))


def _clipped(value: Any) -> Markup:
    text = str(value)
    return escape(text) if len(text) <= _SHOWN else _CLIPPED % (text[:1000], text[:_SHOWN])


def row_link(detail: Operation | None, row: Mapping[str, Any], given: Mapping[str, str]) -> str:
    """The page of a row; empty if there is none. ``given`` are the values of the list's path."""
    if detail is None:
        return ""
    last = detail.parameters[-1]
    field = detail.route.spec.path_names.get(last, last)
    value = next((row[each] for each in (last, field, "id") if each in row), None)
    if value is None:
        return ""
    values = {name: quote(given[name], safe="") for name in detail.parameters if name in given}
    return f"{BASE}/data{detail.filled({**values, last: quote(str(value), safe='')})}"


@dataclass(frozen=True, slots=True)
class Filter:
    """An input of a list's filters."""

    name: str
    label: str
    kind: str
    choices: tuple[str, ...]
    value: str


_OPERATORS = {"contains": "contains", "gte": "from", "lte": "until", "eq": ""}


def filters_of(
    query: type[ListQuery[Any]], principal: Principal, given: Mapping[str, str]
) -> Iterator[Filter]:
    """The filters of a list that the principal may use; others that were given are shown, too."""
    policy = query.permission
    grant = principal.grant(policy.key) if isinstance(policy, PermissionSpec) else None
    shown = set()
    for each in fields_of(query):
        if grant is not None and grant.refuses(Source.QUERY, each.name):
            continue
        for operator in _offered(each):
            flat = each.name if operator == "eq" else f"{each.name}__{operator}"
            shown.add(flat)
            yield _filter(each, flat, operator, given)
    for name in given.keys() - shown - {"sort", "q", "limit", "cursor"}:
        yield Filter(name, words(name.replace("__", " ")), "text", (), given[name])


def asked_of(query: type[ListQuery[Any]], given: Mapping[str, str]) -> dict[str, str]:
    """The parameters for the API: a moment that a browser gives without a zone is in UTC."""
    moments = {e.name for e in fields_of(query) if e.constraints.get("format") == "date-time"}
    return {
        name: in_utc(value) if name.partition("__")[0] in moments else value
        for name, value in given.items()
    }


def in_utc(text: str) -> str:
    """A moment of a browser's input, which has no zone: the console means UTC."""
    return f"{text}Z" if _NAIVE.fullmatch(text) else text


def _offered(field: MessageField) -> tuple[str, ...]:
    if not field.operators:
        return ("eq",)
    if "contains" in field.operators:
        return ("contains",)
    if "gte" in field.operators and "enum" not in field.constraints:
        return ("gte", "lte")
    return ("eq",)


def _filter(field: MessageField, flat: str, operator: str, given: Mapping[str, str]) -> Filter:
    label = f"{words(field.name)} {_OPERATORS[operator]}".strip()
    choices = tuple(map(str, field.constraints.get("enum", ())))
    if field.type == "boolean":
        choices = ("true", "false")
    kind = {"date-time": "datetime-local", "date": "date"}.get(
        field.constraints.get("format", ""), "select" if choices else "text"
    )
    value = given.get(flat, "")
    return Filter(flat, label, kind, choices, value[:19] if kind == "datetime-local" else value)


@dataclass(frozen=True, slots=True)
class Heading:
    """The head of a column; ``href`` sorts by it, and ``order`` says whether that is so now."""

    label: str
    href: str
    order: str


def headings(
    query: type[ListQuery[Any]],
    columns: Sequence[Column],
    principal: Principal,
    given: Mapping[str, str],
) -> Iterator[Heading]:
    """The heads of the columns of a list."""
    policy = query.permission
    grant = principal.grant(policy.key) if isinstance(policy, PermissionSpec) else None
    now = given.get("sort", "")
    for each in columns:
        is_refused = grant is not None and grant.refuses(Source.QUERY, each.name)
        if each.name not in query.sortable or is_refused:
            yield Heading(each.label, "", "")
            continue
        order = {each.name: "ascending", f"-{each.name}": "descending"}.get(now, "")
        key = f"-{each.name}" if order == "ascending" else each.name
        yield Heading(each.label, link(given, sort=key, cursor=None), order)


def link(given: Mapping[str, str], **changes: str | None) -> str:
    """The query of this page with some parameters changed; None removes one."""
    values = {**given, **changes}
    return "?" + urlencode({name: value for name, value in values.items() if value})
