"""Keeps the metrics for Prometheus; requests are labelled by route template, never by path."""

import os
from collections.abc import Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from backstay.core.jobs import Backlog
from backstay.db.metrics import DatabaseMetrics
from backstay.jobs.metrics import JobMetrics

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class PrometheusMetrics:
    """The Metrics port with a Prometheus registry per instance, also of several workers."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "backstay_http_requests_total",
            "Requests answered.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "backstay_http_request_duration_seconds",
            "Time to answer, in seconds.",
            ["method", "route"],
            buckets=BUCKETS,
            registry=self.registry,
        )
        self.jobs = JobMetrics(self.registry)
        self.database = DatabaseMetrics(self.registry)
        self._channel = Gauge(
            "backstay_principal_channel_up",
            "Whether every process hears what others change about principals.",
            multiprocess_mode="livemin",
            registry=self.registry,
        )
        self._children: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        key = (method if method in METHODS else "other", route, status)
        children = self._children.get(key)
        if children is None:
            children = self._children[key] = (
                self._requests.labels(key[0], route, str(status)),
                self._seconds.labels(key[0], route),
            )
        children[0].inc()
        children[1].observe(seconds)

    def show(self, backlog: Sequence[Backlog]) -> None:
        self.jobs.show(backlog)

    def principal_channel(self, up: bool) -> None:
        """Record whether changes of principals arrive from other processes."""
        self._channel.set(up)

    def exposition(self) -> bytes:
        """All metrics in the text format of Prometheus, those of all workers together."""
        self.database.show()
        folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
        if folder is None:
            return generate_latest(self.registry)
        from backstay.observability.worker_metrics import exposition  # noqa: PLC0415 - not on Windows

        return exposition(Path(folder))
