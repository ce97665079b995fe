"""What makes a repeated request the same one (draft-ietf-httpapi-idempotency-key-header)."""

from dataclasses import dataclass
from datetime import timedelta
from hashlib import blake2b
from uuid import UUID

from backstay.core.errors import AppError, Conflict

KEPT = timedelta(hours=24)
"""How long an answer is given again; then the same key executes anew."""


class KeyInUse(Conflict):
    code, title = "idempotency_in_flight", "A request with this Idempotency-Key is under way"


class KeyReused(AppError):
    status, code = 422, "idempotency_key_reused"
    title = "This Idempotency-Key belongs to another request"


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """What a caller calls a request, where it was sent to, and the hash of what it says."""

    value: str
    target: str
    fingerprint: bytes

    def of(self, user_id: UUID) -> bytes:
        """What the answer is stored under: nobody else's key is ever the same."""
        parts = (user_id.hex, self.target, self.value)
        return blake2b("\n".join(parts).encode(), digest_size=32).digest()


@dataclass(frozen=True, slots=True)
class Replayed:
    """The first answer, once more: the rendered view, or None where there was none."""

    body: bytes | None
