"""Checks a request before its message is read: host, length, encoding and media type."""

import re
from collections.abc import Iterable

from starlette.types import Scope

from backstay.core.errors import AppError, BadRequest, Invalid
from backstay.web.fields import field_of, fields_of, lines_of

URI_BYTES = 32_768
"""The most bytes of path and query together: enough for a filter with a hundred addresses."""
QUERY_PARAMETERS = 200
"""The most parameters of a query."""
_BODY_BYTES = "backstay.body_bytes"
_HOST = re.compile(rb"(?:[\w.~!$&'()*+;=%-]+|\[[\w:.~%-]+\])(?::[0-9]*)?", re.ASCII)
_PORT = re.compile(r":[0-9]*$")


class _TooLarge(AppError):
    status, code, title = 413, "too_large", "The request body is too large"


class _UriTooLong(AppError):
    status, code, title = 414, "uri_too_long", "The path and the query are too long"


class _UnsupportedMediaType(AppError):
    status, code, title = 415, "unsupported_media_type", "The body must be JSON"


def check_host(scope: Scope, served: Iterable[str]) -> None:
    """Refuse a request that does not name exactly one host (RFC 9112, 3.2), or not a served one.

    ``served`` holds names in lower case. ``*.example.com`` matches every name below it; an empty
    ``served`` matches every host.

    Raises:
        BadRequest: the host is missing, repeated, malformed or not served.
    """
    given = [value for name, value in scope["headers"] if name == b"host"]
    if given == [b""]:  # granian sends this if the header is missing
        given = []
    if len(given) > 1 or not all(map(_HOST.fullmatch, given)):
        raise BadRequest("Send one Host header, with a name and a port at most.")
    if not given and scope.get("http_version") == "1.1":
        raise BadRequest("Send a Host header.")
    if served:
        name = _PORT.sub("", b"".join(given).decode("latin-1").lower())
        if not any(_serves(each, name) for each in served):
            raise BadRequest("This host name is not served here.")


def _serves(served: str, name: str) -> bool:
    return name.endswith(served[1:]) if served.startswith("*.") else name == served


def check_uri(scope: Scope) -> None:
    """Refuse a request whose path and query are too long, or whose query has too many parameters.

    Raises:
        AppError: path and query have more than ``URI_BYTES`` bytes (414).
        Invalid: the query has more than ``QUERY_PARAMETERS`` parameters.
    """
    query: bytes = scope.get("query_string", b"")
    if len(scope["path"]) + len(query) > URI_BYTES:
        raise _UriTooLong(f"Path and query may have {URI_BYTES} bytes.")
    if query.count(b"&") >= QUERY_PARAMETERS:
        raise Invalid(f"The query may have {QUERY_PARAMETERS} parameters.")


def check_length(scope: Scope, most: int) -> None:
    """Refuse a body whose ``Content-Length`` exceeds ``most`` bytes.

    Raises:
        AppError: it does (413). A body without ``Content-Length`` is counted while it arrives.
    """
    length = fields_of(scope).get(b"content-length", b"0")
    if length.isdigit() and int(length[:20]) > most:
        raise too_large(most)


def check_encoding(scope: Scope) -> None:
    """Refuse a body with a ``Content-Encoding``, such as a compressed one: none is decoded.

    Raises:
        AppError: the body is encoded (415); ``Accept-Encoding`` names what may be sent (RFC 9110,
            15.5.16).
    """
    codings = ",".join(lines_of(scope, b"content-encoding")).lower().split(",")
    if any(coding.strip() not in {"", "identity"} for coding in codings):
        raise _UnsupportedMediaType(
            "Send the body as it is, without Content-Encoding.",
            headers={"Accept-Encoding": "identity"},
        )


def narrow(scope: Scope, most: int) -> None:
    """Limit the body of this request to ``most`` bytes.

    Raises:
        AppError: its ``Content-Length`` exceeds that (413).
    """
    check_length(scope, most)
    scope[_BODY_BYTES] = most


def narrowed(scope: Scope, most: int) -> int:
    """The byte limit of this request's body: ``most``, or the lower one that ``narrow`` set."""
    here: int = scope.get(_BODY_BYTES, most)
    return min(most, here)


def too_large(most: int) -> AppError:
    """The error for a body of more than ``most`` bytes."""
    return _TooLarge(f"The body may have {most} bytes.")


def media_type_of(scope: Scope) -> str:
    """The media type of ``Content-Type``, without parameters; empty if the header is missing."""
    return (field_of(scope, b"content-type") or "").partition(";")[0].strip().lower()


def check_media_type(scope: Scope, *allowed: str) -> None:
    """Refuse a body whose ``Content-Type`` is not allowed. A missing one is accepted.

    Raises:
        AppError: it is none of the allowed types (415; RFC 9110, 15.5.16).
    """
    given = media_type_of(scope)
    if given and given not in allowed:
        raise _UnsupportedMediaType(f"Send {' or '.join(allowed)}.")
