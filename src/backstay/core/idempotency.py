"""Identifies repeated requests by their key (draft-ietf-httpapi-idempotency-key-header)."""

from dataclasses import dataclass
from datetime import timedelta
from hashlib import blake2b
from uuid import UUID

KEPT = timedelta(hours=24)
"""How long an answer is repeated; after that, a request with the same key is executed again."""


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """The key that a client chose for a request, with the target and a hash of the content."""

    value: str
    target: str
    fingerprint: bytes

    def of(self, user_id: UUID) -> bytes:
        """The hash under which the answer is stored; it differs for every user."""
        parts = (user_id.hex, self.target, self.value)
        return blake2b("\n".join(parts).encode(), digest_size=32).digest()


@dataclass(frozen=True, slots=True)
class Replayed:
    """The stored answer of the first request: the rendered view, or None if it had no body."""

    body: bytes | None
