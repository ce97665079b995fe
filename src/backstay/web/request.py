"""Reads the head of a request: header fields, the client's address, and what is refused by it."""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from os import urandom

from starlette.requests import ClientDisconnect, Request
from starlette.types import Scope

from backstay.core.addresses import Address, Network, parse_address
from backstay.core.errors import (
    AppError,
    BadRequest,
    Invalid,
)

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
MULTIPART = "multipart/form-data"
URI_BYTES = 32_768
"""The most bytes of path and query together: enough for a filter with a hundred addresses."""
QUERY_PARAMETERS = 200
"""The most parameters of a query."""
_BODY, _BODY_BYTES = "backstay.body", "backstay.body_bytes"
_FIELDS = "backstay.fields"
_HOST = re.compile(rb"(?:[\w.~!$&'()*+;=%-]+|\[[\w:.~%-]+\])(?::[0-9]*)?", re.ASCII)
_PORT = re.compile(r":[0-9]*$")
_NODE = re.compile(r"(?:\[(?P<v6>[^\[\]]+)\]|(?P<v4>[0-9.]+))(?::[0-9]{1,5})?", re.ASCII)
"""An address as proxies write it, with or without a port (RFC 7239, 6)."""
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_TRACE = b"traceparent"
_PARENT = re.compile(
    rb"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?"
)
PROBES = frozenset({"/livez", "/readyz", "/health", "/metrics"})
"""The paths that machines ask every few seconds; no log and no trace has a line about them."""


def fields_of(scope: Scope) -> dict[bytes, bytes]:
    """The fields by lower-case name. Of a repeated field it is the first line."""
    fields: dict[bytes, bytes] | None = scope.get(_FIELDS)
    if fields is None:
        fields = scope[_FIELDS] = dict(scope["headers"])
        if len(fields) < len(scope["headers"]):  # one is repeated
            fields = scope[_FIELDS] = dict(reversed(list(scope["headers"])))
    return fields


def field_of(scope: Scope, name: bytes) -> str | None:
    """The value of one field, decoded as ISO 8859-1, or None."""
    value = fields_of(scope).get(name)
    return None if value is None else value.decode("latin-1")


def lines_of(scope: Scope, name: bytes) -> list[str]:
    """All lines of a repeated field in their order, decoded as ISO 8859-1."""
    if name not in fields_of(scope):
        return []
    return [value.decode("latin-1") for given, value in scope["headers"] if given == name]


def parent_of(scope: Scope) -> tuple[str, str, str] | None:
    """Trace id, span id and flags of the request's ``traceparent`` (W3C Trace Context).

    None if the header is missing, repeated or malformed. A version later than 00 is read as that
    standard demands: further parts may follow the flags, and only the ``sampled`` flag is used.
    """
    if _TRACE not in fields_of(scope):
        return None
    given = [value for name, value in scope["headers"] if name == _TRACE]
    parent = _PARENT.fullmatch(given[0]) if len(given) == 1 else None
    if parent is None:
        return None
    version, trace_id, span_id, flags, more = parent.groups()
    if version == b"00" and more:
        return None
    if version != b"00":
        flags = b"%02x" % (int(flags, 16) & 1)
    return trace_id.decode(), span_id.decode(), flags.decode()


def identify(scope: Scope) -> tuple[str, bytes]:
    """The request id and the ``traceparent`` of this hop (W3C Trace Context).

    Where requests are traced, it is that of the request's span. If the request has no valid
    ``X-Request-ID``, its trace id is the request id.
    """
    trace: bytes | None = scope.get("backstay.trace")
    if trace is None:
        chosen = urandom(24).hex()
        trace_id, _, flags = parent_of(scope) or (chosen[:32], "", "00")
        trace = scope["backstay.trace"] = f"00-{trace_id}-{chosen[32:]}-{flags}".encode()
    given = fields_of(scope).get(b"x-request-id")
    is_id = given is not None and _REQUEST_ID.fullmatch(given) is not None
    request_id = (given if given is not None and is_id else trace[3:35]).decode()
    scope["backstay.request_id"] = request_id
    return request_id, trace


