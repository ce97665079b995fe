"""Waits for what happens in the background, for a bounded time."""

import asyncio
import time
from collections.abc import Callable

PATIENCE = 10.0


async def until(happened: Callable[[], bool]) -> float:
    """The seconds until something happens in this process."""
    started = time.monotonic()
    while not happened():
        assert time.monotonic() - started < PATIENCE
        await asyncio.sleep(0.005)
    return time.monotonic() - started
