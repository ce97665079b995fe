"""Keeps the metrics for Prometheus; requests are labelled by route template, never by path."""

import os
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from backstay.core.jobs import Backlog
from backstay.db.pool import Budget

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
JOB_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
WAIT_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
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
        self.jobs = _JobMetrics(self.registry)
        self.database = _DatabaseMetrics(self.registry)
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


class _JobMetrics:
    """Counts and times the runs of this process; the backlog is that of the whole cluster."""

    def __init__(self, registry: CollectorRegistry) -> None:
        gauge = partial(Gauge, registry=registry, multiprocess_mode="mostrecent")
        self._runs = Counter(
            "backstay_job_runs_total", "Runs of jobs.", ["job", "outcome"], registry=registry
        )
        self._seconds = Histogram(
            "backstay_job_duration_seconds",
            "Time that a run took, in seconds.",
            ["job"],
            buckets=JOB_BUCKETS,
            registry=registry,
        )
        self._depth = gauge("backstay_jobs_ready", "Jobs that could run now.", ["queue"])
        self._oldest = gauge(
            "backstay_jobs_oldest_seconds",
            "How long the oldest of them has waited, in seconds.",
            ["queue"],
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


class _DatabaseMetrics:
    """The metrics of each pool, at most a second old; Prometheus gets the sum of all processes."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._budgets: dict[str, Budget] = {}
        gauge = partial(Gauge, registry=registry, multiprocess_mode="livesum")
        self._connections = gauge(
            "backstay_db_connections", "Connections to the database.", ["pool", "state"]
        )
        self._waiting = gauge(
            "backstay_db_connections_waiting",
            "Statements and transactions that wait for a connection.",
            ["pool"],
        )
        self._budget = gauge(
            "backstay_db_connections_budget",
            "Connections that the pools to one server may have open between them.",
            ["server"],
        )
        self._seconds = Histogram(
            "backstay_db_connection_wait_seconds",
            "Time that was waited for a connection, in seconds, where none was free.",
            ["pool"],
            buckets=WAIT_BUCKETS,
            registry=registry,
        )

    def follow(self, server: str, budget: Budget) -> None:
        """Report the pools of a budget from now on."""
        self._budgets[server] = budget
        budget.report = self.show
        for pool in budget.pools:
            pool.semaphore.observe = self._seconds.labels(pool.name).observe

    def show(self) -> None:
        """Set the gauges to the present numbers of connections."""
        for server, budget in self._budgets.items():
            self._budget.labels(server).set(budget.most)
            for name in {pool.name for pool in budget.pools}:
                pools = [pool for pool in budget.pools if pool.name == name]
                idle = sum(pool.checkedin() for pool in pools)
                used = sum(pool.checkedout() for pool in pools)
                self._connections.labels(name, "idle").set(idle)
                self._connections.labels(name, "in_use").set(used)
                self._waiting.labels(name).set(pools[0].semaphore.waiting)
