"""The RefreshTokens port: opaque tokens in a chain that only the server's key can follow."""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from hashlib import sha256
from secrets import token_bytes
from uuid import UUID

from backstay.core.ports import RefreshToken

SECRET_BYTES = 32
MAX_WALK = 4096
"""How many generations back a token is still recognised: 40 days at one per 15 minutes."""
_LENGTH = 16 + 4 + SECRET_BYTES


class HmacRefreshTokens:
    """Token = base64url(session id, generation, secret); everything else is HMAC-SHA256.

    The next secret is derived from the presented one, so that concurrent refreshes of one token
    agree on its successor without asking each other, and nobody without the key can foresee it.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def first(self, session_id: UUID) -> RefreshToken:
        """A fresh random token, generation 0."""
        return RefreshToken(session_id, 0, token_bytes(SECRET_BYTES))

    def successor(self, token: RefreshToken) -> RefreshToken:
        """The one token that follows."""
        secret = self._mac(b"next", token.session_id.bytes, token.secret)
        return RefreshToken(token.session_id, token.generation + 1, secret)

    def hash(self, token: RefreshToken) -> bytes:
        """The keyed hash to store."""
        generation = token.generation.to_bytes(4)
        return self._mac(b"hash", token.session_id.bytes, generation + token.secret)

    def age(self, token: RefreshToken, generation: int, live_hash: bytes) -> int | None:
        """How often a token was rotated since: the chain is walked from it to the live one."""
        age = generation - token.generation
        if not 0 <= age <= MAX_WALK:
            return None
        for _ in range(age):
            token = self.successor(token)
        return age if hmac.compare_digest(self.hash(token), live_hash) else None

    def fingerprint(self, session_id: UUID, fingerprint: str) -> bytes:
        """The keyed hash of a client's fingerprint."""
        return self._mac(b"fingerprint", session_id.bytes, fingerprint.encode())

    def write(self, token: RefreshToken) -> str:
        """The text that the client keeps: 70 characters of base64url."""
        raw = token.session_id.bytes + token.generation.to_bytes(4) + token.secret
        return urlsafe_b64encode(raw).rstrip(b"=").decode()

    def read(self, text: str) -> RefreshToken | None:
        """The token of a text, or None when it cannot be one."""
        try:
            raw = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
        except (NotBase64, UnicodeEncodeError):
            return None
        if len(raw) != _LENGTH:
            return None
        token = RefreshToken(UUID(bytes=raw[:16]), int.from_bytes(raw[16:20]), raw[20:])
        return token if self.write(token) == text else None

    def _mac(self, purpose: bytes, session: bytes, data: bytes) -> bytes:
        return hmac.digest(self._key, purpose + b"\0" + session + data, sha256)
