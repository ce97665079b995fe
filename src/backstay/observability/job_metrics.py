"""The metrics of jobs: their runs in this process; the backlog and schedules of the cluster."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from backstay.core.jobs import Backlog
from backstay.core.schedule import Scheduled

JOB_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class JobMetrics:
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
        self._fired = gauge(
            "backstay_schedule_last_fired_timestamp_seconds",
            "The last slot of a schedule for which a job was stored, in seconds since 1970.",
            ["schedule"],
        )
        self._overdue = gauge(
            "backstay_schedule_overdue_seconds",
            "How long the first slot of a schedule without a job has begun, in seconds.",
            ["schedule"],
        )
        self._broker = Gauge(
            "backstay_broker_up",
            "1 while the broker that tells workers of jobs is connected, 0 while it is not.",
            ["broker"],
            registry=registry,
            multiprocess_mode="livemin",
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

    def show_schedule(
        self, schedule: Sequence[Scheduled], now: datetime, last: Mapping[str, datetime]
    ) -> None:
        """Record when each schedule fired last; one that no worker has seen yet is left out."""
        for each in schedule:
            fired = last.get(each.name)
            if fired is None:
                continue
            overdue = max(0.0, (now - each.trigger.next_slot(fired)).total_seconds())
            self._fired.labels(each.name).set(fired.timestamp())
            self._overdue.labels(each.name).set(overdue)

    def broker(self, broker: str, up: bool) -> None:
        """Record whether a broker, named by the scheme of its URL, is connected."""
        self._broker.labels(broker).set(up)
