"""Keeps the metrics for Prometheus; requests are labelled by route template, never by path."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import cache, partial
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from backstay.core.errors import AppError
from backstay.core.latency import BOUNDS
from backstay.observability.backup_metrics import BackupMetrics
from backstay.observability.database_metrics import DatabaseMetrics, ReplicaMetrics
from backstay.observability.job_metrics import JobMetrics
from backstay.observability.process_metrics import ProcessMetrics

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
PATIENCE = 1.5
"""Seconds after which metrics are returned without what another service should have told."""
STATES = ("ok", "degraded", "error", "off")
"""The states of a check of health."""


class PrometheusMetrics:
    """The Metrics port with a Prometheus registry per instance, also of several workers.

    Each of ``readers`` reads something for a scrape; they run side by side.
    """

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.in_flight = 0
        gauge = partial(Gauge, registry=registry)
        self._requests = Counter(
            "backstay_http_requests_total",
            "Requests answered.",
            ["method", "route", "status"],
            registry=registry,
        )
        self._seconds = Histogram(
            "backstay_http_request_duration_seconds",
            "Time to answer, in seconds.",
            ["method", "route"],
            buckets=BOUNDS,
            registry=registry,
        )
        self._in_flight = gauge(
            "backstay_http_requests_in_flight",
            "Requests that are being answered.",
            multiprocess_mode="livesum",
        )
        self.jobs = JobMetrics(registry)
        self.backups = BackupMetrics(registry)
        self.database = DatabaseMetrics(registry)
        self.replica = ReplicaMetrics(registry)
        self.process = ProcessMetrics(registry, self.show_present)
        self.events = EventMetrics(registry)
        self.found = FoundMetrics(registry)
        self._channel = gauge(
            "backstay_principal_channel_up",
            "Whether every process hears what others change about principals.",
            multiprocess_mode="livemin",
        )
        self.readers: list[Callable[[], Awaitable[None]]] = []
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

    def principal_channel(self, up: bool) -> None:
        """Record whether changes of principals arrive from other processes."""
        self._channel.set(up)

    def show_present(self) -> None:
        """Set the gauges whose present values are known in this process."""
        self._in_flight.set(self.in_flight)
        self.database.show()

    async def refresh(self) -> None:
        await asyncio.gather(*(_in_time(read) for read in self.readers))

    def exposition(self) -> bytes:
        """All metrics in the text format of Prometheus, those of all workers together."""
        self.process.show()
        folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
        if folder is None:
            return generate_latest(self.registry)
        from backstay.observability.worker_metrics import exposition  # noqa: PLC0415 - not on Windows

        return exposition(Path(folder))


async def _in_time(read: Callable[[], Awaitable[None]]) -> None:
    with suppress(AppError, TimeoutError):
        async with asyncio.timeout(PATIENCE):
            await read()


class EventMetrics:
    """Counts what happens rarely: ends of commands, refusals, and rows that were lost."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._commands = Counter(
            "backstay_commands_total",
            "Commands that were sent, by how they ended.",
            ["command", "outcome", "code"],
            registry=registry,
        )
        self._command = cache(self._commands.labels)
        self._limited = Counter(
            "backstay_rate_limited_requests_total",
            "Requests refused because their limit was used up.",
            ["limit"],
            registry=registry,
        )
        self._shed = Counter(
            "backstay_http_requests_shed_total",
            "Requests refused because the worker had too much to do.",
            registry=registry,
        )
        self._lost = Counter(
            "backstay_audit_rows_lost_total",
            "Rows of the audit trail that could not be written; the log has them.",
            registry=registry,
        )

    def command(self, command: str, outcome: str, code: str) -> None:
        """Record the end of a command; the code is empty if it was carried out."""
        self._command(command, outcome, code).inc()

    def limited(self, limit: str) -> None:
        """Record a request that a limit refused."""
        self._limited.labels(limit).inc()

    def shed(self) -> None:
        """Record a request that was refused because the worker had too much to do."""
        self._shed.inc()

    def audit_row_lost(self) -> None:
        """Record a row of the audit trail that could not be written."""
        self._lost.inc()


class FoundMetrics:
    """What the last scrape has found: the states of health, and whether maintenance is on."""

    def __init__(self, registry: CollectorRegistry) -> None:
        gauge = partial(Gauge, registry=registry, multiprocess_mode="mostrecent")
        self._maintenance = gauge(
            "backstay_maintenance",
            "1 while maintenance is on (requests change nothing, jobs pause), else 0.",
        )
        self._health = gauge(
            "backstay_health",
            "1 for the state that a check of /health had at the last scrape, 0 for the others.",
            ["check", "state"],
        )

    def maintenance(self, on: bool) -> None:
        """Record whether maintenance is on."""
        self._maintenance.set(on)

    def health(self, check: str, state: str) -> None:
        """Record the state of one check of `/health`."""
        for each in STATES:
            self._health.labels(check, each).set(each == state)
