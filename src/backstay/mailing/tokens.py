"""Implements the MailTokens port: a token is a link's id and its HMAC under the server's key."""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from hashlib import sha256
from uuid import UUID


class HmacMailTokens:
    """Token = base64url(id, HMAC-SHA256(key, purpose, id)): 64 characters."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def write(self, purpose: str, link_id: UUID) -> str:
        return urlsafe_b64encode(link_id.bytes + self._code(purpose, link_id.bytes)).decode()

    def read(self, purpose: str, token: str) -> UUID | None:
        try:
            raw = urlsafe_b64decode(token.encode("ascii"))
        except (NotBase64, UnicodeEncodeError):
            return None
        link_id, code = raw[:16], raw[16:]
        if not hmac.compare_digest(code, self._code(purpose, link_id)):
            return None
        return UUID(bytes=link_id)

    def pseudonym(self, address: str, *, exact: bool = False) -> str:
        """32 hexadecimal digits of an HMAC over the address in lower case.

        Unless ``exact``, the part of the local part from a ``+`` on is left out.
        """
        local, _, domain = address.lower().rpartition("@")
        mailbox = f"{local if exact else local.partition('+')[0] or local}@{domain}"
        return hmac.digest(self._key, b"recipient " + mailbox.encode(), sha256)[:16].hex()

    def _code(self, purpose: str, link_id: bytes) -> bytes:
        return hmac.digest(self._key, b"mail " + purpose.encode() + b"\0" + link_id, sha256)
