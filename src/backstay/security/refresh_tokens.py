"""The RefreshTokens port: opaque tokens in a chain that only the server's key can follow."""

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
"""How many generations back a token without a seal is recognised: 40 days at one per 15 minutes.

They were written before there was a seal; none outlives `SECURITY_SESSION_LIFETIME_SECONDS`.
"""
_BARE = 16 + 4 + SECRET_BYTES


class HmacRefreshTokens:
    """Token = base64url(session id, generation, secret, seal); everything else is HMAC-SHA256.

    The next secret is derived from the presented one, so that concurrent refreshes of one token
    agree on its successor without asking each other, and nobody without the key can foresee it.
    The seal is a keyed hash of the rest: a token is known as ours however long ago it was live.
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
        """How often a token was rotated since; one without a seal is proven by a walk."""
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
        """The keyed hash of what tells a client of a session or user from others."""
        return self._mac(purpose.encode(), owner.bytes, text.encode())

    def write(self, token: RefreshToken) -> str:
        """The text that the client keeps: 91 characters of base64url."""
        raw = _raw(token)
        return _text(raw + self._seal(raw))

    def read(self, text: str) -> RefreshToken | None:
        """The token of a text, or None when it cannot be one, or its seal is broken."""
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
