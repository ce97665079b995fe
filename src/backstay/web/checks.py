"""What a request must be before its message is read: for a host that is served here, neither too
long nor encoded, and of a media type that its route takes."""

import re
from collections.abc import Iterable

from starlette.types import Scope

from backstay.core.errors import BadRequest, Invalid, TooLarge, UnsupportedMediaType, UriTooLong
from backstay.web.fields import field_of, fields_of, lines_of

URI_BYTES = 32_768
"""How long path and query may be together: a hundred addresses in one filter fit in."""
QUERY_PARAMETERS = 200
"""How many parameters a query may have."""
_BODY_BYTES = "backstay.body_bytes"
_HOST = re.compile(rb"(?:[\w.~!$&'()*+;=%-]+|\[[\w:.~%-]+\])(?::[0-9]*)?", re.ASCII)
_PORT = re.compile(r":[0-9]*$")


def check_host(scope: Scope, served: Iterable[str]) -> None:
    """Refuse a request that does not name one host (RFC 9112, 3.2), or not one that is served.

    ``served`` are names in lower case, ``*.example.com`` every name below; without any, all are.

    Raises:
        BadRequest: it names none, several, something else, or another one.
    """
    given = [value for name, value in scope["headers"] if name == b"host"]
    if given == [b""]:  # what granian writes for none
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
    """Refuse a request whose path and query are long, or whose query has many parameters.

    Raises:
        UriTooLong: the former.
        Invalid: the latter.
    """
    query: bytes = scope.get("query_string", b"")
    if len(scope["path"]) + len(query) > URI_BYTES:
        raise UriTooLong(f"Path and query may have {URI_BYTES} bytes.")
    if query.count(b"&") >= QUERY_PARAMETERS:
        raise Invalid(f"The query may have {QUERY_PARAMETERS} parameters.")


def check_length(scope: Scope, most: int) -> None:
    """Refuse a body that says it is longer.

    Raises:
        TooLarge: it says so; what says nothing is counted while it arrives.
    """
    length = fields_of(scope).get(b"content-length", b"0")
    if length.isdigit() and int(length[:20]) > most:
        raise too_large(most)


def check_encoding(scope: Scope) -> None:
    """Refuse a body that is encoded, as compressed ones are: none is decoded here.

    Raises:
        UnsupportedMediaType: it says so, and which encoding may be sent (RFC 9110, 15.5.16).
    """
    codings = ",".join(lines_of(scope, b"content-encoding")).lower().split(",")
    if any(coding.strip() not in {"", "identity"} for coding in codings):
        raise UnsupportedMediaType(
            "Send the body as it is, without Content-Encoding.",
            headers={"Accept-Encoding": "identity"},
        )


def narrow(scope: Scope, most: int) -> None:
    """Let the body of this request have no more bytes than that.

    Raises:
        TooLarge: it says that it has.
    """
    check_length(scope, most)
    scope[_BODY_BYTES] = most


def narrowed(scope: Scope, most: int) -> int:
    """How many bytes the body of this request may have where any may have ``most``."""
    here: int = scope.get(_BODY_BYTES, most)
    return min(most, here)


def too_large(most: int) -> TooLarge:
    """The refusal of a body that has more bytes."""
    return TooLarge(f"The body may have {most} bytes.")


def media_type_of(scope: Scope) -> str:
    """What the body of a request says it is, without parameters; empty when it says nothing."""
    return (field_of(scope, b"content-type") or "").partition(";")[0].strip().lower()


def check_media_type(scope: Scope, *allowed: str) -> None:
    """Refuse a body that says it is something else.

    Raises:
        UnsupportedMediaType: none of the allowed types (RFC 9110, 15.5.16).
    """
    given = media_type_of(scope)
    if given and given not in allowed:
        raise UnsupportedMediaType(f"Send {' or '.join(allowed)}.")
