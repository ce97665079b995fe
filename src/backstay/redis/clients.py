"""Every link to Redis of one process: one per server, whatever it is used for."""

import asyncio

from backstay.redis.client import RedisLink
from backstay.redis.metrics import RedisMetrics
from backstay.settings import RedisAddress


class RedisLinks:
    """Makes a link when it is first asked for, starts and stops them together."""

    def __init__(self, metrics: RedisMetrics) -> None:
        self._metrics = metrics
        self._links: dict[RedisAddress, RedisLink] = {}

    def to(self, address: RedisAddress | None) -> RedisLink | None:
        """The link to a server; None without an address."""
        if address is None:
            return None
        if address not in self._links:
            self._links[address] = RedisLink(address, self._metrics.of(str(address)))
        return self._links[address]

    @property
    def state(self) -> str:
        """``off`` without a server, ``degraded`` while one is away, else ``ok``."""
        if not self._links:
            return "off"
        return "ok" if all(link.is_up for link in self._links.values()) else "degraded"

    async def start(self) -> None:
        """Connect to all of them; those that are away are tried again in the background."""
        await asyncio.gather(*(link.start() for link in self._links.values()))

    async def stop(self) -> None:
        """Close the connections."""
        await asyncio.gather(*(link.stop() for link in self._links.values()))
