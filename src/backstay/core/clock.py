"""The current time and new ids, made in one place so that all have the same form."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from uuid_utils.compat import uuid7


def utc_now() -> datetime:
    """The current time in UTC, with its zone."""
    return datetime.now(UTC)


def minutes(number: float) -> timedelta:
    """So many minutes, as in ``fresh = minutes(5)``."""
    return timedelta(minutes=number)


def first_id_at(moment: datetime) -> UUID:
    """The least id that can be made at or after a moment (to the millisecond)."""
    return UUID(int=max(0, int(moment.timestamp() * 1000)) << 80)


def new_id() -> UUID:
    """A new id: a UUIDv7 (RFC 9562), so that ids sort by the time of creation."""
    return uuid7()
