"""The metrics of the package, as its registry knows them."""

from collections.abc import Iterator

from backstay.caching.memory import MemoryCache
from backstay.observability.metrics import PrometheusMetrics
from backstay.redis.client import RedisLinks


def known_metrics() -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """The name, the type and the labels of each metric."""
    registry = PrometheusMetrics().registry
    RedisLinks(registry)
    MemoryCache(registry)
    for collector in registry._collector_to_names:
        (family,) = collector.collect()
        name = f"{family.name}_total" if family.type == "counter" else family.name
        yield name, family.type, tuple(getattr(collector, "_labelnames"))  # noqa: B009
