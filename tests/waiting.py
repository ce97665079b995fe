"""How tests wait: for something they can observe, with one limit for the whole suite."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import TypeVar, overload

T = TypeVar("T")

LIMIT = 120.0 * float(os.environ.get("TEST_PATIENCE", "1"))
"""Seconds after which something counts as missing: far beyond what any machine needs for it."""
_PAUSE, _LONGEST_PAUSE = 0.005, 0.1


def until(happened: Callable[[], T], told: Callable[[], object] | None = None) -> T:
    """The first truthy answer to a question that is asked again and again.

    Raises:
        AssertionError: there was none within `LIMIT`; with what ``told`` returns.
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
async def eventually(
    happened: Callable[[], T | Awaitable[T]], told: Callable[[], object] | None = None
) -> T:
    """`until` for the event loop, which goes on meanwhile; the question may be asynchronous."""
    deadline, pause = time.monotonic() + LIMIT, _PAUSE
    while not (answer := await _resolved(happened())):
        assert time.monotonic() < deadline, told() if told else answer
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE)
    return answer


async def _resolved(answer: T | Awaitable[T]) -> T:
    return await answer if isawaitable(answer) else answer
