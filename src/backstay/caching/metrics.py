"""Prometheus metrics of the cache: hits, misses and invalidations."""

from prometheus_client import CollectorRegistry, Counter


class CacheMetrics:
    """Counters in the registry of the application."""

    def __init__(self, registry: CollectorRegistry) -> None:
        hits = Counter(
            "backstay_cache_hits_total",
            "Answers from the cache.",
            ["place"],
            registry=registry,
        )
        self.near_hits, self.far_hits = hits.labels("process"), hits.labels("redis")
        self.misses = Counter(
            "backstay_cache_misses_total",
            "Answers that had to be worked out.",
            registry=registry,
        )
        self.invalidations = Counter(
            "backstay_cache_invalidations_total",
            "Tags that were touched.",
            registry=registry,
        )
