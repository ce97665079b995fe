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