def bearer_token(authorization: str | None) -> str | None:
    """The token of a ``Bearer`` header, or None."""
    scheme, _, token = (authorization or "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def client_address(scope: Scope, trusted: Sequence[Network]) -> str:
    """The address of the client, without its port.

    It is the address of the socket's peer. If that peer is a trusted proxy, it is instead the
    rightmost entry of ``X-Forwarded-For`` that is not a trusted proxy.

    If that entry is not an address, the header is ignored and the proxy's address is used. All
    clients that hide their address behind one proxy therefore share one rate limit, and no client
    can choose the address it is counted under.
    """
    client = scope.get("client")
    peer = str(client[0]).partition("%")[0] if client else ""
    if not trusted or not _is_trusted(parse_address(peer), trusted):
        return peer
    values = [v for name, v in scope["headers"] if name == b"x-forwarded-for"]
    entries = [e.strip() for e in b",".join(values).decode("latin-1").split(",")]
    for entry in reversed(entries):
        node = _NODE.fullmatch(entry)
        address = parse_address(node["v6"] or node["v4"] if node else entry)
        if not _is_trusted(address, trusted):
            return peer if address is None else str(address)
    return peer


def _is_trusted(address: Address | None, trusted: Sequence[Network]) -> bool:
    return address is not None and any(address in network for network in trusted)


class _TooLarge(AppError):
    status, code, title = 413, "too_large", "The request body is too large"


class _UriTooLong(AppError):
    status, code, title = 414, "uri_too_long", "The path and the query are too long"


class _UnsupportedMediaType(AppError):
    status, code, title = 415, "unsupported_media_type", "This type of body is not accepted"


def check_host(scope: Scope, served: Iterable[str]) -> None:
    """Refuse a request that does not name exactly one host (RFC 9112, 3.2), or not a served one.

    ``served`` holds names in lower case. ``*.example.com`` matches every name below it; an empty
    ``served`` matches every host.

    Raises:
        BadRequest: the host is missing, repeated, malformed or not served.
    """
    fields = fields_of(scope)
    given = fields.get(b"host", b"")  # granian sends an empty one if the header is missing
    is_repeated = len(fields) < len(scope["headers"]) and len(lines_of(scope, b"host")) > 1
    if is_repeated or (given and not _is_host(given)):
        raise BadRequest("Send one Host header, with a name and a port at most.")
    if not given and scope.get("http_version") == "1.1":
        raise BadRequest("Send a Host header.")
    if served:
        name = _PORT.sub("", given.decode("latin-1").lower())
        if not any(_serves(each, name) for each in served):
            raise BadRequest("This host name is not served here.")


@lru_cache(256)
def _is_host(value: bytes) -> bool:
    return _HOST.fullmatch(value) is not None


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


async def body_of(request: Request) -> bytes:
    """The whole body of a request, as `Request.body`; most come in one message.

    Raises:
        ClientDisconnect: the client went before its end.
    """
    body: bytes | None = request.scope.get(_BODY)
    if body is None:
        parts, is_complete = [], False
        while not is_complete:
            message = await request.receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            parts.append(message.get("body", b""))
            is_complete = not message.get("more_body", False)
        body = request.scope[_BODY] = b"".join(parts)
    return body


def check_length(scope: Scope, most: int) -> None:
    """Refuse a body whose ``Content-Length`` exceeds ``most`` bytes.

    Raises:
        AppError: it does (413). A body without ``Content-Length`` is counted while it arrives.
    """
    length = fields_of(scope).get(b"content-length")
    if length is not None and length.isdigit() and int(length[:20]) > most:
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
    """Limit the body of this request to ``most`` bytes, where the application allows more.

    Raises:
        AppError: its ``Content-Length`` exceeds that (413).
    """
    check_length(scope, most)
    scope[_BODY_BYTES] = min(most, scope.get(_BODY_BYTES, most))


def allow_bytes(scope: Scope, most: int) -> None:
    """Allow the body of this request ``most`` bytes, whatever was allowed before."""
    scope[_BODY_BYTES] = most


def allowed_bytes(scope: Scope) -> int:
    """The most bytes of this request's body."""
    most: int = scope[_BODY_BYTES]
    return most


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
        raise unsupported(*allowed)


def unsupported(*allowed: str) -> AppError:
    """The error for a body of another media type than these."""
    return _UnsupportedMediaType(f"Send {' or '.join(allowed)}.")
