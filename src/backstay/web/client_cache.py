"""What clients may keep of an answer (RFC 9111): what its message declares."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from backstay.core.caching import Cached
from backstay.core.messages import Message

NOTHING: Mapping[str, str] = {}


def declared(message: type[Message[Any]]) -> Cached | None:
    """What a message says about keeping its answers."""
    found = message.__dict__.get("cache")
    return found if isinstance(found, Cached) else None


@cache
def for_clients(message: type[Message[Any]], max_age: int) -> Mapping[str, str]:
    """The header fields of an answer that its client may keep (RFC 9111), for itself only."""
    kept = declared(message)
    seconds = 0 if kept is None or not max_age else kept.client
    if seconds is True:
        seconds = max_age
    if not seconds:
        return NOTHING
    return {
        "Cache-Control": f"private, max-age={seconds}",
        "Vary": "Authorization, Cookie",
    }
