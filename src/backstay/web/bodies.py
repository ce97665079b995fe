"""What the body of a request may be: not encoded, and as large as a server takes, or less where a
route says so."""

from starlette.types import Scope

from backstay.core.errors import TooLarge, UnsupportedMediaType
from backstay.web.fields import fields_of, lines_of

_KEY = "backstay.body_bytes"


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
    scope[_KEY] = most


def narrowed(scope: Scope, most: int) -> int:
    """How many bytes the body of this request may have where any may have ``most``."""
    here: int = scope.get(_KEY, most)
    return min(most, here)


def too_large(most: int) -> TooLarge:
    """The refusal of a body that has more bytes."""
    return TooLarge(f"The body may have {most} bytes.")
