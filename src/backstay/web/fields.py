"""The header fields of a request by name, parsed once per request."""

import re

from starlette.types import Scope

_KEY = "backstay.fields"
_TRACE = b"traceparent"
_PARENT = re.compile(
    rb"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})(-.*)?"
)


def fields_of(scope: Scope) -> dict[bytes, bytes]:
    """The fields by lower-case name. Of a repeated field it is the first line."""
    fields: dict[bytes, bytes] | None = scope.get(_KEY)
    if fields is None:
        fields = scope[_KEY] = dict(reversed(list(scope["headers"])))
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


def cookies_of(scope: Scope, name: str) -> list[str]:
    """The distinct, non-empty values of all cookies of one name.

    Their order is the browser's, which sends longer paths first (RFC 6265, 5.4).
    """
    pairs = (pair.partition("=") for line in lines_of(scope, b"cookie") for pair in line.split(";"))
    values = (value.strip().strip('"') for given, _, value in pairs if given.strip() == name)
    return list(dict.fromkeys(filter(None, values)))


def parent_of(scope: Scope) -> tuple[bytes, bytes] | None:
    """The trace id and the flags of the request's ``traceparent`` (W3C Trace Context).

    None if the header is missing, repeated or malformed. A version later than 00 is read as that
    standard demands: further parts may follow the flags, and only the ``sampled`` flag is used.
    """
    if _TRACE not in fields_of(scope):
        return None
    given = [value for name, value in scope["headers"] if name == _TRACE]
    parent = _PARENT.fullmatch(given[0]) if len(given) == 1 else None
    if parent is None:
        return None
    version, trace_id, flags, more = parent.groups()
    if version == b"00":
        return None if more else (trace_id, flags)
    return trace_id, b"%02x" % (int(flags, 16) & 1)
