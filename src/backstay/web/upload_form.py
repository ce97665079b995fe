"""Reads the one file of a form (multipart/form-data, RFC 7578) while the form arrives."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from backstay.core.errors import BadRequest, FieldError, Invalid

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

Begins = Callable[[str, str], None]
"""Is called with the disposition and the media type of the file, before its content."""


class UploadForm:
    """A form that has one field, a file with the name ``field``."""

    def __init__(self, content_type: str, field: str, begins: Begins) -> None:
        boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
        if not boundary:
            raise _unreadable("Its Content-Type has no boundary.")
        self._field = field
        self._begins = begins
        self._content: list[bytes] = []
        self._name = self._value = b""
        self._headers: dict[bytes, bytes] = {}
        self._has_file = self._has_ended = False
        callbacks: MultipartCallbacks = {
            "on_header_field": self._on_name,
            "on_header_value": self._on_value,
            "on_header_end": self._on_header,
            "on_headers_finished": self._on_headers,
            "on_part_data": self._on_content,
            "on_end": self._on_end,
        }
        try:
            self._parser = MultipartParser(boundary, callbacks)
        except FormParserError as error:
            raise _unreadable(str(error)) from error

    def feed(self, chunk: bytes) -> bytes:
        """Read a chunk of the form; what it has of the file.

        Raises:
            Invalid: the form has another field, or no file.
            BadRequest: it is not multipart/form-data.
        """
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise _unreadable(str(error)) from error
        content = b"".join(self._content)
        self._content.clear()
        return content

    def check_end(self) -> None:
        """Make sure that the form is complete.

        Raises:
            Invalid: it has no file.
            BadRequest: its end is missing.
        """
        if not self._has_ended:
            raise _unreadable("Its end is missing.")
        if not self._has_file:
            raise Invalid(errors=(FieldError(self._field, "missing", "Field required"),))

    def _on_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name = self._value = b""

    def _on_headers(self) -> None:
        disposition = self._headers.get(b"content-disposition", b"").decode("utf-8", "replace")
        media_type = self._headers.get(b"content-type", b"").decode("latin-1")
        self._headers = {}
        options = parse_options_header(disposition.encode("utf-8"))[1]
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if self._has_file or name != self._field or b"filename" not in options:
            told = f"The form may have one field, the file `{self._field}`"
            raise Invalid(errors=(FieldError(name[:200], "extra_forbidden", told),))
        self._has_file = True
        self._begins(disposition, media_type)

    def _on_content(self, data: bytes, start: int, end: int) -> None:
        self._content.append(data[start:end])

    def _on_end(self) -> None:
        self._has_ended = True


def _unreadable(why: str) -> BadRequest:
    return BadRequest(f"The form could not be read as multipart/form-data. {why}")
