"""The two caches under test, and what one process is told of another."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry

from backstay.adapters.cache_memory import MemoryCache
from backstay.adapters.cache_metrics import CacheMetrics
from backstay.adapters.cache_redis import RedisCache
from backstay.adapters.redis_link import RedisLink
from backstay.adapters.redis_metrics import RedisMetrics
from backstay.settings import RedisAddress
from tests.services.valkey import ValkeyServer

SECRET = b"a secret of the server, which has thirty-two bytes"


def memory_cache(**bounds: int) -> MemoryCache:
    return MemoryCache(CacheMetrics(CollectorRegistry()), **bounds)


@asynccontextmanager
async def redis_cache(
    valkey: ValkeyServer, secret: bytes = SECRET, *, is_started: bool = True
) -> AsyncIterator[RedisCache]:
    """What one process has: a link of its own, and a cache behind it."""
    parts = urlsplit(valkey.url)
    address = RedisAddress("127.0.0.1", parts.port or 0, password=parts.password)
    link = RedisLink(address, RedisMetrics(CollectorRegistry()).of("redis"))
    cache = RedisCache(link, secret, CacheMetrics(CollectorRegistry()))
    if is_started:
        await link.start()
    yield cache
    await link.stop()


class Source:
    """Something that is slow to load, counted."""

    def __init__(self, value: bytes = b"first") -> None:
        self.value = value
        self.loads = 0
        self.started = asyncio.Event()

    async def load(self) -> bytes:
        self.loads += 1
        value = self.value
        self.started.set()
        await asyncio.sleep(0.02)
        return value
