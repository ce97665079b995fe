"""The header fields of a request by name, read once for all who ask."""

from starlette.types import Scope

_KEY = "backstay.fields"


def fields_of(scope: Scope) -> dict[bytes, bytes]:
    """The fields by lower-case name; of a repeated one the first."""
    fields: dict[bytes, bytes] | None = scope.get(_KEY)
    if fields is None:
        fields = scope[_KEY] = dict(reversed(list(scope["headers"])))
    return fields


def field_of(scope: Scope, name: bytes) -> str | None:
    """One field as text (ISO 8859-1), or None."""
    value = fields_of(scope).get(name)
    return None if value is None else value.decode("latin-1")


def lines_of(scope: Scope, name: bytes) -> list[str]:
    """Every line of a repeated field as text (ISO 8859-1), in their order."""
    if name not in fields_of(scope):
        return []
    return [value.decode("latin-1") for given, value in scope["headers"] if given == name]


def cookies_of(scope: Scope, name: str) -> list[str]:
    """The values of all cookies of one name (RFC 6265, 5.4: longer paths first), none of them empty
    or twice."""
    pairs = (pair.partition("=") for line in lines_of(scope, b"cookie") for pair in line.split(";"))
    values = (value.strip().strip('"') for given, _, value in pairs if given.strip() == name)
    return list(dict.fromkeys(filter(None, values)))
