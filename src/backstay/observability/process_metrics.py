"""The metrics of a process and its event loop, measured once a second while it runs.

Prometheus' own ``process_*`` metrics do not exist where several workers share a port. These are
labelled by the number of the worker: process ids would make new series at every restart.
"""

import asyncio
import os
import platform
import re
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

SECONDS = 1.0
"""How often a process measures itself."""
LAG_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_SELF = Path("/proc/self")
_MOST_FILES = re.compile(r"^Max open files +(\d+)", re.MULTILINE)
_EVERY = 5
"""Memory and open files are read at every fifth measurement."""


class ProcessMetrics:
    """What a process uses, and how late its event loop is.

    ``show_present`` is called at each measurement: other workers read what it sets.
    """

    def __init__(self, registry: CollectorRegistry, show_present: Callable[[], None]) -> None:
        gauge = partial(
            Gauge, labelnames=["worker"], registry=registry, multiprocess_mode="livemostrecent"
        )
        self._show_present = show_present
        self._cpu = Counter(
            "backstay_process_cpu_seconds_total",
            "CPU time that the processes of this number have used, in seconds.",
            ["worker"],
            registry=registry,
        )
        self._memory = gauge("backstay_process_resident_memory_bytes", "Memory in use, in bytes.")
        self._open = gauge("backstay_process_open_fds", "Open files and connections.")
        self._max = gauge("backstay_process_max_fds", "Files and connections that may be open.")
        self._started = gauge(
            "backstay_process_start_time_seconds", "When it started, in seconds since 1970."
        )
        self._turn = gauge(
            "backstay_event_loop_last_turn_timestamp_seconds",
            "When the event loop last ran its timer of every second, in seconds since 1970.",
        )
        self._lag = Histogram(
            "backstay_event_loop_lag_seconds",
            "How late the event loop ran its timer of every second, in seconds.",
            buckets=LAG_BUCKETS,
            registry=registry,
        )
        self._build = Gauge(
            "backstay_build_info",
            "Always 1; its labels tell what runs.",
            ["version", "application", "application_version", "python"],
            multiprocess_mode="livemax",
            registry=registry,
        )
        self._cpu_shown = 0.0
        self._due = 0.0
        self._count = 0
        self._worker = ""
        self._timer: asyncio.TimerHandle | None = None

    def start(self, version: str, application: str, application_version: str) -> None:
        """Measure from now on, until :meth:`stop`."""
        if self._timer is not None:
            return
        self._worker = self._worker or _number()
        python = platform.python_version()
        self._build.labels(version, application, application_version, python).set(1)
        self._started.labels(self._worker).set(time.time())
        self._turn.labels(self._worker).set(time.time())
        self._measure()
        self._wait()

    def stop(self) -> None:
        """Measure no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def show(self) -> None:
        """Set the gauges and the counter to what holds now."""
        self._show_present()
        if self._worker:
            self._measure()

    def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        self._due = loop.time() + SECONDS
        self._timer = loop.call_at(self._due, self._tick)

    def _tick(self) -> None:
        try:
            self._lag.observe(max(0.0, asyncio.get_running_loop().time() - self._due))
            self._turn.labels(self._worker).set(time.time())
            self._count += 1
            self._show_present()
            if self._count % _EVERY == 0:
                self._measure()
        finally:  # a full disk, for example, may end
            self._wait()

    def _measure(self) -> None:
        used = time.process_time()
        self._cpu.labels(self._worker).inc(max(0.0, used - self._cpu_shown))
        self._cpu_shown = used
        with suppress(OSError):  # only Linux has these files
            pages = int((_SELF / "statm").read_text().split()[1])
            self._memory.labels(self._worker).set(pages * os.sysconf("SC_PAGE_SIZE"))
            self._open.labels(self._worker).set(sum(1 for _ in (_SELF / "fd").iterdir()))
            if most := _MOST_FILES.search((_SELF / "limits").read_text()):
                self._max.labels(self._worker).set(int(most[1]))


def _number() -> str:
    """The number of this process among the workers of its server: 1 if it is the only one."""
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    if folder is None:
        return "1"
    from backstay.observability.worker_metrics import claim_number  # noqa: PLC0415 - not on Windows

    return str(claim_number(Path(folder)))
