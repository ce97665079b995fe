"""Waits for what happens in the background, and measures how long others wait."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable

import httpx

PATIENCE = 10.0


async def until(happened: Callable[[], bool]) -> float:
    """The seconds until something happens in this process."""
    started = time.monotonic()
    while not happened():
        assert time.monotonic() - started < PATIENCE
        await asyncio.sleep(0.005)
    return time.monotonic() - started


class Load:
    """Requests all the time, by several at once: how they ended and how long they took."""

    def __init__(self, client: httpx.AsyncClient, path: str) -> None:
        self._client, self._path = client, path
        self.statuses: Counter[int] = Counter()
        self.longest = 0.0

    async def work(self) -> None:
        while True:
            started = time.perf_counter()
            answer = await self._client.get(self._path)
            self.longest = max(self.longest, time.perf_counter() - started)
            self.statuses[answer.status_code] += 1
            await asyncio.sleep(0.002)
