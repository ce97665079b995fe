"""Provides the two caches under test: in process and on Redis."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry

from backstay.caching.memory import MemoryCache
from backstay.caching.redis import RedisCache
from backstay.testing.contracts.cache import Source
from tests.redis.linking import link_to

__all__ = ["SECRET", "Source", "memory_cache", "redis_cache"]

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
