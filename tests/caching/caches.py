"""Provides the two caches under test: in process and on Redis."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry

from backstay.caching.memory import MemoryCache
from backstay.caching.redis import RedisCache
from tests.redis.linking import link_to

SECRET = b"a secret of the server, which has thirty-two bytes"


def memory_cache(**bounds: int) -> MemoryCache:
    return MemoryCache(CollectorRegistry(), **bounds)


@asynccontextmanager
async def redis_cache(
    url: str, secret: bytes = SECRET, *, is_started: bool = True
) -> AsyncIterator[RedisCache]:
    """The cache of one process, with a Redis client of its own."""
    link = link_to(url)
    cache = RedisCache(link, secret, CollectorRegistry())
    if is_started:
        await link.start()
    yield cache
    await link.stop()


class Source:
    """A value whose loads are counted; while it is held, its load does not end."""

    def __init__(self, value: bytes = b"first", *, is_held: bool = False) -> None:
        self.value = value
        self.loads = 0
        self.started, self.may_end = asyncio.Event(), asyncio.Event()
        if not is_held:
            self.may_end.set()

    async def load(self) -> bytes:
        self.loads += 1
        self.started.set()
        await asyncio.sleep(0)
        await self.may_end.wait()
        return self.value
