"""Links of tests to a server."""

from prometheus_client import CollectorRegistry

from backstay.adapters.redis_link import RedisLink
from backstay.adapters.redis_metrics import RedisMetrics
from backstay.settings import RedisAddress
from backstay.settings.redis import RedisUrl


def address_of(url: str) -> RedisAddress:
    """The parts of a Redis URL."""
    address = RedisUrl(url).address
    assert address is not None
    return address


def link_to(url: str | RedisAddress, registry: CollectorRegistry | None = None) -> RedisLink:
    """A link that is not started yet."""
    address = address_of(url) if isinstance(url, str) else url
    return RedisLink(address, RedisMetrics(registry or CollectorRegistry()).of("redis"))
