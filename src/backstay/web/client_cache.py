"""What the edge knows of caching: what clients may keep, and a verdict that is still under way."""

import asyncio
from collections.abc import Coroutine, Mapping
from functools import cache
from typing import Any

from starlette.requests import Request

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


def under_way(counted: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Count a request together with whatever is asked in the same moment: one round trip."""
    task = asyncio.create_task(counted)
    task.add_done_callback(_retrieved)
    return task


async def admission_of(request: Request) -> None:
    """Wait for the verdict about a request, if it is still under way.

    Raises:
        RateLimited: too many requests; whatever else was wrong with this one.
    """
    admission = request.scope.get("backstay.admission")
    if admission is not None:
        await admission


def _retrieved(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        task.exception()
