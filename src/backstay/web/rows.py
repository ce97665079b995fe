"""Writes rows as CSV or as lines of JSON."""

import csv
import json
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from io import StringIO
from typing import Any, Protocol

from pydantic_core import from_json

from backstay.core.messages import View

CSV = "text/csv"
JSON_LINES = "application/jsonl"
_IGNORED = r"[\s\"'\x00-\x1f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]*"
"""What a spreadsheet may drop in front of a formula: blanks, quotes, characters without width."""
_FORMULA = re.compile(rf"(^(?=[\t\r\n])|(?:^|[;\t\r\n])(?={_IGNORED}[=+\-@＝＋－＠]))")  # noqa: RUF001
"""Where a cell begins that a spreadsheet would run as a formula: with ``= + - @``, a tab or a line
break, also in full width. In a text, a cell also begins behind each separator that the spreadsheet
of another country takes instead of the comma (OWASP, "CSV Injection")."""
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?(E[+-]?[0-9]+)?", re.IGNORECASE)


class RowFormat(Protocol):
    """How the rows of one view are written; ``head`` comes before all of them."""

    head: bytes

    def render(self, rows: Sequence[View]) -> bytes:
        """The rows, in UTF-8."""
        ...


class Csv:
    """Comma-separated values (RFC 4180) under a line of names.

    Each value is written as in JSON: a text as it is, an object or a list as JSON, and an empty
    cell is null or an empty text. Wherever a spreadsheet would see a formula in a text, an
    apostrophe stands in front of it; a number gets none.
    """

    def __init__(self, view: type[View]) -> None:
        shown = (name for name, field in view.model_fields.items() if not field.exclude)
        self._names = [*shown, *view.model_computed_fields]
        self._to_json = view.__pydantic_serializer__.to_json
        self.head = _lines([self._names])

    def render(self, rows: Sequence[View]) -> bytes:
        """One line for each row."""
        return _lines([self._cells(row) for row in rows])

    def _cells(self, row: View) -> list[str]:
        told = from_json(self._to_json(row, by_alias=False))
        return [
            _cell(told.get(name), is_number=isinstance(getattr(row, name), Decimal))
            for name in self._names
        ]


class JsonLines:
    """One JSON object on each line (jsonlines.org)."""

    head = b""

    def __init__(self, view: type[View]) -> None:
        self._to_json = view.__pydantic_serializer__.to_json

    def render(self, rows: Sequence[View]) -> bytes:
        """One line for each row."""
        return b"".join(self._to_json(row) + b"\n" for row in rows)


FORMATS: Mapping[str, Callable[[type[View]], RowFormat]] = {
    CSV: Csv,
    JSON_LINES: JsonLines,
    "application/x-ndjson": JsonLines,
}
"""By media type: how rows are written."""
ENDINGS = {".csv": CSV, ".jsonl": JSON_LINES, ".ndjson": "application/x-ndjson"}
"""By the end of a path: the media type of its rows."""


def _lines(cells: Sequence[Sequence[str]]) -> bytes:
    text = StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows(cells)
    return text.getvalue().encode()


def _cell(value: Any, *, is_number: bool) -> str:
    """A value of JSON as a cell; ``is_number`` tells of a Decimal, which JSON has as a text."""
    if value is None:
        return ""
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if is_number and _NUMBER.fullmatch(text) else _FORMULA.sub(r"\1'", text)
