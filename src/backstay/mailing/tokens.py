"""The MailTokens port: a link's id, and a code over it that only the server's key can make."""

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
        """The token of a link."""
        return urlsafe_b64encode(link_id.bytes + self._code(purpose, link_id.bytes)).decode()

    def read(self, purpose: str, token: str) -> UUID | None:
        """The link that a token belongs to, or None when it is forged or of another purpose."""
        try:
            raw = urlsafe_b64decode(token.encode("ascii"))
        except (NotBase64, UnicodeEncodeError):
            return None
        link_id, code = raw[:16], raw[16:]
        if not hmac.compare_digest(code, self._code(purpose, link_id)):
            return None
        return UUID(bytes=link_id)

    def pseudonym(self, address: str, *, exact: bool = False) -> str:
        """What stands for a mailbox: 32 hexadecimal digits."""
        local, _, domain = address.lower().rpartition("@")
        mailbox = f"{local if exact else local.partition('+')[0] or local}@{domain}"
        return hmac.digest(self._key, b"recipient " + mailbox.encode(), sha256)[:16].hex()

    def _code(self, purpose: str, link_id: bytes) -> bytes:
        return hmac.digest(self._key, b"mail " + purpose.encode() + b"\0" + link_id, sha256)
