"""Work in the background, which nobody may be waiting for when it fails."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def in_background(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Start work whose error is told to whoever awaits it; if nobody does, it is no news."""
    task = asyncio.create_task(work)
    task.add_done_callback(_retrieve)
    return task


def _retrieve(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()
