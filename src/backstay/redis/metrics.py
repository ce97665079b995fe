"""Prometheus metrics of Redis: whether it is in use, and how many commands failed."""

from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge


@dataclass(frozen=True, slots=True)
class LinkMetrics:
    """The metrics of one link."""

    up: Gauge
    failed: Counter
    short_circuited: Counter


class RedisMetrics:
    """The metrics of all links, labelled with the address of the server."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._up = Gauge(
            "backstay_redis_up",
            "1 while Redis is used (the circuit is closed), 0 while it is not.",
            ["address"],
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self._failed = Counter(
            "backstay_redis_failed_commands_total",
            "Commands that Redis did not answer in time, or with an error.",
            ["address"],
            registry=registry,
        )
        self._short_circuited = Counter(
            "backstay_redis_short_circuited_commands_total",
            "Commands that were not sent, because Redis was known to be away.",
            ["address"],
            registry=registry,
        )

    def of(self, address: str) -> LinkMetrics:
        """The metrics of the link to one server."""
        return LinkMetrics(
            self._up.labels(address),
            self._failed.labels(address),
            self._short_circuited.labels(address),
        )
