"""Time and identity as the application sees them."""

from datetime import UTC, datetime
from os import urandom
from uuid import UUID

from uuid_utils.compat import uuid7


def utc_now() -> datetime:
    """The current time, with its zone."""
    return datetime.now(UTC)


def first_id_at(moment: datetime) -> UUID:
    """The least identifier of those made from a moment on (milliseconds, Unix time)."""
    return UUID(int=max(0, int(moment.timestamp() * 1000)) << 80)


def new_id() -> UUID:
    """A fresh identifier: UUIDv7 (RFC 9562), so that ids sort by time of creation."""
    return uuid7()


def new_trace() -> tuple[str, str]:
    """A fresh request id, and the ``traceparent`` that it is the trace of (W3C Trace Context)."""
    chosen = urandom(24).hex()
    return chosen[:32], f"00-{chosen[:32]}-{chosen[32:]}-00"
