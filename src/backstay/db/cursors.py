"""Cursors: positions in a list, signed, so that clients can keep them but not forge them."""

import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

from backstay.core.errors import FieldError, Invalid

_MAC_LENGTH = 24  # characters: 144 bits in base64url


class Cursors:
    """Signs and reads cursors with HMAC-SHA256 (RFC 2104), under a key derived from ``key``."""

    def __init__(self, key: bytes) -> None:
        self._key = hmac.digest(key, b"backstay cursor", "sha256")

    def sign(self, payload: list[Any] | dict[str, Any]) -> str:
        """A cursor that contains a JSON value; it can be used in a URL as it is."""
        text = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
        body = urlsafe_b64encode(text.encode()).rstrip(b"=")
        return (self._mac(body) + body).decode()

    def read(self, cursor: str) -> Any:
        """The value that was signed.

        Raises:
            Invalid: the cursor was not made by :meth:`sign` under this key.
        """
        raw = cursor.encode(errors="replace")
        mac, body = raw[:_MAC_LENGTH], raw[_MAC_LENGTH:]
        if not hmac.compare_digest(mac, self._mac(body)):
            raise unusable("is not one that this server made")
        return json.loads(urlsafe_b64decode(body + b"=" * (-len(body) % 4)))

    def _mac(self, body: bytes) -> bytes:
        return urlsafe_b64encode(hmac.digest(self._key, body, "sha256"))[:_MAC_LENGTH]


def unusable(reason: str) -> Invalid:
    """The error for a cursor that cannot be used."""
    return Invalid(errors=(FieldError("cursor", "cursor", f"the cursor {reason}"),))
