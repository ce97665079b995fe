"""Writes rows as CSV or as lines of JSON."""

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from io import StringIO
from typing import Any, Protocol

from pydantic_core import to_jsonable_python

from backstay.core.messages import View

CSV = "text/csv"
JSON_LINES = "application/jsonl"
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001
"""With these a cell begins that a spreadsheet would run as a formula (OWASP, CSV injection)."""


class RowFormat(Protocol):
    """How the rows of one view are written; ``head`` comes before all of them."""

    head: bytes

    def render(self, rows: Sequence[View]) -> bytes:
        """The rows, in UTF-8."""
        ...


class Csv:
    """Comma-separated values (RFC 4180) under a line of names.

    An empty cell is null or an empty text. A text that a spreadsheet would run as a formula gets an
    apostrophe in front; numbers do not. An object or a list is written as JSON.
    """

    def __init__(self, view: type[View]) -> None:
        shown = (name for name, field in view.model_fields.items() if not field.exclude)
        self._names = [*shown, *view.model_computed_fields]
        self.head = _lines([self._names])

    def render(self, rows: Sequence[View]) -> bytes:
        """One line for each row."""
        told = (row.model_dump() for row in rows)
        return _lines([[_cell(row.get(name)) for name in self._names] for row in told])


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


def _cell(value: Any) -> str:
    told = to_jsonable_python(value)
    if told is None:
        return ""
    if not isinstance(told, str):
        return json.dumps(told, ensure_ascii=False)
    return f"'{told}" if told.startswith(_FORMULA) and not isinstance(value, Decimal) else told
