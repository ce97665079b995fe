"""How large the body of a request may be: what a server takes, and less where a route says so."""

from starlette.types import Scope

from backstay.core.errors import TooLarge
from backstay.web.fields import fields_of

_KEY = "backstay.body_bytes"


def check_length(scope: Scope, most: int) -> None:
    """Refuse a body that says it is longer.

    Raises:
        TooLarge: it says so; what says nothing is counted while it arrives.
    """
    length = fields_of(scope).get(b"content-length", b"0")
    if length.isdigit() and int(length[:20]) > most:
        raise too_large(most)


def narrow(scope: Scope, most: int) -> None:
    """Let the body of this request have no more bytes than that.

    Raises:
        TooLarge: it says that it has.
    """
    check_length(scope, most)
    scope[_KEY] = most


def narrowed(scope: Scope, most: int) -> int:
    """How many bytes the body of this request may have where any may have ``most``."""
    here: int = scope.get(_KEY, most)
    return min(most, here)


def too_large(most: int) -> TooLarge:
    """The refusal of a body that has more bytes."""
    return TooLarge(f"The body may have {most} bytes.")
