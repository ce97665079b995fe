"""Prometheus metrics of jobs: runs by name and outcome, and the backlog of each queue."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from backstay.core.jobs import Backlog

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class JobMetrics:
    """Counts and times the runs of this process; the backlog is that of the whole cluster."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._runs = Counter(
            "backstay_job_runs_total", "Runs of jobs.", ["job", "outcome"], registry=registry
        )
        self._seconds = Histogram(
            "backstay_job_duration_seconds",
            "Time that a run took, in seconds.",
            ["job"],
            buckets=BUCKETS,
            registry=registry,
        )
        self._depth = Gauge(
            "backstay_jobs_ready",
            "Jobs that could run now.",
            ["queue"],
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self._oldest = Gauge(
            "backstay_jobs_oldest_seconds",
            "How long the oldest of them has waited, in seconds.",
            ["queue"],
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self._queues: set[str] = set()

    def observe(self, job: str, outcome: str, seconds: float) -> None:
        """Record one run."""
        self._runs.labels(job, outcome).inc()
        self._seconds.labels(job).observe(seconds)

    def show(self, backlog: Iterable[Backlog]) -> None:
        """Record the backlog; a queue that is not in it is empty."""
        waiting = {each.queue: each for each in backlog}
        self._queues |= waiting.keys()
        for queue in self._queues:
            each = waiting.get(queue, Backlog(queue, 0, 0.0))
            self._depth.labels(queue).set(each.depth)
            self._oldest.labels(queue).set(each.oldest)
