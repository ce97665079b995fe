"""What clients may keep of an answer (RFC 9111): what its message declares."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from backstay.core.caching import Cached
from backstay.core.messages import Message
from backstay.core.permissions import PUBLIC

NOTHING: Mapping[str, str] = {}


def declared(message: type[Message[Any]]) -> Cached | None:
    """What a message says about keeping its answers."""
    found = message.__dict__.get("cache")
    return found if isinstance(found, Cached) else None


def kept_here(message: type[Message[Any]]) -> bool:
    """Whether the application itself keeps the answers of a message."""
    kept = declared(message)
    return kept is not None and kept.ttl != 0


def kept_by_clients(message: type[Message[Any]]) -> bool:
    """Whether clients may keep the answers of a message, as far as the settings let them."""
    kept = declared(message)
    return kept is not None and bool(kept.client)


@cache
def for_clients(message: type[Message[Any]], max_age: int) -> Mapping[str, str]:
    """The header fields of an answer that its client may keep (RFC 9111): for itself only, unless
    everybody gets the same."""
    kept = declared(message)
    seconds = 0 if kept is None or not max_age else kept.client
    if seconds is True:
        seconds = max_age
    if not seconds:
        return NOTHING
    if message.permission is PUBLIC:
        return {"Cache-Control": f"public, max-age={seconds}"}
    return {
        "Cache-Control": f"private, max-age={seconds}",
        "Vary": "Authorization, Cookie",
    }
