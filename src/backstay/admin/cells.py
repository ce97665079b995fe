"""Draws the values of tables and lists of facts as HTML."""

from typing import Any

from markupsafe import escape
from pydantic_core import to_json

from backstay.admin.catalog import Catalog
from backstay.admin.tables import BASE

_UUID_LENGTH = 36
MOST_PARTS = 20
"""Of a longer object or list a table shows the JSON."""
_SHOWN = 200
"""Of a longer value a table shows so many characters."""
_NUL = "\0"
_MOMENT = '<time datetime="%s" title="%s">%s</time>'
_WHOLE = '<span class="id" title="%s">%s</span>'
_SHORT = '<span class="id" title="%s">&hellip;%s</span>'
_LINK = '<a class="id" href="%s" title="%s">%s</a>'
_SHORT_LINK = '<a class="id" href="%s" title="%s">&hellip;%s</a>'


class Drawing:
    """HTML in the making: what the code says, and values in it, which are escaped all at once.

    A table has hundreds of them, and to escape each by itself would take longer than to read the
    rows. Templates take a drawing for HTML, as they do whatever has ``__html__``.
    """

    def __init__(self) -> None:
        self._html: list[str] = []
        self._values: list[str] = []

    def add(self, html: str, *values: str) -> None:
        """Add HTML, which is a literal of the code with ``%s`` for each of the values."""
        self._html.append(html)
        self._values += values

    def __html__(self) -> str:
        escaped = str(escape(_NUL.join(self._values))).split(_NUL)
        if len(escaped) != len(self._values):  # none, or one of them holds a NUL itself
            escaped = [str(escape(value)) for value in self._values]
        return "".join(self._html) % tuple(escaped)

    def cell(
        self,
        value: Any,
        kind: str = "",
        catalog: Catalog | None = None,
        name: str = "",
        *,
        is_whole: bool = False,
    ) -> None:
        """Add a value of JSON; the id of something that the console shows becomes a link.

        Of an id a table shows the end only, unless ``is_whole``.
        """
        if value in (None, "", [], {}):
            self.add('<span class="none">-</span>')
        elif isinstance(value, bool):
            self.add('<span class="%s">%s</span>', *(("yes", "yes") if value else ("no", "no")))
        elif isinstance(value, (dict, list)):
            self._several(value, catalog, is_whole=is_whole)
        elif kind == "date-time":
            text = str(value)
            self.add(_MOMENT, text, text, f"{text[:10]} {text[11:19]}")
        else:
            text = str(value)
            path = None if catalog is None else catalog.path_to(name, text)
            is_id = path is not None or kind == "uuid"
            if not is_id:
                self._clipped(text)
                return
            is_short = len(text) == _UUID_LENGTH and not is_whole
            shown = text[-8:] if is_short else text  # ids of one table differ most at the end
            if path is not None:
                link = f"{BASE}/data{path}"
                self.add(_SHORT_LINK if is_short else _LINK, link, text, shown)
            else:
                self.add(_SHORT if is_short else _WHOLE, text, shown)

    def _several(
        self, value: dict[str, Any] | list[Any], catalog: Catalog | None, *, is_whole: bool
    ) -> None:
        """Add plain values with commas, an object of such line by line, anything else as JSON."""
        parts = value.values() if isinstance(value, dict) else value
        if len(value) > MOST_PARTS or any(isinstance(each, (dict, list)) for each in parts):
            self._clipped(to_json(value).decode())
        elif isinstance(value, list):
            self._clipped(", ".join(map(str, value)))
        else:
            for number, (name, each) in enumerate(value.items()):
                self.add("<br><code>%s</code> " if number else "<code>%s</code> ", name)
                self.cell(each, _kind_of(each), catalog, name, is_whole=is_whole)

    def _clipped(self, text: str) -> None:
        if len(text) <= _SHOWN:
            self.add("%s", text)
        else:
            self.add('<span title="%s">%s&hellip;</span>', text[:1000], text[:_SHOWN])


def cell(
    value: Any,
    kind: str = "",
    catalog: Catalog | None = None,
    name: str = "",
    *,
    is_whole: bool = False,
) -> Drawing:
    """The drawing of one value."""
    made = Drawing()
    made.cell(value, kind, catalog, name, is_whole=is_whole)
    return made


def _kind_of(value: Any) -> str:
    return "uuid" if isinstance(value, str) and len(value) == _UUID_LENGTH else ""


def short(value: Any) -> str:
    """The end of an id, by which ids of one table differ most (RFC 9562, 5.7)."""
    text = str(value)
    return f"…{text[-8:]}" if len(text) == _UUID_LENGTH else text
