"""Waits for a condition that a test can observe, with one time limit for the whole suite."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Any, TypeVar, overload

T = TypeVar("T")

LIMIT = 120.0 * float(os.environ.get("TEST_PATIENCE", "1"))
"""Seconds after which a test gives up: far more than any machine needs."""
_PAUSE, _LONGEST_PAUSE = 0.005, 0.1


def until(happened: Callable[[], T], told: Callable[[], object] | None = None) -> T:
    """Call `happened` again and again; return its first truthy result.

    Raises:
        AssertionError: no result was truthy within `LIMIT`; with what ``told`` returns.
    """
    deadline, pause = time.monotonic() + LIMIT, _PAUSE
    while not (answer := happened()):
        assert time.monotonic() < deadline, told() if told else answer
        time.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE)
    return answer


@overload
async def eventually(
    happened: Callable[[], Awaitable[T]], told: Callable[[], object] | None = None
) -> T: ...
@overload
async def eventually(happened: Callable[[], T], told: Callable[[], object] | None = None) -> T: ...
async def eventually(happened: Callable[[], Any], told: Callable[[], object] | None = None) -> Any:
    """`until` for asyncio: the event loop keeps running, and `happened` may be async."""
    deadline, pause = time.monotonic() + LIMIT, _PAUSE
    while True:
        answer = happened()
        if isawaitable(answer):
            answer = await answer
        if answer:
            return answer
        assert time.monotonic() < deadline, told() if told else answer
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE)
