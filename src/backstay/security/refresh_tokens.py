"""Implements the RefreshTokens port: each opaque token follows from the last and the server's
key."""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from hashlib import sha256
from secrets import token_bytes
from uuid import UUID

from backstay.core.ports import RefreshToken

SECRET_BYTES = 32
SEAL_BYTES = 16
MAX_WALK = 4096
"""How many generations back a token without a seal is recognised: 40 days at one every 15 minutes.

Such tokens were issued before seals existed; none outlives `SECURITY_SESSION_LIFETIME_SECONDS`.
"""
_BARE = 16 + 4 + SECRET_BYTES


class HmacRefreshTokens:
    """Token = base64url(session id, generation, secret, seal); everything else is HMAC-SHA256.

    The next secret is derived from the presented one. Concurrent refreshes of one token thus get
    the same successor without coordination, and no one without the key can predict it.

    The seal is a keyed hash of the rest. It proves that this server issued a token, no matter how
    long ago the token was rotated.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def first(self, session_id: UUID) -> RefreshToken:
        return RefreshToken(session_id, 0, token_bytes(SECRET_BYTES))

    def successor(self, token: RefreshToken) -> RefreshToken:
        secret = self._mac(b"next", token.session_id.bytes, token.secret)
        return RefreshToken(token.session_id, token.generation + 1, secret)

    def hash(self, token: RefreshToken) -> bytes:
        generation = token.generation.to_bytes(4)
        return self._mac(b"hash", token.session_id.bytes, generation + token.secret)

    def age(self, token: RefreshToken, generation: int, live_hash: bytes) -> int | None:
        """How often a token was rotated since; None if it is not proven to belong to the chain.

        A token without a seal is proven by deriving its successors up to the live one.
        """
        age = generation - token.generation
        if age < 0:
            return None
        if token.sealed and age:
            return age
        if age > MAX_WALK:
            return None
        for _ in range(age):
            token = self.successor(token)
        return age if hmac.compare_digest(self.hash(token), live_hash) else None

    def keyed_hash(self, purpose: str, owner: UUID, text: str) -> bytes:
        return self._mac(purpose.encode(), owner.bytes, text.encode())

    def write(self, token: RefreshToken) -> str:
        """91 characters of base64url."""
        raw = _raw(token)
        return _text(raw + self._seal(raw))

    def read(self, text: str) -> RefreshToken | None:
        try:
            given = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
        except (NotBase64, UnicodeEncodeError):
            return None
        raw, seal = given[:_BARE], given[_BARE:]
        if len(raw) != _BARE or _text(given) != text:
            return None
        if seal and not hmac.compare_digest(seal, self._seal(raw)):
            return None
        return RefreshToken(
            UUID(bytes=raw[:16]), int.from_bytes(raw[16:20]), raw[20:], sealed=bool(seal)
        )

    def _seal(self, raw: bytes) -> bytes:
        return self._mac(b"seal", raw[:16], raw[16:])[:SEAL_BYTES]

    def _mac(self, purpose: bytes, owner: bytes, data: bytes) -> bytes:
        return hmac.digest(self._key, purpose + b"\0" + owner + data, sha256)


def _raw(token: RefreshToken) -> bytes:
    return token.session_id.bytes + token.generation.to_bytes(4) + token.secret


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()
