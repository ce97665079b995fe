"""Tells what each value of a table or a list of facts looks like; `_cells.html` draws it."""

from typing import Any, NamedTuple

from pydantic_core import to_json

from backstay.admin.catalog import Catalog
from backstay.admin.tables import BASE

_UUID_LENGTH = 36
_SHOWN = 200
"""Of a longer value a table shows so many characters."""


class Cell(NamedTuple):
    """A value ready to be drawn in the way of its ``shape``.

    ``more`` is what the text leaves out, ``href`` where it leads, and ``tag`` the element that it
    fills, of which the head of a row is a ``th``.
    """

    shape: str
    text: Any
    more: str = ""
    href: str = ""
    tag: str = "td"


def cell(
    value: Any,
    kind: str = "",
    catalog: Catalog | None = None,
    name: str = "",
    *,
    is_whole: bool = False,
    tag: str = "td",
) -> Cell:
    """A value of JSON; the id of something that the console shows leads there.

    Of an id a table shows the end only, unless ``is_whole``.
    """
    if value in (None, "", [], {}):
        return Cell("none", "-", tag=tag)
    if isinstance(value, bool):
        return Cell("yes", "yes", tag=tag) if value else Cell("no", "no", tag=tag)
    if isinstance(value, (dict, list)):
        is_plain = isinstance(value, list) and not any(isinstance(e, (dict, list)) for e in value)
        text = ", ".join(map(str, value)) if is_plain else to_json(value).decode()
        return _clipped(text, tag)
    text = str(value)
    if kind == "date-time":
        return Cell("moment", text[:19].replace("T", " "), text, "", tag)
    path = None if catalog is None else catalog.path_to(name, text)
    if path is not None or kind == "uuid":
        href = f"{BASE}/data{path}" if path else ""
        return Cell("id", text if is_whole else short(text), text, href, tag)
    return _clipped(text, tag)


def short(text: str) -> str:
    """The end of an id, by which ids of one table differ most (RFC 9562, 5.7)."""
    return f"…{text[-8:]}" if len(text) == _UUID_LENGTH else text


def _clipped(text: str, tag: str) -> Cell:
    if len(text) <= _SHOWN:
        return Cell("text", text, "", "", tag)
    return Cell("clipped", text[:_SHOWN], text[:1000], "", tag)
